"""`keel size`: its three forms, what it refuses, what is wrong all at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import keel, study_error

from keel.answer import Answer
from keel.errors import Refused
from keel.objective.facts import FACTS
from keel.size.ask import CATEGORIES
from keel.size.asked import CATEGORY_OF_LOSS
from keel.size.verb import size

P4D = "aws:p4d.24xlarge"
TODAY = "2026-08-01"


def run(*reserves: str, languages: tuple[str, ...] = (), **given: Any) -> Answer:
    return size({name: str(value) for name, value in given.items()}, languages, reserves, today=TODAY)


def test_a_budget_in_flop() -> None:
    found = run(compute="1e21")
    assert found.result["binds"] == "compute"
    assert found.result["size"]["params"] == pytest.approx(2.79e9, rel=0.005)
    assert found.text.startswith("Decoder, assumed")
    assert "Law by law" in found.text


def test_a_size_and_tokens_are_flop_and_what_they_overspend() -> None:
    found = run(params="7e9", tokens="1e12")
    assert found.result["triangle"]["flop"] == pytest.approx(4.2e22)
    law = found.result["triangle"]["laws"][0]
    assert law["law"] == "chinchilla-besiroglu"
    assert law["loss"] == pytest.approx(2.0833, abs=1e-3)
    assert law["excess"] == pytest.approx(1.42, abs=0.02)


def test_the_third_corner_follows_from_any_two() -> None:
    assert run(params="7e9", compute="4.2e22").result["run"]["tokens"] == pytest.approx(1e12)
    assert run(tokens="1e12", compute="4.2e22").result["run"]["params"] == pytest.approx(7e9)


def test_money_on_a_machine_where_the_data_bind() -> None:
    """4.3e9 tokens, $20k, p4d: under $650 is spent at 4 epochs, and never a plan of 2.9e21 FLOP."""
    found = run(usd=20_000, hardware=P4D, unique="4.3e9")
    cost = found.result["cost"]
    assert found.result["binds"] == "data"
    assert "Data binds, not money" in found.text
    assert cost["flop"] < 1e20
    assert cost["usd"]["low"] < 435 < cost["usd"]["high"]
    budget = found.result["budget_flop"]
    assert budget["low"] < budget["value"] < budget["high"]
    names = {each.name for each in found.numbers}
    assert {"budget.flop", "cost.usd", "size.params", "size.proven"} <= names


def test_reserves_are_stated_and_can_be_set() -> None:
    plain = run(usd=20_000, hardware=P4D).result["budget_flop"]["value"]
    none = run("ladder=0", "evaluation=0", "failures=0", usd=20_000, hardware=P4D).result["budget_flop"]["value"]
    assert plain / none == pytest.approx(0.8)
    assert "reserve ladder 10%" in run(usd=20_000, hardware=P4D).text
    with study_error("'lader' is no reserve"):
        run("lader=0.1", usd=20_000, hardware=P4D)
    with study_error("nothing is left"):
        run("ladder=0.6", "failures=0.5", usd=20_000, hardware=P4D)


def test_bytes_of_english_are_tokens_with_a_range() -> None:
    found = run(bytes="20e9", compute="1e21", languages=("en",)).result["unique"]
    assert found["low"] < 4.3e9 < found["high"]
    assert found["value"] == pytest.approx(4.4e9, rel=0.05)
    german = run(bytes="20e9", compute="1e21", languages=("de",)).result["unique"]
    assert german["high"] / german["low"] > found["high"] / found["low"]


def test_a_loss_says_the_kind_and_every_loss_has_one() -> None:
    assert run(compute="1e20", loss="mlm").result["category"] == "encoder"
    assert set(CATEGORY_OF_LOSS) == set(FACTS)
    assert set(CATEGORY_OF_LOSS.values()) <= set(CATEGORIES)


def test_too_little_money_or_time_is_refused_with_what_would_do() -> None:
    with pytest.raises(Refused) as caught:
        run(params="70e9", tokens="1.4e12", usd=20_000, hardware=P4D, deadline="1 week", nodes=2)
    refusal = caught.value.refusal
    assert "--usd" in refusal.fix
    nodes = int(refusal.fix.split("--nodes ")[1].split(",")[0])
    kept = run(params="70e9", tokens="1.4e12", hardware=P4D, deadline="1 week", nodes=nodes)
    assert kept.result["cost"]["hours"]["value"] <= 168 * (1 + 1e-6)
    with pytest.raises(Refused):
        run(params="70e9", tokens="1.4e12", hardware=P4D, deadline="1 week", nodes=nodes - 1)
    usd = int(refusal.fix.split("--usd ")[1].split(",")[0])
    assert run(params="70e9", tokens="1.4e12", usd=usd, hardware=P4D).result["cost"]


def test_too_little_memory_is_refused_with_the_nodes_that_hold_it() -> None:
    with pytest.raises(Refused) as caught:
        run(params="500e9", tokens="1e12", hardware=P4D, nodes=1)
    nodes = int(caught.value.refusal.fix.removeprefix("--nodes "))
    found = run(params="500e9", tokens="1e12", hardware=P4D, nodes=nodes)
    assert found.result["cost"]["nodes"] == nodes > 1
    with pytest.raises(Refused):
        run(params="500e9", tokens="1e12", hardware=P4D, nodes=nodes - 1)
    assert any("usable" in line for line in found.result["machines"])


def test_a_deadline_without_nodes_finds_them() -> None:
    found = run(params="7e9", tokens="140e9", hardware=P4D, deadline="2 weeks").result["cost"]
    assert found["nodes"] > 1
    assert found["hours"]["value"] <= 14 * 24
    assert found["hours"]["value"] * found["nodes"] / (found["nodes"] - 1) > 14 * 24


def test_all_that_is_wrong_at_once() -> None:
    with study_error("1e+30", "0 is no amount", "'6' is not a duration", "4 is no MFU", "p9.24xlarge") as seen:
        run(tokens="1e30", usd="0", deadline="6", mfu="4", hardware="p9.24xlarge")
    assert len(seen[0].problems) == 5


@pytest.mark.parametrize(("given", "words"), [
    ({}, ("nothing is given",)),
    ({"compute": "-1e21"}, ("no amount",)),
    ({"compute": "many"}, ("not a count",)),
    ({"usd": "20000"}, ("without --hardware",)),
    ({"compute": "1e21", "deadline": "6 weeks"}, ("--deadline without --hardware",)),
    ({"params": "7e9", "tokens": "1e12", "compute": "1e21"}, ("are 4.2e+22 flop, not 1e+21",)),
    ({"unique": "1e9", "bytes": "1e9"}, ("both given",)),
    ({"compute": "1e21", "category": "decodr"}, ("no category",)),
    ({"compute": "1e21", "category": "vision", "loss": "mlm"}, ("trains an encoder",)),
    ({"compute": "1e21", "loss": "mlmm"}, ("did you mean 'mlm'",)),
    ({"usd": "100", "hardware": "t4"}, ("no public price",)),
    ({"compute": "1e21", "nodes": "2.5", "hardware": P4D}, ("no number of nodes",)),
    ({"compute": "1e21", "unique": "1e16"}, ("more than there is",)),
    ({"compute": "1e20", "category": "vision", "bytes": "1e9"}, ("bytes are turned into tokens",)),
])  # fmt: skip
def test_bad_input_is_a_problem_with_a_fix(given: dict[str, str], words: tuple[str, ...]) -> None:
    with study_error(*words):
        run(**given)


def test_an_old_price_is_said() -> None:
    given: dict[str, str | None] = {"usd": "20000", "hardware": P4D}
    assert not [each for each in size(given, today="2026-08-01").problems if "days old" in each.what]
    assert [each for each in size(given, today="2027-06-01").problems if "days old" in each.what]


def test_the_command_prints_one_json_object(tmp_path: Path) -> None:
    found = json.loads(keel("size", "--compute", "1e21", "--json", cwd=tmp_path).stdout)
    assert (found["command"], found["status"]) == ("size", "ok")
    assert found["result"]["size"]["laws"]
    assert all(each["source"] for each in found["numbers"])
    keel("size", "--params", "7e9", "--tokens", "1e12", "--usd", "10", "--hardware", P4D, cwd=tmp_path, code=3)
