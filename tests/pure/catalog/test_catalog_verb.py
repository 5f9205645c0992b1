"""`keel catalog` as a person calls it: filters, names, what is left out and why, wrong calls."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_models_that_serve_a_task_under_every_limit(keel_catalog, known) -> None:
    limits = ("--licence", "permissive", "--max-params", "1e9", "--language", "de")
    code, tree, text = keel_catalog("models", "--task", "summarization", *limits)
    assert code == 0
    rows = tree["result"]["rows"]
    names = [row["id"] for row in rows]
    assert "mt5-small" in names
    assert "bert-base-uncased" not in names
    assert all(row["licence_class"] == "permissive" and row["params"] <= 1e9 for row in rows)
    assert [row["params"] for row in rows] == sorted(row["params"] for row in rows)
    assert len(rows) + len(tree["result"]["dropped"]) == len(known.models)
    assert all(row["why"] for row in tree["result"]["dropped"])
    assert "never legal advice" in text
    assert "do not serve summarization" in text


def test_a_filter_on_size_leaves_out_what_is_unknown_and_says_so(keel_catalog) -> None:
    _, tree, text = keel_catalog("models", "--max-params", "1e12")
    assert {row["why"] for row in tree["result"]["dropped"]} == {"its size is unknown"}
    assert "its size is unknown" in text


def test_instances_of_a_chip_in_a_region(keel_catalog) -> None:
    where = ("instances", "--accelerator", "a100-sxm-40", "--provider", "aws", "--region", "us-east-1")
    code, tree, text = keel_catalog(*where, "--as-of", "2026-11-28")
    assert code == 0
    assert [row["instance"] for row in tree["result"]["rows"]] == ["p4d.24xlarge"]
    assert "$21.96" in text
    assert "more than 90 days old" in tree["problems"][0]["what"]
    assert keel_catalog(*where, "--as-of", "2026-07-21")[1]["problems"] == []


def test_a_long_table_says_how_many_it_leaves_to_json(keel_catalog) -> None:
    _, tree, text = keel_catalog("instances", "--provider", "aws")
    assert len(tree["result"]["rows"]) == 767
    assert "and 727 more" in text


def test_show_of_each_kind_of_name(keel_catalog) -> None:
    code, tree, text = keel_catalog(
        "show", "roberta-base", "openai-community/gpt2", "c4-en", "a10g", "aws:p4d.24xlarge"
    )
    assert code == 0
    assert [len(found["rows"]) for found in tree["result"]["found"]] == [1, 1, 1, 1, 15]
    for words in (
        "mit (permissive); basis: fairseq README", "evidence              A, read in", "kv heads              unknown",
        "seen                  2.05T tokens", "from its shape        125M parameters, -0.2% of the published",
        "bf16 flop s           unknown", "us-east-1", "used by", "never legal advice",
    ):  # fmt: skip
        assert words in text
    numbers = {number["name"]: number for number in tree["numbers"]}
    assert numbers["roberta-base.params"]["source"]


def test_corpora_by_language_say_what_is_unknown(keel_catalog) -> None:
    _, tree, text = keel_catalog("corpora", "--modality", "text", "--language", "de")
    assert {"cc100", "mc4", "redpajama-v2"} <= {row["id"] for row in tree["result"]["rows"]}
    assert "unknown whether it was trained on de" in text


def test_rows_of_the_user_are_shown_as_theirs(keel_catalog, lay) -> None:
    folder = lay("accelerators.csv", "id,name,memory_gb\nours,Our chip,48\n")
    _, _, text = keel_catalog("show", "ours", "--study", str(folder))
    assert "48 GB" in text
    assert "from your overlay     catalog/accelerators.csv" in text
    _, _, text = keel_catalog("accelerators", "--study", str(folder))
    assert "1 rows are from your overlay" in text


def test_a_leaderboard_through_the_command(keel_catalog, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("model,mnli\nroberta-base,87\nopt-125m,80\n")
    code, tree, text = keel_catalog("leaderboard", str(tmp_path / "a.csv"), "--licence", "permissive", "--top", "1")
    assert code == 0
    assert tree["result"]["consistent"] == ["roberta-base"]
    assert "consistently near the top" in text


@pytest.mark.parametrize(("arguments", "words"), [
    (("model",), ["did you mean 'models'?"]),
    (("models", "roberta-base"), ["takes no names", "keel catalog show roberta-base"]),
    (("models", "--region", "x", "--modality", "txt"), ["--region is no filter of models", "did you mean 'text'?"]),
    (("models", "--task", "sumarization"), ["did you mean 'summarization'?"]),
    (("models", "--max-params", "1,5e9"), ["is not a count"]),
    (("models", "--licence", "free"), ["no limit for licences"]),
    (("instances", "--accelerator", "a100"), ["no instances have the accelerator 'a100'"]),
    (("show",), ["no name is given"]),
    (("show", "roberta-bas", "p4d.24xlarg"), ["'roberta-base'", "'p4d.24xlarg' is in no table"]),
    (("leaderboard",), ["no snapshot is named"]),
    (("refresh",), ["no provider is named"]),
    (("corpora", "--max-params", "3", "--task", "translation"), ["--max-params is no filter", "--task is no filter"]),
])  # fmt: skip
def test_a_wrong_call_is_told_whole(keel_catalog, arguments: tuple[str, ...], words: list[str]) -> None:
    code, tree, text = keel_catalog(*arguments)
    assert code == 2
    assert all(problem["what"] and problem["why"] and problem["fix"] for problem in tree["problems"])
    for word in words:
        assert word in text
