"""The ladder of labelled images: patches are positions, images and their digests the data, no tokenizer is asked."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from helpers import FAKE_MACHINE, study_error

from keel.corpus.images.named import identity_of
from keel.plan.build import build
from keel.plan.frame import Inputs
from keel.study import Study

SEEN: dict[str, Any] = {
    "kind": "images", "data_sha256": "1a", "data": {"image": "file", "label": "folder"},
    "split": {"train_images": 9000, "heldout_images": 800}, "classes": {"count": 10}, "size": {"side_pixels": 28},
}  # fmt: skip
CASE = {"name": "which", "task": "image-classification"}


def planned(seen: dict[str, Any] = SEEN, **overrides: Any) -> dict[str, Any]:
    tree = {"data": {"train": "x", "image": "file", "label": "folder"}, "use_case": [CASE], "set": overrides}
    return build(Inputs(Study.model_validate(tree), seen, copy.deepcopy(FAKE_MACHINE), None, "vision"), "2026-01-01")


def number(made: dict[str, Any], name: str) -> Any:
    return next(each["value"] for each in made["numbers"] if each["name"] == name)


def test_positions_are_patches_and_one_pass_is_images_times_patches() -> None:
    made = planned()
    assert (made["objective"], made["family"], made["tokenizer"]) == ("classify", "vit", None)
    assert (number(made, "model.image"), number(made, "model.patch")) == (28, 4)
    assert made["unique_tokens"] == 9000 * 49
    sizes = [item["spec"]["size"] for item in made["experiments"]]
    assert {(size["context"], size["patch"], size["classes"]) for size in sizes} == {(49, 4, 10)}
    assert all(item["spec"]["batch_tokens"] % 49 == 0 for item in made["experiments"])


def test_the_data_of_a_run_are_digests_of_the_images() -> None:
    (data,) = {str(item["spec"]["data"]): item["spec"]["data"] for item in planned()["experiments"]}.values()
    assert data == {"data_sha256": "1a", "images_sha256": identity_of(SEEN)}


@pytest.mark.parametrize(("side", "patch", "kept"), [(224, 16, 224), (100, 8, 96), (28, 4, 28), (9, 2, 8)])
def test_patches_follow_from_the_side_and_fill_it(side: int, patch: int, kept: int) -> None:
    made = planned(SEEN | {"size": {"side_pixels": side}})
    assert (number(made, "model.patch"), number(made, "model.image")) == (patch, kept)


def test_a_side_that_patches_do_not_fill_is_refused() -> None:
    with study_error("no whole number of patches", "write 28"):
        planned(**{"model.image": 30})


def test_a_family_that_cannot_see_such_images_says_why() -> None:
    with study_error("32"):
        planned(**{"model.family": "convnext"})


def test_another_family_is_one_setting() -> None:
    made = planned(SEEN | {"size": {"side_pixels": 32}}, **{"model.family": "resnet-basic"})
    assert {item["spec"]["family"] for item in made["experiments"]} == {"resnet-basic"}
