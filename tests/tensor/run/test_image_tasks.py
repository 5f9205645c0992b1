"""Runs on images are judged on the study's tasks: what a loss exported is asked, and who cannot serve says so."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import study, study_error
from image_models import COLOURS, SAID, SETTINGS, TOKENIZER, noisy, run_of, saved, saved_pair
from PIL import Image

from keel import objective
from keel.corpus.tokenizer import with_special
from keel.corpus.vocabulary import vocabulary_of
from keel.evaluate.tasks import labelled
from keel.evaluate.tasks.captioning import captioning
from keel.evaluate.tasks.image_probe import image_probe
from keel.evaluate.tasks.seen import Seen, opened
from keel.evaluate.uses.rows import Row, Split, split
from keel.files import read_json
from keel.model.shapes import Size
from keel.objective.base import Sample, Scratch
from keel.objective.held import facts_of
from keel.plan.spec import example_spec
from keel.run import asked, judging, parts, picture_files
from keel.run.tune import Tuning, image_fine_tune

pytestmark = pytest.mark.tensor
SIZE = Size(width=16, layers=2, vocabulary=0, context=4, head_width=8, patch=4, embedding_width=16)
ONE_RATE = Tuning(rates=(1e-2,), epochs=6)


# ---- what the losses export ----


def exported(name: str, folder: Path, **options: Any) -> tuple[Any, Any]:
    """A loss with fresh parts, no weight without effect, and its export as a run leaves it."""
    at = {"text_context": 16, **options}
    known = vocabulary_of(TOKENIZER).with_special(facts_of(name, at).roles(at, 4))
    loss: Any = objective.load(name, at, known)
    made = parts.build(loss.parts("clip-vision", SIZE, Scratch()), example_spec(family="clip-vision", size=SIZE.json()),
                       loss.vocabulary)  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    for part in made.values():
        part.eval()
        for weight in part.parameters():
            weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    loss.export(made, "clip-vision", folder)
    picture_files.write(folder, SETTINGS, ())
    text = with_special(TOKENIZER, loss.vocabulary.special)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    return loss, made


@pytest.mark.parametrize("name", ["clip", "siglip", "coca", "maskvlm"])
def test_tasks_ask_for_the_features_that_the_loss_had(name: str, tmp_path: Path) -> None:
    loss, made = exported(name, tmp_path / "model")
    seen, texts = opened(tmp_path / "model", 16), ["a photo of a red.", "blue", "a photo"]
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(files):
        path.write_bytes(noisy(number, (90, 120, 150)))
    pixels = seen.pixels([str(path) for path in files]).numpy()
    samples = [Sample(n, ids, image=pixels[n], patch=4) for n, ids in enumerate(seen.tokens(texts))]
    batch = loss.collate([loss.example(each, np.random.default_rng(0)) for each in samples], [0, 1, 2])
    with torch.no_grad():
        ours = features_of(name, loss, made, batch)
    np.testing.assert_allclose(seen.images([str(path) for path in files]), ours[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(seen.texts(texts), ours[1], rtol=0, atol=1e-5)


def features_of(name: str, loss: Any, made: Any, batch: Any) -> list[np.ndarray]:
    """By the loss's own forward pass, nothing hidden from it."""
    from keel.objective.base import Key

    _, features, _ = loss.losses(made, batch, {}, Key(0, 0, (0, 1, 2)))
    return [features[side].numpy() for side in ("image", "text")]


def test_a_captioner_is_judged_by_what_it_writes(tmp_path: Path) -> None:
    loss, made = exported("captioning", tmp_path / "model")
    seen, rows = opened(tmp_path / "model", 16), split(coloured(tmp_path, 12, SAID.format))
    found = captioning(seen, rows)
    files = sorted({row.text for row in rows.test})
    with torch.no_grad():
        ids = loss.captioner.written(made, seen.pixels(files), loss.vocabulary)
    assert seen.words is not None
    assert seen.captions(files) == [seen.words.tokenizer.decode(each) for each in ids]
    assert found.measures["CIDEr-D"].value < 0.5 < found.beside["CIDEr-D"].value <= 1.0
    assert found.beside["exact"].value == 1.0, "the nearest pixels are those of the same colour"
    assert list(found.measures) == ["CIDEr-D", "ROUGE-L", "chrF", "exact"]
    with study_error("the model has no text tower"):
        seen.texts(["a"])


