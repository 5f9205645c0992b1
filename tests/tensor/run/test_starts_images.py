"""A model of images starts from another run's: without its classifier, or with it; misfits are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from helpers import study_error

from keel import model, objective
from keel.model import sincos
from keel.model.shapes import Size
from keel.objective.base import FromRun, Part, Scratch
from keel.plan.spec import example_spec
from keel.run import parts
from keel.run.began import Began

pytestmark = pytest.mark.tensor
SIZE = Size(width=32, layers=2, vocabulary=0, context=16, head_width=8, patch=4)
WITH = replace(SIZE, classes=5)
IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def run(root: Path, loss: str, size: Size = SIZE, options: dict[str, Any] | None = None) -> Any:
    """The parts of a finished run called `loss`, exported."""
    of = objective.load(loss, options or {})
    plan = of.parts("vit", size, Scratch())
    made = of.join(parts.build(plan, example_spec(family="vit", size=size.json(), seed=5)))
    of.export(made, "vit", root / loss / "model")
    return made["model"]


def begin(root: Path, part: Part) -> tuple[Any, Began]:
    spec = example_spec(family="vit", size=part.size.json())
    built = parts.begin({"model": part}, spec, None, root)
    return built.modules["model"], built.began["model"]


@pytest.mark.parametrize(("head", "kind"), [("classes", "ViTForImageClassification"), ("mean-classes", "OwnViT")])
def test_a_classifier_starts_from_masked_autoencoding(head: str, kind: str, tmp_path: Path) -> None:
    encoder = run(tmp_path, "mae")
    trunk, began = begin(tmp_path, Part(family="vit", size=WITH, start=FromRun("mae"), head=head))
    assert type(trunk.library).__name__.startswith(kind)
    assert set(began.missing) == {"classifier.weight", "classifier.bias"}
    assert began.unexpected == ()
    assert not trunk.library.classifier.weight.any()
    assert trunk.library.classifier.weight.shape == (5, 32)
    torch.testing.assert_close(trunk(IMAGES).patches, encoder(IMAGES).patches)
    positions = trunk.library.base_model.embeddings.position_embeddings
    torch.testing.assert_close(positions.detach(), sincos.table(4, 32))
    assert positions.requires_grad  # they go on as learned ones


def test_a_classifier_is_taken_with_its_classes_and_left_where_there_are_others(tmp_path: Path) -> None:
    first = run(tmp_path, "classify", WITH)
    with torch.no_grad():
        first.library.classifier.weight.fill_(0.5)
    model.load("vit").export(first, tmp_path / "classify" / "model")
    part = Part(family="vit", size=WITH, start=FromRun("classify"), head="classes")
    trunk, began = begin(tmp_path, part)
    assert began.missing == ()
    torch.testing.assert_close(trunk.library(IMAGES).logits, first.library(IMAGES).logits)
    trunk, began = begin(tmp_path, replace(part, size=replace(WITH, classes=7)))
    assert set(began.missing) == {"classifier.weight", "classifier.bias"}
    assert not trunk.library.classifier.weight.any()
    assert trunk.library.config.num_labels == 7


def test_a_body_starts_from_a_classifier_whose_head_is_said_to_have_no_place(tmp_path: Path) -> None:
    first = run(tmp_path, "classify", WITH)
    trunk, began = begin(tmp_path, Part(family="vit", size=SIZE, start=FromRun("classify"), head="body"))
    torch.testing.assert_close(trunk(IMAGES).pooled, first(IMAGES).pooled)
    assert set(began.unexpected) == {"classifier.weight", "classifier.bias"}
    assert began.missing == ()


def test_the_librarys_own_release_with_a_pooler(tmp_path: Path) -> None:
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, image_size=16, patch_size=4,
    )  # fmt: skip
    theirs = transformers.ViTModel(config).eval()
    theirs.save_pretrained(tmp_path / "theirs" / "model")
    trunk, began = begin(tmp_path, Part(family="vit", size=WITH, start=FromRun("theirs"), head="classes"))
    torch.testing.assert_close(trunk(IMAGES).pooled, theirs(IMAGES).last_hidden_state[:, 0])
    assert any("layer_norm_eps" in note for note in began.notes)
    assert {name.split(".")[0] for name in began.unexpected} == {"pooler"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 64}, "width is 64, and the release has 32"), ({"layers": 3}, "layers is 3"),
        ({"context": 64}, "image is 32, and the release has 16"), ({"patch": 2, "context": 64}, "patch is 2"),
    ],
)  # fmt: skip
def test_another_size_is_refused(change: dict[str, int], words: str, tmp_path: Path) -> None:
    run(tmp_path, "mae")
    part = Part(family="vit", size=replace(WITH, **change), start=FromRun("mae"), head="classes")
    with study_error(words):
        begin(tmp_path, part)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "mae")
    with study_error("a vit cannot start a vit-hybrid"):
        begin(tmp_path, Part(family="vit-hybrid", size=WITH, start=FromRun("mae"), head="classes"))
