"""The two sides of image_speed.py: keel's step and a hand-written one, over a batch in memory and from files."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from table import cores

from keel.corpus import scene_pictures, scenes
from keel.corpus.images import store
from keel.corpus.images.items import open_images
from keel.corpus.images.look import measure_images
from keel.corpus.images.store import TOKENIZER, Store
from keel.corpus.tokenizer import train as train_tokenizer
from keel.files import write_text
from keel.model.shapes import Size
from keel.model.shapes.vision_ladder import at
from keel.plan.spec import Spec
from keel.run.train import Loop, Place
from keel.study import Study

IMAGES, CLASSES, LR, STEPS = 512, 4, 1e-3, 10**6
PRECISIONS = ("fp32", "bf16")


class Cell(NamedTuple):
    """A loss, a family with its size, and the samples of a step; a window is so many steps."""

    loss: str
    family: str
    size: Size
    batch: int
    window: int

    def spec(self, body: str = "fp32") -> Spec:
        """A run of this cell that never ends."""
        return Spec(
            objective=self.loss, options={}, family=self.family, size=self.size.json(), start={"kind": "scratch"},
            data={}, batch_tokens=self.batch * self.size.context, steps=STEPS, warmup_steps=1, decay_start=STEPS,
            lr_hidden=LR, lr_embedding=LR, beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.1, clip_norm=1.0, seed=0,
            precision={"body": body, "head": "fp32"},
        )  # fmt: skip

    @property
    def side(self) -> int:
        """Pixels of a side."""
        return int(self.size.patch * self.size.context**0.5)


VIT = Size(width=192, layers=6, vocabulary=0, context=64, head_width=64, patch=12, classes=CLASSES)
RESNET = at("resnet-basic", 32, image=96, patch=12, classes=CLASSES)
CLIP = Size(width=192, layers=6, vocabulary=0, context=64, head_width=64, patch=12, embedding_width=128)
CELLS = {
    "vit": Cell("classify", "vit", VIT, 32, 12), "resnet": Cell("classify", "resnet-basic", RESNET, 32, 12),
    "clip": Cell("clip", "clip-vision", CLIP, 32, 12),
}  # fmt: skip


def scenes_at(folder: Path, side: int, captions: bool) -> Store:
    """Generated scenes with their classes and captions as a store; the files lie beside it."""
    options = scenes.Options(most_objects=1, side=side)
    scene_pictures.write(folder / "scenes", IMAGES, 0, options, "shape")
    texts = {"text": "twin"} if captions else {}
    study = Study.model_validate({"data": {"train": "scenes", "image": "file", "label": "folder"} | texts})
    seen = measure_images(open_images(folder, study.data), study)
    if captions:
        said = [item.caption or "" for item in open_images(folder, study.data).items()]
        write_text(folder / "store" / TOKENIZER, train_tokenizer(said, 512))
    return store.write(folder / "store", open_images(folder, study.data), seen)


# ---- the step alone ----


def ours(loop: Loop) -> Callable[[], object]:
    """keel's step over the batch that comes first, again and again."""
    from keel.run import engine, optimiser

    batch = loop.batches.micro_batches(loop.objective, 0, 0, 1, loop.spec.batch_tokens // loop.shape.context)

    def step() -> None:
        made = engine.accumulate(loop.objective, loop.parts, batch, loop.carry, 0, 0)
        optimiser.step(loop.optimisers, 1.0, 1.0)
        loop.objective.after_step(loop.parts, loop.carry, made.stats, 1)

    return step


def theirs(model: torch.nn.Module, batches: Iterator[dict[str, Any]]) -> Callable[[], object]:
    """Forward, loss, backward, clip, AdamW, as one writes them by hand."""
    adam = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.95), weight_decay=0.1)

    def step() -> None:
        loss: Any = model(**next(batches)).loss
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        loss.item()

    return step