# ---- fine-tuning ----


def halves(folder: Path, number: int) -> Split:
    """Whether both halves have one colour: no pixel by itself tells."""
    rng, rows = np.random.default_rng(0), []
    for place in range(number):
        left, right = rng.integers(0, 2, 2)
        values = np.zeros((8, 8, 3), np.uint8)
        values[:, :4, left] = values[:, 4:, right] = 200
        path = folder / f"{place}.png"
        Image.fromarray(values + rng.integers(0, 50, values.shape, dtype=np.uint8)).save(path)
        rows.append(Row(str(path), "same" if left == right else "other"))
    return split(rows)


@pytest.fixture
def vit(tmp_path: Path) -> Seen:
    saved("vit", tmp_path / "vit")
    return opened(tmp_path / "vit")


def test_the_whole_tower_learns_what_pixels_do_not_tell(vit: Seen, tmp_path: Path) -> None:
    before = {name: weight.clone() for name, weight in vit.towers.trunk.state_dict().items()}
    found = image_fine_tune(vit, halves(tmp_path, 120), ONE_RATE)
    assert found.measures["accuracy"].value > 0.9
    assert (found.task, found.baseline) == ("image-fine-tune", "raw pixels")
    assert found.beside["accuracy"].value < 0.7
    after = vit.towers.trunk.state_dict()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    assert all(weight.grad is None for weight in vit.towers.trunk.parameters())


def test_images_that_slip_by_one_teach_nothing(vit: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = labelled.Images.together
    monkeypatch.setattr(
        labelled.Images, "together", lambda self, inputs: tuple(each.roll(1, 0) for each in plain(self, inputs))
    )
    assert image_fine_tune(vit, halves(tmp_path, 120), ONE_RATE).measures["accuracy"].value < 0.9


def test_batch_norms_stay_and_that_is_said(tmp_path: Path) -> None:
    saved("resnet-basic", tmp_path / "resnet")
    made = opened(tmp_path / "resnet")
    found = image_fine_tune(made, halves(tmp_path, 40), Tuning(rates=(1e-3,), epochs=1))
    assert "batch norms keep" in found.notes[-1]
    assert found.items.tolist() == image_fine_tune(
        made, halves(tmp_path, 40), Tuning(rates=(1e-3,), epochs=1)
    ).items.tolist()  # fmt: skip


def test_the_tower_of_a_pair_is_tuned_too(tmp_path: Path) -> None:
    saved_pair(tmp_path / "clip", knowing=True)
    rows = split(coloured(tmp_path, 8))
    found = image_fine_tune(opened(tmp_path / "clip"), rows, Tuning(rates=(1e-2,), epochs=8))
    assert found.measures["accuracy"].value == 1.0


# ---- a study ----


def coloured(folder: Path, each: int, said: Callable[[str], str] = str) -> list[Row]:
    """Images near a colour, with what is said of it."""
    rows = []
    for place, (name, colour) in enumerate(COLOURS.items()):
        for number in range(each):
            path = folder / f"{name}{number}.png"
            path.write_bytes(noisy(place * each + number, colour, (10, 8)))
            rows.append(Row(str(path), said(name)))
    return rows


USES = [
    {"name": "probed", "task": "image-classification", "eval": "eval/rows.csv", "accept": 0.6},
    {"name": "named", "task": "zero-shot-image-classification", "eval": "eval/rows.csv", "accept": 0.9},
    {"name": "found", "task": "image-text-retrieval", "eval": "eval/rows.csv", "metric": "recall@1"},
    {"name": "read", "task": "text-classification", "eval": "eval/rows.csv", "fields": {"text": "image"}},
]


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, Any]:
    """A CLIP that knows colours, and a larger ViT that has no words."""
    (tmp_path / "eval").mkdir()
    with (tmp_path / "eval" / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "caption"])
        for row in coloured(tmp_path / "eval", 14):
            writer.writerow([Path(row.text).name, row.answer, SAID.format(row.answer)])
    made = [run_of(tmp_path, "clip", "clip-vision", 1000, text_context=16), run_of(tmp_path, "vit", "vit", 2000)]
    saved_pair(tmp_path / "runs" / "clip" / "model", knowing=True)
    saved("vit", tmp_path / "runs" / "vit" / "model", "classes", 3)
    return {"experiments": made, "totals": {"side_by_side": 1}}


