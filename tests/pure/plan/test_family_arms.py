"""Arms over families: one change, FLOP alike, the rates and the images of the baseline; what cannot be one is said."""

from __future__ import annotations

from typing import Any

from helpers import study_error
from test_image_frame import SEEN, planned

from keel.model.shapes import Size
from keel.objective.cost import flop_per_token

SIDE = {"size": {"side_pixels": 32}}
ALONE: dict[str, Any] = {"arms.losses": []}


def arms(**overrides: Any) -> dict[str, dict[str, Any]]:
    made = planned(SEEN | SIDE, **ALONE, **overrides)
    return {arm["spec"]["family"]: arm for arm in made["arms"]["runs"]}


def test_hybrids_and_networks_of_convolutions_stand_beside_the_vision_transformer() -> None:
    made = planned(SEEN | SIDE, **ALONE)
    ladder = {item["id"]: item for item in made["experiments"]}
    assert [arm["spec"]["family"] for arm in made["arms"]["runs"]] == ["vit-hybrid", "resnet-basic", "convnext"]
    for arm in made["arms"]["runs"]:
        base, spec = ladder[arm["baseline"]], arm["spec"]
        assert list(arm["factors"]) == ["family"], "the one change"
        assert (spec["data"], spec["lr_hidden"]) == (base["spec"]["data"], base["spec"]["lr_hidden"])
        flop = [flop_per_token("classify", {}, each["family"], Size(**each["size"])) for each in (spec, base["spec"])]
        assert 1 / 1.25 < flop[0] / flop[1] < 1.25
        assert abs(arm["cost"]["flop"] - base["cost"]["flop"]) <= flop[0] * spec["batch_tokens"] / 2


def test_the_user_s_families_are_taken_and_a_wrong_one_is_named() -> None:
    assert list(arms(**{"arms.families": ["convnext"]})) == ["convnext"]
    assert not arms(**{"arms.families": []})
    with study_error("the family 'bert' cannot be an arm", "classify"):
        arms(**{"arms.families": ["bert"]})


def test_the_ladder_s_own_family_is_no_arm() -> None:
    assert set(arms(**{"model.family": "convnext"})) == {"vit-hybrid", "resnet-basic"}


def test_a_family_that_cannot_see_such_images_is_no_arm_and_says_why() -> None:
    made = planned(SEEN | {"size": {"side_pixels": 28}})
    (problem,) = (each for each in made["arms"]["problems"] if "convnext" in each["what"])
    assert "no arm for the family convnext" in problem["what"]
    assert "choose a multiple of 32" in problem["fix"]


WITHOUT_LABELS = {"mae", "dino", "simclr", "deepcluster", "deepercluster"}


def test_labelled_images_are_learnt_with_labels_and_without_at_equal_flop() -> None:
    found: dict[str, Any] = {"arms.families": []}
    for ladder, others in (("classify", WITHOUT_LABELS), ("dino", {"classify", *WITHOUT_LABELS} - {"dino"})):
        made = planned(SEEN | SIDE, **found, **{"train.loss": ladder})
        arms_of = {arm["spec"]["objective"]: arm for arm in made["arms"]["runs"]}
        assert set(arms_of) == others
        assert not made["arms"]["problems"]
        base = next(item for item in made["experiments"] if item["id"] == arms_of[min(others)]["baseline"])
        for name, arm in arms_of.items():
            spec = arm["spec"]
            step = flop_per_token(name, spec["options"], spec["family"], Size(**spec["size"])) * spec["batch_tokens"]
            assert abs(arm["cost"]["flop"] - base["cost"]["flop"]) <= step, "a step of its own at most"
            assert list(arm["factors"]) == ["objective"]
            assert spec["size"].get("classes", 0) == (10 if name == "classify" else 0)
    assert arms_of["mae"]["spec"]["options"]["judged"] == "probe", "as those beside it, which the labels judge too"
