"""Image tower, poolers, decoder and scale as one folder, for the library has no such model: out, back in, and in use.

    folder/config.json         what each part is, in the library's words or ours
    folder/model.safetensors   all weights, named part.weight

Legend: B images or captions, H side in pixels, T positions, q vectors of an image, e width of the shared space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from keel import model
from keel.errors import StudyError
from keel.files import read_json, write_json
from keel.model.captioner import Captioner
from keel.model.scale import BEGINS, Scale
from keel.model.shapes import Shape
from keel.model.vision import VisionTrunk

SCHEMA, CONFIG, WEIGHTS = "keel.coca/1", "config.json", "model.safetensors"
OURS = {"text": "captioner", "caption_pooler": "pooler", "contrast_pooler": "pooler"}
PLAIN = {"body": "fp32", "head": "fp32"}
OPENED = """
The library has no such model: `keel.model.coca.load(folder)` opens this folder, config.json and model.safetensors.
`captions(pixel_values, start, end)` of it gives ids of captions, start and end the ids of the tokenizer's first and
last token around a text. Where it was trained with a contrast too, `image(pixel_values)` and
`text(input_ids, attention_mask)` give features of length 1.
"""


@torch.no_grad()
def export(parts: Mapping[str, nn.Module], folder: Path) -> None:
    """Write what `load` reads."""
    given: dict[str, Any] = dict(parts)
    image = given["model"].library
    told = {
        "model": {"class": type(image).__name__, "config": image.config.to_diff_dict()},
        **{name: {"shape": asdict(given[name].shape), "head": given[name].head} for name in OURS if name in given},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / CONFIG, SCHEMA, {"model_type": "keel-coca", "parts": told})
    weights = {f"{name}.{key}": weight.detach().contiguous()
               for name, part in given.items() for key, weight in part.state_dict().items()}  # fmt: skip
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


class CoCa:
    """What `export` wrote; without a contrastive pooler it captions alone.

    Raises:
        StudyError: the folder holds no such export, or not all of its weights.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
            raise StudyError("no captioner is here", why=f"{CONFIG} and {WEIGHTS} are wanted", where=str(folder),
                             fix="name the folder 'model' of a run with coca or captioning")  # fmt: skip
        told = read_json(folder / CONFIG, SCHEMA)["parts"]
        self.parts: dict[str, nn.Module] = {"model": _image(told["model"])}
        for name, family in OURS.items():
            if name in told:
                shape = Shape(**{**told[name]["shape"], "depths": tuple(told[name]["shape"]["depths"])})
                self.parts[name] = model.load(family).build(shape, PLAIN, 0, {}, told[name]["head"])
        if "contrast_pooler" in told:
            self.parts["scale"] = Scale(BEGINS["softmax"])
        weights = load_file(folder / WEIGHTS)
        for name, part in self.parts.items():
            mine = {key.removeprefix(f"{name}."): each for key, each in weights.items() if key.startswith(f"{name}.")}
            if wrong := sorted(set(part.state_dict()) ^ set(mine)):
                raise StudyError(f"the weights of {name} do not fit", why=", ".join(wrong[:3]), where=str(folder),
                                 fix="export the run again")  # fmt: skip
            part.load_state_dict(mine)
            part.eval()

    def states(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, H, H) -> the state of the whole image and those of its patches."""
        found = self.parts["model"](pixel_values)
        return torch.cat([found.pooled[:, None], found.patches], 1)

    def image(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, H, H) -> features of length 1 (B, e)."""
        return normalize(self.parts["contrast_pooler"](self.states(pixel_values))[:, 0], dim=-1)

    def text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Ids and mask (B, T) of start + caption + end -> features of length 1 (B, e)."""
        decoder: Any = self.parts["text"]
        read = decoder.read(input_ids[:, :-1], attention_mask.sum(1) - 1)
        return normalize(read.aligned, dim=-1)

    def captions(self, pixel_values: Tensor, start: int, end: int) -> list[list[int]]:
        """(B, 3, H, H) -> the likeliest token at every place, up to the end: one caption an image."""
        decoder: Any = self.parts["text"]
        vectors = self.parts["caption_pooler"](self.states(pixel_values))
        return greedy(decoder, vectors, start, end, decoder.shape.context - 2)


def load(folder: Path | str) -> CoCa:
    """The model of a run with coca or captioning, ready to be used.

    Raises:
        StudyError: the folder holds no such export, or not all of its weights.
    """
    return CoCa(Path(folder))


@torch.inference_mode()
def greedy(decoder: Captioner | nn.Module, vectors: Tensor, start: int, end: int, most: int) -> list[list[int]]:
    """Captions of at most so many tokens, the likeliest token at each place; every row is read anew for each token.

    `vectors`: (B, q, e) of images.
    """
    text: Any = decoder
    ids = torch.full((len(vectors), 1), start, device=vectors.device)
    open_ = torch.ones(len(vectors), dtype=torch.bool, device=vectors.device)
    for _ in range(most):
        lengths = torch.full((len(ids),), ids.shape[1], device=ids.device)
        last = text.write(text.read(ids, lengths).rows, vectors)[:, -1]
        chosen = text.logits(last).argmax(-1).where(open_, torch.tensor(end, device=ids.device))
        ids, open_ = torch.cat([ids, chosen[:, None]], 1), open_ & (chosen != end)
        if not bool(open_.any()):
            break
    rows = [row[1:] for row in ids.tolist()]
    return [row[: row.index(end)] if end in row else row for row in rows]


def _image(told: Mapping[str, Any]) -> VisionTrunk:
    kind = getattr(transformers, told["class"])
    library = kind(kind.config_class(**told["config"]))
    return VisionTrunk(library, PLAIN)
