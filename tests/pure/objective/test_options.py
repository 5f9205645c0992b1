"""Options of every loss: unknown ones, wrong kinds and ranges are told before torch is needed, all at once."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import study_error

from keel.errors import StudyError
from keel.objective import OBJECTIVES, options
from keel.objective.options import OPTIONS, check

NEEDED: dict[str, dict[str, Any]] = {
    "mbart": {"language": "de"},
    "translation": {"languages": ["de", "en"]},
    "mixture": {"of": {"a": {"loss": "clm", "share": 1}}},
    "distil": {"of": {"loss": "clm"}},
}
# One value out of range for every option that has one.
WRONG: dict[str, Any] = {
    "rate": 0, "unit": "letter", "count": "most", "ngram": 0, "mask": 1.2, "random": -0.1, "masks": -1, "weight": 0,
    "sharing": "ted", "generator_width": 2, "generator_depth": 0, "optimisers": 3, "share": 0, "mean_span": 0.5,
    "density": 1.5, "mixture": "ul3", "how": "best", "clm": 2, "thaw_step": -1, "low": -1, "high": 2, "stacks": 3,
    "languages": ["de", "de"], "direction": "up", "too_long": "cut", "cap": -1, "language": "", "alpha": 2,
    "temperature": 0, "top": -1, "cosine": -1, "of": {}, "pool": "best", "crop": "left", "least_area": 0, "resize": -1,
    "jitter": 1.0, "mean": [0.5], "std": [0, 1, 1], "duplicates": "both", "text_context": 2,
    "text_from": "nowhere", "text_sha256": "none", "text_trains": "perhaps",
    "image_rate": 0, "text_rate": 1, "cross_layers": -1, "group": 1, "mim_weight": -1, "mlm_weight": -1,
    "itc_weight": -1, "itm_weight": float("inf"),
    "text_layers": -1, "caption_queries": -1, "lambda_con": -1, "lambda_cap": -1,
    "jitter_odds": 1.5, "saturation": 2, "hue": 0.7, "grey": 2, "blur": 2, "solarise": 2, "hidden": -1, "out": 0,
    "local_views": -1, "local_side": -1, "local_area": 0.9, "prototypes": 1, "teacher_temperature": 0,
    "decoder_width": -1, "decoder_layers": -1, "judged": "labels",
    "first_temperature": -1, "warm_steps": -1, "centre": 1, "momentum": 1,
    "clusters": -1, "directions": 0, "iterations": 0, "every": 0, "super_clusters": 0,
}  # fmt: skip
ANY_VALUE = {
    "rotations", "permute", "roll", "enhanced", "packed", "teacher", "map", "flip", "learn", "norm_pix", "tied",
}  # fmt: skip


def told(loss: str, given: dict[str, Any]) -> list[str]:
    """Where each problem lies, of a loss that is told what it needs beside."""
    with pytest.raises(StudyError) as error:
        check(loss, NEEDED.get(loss, {}) | given)
    assert all(problem.what and problem.why and problem.fix for problem in error.value.problems)
    return [problem.where or "" for problem in error.value.problems]


def test_every_loss_has_its_options_here() -> None:
    assert list(OPTIONS) == list(OBJECTIVES)
    for loss in OPTIONS:
        check(loss, NEEDED.get(loss, {}))


@pytest.mark.parametrize(("loss", "name"), [(loss, name) for loss, known in OPTIONS.items() for name in known.defaults])
def test_every_option_has_a_kind_and_a_range(loss: str, name: str) -> None:
    assert told(loss, {name: object()}) == [name]
    # Every text and every list is a language's name or several of a masked loss's.
    if name not in ANY_VALUE and (loss, name) != ("tlm", "languages"):
        found = told(loss, {name: WRONG[name]})
        assert any(name in where or where in ("prefix", "options.of") for where in found)


@pytest.mark.parametrize("loss", OPTIONS)
def test_an_unknown_option_is_named_with_the_nearest(loss: str) -> None:
    with study_error(f"the loss '{loss}' has no option 'shar'", where=False):
        check(loss, NEEDED.get(loss, {}) | {"shar": 1})


def test_all_problems_are_told_at_once() -> None:
    given = {"rate": 7, "unit": 3, "shar": 1, "weight": -1, "generator_width": "wide", "random": 0.5}
    assert len(told("rtd", given)) == 6


def test_options_of_held_losses_are_told_with_their_place() -> None:
    held = {
        "a": {"loss": "mlm", "share": 1, "options": {"rate": 2}},
        "b": {"loss": "rtd", "share": 1, "options": {"w": 1}},
    }
    assert told("mixture", {"of": held})[0] == "of.a.options.rate"
    deep = {"loss": "mixture", "options": {"of": {"a": {"loss": "clm", "share": 1, "options": {"rate": 2}}}}}
    with study_error("the loss 'clm' has no option 'rate'"):
        check("distil", {"of": deep})


def test_the_users_own_losses_see_to_themselves() -> None:
    check("module:Name", {"anything": 1})


def test_a_range_that_is_not_looked_at_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = {**OPTIONS, "mlm": OPTIONS["mlm"]._replace(problems=options.nothing)}
    monkeypatch.setattr(options, "OPTIONS", blind)
    check("mlm", {"rate": 7})
    with pytest.raises(pytest.fail.Exception):
        told("mlm", {"rate": 7})
