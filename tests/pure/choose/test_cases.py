"""Known cases, one a file of cases/: what keel must say of a study, and what holds of every answer.

How a case is written: known_cases.py; what it can expect: case_facts.py. What holds of all: sound_answer.py.
"""

from __future__ import annotations

from pathlib import Path

import case_facts
import pytest
import sound_answer
from case_facts import FACTS
from known_cases import CASES, Case, Found, ask, read

PATHS = sorted(CASES.glob("*.toml"))
LEAST = 60


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_case(path: Path, tmp_path: Path) -> None:
    case = read(path)
    found = ask(case, tmp_path)
    wrong = case_facts.complaints(case, found) + sound_answer.complaints(case, found)
    assert not wrong, "\n".join([f"{case.name}: {case.why} ({case.source})", *(f"  - {text}" for text in wrong)])


def test_there_are_many_and_every_kind_of_fact_is_asked_for() -> None:
    cases = [read(path) for path in PATHS]
    assert len(cases) >= LEAST
    asked = {name for case in cases for name in case.expect}
    assert asked <= FACTS.keys()
    plain = {name for name in FACTS if not name.endswith(("_above", "_below", "_between"))}
    assert plain <= asked, f"no case asks for {sorted(plain - asked)}"


def _found(**result: object) -> Found:
    return Found(0, {"result": result, "problems": [], "numbers": [], "status": "ok"}, "")


def _case(study: str = "", **expect: object) -> Case:
    return Case("x", study, "why", "source", "plan", "2026-11-24", {}, {}, expect)


SHORT = [{"id": "opt-125m", "covers": {"search": 1.0, "chat": 0.0}, "score": None, "why": "small"}]


@pytest.mark.parametrize(
    "expect",
    [{"exit": 3}, {"route": "use"}, {"category": ["encoder"]}, {"binds": "data"}, {"first": {"kind": "encoder"}},
     {"first_id": "bert.*"}, {"first_covers": ["chat"]}, {"first_covers_not": ["search"]},
     {"some": {"kind": "encoder"}}, {"none": {"kind": "decoder"}}, {"has": ["bert-base"]}, {"lacks": ["opt.*"]},
     {"dropped": {"opt.*": "licence"}}, {"dropped": {"bloom": "size"}}, {"why_of": {"opt.*": "large"}},
     {"not_dropped_for": {"bloom": "licen"}}, {"losses": ["mlm"]}, {"losses_lack": ["clm"]}, {"laws": ["hoffmann"]},
     {"laws_not_matching": ["kaplan"]}, {"set_by_not": "kaplan"}, {"null": ["size.tokens"]}, {"null": ["cost.flop"]},
     {"experiments_say": ["probe"]}, {"says": ["nothing of it"]}, {"says_not": ["small"]}, {"problems_say": ["x"]},
     {"problems_least": 1}, {"problems_most": -1}, {"yours": ["mfu"]}, {"tokens_below": 5}, {"tokens_above": 5},
     {"tokens_between": [6, 7]}, {"flop_below": 1e30}, {"no_such_fact": 1}],
)  # fmt: skip
def test_a_fact_that_does_not_hold_is_told(expect: dict[str, object]) -> None:
    found = _found(
        route="scratch", category="decoder", binds="compute", shortlist=SHORT, losses=[{"id": "clm", "why": "x"}],
        dropped=[{"id": "bloom", "why": "licence"}], experiments=[{"why": "ladder"}],
        size={"laws": [{"law": "kaplan", "modality_match": True}], "low_set_by": "kaplan", "tokens": 5.0},
    )  # fmt: skip
    assert case_facts.complaints(_case(**expect), found)


def test_a_fact_that_holds_is_not_told() -> None:
    found = _found(route="use", shortlist=SHORT, size={"tokens": 6.0, "laws": []}, cost={"flop": None})
    expect = {"route": ["scratch", "use"], "first": {"kind": "decoder"}, "has": ["opt-.*"], "first_covers": ["search"],
              "tokens_between": [6, 7], "null": ["cost.flop"], "says": [["large", "small"]],
              "why_of": {"opt-125m": "small"}}  # fmt: skip
    assert case_facts.complaints(_case(**expect), found) == []


def test_an_unsound_answer_is_told() -> None:
    found = _found(
        route="perhaps", category="oracle", binds="fate", shortlist=[*SHORT, *SHORT, {"id": "gpt2-xl"}],
        dropped=[{"id": "opt-125m", "why": ""}], losses=[], experiments=["the encoder compresses 500 tokens to 50"],
        size=dict.fromkeys(sound_answer.SIZE) | {"params_low": 2, "params_high": 1},
        cost=dict.fromkeys(sound_answer.COST) | {"usd_low": 1, "usd_high": 9},
    )  # fmt: skip
    case = _case('[data.stated]\n[limits]\nlicence = "permissive"\n[budget]\ncompute_usd = 2')
    told = "\n".join(sound_answer.complaints(case, found))
    for words in ("route", "category", "binds", "twice", "no reason", "shortlisted and dropped", "non-commercial",
                  "above params_high", "set by nothing", "the budget is 2", "stated, not measured", "W1"):  # fmt: skip
        assert words in told, words
    assert "nothing is said of its smaller sister gpt2-medium" in told
    grown = {"dropped": [{"id": "gpt2", "why": "grow to it"}]}
    told = "\n".join(sound_answer.complaints(case, _found(**(dict(found.result) | grown))))
    assert "gpt2 is kept to grow to" in told
