"""Families that number positions from the pad token are planned, fed and exported like any other: padding is id 1."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import SMALL_STUDY, keel, planned_study
from tokenizers import Tokenizer

from keel.files import read_json
from keel.plan.verb import plan
from keel.study import load


def test_a_roberta_of_ones_own_goes_all_the_way(tmp_path: Path) -> None:
    study = planned_study(tmp_path, SMALL_STUDY)
    set_ = ("--set", "train.loss=mlm", "--set", "model.family=roberta")
    keel("plan", *set_, cwd=study)
    made = read_json(study / "plan.json", "keel.plan/1")
    assert made["experiments"][0]["spec"]["data"]["pad_first"] is True
    branch = next(item for item in made["experiments"] if item["kind"] == "branch")
    keel("run", branch["id"], *set_, cwd=study, code=None)
    result = read_json(study / "runs" / branch["id"] / "result.json", "keel.result/1")
    assert result["params"]["total"] == branch["params"]["total"]
    shards = next((study / "runs").glob(".shards-*"))
    tokenizer = Tokenizer.from_file(str(shards / "tokenizer.json"))
    assert tokenizer.token_to_id("<|pad|>") == 1
    tokenizer.encode_special_tokens = True
    for text in ("words and <|pad|> as text", "\u00e9 \u4e2d, 12!"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
        assert 1 not in tokenizer.encode(text).ids


@pytest.mark.parametrize(("family", "first"), [("xlm-roberta", True), ("bert", None)])
def test_who_numbers_positions_from_the_pad_token_is_fed_so(family: str, first: bool | None, tmp_path: Path) -> None:
    study = planned_study(tmp_path, SMALL_STUDY)
    plan(study, load(study, ("train.loss=mlm", f"model.family={family}")), "2026-01-01")
    made = read_json(study / "plan.json", "keel.plan/1")
    assert made["experiments"][0]["spec"]["data"].get("pad_first") is first
