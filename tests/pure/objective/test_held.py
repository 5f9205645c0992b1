"""Losses that hold losses: their options, and what a plan must know of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import study_error

from keel.model.shapes import Size
from keel.objective.cost import flop_per_token, special_tokens
from keel.objective.facts import FACTS
from keel.objective.held import facts_of, mixture_of, one_of, teacher_of

CLM, PREFIX = {"loss": "clm", "share": 0.8}, {"loss": "prefix_lm", "share": 0.2}
MLM, RTD = {"loss": "mlm", "share": 1}, {"loss": "rtd", "share": 1}


def of(**losses: Any) -> dict[str, Any]:
    return {"of": losses}


def test_shares_are_relative_and_weights_follow_them() -> None:
    a, b, c = mixture_of(of(a=CLM | {"share": 4}, b=PREFIX | {"share": 1, "weight": 2}, c=CLM | {"share": 3}))
    assert (a.share, b.share, c.share) == (0.5, 0.125, 0.375)
    assert (a.weight, b.weight, c.weight) == (0.5, 2.0, 0.375)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "a mixture holds no losses"), (of(), "a mixture holds no losses"), ({"of": ["clm"]}, "holds no losses"),
        (of(**{"a.b": CLM}), "is called 'a.b'"), (of(**{"a/b": CLM}), "is called 'a/b'"), (of(a="clm"), "found 'clm'"),
        (of(a=CLM | {"shar": 1}), "did you mean 'share'?"), (of(a={"loss": "clm"}), "its share is None"),
        (of(a=CLM | {"share": -1}), "its share is -1"), (of(a=CLM | {"share": 0}), "its share is 0"),
        (of(a=CLM | {"share": float("inf")}), "its share is inf"), (of(a=CLM | {"share": True}), "its share is True"),
        (of(a=CLM | {"share": float("nan")}), "its share is nan"), (of(a=CLM | {"weight": 0}), "its weight is 0"),
        (of(a={"share": 1}), "its loss is None"), (of(a=CLM | {"options": 3}), "its options are 3"),
        (of(a=MLM, b=CLM), "no family serves all losses"),
        (of(a=MLM, b={"loss": "nsp", "share": 1}), "a: windows; b: pairs"),
        (of(a={"loss": "cml", "share": 1}), "loss 'cml' cannot be loaded"),
    ],
)  # fmt: skip
def test_what_no_mixture_can_be_is_refused(options: dict[str, Any], words: str) -> None:
    with study_error(words, where=False):
        facts_of("mixture", options)


def test_all_mistakes_are_told_at_once() -> None:
    with study_error("its share is -1", "its share is 0", "found 7") as seen:
        mixture_of(of(a=CLM | {"share": -1}, b=CLM | {"share": 0}, c=7))
    assert len(seen[0].problems) == 3


def test_facts_of_a_mixture_follow_from_its_losses() -> None:
    found = facts_of("mixture", of(a=CLM, b=PREFIX))
    assert found.families == tuple(name for name in FACTS["clm"].families if name in FACTS["prefix_lm"].families)
    assert set(found.unlocks) == set(FACTS["clm"].unlocks) | set(FACTS["prefix_lm"].unlocks)
    assert not set(found.unlocks) & set(found.precludes)
    assert (found.judge, found.reads, found.needs) == ("bits_per_byte", "windows", {"text"})
    assert facts_of("mixture", of(a=MLM, b=RTD)).families == ("electra",)
    # What one of them unlocks is not precluded by the other.
    assert "fill-mask" in facts_of("mixture", of(a=RTD, b=MLM)).unlocks


def test_work_and_special_tokens_are_those_of_the_losses() -> None:
    size = Size(width=64, layers=2, vocabulary=4096, context=128, head_width=8)
    apart = [flop_per_token(loss, {}, "llama", size) for loss in ("clm", "prefix_lm")]
    both = flop_per_token("mixture", of(a=CLM, b=PREFIX), "llama", size)
    assert both == pytest.approx(0.8 * apart[0] + 0.2 * apart[1], rel=1e-12)
    nested = of(outer={"loss": "mixture", "options": of(a=CLM, b=PREFIX), "share": 1}, c=CLM | {"share": 1})
    assert flop_per_token("mixture", nested, "llama", size) == pytest.approx((both + apart[0]) / 2, rel=1e-12)
    two = of(a={"loss": "span_corruption", "share": 1}, b={"loss": "alexatm", "share": 1})
    assert special_tokens("mixture", two, 64)[:4] == ("pad", "start", "sentinel 0", "sentinel 1")
    assert special_tokens("mixture", two, 64)[-1] == "mode CLM"


def test_one_held_loss() -> None:
    assert one_of({"of": {"loss": "mlm", "options": {"rate": 0.3}}})[1:3] == ("mlm", {"rate": 0.3})
    assert facts_of("distil", {"of": {"loss": "mlm"}}).families == FACTS["mlm"].families
    for wrong in ({}, {"of": "mlm"}, {"of": {"loss": "mlm", "share": 1}}, {"of": {"los": "mlm"}}):
        with study_error():
            one_of(wrong)


def test_holders_are_proposed_to_nobody() -> None:
    """A plan cannot know which losses, or which teacher: they are the user's to name."""
    assert all(not FACTS[name].needs <= {"text"} for name in ("mixture", "distil"))


def test_a_teacher_whose_folder_misses_files_is_refused_by_name(tmp_path: Path) -> None:
    def refused(*words: str, **start: Any) -> None:
        with study_error(*words):
            teacher_of({"teacher": {"start": {"kind": "released", **start}}}, 32)

    refused("names no folder", "options.teacher.start.folder")
    refused("names no folder", folder=3)
    refused("the folder of the released model is not there", folder=str(tmp_path / "nowhere"))
    refused("config.json is missing", folder=str(tmp_path))
    size = {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 280, "n_positions": 32}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", **size}), encoding="utf-8")
    refused("the weights are missing", "model.safetensors", folder=str(tmp_path))


def test_a_teachers_size_is_told_field_by_field() -> None:
    teacher = {"start": {"kind": "run", "run": "a"}, "family": "gpt2"}
    with study_error("missing: head_width, layers", "unknown: depth", "no whole numbers: width"):
        teacher_of({"teacher": teacher | {"size": {"width": "8", "vocabulary": 9, "context": 8, "depth": 1}}}, 32)
