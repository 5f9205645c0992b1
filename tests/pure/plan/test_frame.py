"""Which families a plan of a causal loss takes."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import study

from keel.errors import StudyError
from keel.plan.build import build
from keel.plan.frame import Inputs


def planned(family: str, corpus: dict[str, Any], machine: dict[str, Any]) -> dict[str, Any]:
    return build(Inputs(study(set={"model.family": family}), corpus, machine), "2026-01-01")


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "bloom"])
def test_every_decoder_can_be_planned(family: str, corpus_json: dict[str, Any], fake_machine: dict[str, Any]) -> None:
    made = planned(family, corpus_json, fake_machine)
    assert made["family"] == family
    assert all(item["params"]["total"] > 0 for item in made["experiments"])


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_a_model_that_sees_the_answer_is_refused(
    family: str, corpus_json: dict[str, Any], fake_machine: dict[str, Any]
) -> None:
    with pytest.raises(StudyError, match=f"a {family} cannot learn to predict the next token"):
        planned(family, corpus_json, fake_machine)
