"""Arms over one option: what is swept, against the ladder's own value, and nothing else."""

from __future__ import annotations

from typing import Any

from helpers import study_error
from test_image_frame import planned


def arms(**overrides: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = planned(**{"arms.families": [], "arms.losses": [], **overrides})["arms"]["runs"]
    return found


def test_each_value_is_an_arm_and_the_ladder_s_own_is_none() -> None:
    made = arms(**{"arms.sweep.jitter": [0.0, 0.2, 0.4]})
    assert [arm["spec"]["options"] for arm in made] == [{"jitter": 0.2}, {"jitter": 0.4}]
    assert made[0]["why"] == "jitter 0.2 in place of 0.0"
    for arm in made:
        assert arm["factors"] == {"options": [{}, arm["spec"]["options"]]}
        assert not arm["derived"].keys() - {"steps", "decay_start"}


def test_an_option_that_the_loss_has_not_and_a_value_that_it_cannot_have_are_named() -> None:
    with study_error("'classify' has no option 'jiter'", "jitter"):
        arms(**{"arms.sweep.jiter": [0.1]})
    with study_error("jitter is 2"):
        arms(**{"arms.sweep.jitter": [2.0]})
    with study_error("'arms.sweep.jitter' is wrong", "each once"):
        arms(**{"arms.sweep.jitter": [0.1, 0.1]})
