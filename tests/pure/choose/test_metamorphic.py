"""What must not change, or must change one way only, when a study is changed: no known answer is needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from case_facts import covered
from known_cases import COLLECTED, Case, Found, ask, shipped

LATER = "ranked|grow"  # of a candidate that is left for later; every other reason drops it for good
ENGLISH = 'modality = "text"\nbytes = {bytes}\nlanguages = ["en"]'
SEARCH, LABELS, NAMES, DRAFT, DIGEST = (
    ("search", "retrieval"), ("labels", "text-classification"), ("names", "token-classification"),
    ("draft", "text-generation"), ("digest", "summarization"),
)  # fmt: skip
Use = tuple[tuple[str, str], float]


def study(uses: Sequence[Use], more: str = "", **said: Any) -> str:
    """A study of English text; `said` replaces what it says by default."""
    given = {
        "bytes": 20e9,
        "usd": 20_000,
        "licence": "permissive",
        "hardware": "aws:p4d.24xlarge",
        "start": "auto",
    } | said
    cases = "\n".join(
        f'[[use_case]]\nname = "{name}"\ntask = "{task}"\nweight = {weight}\n{more}' for (name, task), weight in uses
    )
    return (
        f"[data.stated]\n{ENGLISH.format(**given)}\n{cases}\n[budget]\ncompute_usd = {given['usd']}\n"
        f'[limits]\nlicence = "{given["licence"]}"\nhardware = ["{given["hardware"]}"]\n'
        f'[start]\nfrom = "{given["start"]}"\n'
    )


def answer(folder: Path, text: str, records: str = "") -> Found:
    """The plan of a study, with recorded scores in its overlay."""
    files = {"catalog/model_results.csv": records} if records else {}
    found = ask(Case("made", text, "", "", "plan", COLLECTED, {}, files, {}), folder)
    assert found.exit == 0, found.problems or found.output
    return found


@pytest.mark.parametrize("use", [SEARCH, LABELS, NAMES])
@pytest.mark.parametrize("weight", [0.1, 1.0])
def test_dropping_generation_never_moves_an_encoder_to_a_decoder(use: Any, weight: float, tmp_path: Path) -> None:
    before = answer(tmp_path / "a", study([(use, 3.0), (DRAFT, weight)]))
    after = answer(tmp_path / "b", study([(use, 3.0)]))
    assert before.result["category"] in ("encoder", "decoder", "encoder-decoder")
    assert after.result["category"] == "encoder"


def test_a_search_of_more_value_is_never_covered_less(tmp_path: Path) -> None:
    seen = []
    for number, weight in enumerate((0.01, 2.0, 30.0)):
        found = answer(tmp_path / str(number), study([(LABELS, 1.0), (DRAFT, 2.0), (DIGEST, 1.0), (SEARCH, weight)]))
        seen.append(found.listed("shortlist")[0]["covers"]["search"])
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


RECORDS = "model_id,task,dataset,metric,value,setting,source\n"
SISTERS = [
    ("bert-mini", "bert-base-uncased"),
    ("roberta-base", "roberta-large"),
    ("electra-small", "bert-large-uncased"),
]


@pytest.mark.parametrize(("small", "large"), SISTERS)
@pytest.mark.parametrize("scores", [(0.90, 0.90), (0.89, 0.90), (0.93, 0.90)])
def test_a_smaller_model_that_is_no_worse_wins(
    small: str, large: str, scores: tuple[float, float], tmp_path: Path
) -> None:
    rows = "".join(f"{name},text-classification,labels,accuracy,{value},fine-tuned,own run\n"
                   for name, value in zip((small, large), scores))  # fmt: skip
    asked = study([(LABELS, 1.0)], more='metric = "accuracy"\nmargin = 0.02\naccept = 0.85')
    ids = answer(tmp_path, asked, RECORDS + rows).ids("shortlist")
    assert small in ids
    assert large not in ids or ids.index(small) < ids.index(large)


def test_a_model_that_misses_gives_way_to_one_that_does_not(tmp_path: Path) -> None:
    rows = "bert-mini,text-classification,labels,accuracy,0.70,fine-tuned,own run\n"
    rows += "bert-base-uncased,text-classification,labels,accuracy,0.91,fine-tuned,own run\n"
    asked = study([(LABELS, 1.0)], more='metric = "accuracy"\naccept = 0.85')
    assert answer(tmp_path, asked, RECORDS + rows).ids("shortlist")[0] == "bert-base-uncased"


def test_more_money_never_shrinks_the_band_where_nothing_else_binds(tmp_path: Path) -> None:
    found = [
        answer(tmp_path / str(number), study([(DRAFT, 1.0)], bytes=4e13, usd=usd, start="scratch"))
        for number, usd in enumerate((1e4, 1e5, 1e6))
    ]
    assert {each.result["binds"] for each in found} == {"compute"}
    for name in ("params_low", "params_high", "tokens"):
        values = [each.result["size"][name] for each in found]
        assert None not in values
        assert values == sorted(values), name
    assert len({each.result["size"]["params_high"] for each in found}) == 3


def test_more_text_never_makes_it_smaller(tmp_path: Path) -> None:
    sizes = [
        answer(tmp_path / str(number), study([(DRAFT, 1.0)], bytes=size, start="scratch")).result["size"]
        for number, size in enumerate((2e9, 2e10, 2e12))
    ]
    for name in ("params_high", "tokens"):
        values = [size[name] for size in sizes]
        assert all(before <= after * 1.001 for before, after in pairwise(values)), (name, values)


def candidates(found: Found) -> set[str]:
    """Every model that could be chosen: the shortlist and what is left for later."""
    return {*found.ids("shortlist"), *(item["id"] for item in found.listed("dropped") if re.search(LATER, item["why"]))}


@pytest.mark.parametrize("use", [DRAFT, LABELS])
def test_a_stricter_licence_never_adds_a_candidate(use: Any, tmp_path: Path) -> None:
    limits = ("any", "conditional", "permissive")
    found = [candidates(answer(tmp_path / limit, study([(use, 1.0)], licence=limit))) for limit in limits]
    for looser, stricter in pairwise(found):
        assert stricter <= looser
    assert found[2] < found[0]
    assert {shipped()[id_]["license_class"] for id_ in found[2]} == {"permissive"}


def test_a_tighter_latency_never_adds_a_candidate(tmp_path: Path) -> None:
    found = []
    for limit in (2000.0, 200.0, 20.0):
        served = f'serve = {{ accelerator = "t4", latency_ms = {limit} }}'
        found.append(candidates(answer(tmp_path / str(limit), study([(LABELS, 1.0)], more=served))))
    for looser, tighter in pairwise(found):
        assert tighter <= looser
    assert found[2] < found[0]


def test_neither_order_nor_scale_of_the_use_cases_matters(tmp_path: Path) -> None:
    uses = [(SEARCH, 3.0), (LABELS, 1.0), (DRAFT, 0.5)]
    found = [
        answer(tmp_path / str(number), study(each))
        for number, each in enumerate((uses, uses[::-1], [(use, 10 * weight) for use, weight in uses]))
    ]
    keys = ("route", "category", "binds", "size", "cost")
    for each in found[1:]:
        assert [each.result[key] for key in keys] == [found[0].result[key] for key in keys]
        assert each.ids("shortlist") == found[0].ids("shortlist")


def test_the_same_study_gives_the_same_answer(tmp_path: Path) -> None:
    text = study([(SEARCH, 3.0), (DRAFT, 1.0)])
    once, again = (answer(tmp_path / name, text) for name in "ab")
    assert once.tree == again.tree
    assert covered(once.listed("shortlist")[0]) == covered(again.listed("shortlist")[0])