class Inline:
    """A pool whose worker is this process."""

    def __init__(self, *_: Any) -> None:
        self.interrupted = False

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None: ...

    def stop(self) -> None: ...

    def run(self, tasks: Any, heard: Any) -> None:
        for task in tasks:
            judging.judge(task.message, lambda seen: heard(task, seen), lambda: False)  # noqa: B023


def test_exported_models_are_judged_on_images(
    plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "Pool", Inline)
    found = asked.check(tmp_path, study(use_case=USES))
    problems, writes = asked.ask(tmp_path, found, plan)
    assert sorted(writes) == ["runs/clip/tasks.json", "runs/vit/tasks.json", "use_cases.json"]
    assert [(problem.what, problem.why, problem.where) for problem in problems] == [
        ("'named' was not judged on 1 of 2 models", "the model has no text tower", "vit"),
        ("'found' was not judged on 1 of 2 models", "the model has no text tower", "vit"),
        ("'read' was not judged on 1 of 2 models", "a clip-vision reads no texts", "clip"),
        ("'read' was not judged on 1 of 2 models", "a vit reads no texts", "vit"),
    ]
    clip, vit = (judging.read(tmp_path / "runs" / name) for name in ("clip", "vit"))
    assert clip["named"]["result"]["measures"]["accuracy"]["value"] == 1.0
    assert clip["named"]["accept"] is not None
    assert clip["found"]["result"]["measures"]["recall@1, image of caption"]["value"] == 1.0
    assert clip["probed"]["result"]["baseline"] == "raw pixels"
    assert vit["named"]["result"] is None
    assert vit["probed"]["result"]["test"] > 3
    uses = {use["name"]: use for use in read_json(tmp_path / "use_cases.json", asked.SCHEMA)["use_cases"]}
    assert "clip" in uses["named"]["said"]


def test_a_new_image_is_judged_again_and_nothing_else(
    plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "Pool", Inline)
    found = asked.check(tmp_path, study(use_case=USES[1:2]))
    asked.ask(tmp_path, found, plan)
    assert asked.ask(tmp_path, found, plan)[1] == ["use_cases.json"]
    (tmp_path / "eval" / "red0.png").write_bytes(noisy(99, COLOURS["blue"]))
    assert len(asked.ask(tmp_path, found, plan)[1]) == 3
    entry = judging.read(tmp_path / "runs" / "clip")["named"]
    assert entry["result"]["measures"]["accuracy"]["value"] == pytest.approx(41 / 42)


def test_a_broken_image_stops_the_run_before_it_trains(plan: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "eval" / "red0.png"
    path.write_bytes(path.read_bytes()[:-40])
    with study_error("truncated or damaged", "red0.png"):
        asked.check(tmp_path, study(use_case=USES))


def test_frozen_states_stand_against_the_whole_model(vit: Seen, tmp_path: Path) -> None:
    """Both are judged on the same rows, so that they can be compared row by row."""
    rows = halves(tmp_path, 60)
    tuned, frozen = image_fine_tune(vit, rows, Tuning(rates=(1e-2,), epochs=1)), image_probe(vit, rows)
    assert tuned.items.shape == frozen.items.shape
    assert tuned.beside["accuracy"] == frozen.beside["accuracy"]
