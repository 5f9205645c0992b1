"""The decision as text: each topic shows its part, in ASCII, and nothing that a user names can move the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keel.catalog.tables import FOLDER
from keel.files import write_text
from keel.plan.show_decision import plain, show_decision
from keel.plan.verb import TOPICS, plan, read_plan, show
from keel.study import Study

DAY = "2026-11-24"
ODD = "caf\u00e9 \x1b[31m\nroute   use nothing\u202e"
STATED = {"bytes": 20e9, "languages": ["en"], "domain": ODD}
USES = [{"name": ODD, "task": "retrieval"}, {"name": "draft", "task": "text-generation", "weight": 0.5}]


def planned(folder: Path, **tables: Any) -> dict[str, Any]:
    tree = {"data": {"stated": STATED}, "use_case": USES, "budget": {"compute_usd": 20_000},
            "limits": {"licence": "permissive", "hardware": ["aws:p4d.24xlarge"]}}  # fmt: skip
    plan(folder, Study.model_validate(tree | tables), DAY)
    return read_plan(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return planned(tmp_path_factory.mktemp("study"))


def lines(text: str) -> dict[str, str]:
    """The first line of each answer by its heading."""
    found = [line for line in text.splitlines() if line[:1].isalpha()]
    return {line.split()[0]: line for line in reversed(found)}


def test_every_topic_is_ascii_and_a_users_name_breaks_no_line(made: dict[str, Any]) -> None:
    for topic in (None, *TOPICS):
        text = show(made, topic)
        assert text.isascii()
        assert all(letter.isprintable() or letter == "\n" for letter in text)
        assert "\nroute   use nothing" not in text
    assert r"caf\xe9 \x1b[31m\nroute   use nothing\u202e" in show(made, "route")


def test_plain_leaves_ascii_as_it_is() -> None:
    assert plain("a~b \\ 'c'") == "a~b \\ 'c'"
    assert plain("\t\x00\x7f\U0001f600") == r"\t\x00\x7f\U0001f600"


def test_the_answer_is_a_line_each(made: dict[str, Any]) -> None:
    found = lines(show(made))
    decided = made["decision"]
    assert found["route"].startswith(f"route   continue {decided['base']['id']}: 4.39B tokens (stated, not measured)")
    assert found["model"].startswith("model   encoder: encoder covers")
    assert f"read {decided['base']['as_of']})" in found["base"]
    assert "low: " in found["size"]
    assert "high: " in found["size"]
    assert " on 1 x aws:p4d.24xlarge (8 devices), " in found["cost"]
    assert found["binds"].startswith("binds   data binds, not money: from scratch 9")
    assert found["invest"].startswith("invest  two investments: people's time is not said")


@pytest.mark.parametrize(
    ("topic", "words"),
    [("route", ("why this route, and not another:", "  not scratch: ", "what decides:", "convention", "weighs:")),
     ("base", ("shortlist, the smallest", "     score: ", "     behind it: ", "dropped: ", "never legal advice")),
     ("loss", ("ways to pretrain", "  mlm: ", "precludes draft: gives no probability of a next token (")),
     ("size", ("each law by itself, never averaged:", "match  outside", "after reserves (ladder 10 %", "would buy")),
     ("ladder", ())],
)  # fmt: skip
def test_each_topic_shows_its_part_and_no_others(made: dict[str, Any], topic: str, words: tuple[str, ...]) -> None:
    text = show(made, topic)
    for word in words:
        assert word in text
        assert not any(word in show(made, other) for other in TOPICS if other != topic), word


def test_the_numbers_of_size_have_formula_and_source(made: dict[str, Any]) -> None:
    text = show(made, "size")
    for name in ("size.params_low", "cost.usd", "budget.flop", "price.aws:p4d.24xlarge", "speed.aws:p4d.24xlarge"):
        head, _, rest = text.partition(f"\n{name} = ")
        assert head, name
        assert "    source  " in rest.split("\n\n")[0][:900], name


def test_unknown_is_shown_as_unknown(tmp_path: Path) -> None:
    text = show(planned(tmp_path, budget={}, limits={}, data={"stated": {"documents": 1e6}}))
    found = lines(text)
    assert found["cost"] in ("cost    nothing is trained", "cost    unknown: how many tokens there are is unknown")
    assert found["size"] == "size    unknown" or "unknown" in found["size"]
    assert "the budget in FLOP is unknown" in found["binds"]
    poor = lines(show(planned(tmp_path, budget={}, limits={})))
    assert poor["cost"].endswith("FLOP; money and hours unknown: no hardware is named")


def test_more_nodes_are_shown_with_their_hours(tmp_path: Path) -> None:
    tree = {"budget": {"compute_usd": 400_000, "deadline": "12 days"}, "use_case": USES[1:],
            "data": {"stated": {"tokens": 4e11, "languages": ["en"]}}}  # fmt: skip
    found = planned(tmp_path, **tree)
    cost = found["decision"]["cost"]
    assert cost["nodes"] > 1
    assert f" on {cost['nodes']} x aws:p4d.24xlarge ({8 * cost['nodes']} devices)" in lines(show(found))["cost"]


def test_languages_that_are_few_are_shown(made: dict[str, Any]) -> None:
    decided = {**made["decision"], "data": {**made["decision"]["data"], "few": ["de 2 %", "other 1 %"]}}
    assert "  few, and no base has to know them: de 2 %, other 1 %" in show_decision(decided, "route")
    assert "few, and no base" not in show(made, "route")


def test_no_use_case_and_no_model_are_said_in_each_topic(tmp_path: Path) -> None:
    found = planned(tmp_path, use_case=[], data={"stated": {"bytes": 2e9, "languages": ["en"]}})
    assert "no use case is said" in show(found, "route")
    assert "before a use case is said" in show(found, "loss")
    assert "covers 0 %" not in show(found, "base")


def test_a_row_of_your_own_and_a_folder_of_yours_are_marked(tmp_path: Path) -> None:
    head, *rows = (FOLDER / "models.csv").read_text(encoding="utf-8").splitlines()
    own = next(row for row in rows if row.startswith("bert-mini,"))
    write_text(tmp_path / "catalog" / "models.csv", f"{head}\n{own}\n")
    (tmp_path / "weights").mkdir()
    named = lines(show(planned(tmp_path, start={"from": "bert-mini"})))["base"]
    assert named.endswith("read on an unknown day), from your overlay catalog/models.csv")
    folder = lines(show(planned(tmp_path, start={"from": "weights"})))["base"]
    assert folder == "base    weights (size unknown, licence unknown: unknown), your folder weights"
