"""What a route costs, against sums done by hand, and never more than the budget after its reserves."""

from __future__ import annotations

from typing import Any

import pytest
from chosen import SHIPPED, data, exactly, model

from keel.plan.basis import Basis, of_folder, of_model
from keel.plan.means import Means, Node
from keel.plan.spending import PATCHES, Spending, spend, unit_tokens
from keel.size.ask import LATENT, Ask
from keel.size.band import Band, band
from keel.size.budget import RESERVES
from keel.size.hardware import Hardware
from keel.size.speed import Speed

BASE = Basis("base", 1.2e8, 1e8, None)
# 3.6 USD an hour at 1e14 FLOP/s: 1e-17 USD a FLOP, and 1 h = 3.6e17 FLOP.
NODE = Node(
    Hardware("node", SHIPPED.accelerators["t4"], 4, exactly(3.6), "", "", None, None),
    Speed("fp16", 1e14, exactly(1.0), exactly(2.5e13), ()),
)


def means(usd: float | None = None, flop: float | None = None, *nodes: Node) -> Means:
    return Means(nodes, not nodes, usd, flop, RESERVES, None, (), ())


def cost(route: str, held: Any, budget: Means, base: Basis | None = BASE, category: Any = "encoder",
         sized: Band | None = None) -> Spending:  # fmt: skip
    return spend(route, base, held, sized or band(Ask(category, None, held.unique, held.unit)), budget, category)


def ends(found: Any) -> Any:
    assert found is not None
    return pytest.approx(found.ends)


def test_going_on_sees_the_data_once_and_at_most_four_times() -> None:
    found = cost("continue", data(1e9), means(None, None, NODE))
    assert ends(found.tokens) == (1e9, 1e9, 4e9)
    assert ends(found.flop) == (6e17, 6e17, 2.4e18)
    assert ends(found.usd) == (6.0, 6.0, 24.0)
    assert ends(found.hours) == (5 / 3, 5 / 3, 20 / 3)
    assert (found.devices, found.node, found.share) == (4, "node", 1.0)


@pytest.mark.parametrize(
    ("held", "tokens"),
    [(data(1e6, labels=1000.0), 128), (data(1e6, labels=1000.0, documents=1e4, text_tokens=1e6), 100),
     (data(1e7, labels=1000.0, documents=1e4, text_tokens=1e7), 512)],
)  # fmt: skip
def test_fine_tuning_sees_each_example_three_times(held: Any, tokens: float) -> None:
    found = cost("fine-tune", held, means())
    assert ends(found.tokens) == (3000 * tokens, 1000 * tokens, 6000 * tokens)
    assert ends(found.flop) == tuple(6e8 * part for part in (3000 * tokens, 1000 * tokens, 6000 * tokens))


def test_examples_are_labels_pairs_or_rows_and_never_the_unlabelled_corpus() -> None:
    assert cost("fine-tune", data(1e9, documents=1e6), means()).flop is None
    by_rows = cost("fine-tune", data(1e6, rows={"a": 200, "b": None}), means())
    assert ends(by_rows.tokens) == (3 * 200 * 128, 200 * 128, 6 * 200 * 128)
    by_pairs = cost("fine-tune", data(1e6, pairs=5000.0, labels=10.0), means())
    assert ends(by_pairs.tokens) == (3 * 5000 * 128, 5000 * 128, 6 * 5000 * 128)


def test_images_are_patches_and_a_latent_is_what_diffusion_sees() -> None:
    assert unit_tokens(data(1), "encoder") is None
    assert unit_tokens(data(1, "image"), "vision") == PATCHES
    assert unit_tokens(data(1, "image-text"), "diffusion") == LATENT
    pair = unit_tokens(data(1, "image-text"), "vision-language")
    assert ends(pair) == (274.0, 127.0, 334.0)
    found = cost("continue", data(1e6, "image"), means(), category="vision")
    assert ends(found.tokens) == (197e6, 50e6, 4 * 257e6)


def test_the_budget_ends_it_after_the_reserves() -> None:
    found = cost("continue", data(1e9), means(5.0, None, NODE))
    assert found.share == pytest.approx(4 / 6)
    assert ends(found.usd) == (4.0, 4.0, 4.0)
    assert ends(found.tokens) == (1e9 * 4 / 6, 1e9 * 4 / 6, 1e9 * 4 / 6)
    assert "the budget ends it: 66.7 % of that is done, and 16.7 % at its upper end" in found.how


def test_a_budget_between_one_pass_and_four_ends_the_upper_end_alone() -> None:
    found = cost("continue", data(1e9), means(12.5, None, NODE))
    assert ends(found.usd) == (6.0, 6.0, 10.0)
    assert found.share == 1.0


def test_a_budget_in_flop_ends_it_too_also_without_hardware() -> None:
    found = cost("continue", data(1e9), means(None, 3e17))
    assert found.share == pytest.approx(0.5)
    assert ends(found.flop) == (3e17, 3e17, 3e17)
    assert (found.usd, found.hours) == (None, None)


def test_an_exact_budget_is_not_called_short() -> None:
    assert cost("continue", data(1e9), means(24 / 0.8, None, NODE)).how.count("ends it") == 0


def test_nothing_is_trained_nothing_is_spent() -> None:
    for route in ("use", "collect"):
        found = cost(route, data(1e9), means(5.0, None, NODE))
        assert found.flop is not None
        assert found.usd is not None
        assert (found.flop.value, found.usd.value) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("route", "held", "base", "word"),
    [("continue", data(None), BASE, "how many tokens there are is unknown"),
     ("fine-tune", data(1e9), BASE, "how many examples there are is unknown"),
     ("continue", data(1e9), None, "size of the base is unknown"),
     ("continue", data(1e9), of_folder("w", None), "size of the base is unknown"),
     ("scratch", data(None), BASE, "no law gives a size here"),
     ("scratch", data(1e9, "image"), BASE, "the data cannot train it")],
)  # fmt: skip
def test_unknown_stays_unknown_and_says_which(route: str, held: Any, base: Basis | None, word: str) -> None:
    found = cost(route, held, means(5.0, None, NODE), base)
    assert (found.flop, found.usd, found.hours) == (None, None, None)
    assert word in found.how
    assert found.json()["flop"] is None


def test_fresh_weights_cost_what_the_band_says() -> None:
    held = data(1e9)
    sized = band(Ask("decoder", exactly(1e21), held.unique, "tokens"))
    found = cost("scratch", held, means(None, None, NODE), sized=sized, category="decoder")
    assert sized.flop is not None
    assert ends(found.flop) == (sized.flop, sized.flop, sized.flop)
    assert ends(found.usd) == (sized.flop * 1e-17,) * 3


def test_more_nodes_share_the_hours_and_not_the_money() -> None:
    found = cost("continue", data(1e9), means(None, None, NODE))
    one, four = found.json(), found.json(4)
    assert four["hours"] == pytest.approx(one["hours"] / 4)
    assert (four["devices"], four["nodes"], four["usd"]) == (16, 4, one["usd"])
    assert {f"{name}{end}" for name in ("usd", "hours", "tokens") for end in ("", "_low", "_high")} <= one.keys()


def test_worked_parameters_are_the_body_else_all() -> None:
    assert of_model(model("x", 1.2e8, params_body=1e8)).worked == 1e8
    assert of_model(model("x", 1.2e8)).worked == 1.2e8
    assert of_folder("./w", {"name": "bert", "params": 3e7}) == Basis("bert", 3e7, 3e7, None, "./w")
