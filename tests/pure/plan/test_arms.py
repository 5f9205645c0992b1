"""Arms: one change against a named branch at equal FLOP; what follows is shown apart, what cannot be one is said."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import study, study_error

from keel.model.shapes import SHAPES, Size
from keel.objective import cost
from keel.plan.build import Inputs, build
from keel.plan.defaults import MASKED
from keel.plan.show import show_arms
from keel.plan.spec import from_json

USES = {"use_case": [{"name": "kind", "task": "text-classification"}, {"name": "write", "task": "text-generation"}]}
BERT_TINY: dict[str, Any] = {
    "name": "tiny", "folder": "/models/tiny", "sha256": "ab", "family": "bert",
    "size": {"width": 48, "layers": 2, "vocabulary": 1000, "context": 128, "head_width": 16},
    "tokenizer": {"file": "evidence/base-tokenizer.json", "sha256": "cd", "vocabulary": 1000,
                  "roles": ["mask", "pad", "separator", "start", "unknown"]},
}  # fmt: skip
LADDER = {"ladder.widths": [16, 24, 32], "ladder.top_tokens": 900_000, "model.context": 64, "train.loss": "clm"}


@pytest.fixture
def make(corpus_json: dict[str, Any], fake_machine: dict[str, Any]) -> Any:
    """The plan of a study with two use cases."""

    def made(base: dict[str, Any] | None = None, uses: dict[str, Any] = USES, **settings: Any) -> dict[str, Any]:
        given = study(set=LADDER | {name.replace("__", "."): value for name, value in settings.items()}, **uses)
        return build(Inputs(given, corpus_json, fake_machine, base), "2026-01-01")

    return made


def test_every_arm_has_the_flop_of_its_baseline_within_half_a_step(make: Any) -> None:
    made = make(BERT_TINY)
    ladder = {item["id"]: item for item in made["experiments"]}
    assert len(made["arms"]["runs"]) > 5
    for arm in made["arms"]["runs"]:
        base, spec = ladder[arm["baseline"]], from_json(arm["spec"])
        a_step = cost.flop_per_token(spec.objective, spec.options, spec.family, Size(**spec.size)) * spec.batch_tokens
        assert abs(arm["cost"]["flop"] - base["cost"]["flop"]) <= a_step / 2
        assert arm["kind"] == spec.kind == "single"
        assert arm["trunk"] is None
        assert arm["id"] == spec.run_id


def test_the_baseline_is_the_longest_branch_below_the_held_out_rung(make: Any) -> None:
    made = make()
    below = [item for item in made["experiments"] if item["kind"] == "branch" and not item["held_out"]]
    most = max(below, key=lambda item: (item["spec"]["size"]["width"], item["cost"]["flop"]))
    assert {arm["baseline"] for arm in made["arms"]["runs"]} == {most["id"]}
    top = make(arms__width=32)
    assert {arm["baseline"] for arm in top["arms"]["runs"]} == {top["experiments"][-1]["id"]}


def test_a_loss_arm_changes_the_loss_and_all_else_that_differs_follows(make: Any) -> None:
    made = make(arms__losses=["mlm", "rtd"])
    arms = {arm["spec"]["objective"]: arm for arm in made["arms"]["runs"]}
    assert set(arms) == {"mlm", "rtd"}
    assert set(arms["mlm"]["factors"]) == {"objective"}
    assert arms["mlm"]["factors"]["objective"] == ["clm", "mlm"]
    assert {"family", "size", "steps"} <= set(arms["mlm"]["derived"])
    assert "start" not in arms["mlm"]["derived"], "both begin from fresh weights"
    assert arms["mlm"]["spec"]["data"] == made["experiments"][0]["spec"]["data"]
    shown = "\n".join(show_arms(made["arms"], made["experiments"]))
    assert "family llama -> " in shown
    assert "the baseline" in shown


def test_a_masked_arm_has_its_own_rates_beside_a_decoder_s(make: Any) -> None:
    made = make(arms__losses=["mlm", "prefix_lm"])
    arms = {arm["spec"]["objective"]: arm["spec"] for arm in made["arms"]["runs"]}
    assert arms["mlm"]["lr_hidden"] == MASKED.lr_scale / arms["mlm"]["size"]["width"]
    assert arms["mlm"]["options"] == {"rate": MASKED.masking_rate}
    assert arms["prefix_lm"]["lr_embedding"] == made["experiments"][0]["spec"]["lr_embedding"]


def test_an_option_of_an_arm_is_yours_and_part_of_its_identity(make: Any) -> None:
    plain, given = (make(arms__losses=["mlm"], **more) for more in ({}, {"arms__options__mlm__rate": 0.4}))
    assert given["arms"]["runs"][0]["spec"]["options"] == {"rate": 0.4}
    assert given["arms"]["runs"][0]["id"] != plain["arms"]["runs"][0]["id"]
    assert any(number["name"] == "arms.options.mlm.rate" and number["yours"] for number in given["numbers"])
    # A higher rate sends more rows through the head: fewer steps for the same FLOP.
    assert given["arms"]["runs"][0]["spec"]["steps"] < plain["arms"]["runs"][0]["spec"]["steps"]


def test_the_base_goes_on_with_a_loss_that_it_serves_in_its_own_tokens(make: Any) -> None:
    made = make(BERT_TINY, arms__losses=["mlm"])
    arm = next(arm for arm in made["arms"]["runs"] if "start" in arm["factors"])
    spec = from_json(arm["spec"])
    assert (spec.objective, spec.family, spec.start["kind"]) == ("mlm", "bert", "released")
    assert spec.size["vocabulary"] == 1000, "its tokenizer has every token that the loss asks for"
    assert spec.data["tokenizer_sha256"] == "cd"
    assert spec.data["split_sha256"] == made["experiments"][0]["spec"]["data"]["split_sha256"]
    assert set(arm["factors"]) == {"start", "data"}
    assert "continued" in arm["id"]
    lacking = {**BERT_TINY, "tokenizer": {**BERT_TINY["tokenizer"], "roles": ["separator", "pad"]}}
    grown = next(arm for arm in make(lacking, arms__losses=["mlm"])["arms"]["runs"] if "start" in arm["factors"])
    assert grown["spec"]["size"]["vocabulary"] == 1002, "a mask and a start token are added, one row each"


def test_what_cannot_be_an_arm_is_said(make: Any) -> None:
    problems = make(BERT_TINY | {"family": "opt"}, arms__losses=["mlm"], train__loss="span_corruption")["arms"]
    assert any("serves none of" in problem["why"] for problem in problems["problems"])
    huge = BERT_TINY | {"size": BERT_TINY["size"] | {"width": 768, "layers": 12}}
    found = make(huge, arms__losses=["mlm"])["arms"]
    assert any("buy" in problem["why"] and "arms.width" in problem["fix"] for problem in found["problems"])
    assert all(arm["spec"]["start"]["kind"] == "scratch" for arm in found["runs"])
    short = BERT_TINY | {"size": BERT_TINY["size"] | {"context": 32}}
    assert any("model.context to 32" in problem["fix"] for problem in make(short)["arms"]["problems"])
    other = {"use_case": [*USES["use_case"], {"name": "other tongue", "task": "translation"}]}
    told = [problem["what"] for problem in make(uses=other)["arms"]["problems"]]
    assert any("mbart" in what for what in told), "it must be told the language of the text"


def test_a_study_without_use_cases_has_no_arms(make: Any) -> None:
    assert make(uses={})["arms"] == {"runs": [], "totals": {"flop": 0, "s": 0.0}, "problems": []}


@pytest.mark.parametrize(("name", "value", "why"), [
    ("arms__losses", ["mlmm"], "did you mean 'mlm'?"), ("arms__losses", "mlm", "write names"),
    ("arms__width", 20, "no such width"), ("start__lr", -1, "start.lr"),
])  # fmt: skip
def test_a_wrong_setting_is_refused_by_name(make: Any, name: str, value: Any, why: str) -> None:
    with study_error(why):
        make(BERT_TINY, **{name: value})


def test_moving_the_base_leaves_identities_as_they_are(make: Any) -> None:
    here, there = (
        [arm["id"] for arm in make(BERT_TINY | {"folder": place}, arms__losses=["mlm"])["arms"]["runs"]]
        for place in ("/a/tiny", "/b/tiny")
    )
    assert here == there


def test_memory_and_parameters_are_those_of_the_arm_itself(make: Any) -> None:
    for arm in make(BERT_TINY)["arms"]["runs"]:
        spec = from_json(arm["spec"])
        head = cost.head_of(spec.objective, spec.options, spec.family, Size(**spec.size))
        shapes = SHAPES[spec.family]
        assert arm["params"]["total"] == shapes.params(shapes.shape(Size(**spec.size)), head).total