def library_model(loop: Loop) -> torch.nn.Module:
    """The library's own model of the same weights."""
    if "text" in loop.parts:
        from keel.model.clip import joined

        made: torch.nn.Module = joined(*(loop.parts[name] for name in ("model", "text", "scale")))  # type: ignore[arg-type]
        return made
    whole: torch.nn.Module = loop.parts["model"].library
    return whole


def inputs_of(loop: Loop) -> dict[str, Any]:
    """The first batch in the library's words."""
    (batch,) = loop.batches.micro_batches(loop.objective, 0, 0, 1, loop.spec.batch_tokens // loop.shape.context)
    found = batch.tensors
    if "tokens" in found:
        return {"pixel_values": found["images"], "input_ids": found["tokens"], "attention_mask": found["mask"],
                "return_loss": True}  # fmt: skip
    return {"pixel_values": found["pixels"], "labels": found["labels"]}


# ---- from files to steps ----


class Files(torch.utils.data.Dataset[dict[str, Any]]):
    """PNG files with the class of their folder, through the library's processor."""

    def __init__(self, folder: Path, side: int, captions: str = "") -> None:
        from transformers import CLIPImageProcessor, PreTrainedTokenizerFast

        self.paths = sorted(folder.rglob("*.png"))
        self.names = sorted({path.parent.name for path in self.paths})
        self.process = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
        self.tokens = PreTrainedTokenizerFast(tokenizer_file=captions, eos_token="<|end|>", pad_token="<|end|>") if (
            captions) else None  # fmt: skip

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> dict[str, Any]:
        from PIL import Image

        path = self.paths[place]
        with Image.open(path) as image:
            found = {"pixel_values": self.process(image.convert("RGB"), return_tensors="pt")["pixel_values"][0]}
        if self.tokens is None:
            return found | {"labels": self.names.index(path.parent.name)}
        text = path.with_suffix(".txt").read_text(encoding="utf-8").strip() + "<|end|>"
        return found | {"text": text}

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of the library's inputs."""
        found: dict[str, Any] = {"pixel_values": torch.stack([row["pixel_values"] for row in rows])}
        if self.tokens is None:
            return found | {"labels": torch.tensor([row["labels"] for row in rows])}
        return found | dict(self.tokens([row["text"] for row in rows], padding=True, return_tensors="pt",
                                        return_token_type_ids=False)) | {"return_loss": True}  # fmt: skip


def batches_of(cell: Cell, folder: Path) -> Iterator[dict[str, Any]]:
    """Batches from files without end, in the library's words."""
    files = Files(folder / "scenes", cell.side, str(folder / "store" / TOKENIZER) if cell.loss == "clip" else "")
    loader = torch.utils.data.DataLoader(
        files,
        cell.batch,
        shuffle=True,
        num_workers=2,
        collate_fn=files.collate,
        persistent_workers=True,
        drop_last=True,
    )
    while True:
        yield from loader


def loop_of(cell: Cell, corpus: Store, workers: int, body: str = "fp32") -> Loop:
    """keel's loop; its folder holds no run."""
    return Loop(
        cell.spec(body), Place(folder=Path(tempfile.gettempdir()) / "keel-no-such-run", workers=workers), corpus
    )


def child(role: str, name: str, body: str, folder: Path) -> None:
    """One side as installed: a window of steps for every line."""
    cell, corpus = CELLS[name], store.open_store(folder / "store")
    torch.set_num_threads(cores())
    loop = loop_of(cell, corpus, 2, body)
    step = loop.one_step if role == "keel" else theirs(library_model(loop), batches_of(cell, folder))
    for _ in range(3):
        step()
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"s": seconds(step, cell.window)}), flush=True)
    loop.batches.close()
    loop.batches.source.close()


def seconds(step: Callable[[], object], steps: int) -> float:
    """Wall time of a window."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return time.perf_counter() - start


if __name__ == "__main__":
    child(*sys.argv[1:4], Path(sys.argv[4]))
