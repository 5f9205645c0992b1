"""The size band: each law by itself, what sets each end, what binds; known cases, properties, mutants in mind."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from helpers import study_error

from keel.laws.design.allocate import serving_optimal
from keel.laws.published import PUBLISHED
from keel.size.ask import CATEGORIES
from keel.size.band import Ask, Band, band
from keel.size.doubts import unsaid
from keel.size.optima import POWERS, at_flop, at_params, at_tokens, best, least_size
from keel.size.serving import serving_size
from keel.size.time import Estimate
from keel.size.ways import DECODER, TOLERANCE


def exactly(value: float) -> Estimate:
    return Estimate(value, value, value, "stated for a test")


def asked(flop: float | None, unique: float | None = None, category: str = "decoder", **more: object) -> Band:
    return band(Ask(category, exactly(flop) if flop else None, exactly(unique) if unique else None, "tokens",
                    **more))  # fmt: skip


@pytest.mark.parametrize(("flop", "params", "tokens"), [(1e19, 0.262e9, 6.36e9), (1e21, 2.79e9, 59.6e9),
                                                        (5.76e23, 73.3e9, 1.31e12)])  # fmt: skip
def test_besiroglu_puts_budgets_where_it_says(flop: float, params: float, tokens: float) -> None:
    found = asked(flop)
    assert found.point_law == "chinchilla-besiroglu"
    assert found.params == pytest.approx(params, rel=0.005)
    assert found.tokens == pytest.approx(tokens, rel=0.005)
    assert found.binds == "compute"


def test_hoffmann_and_kaplan_stand_beside_it_and_kaplan_sets_nothing() -> None:
    laws = {law.law: law for law in asked(1.23e22).laws}
    assert laws["hoffmann-1-size"].params == pytest.approx(1e10)
    kaplan = laws["kaplan-optimal-size"]
    assert kaplan.params is not None
    assert kaplan.params > 3 * laws["hoffmann-1-size"].params
    assert not kaplan.in_band
    assert "Porian" in kaplan.why_not
    found = asked(1.23e22)
    assert found.params_high is not None
    assert found.params_high < kaplan.params


def test_laws_are_never_averaged() -> None:
    """The recommended size is one law's own answer, not a blend: it is in the table to the digit."""
    for flop in (1e19, 1e21, 1e23):
        found = asked(flop)
        assert found.params in [law.params for law in found.laws]
        assert found.params == next(law.params for law in found.laws if law.law == found.point_law)


def test_data_bind_and_money_is_left() -> None:
    """4.3e9 tokens and about 2.5e21 FLOP: 17.2e9 tokens at 4 epochs, under 1e20 FLOP, the rest unspent."""
    found = asked(2.53e21, 4.3e9)
    assert found.binds == "data"
    assert found.tokens == pytest.approx(17.2e9)
    assert found.epochs == pytest.approx(4.0)
    assert found.flop is not None
    assert found.unspent_flop is not None
    assert found.flop < 1e20
    assert found.flop + found.unspent_flop == pytest.approx(2.53e21)
    assert found.params == pytest.approx(0.75e9, rel=0.01)


def test_more_epochs_never_make_the_data_bound_size_smaller() -> None:
    """At fixed compute an epochs rule bounds the size from below: a mutant that caps from above fails here."""
    sizes = [asked(1e22, 4.3e9, max_epochs=epochs).params for epochs in (1.0, 2.0, 4.0, 8.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize("category", ["decoder", "encoder", "encoder-decoder", "diffusion"])
@pytest.mark.parametrize("unique", [None, 4.3e9, 1e12])
def test_more_budget_never_moves_an_end_down(category: str, unique: float | None) -> None:
    unit = "images" if category == "diffusion" else "tokens"
    found = [band(Ask(category, exactly(flop), exactly(unique) if unique else None, unit))
             for flop in (1e18, 1e19, 1e20, 1e21, 1e22, 1e23)]  # fmt: skip
    for less, more in pairwise(found):
        assert less.params_low is not None
        assert less.params_high is not None
        assert more.params_low is not None
        assert more.params_high is not None
        assert more.params_low >= less.params_low * (1 - 1e-6)
        assert more.params_high >= less.params_high * (1 - 1e-6)
        assert less.params_low <= less.params_high


def test_no_encoder_is_sized_by_a_decoders_law() -> None:
    """Mutant: WAYS gains an entry for encoders. Every law shown for one is of masked models; 20 is no ratio of them."""
    found = asked(1e21, category="encoder")
    names = {law.law for law in found.laws}
    assert names == {"keel-masked", "optibert-abstract"}
    assert not names & set(PUBLISHED)
    assert found.params is not None
    assert found.tokens is not None
    assert found.tokens / found.params == pytest.approx(80.0)
    assert found.params_low == pytest.approx(math.sqrt(1e21 / 6 / 2000))
    assert found.params_high == pytest.approx(math.sqrt(1e21 / 6 / 21))
    own = found.laws[0]
    assert "above" in own.outside
    assert found.laws[1].params is None


def test_an_encoder_decoder_sees_decoders_laws_as_another_kinds() -> None:
    plain, both = asked(1e21), asked(1e21, category="encoder-decoder")
    assert not any(law.modality_match for law in both.laws)
    assert all(law.modality_match for law in plain.laws)
    assert both.params_high == pytest.approx(4 * plain.params_high)
    assert any("encoder-decoders" in problem.what for problem in both.problems)


@pytest.mark.parametrize(("category", "unit"), [("vision", "images"), ("vision-language", "pairs")])
def test_where_no_law_gives_a_size_none_is_made_up(category: str, unit: str) -> None:
    found = band(Ask(category, exactly(1e20), exactly(5e6), unit))
    assert found.params is None
    assert found.params_low is None
    assert any("no law sizes" in problem.what for problem in found.problems)
    held = band(Ask(category, exactly(1e20), exactly(5e6), unit, smallest_params=8.6e7, smallest_id="vit-b",
                    most_params=3e8, most_why="memory"))  # fmt: skip
    assert (held.params_low, held.params_high) == (8.6e7, 3e8)
    assert "vit-b" in held.low_set_by


def test_no_budget_is_asked_for_not_invented() -> None:
    found = asked(None, 4.3e9)
    assert found.binds == "data"
    assert found.tokens == pytest.approx(17.2e9)
    assert found.unspent_flop is None
    assert "no budget is given" in {problem.what for problem in unsaid(Ask("decoder", None, exactly(1e9), "tokens"))}
    without = unsaid(Ask("decoder", exactly(1e21), None, "tokens"))
    assert [problem.what for problem in without] == ["no amount of data is given"]
    assert unsaid(Ask("decoder", exactly(1e21), exactly(1e9), "tokens")) == []


def test_each_limit_says_that_it_set_the_end() -> None:
    memory = asked(1e21, most_params=1e9, most_why="memory", most_note="24 GB")
    assert memory.params_high == 1e9
    assert memory.high_set_by.startswith("memory")
    assert memory.binds == "memory"
    assert memory.params == 1e9
    latency = asked(1e21, most_params=1e8, most_why="latency")
    assert latency.binds == "latency"
    assert latency.params_low == latency.params_high == 1e8
    released = asked(1e21, smallest_params=2e9, smallest_id="some-2b")
    assert (released.params_low, released.low_set_by.split()[-1]) == (2e9, "some-2b")
    fleet = asked(1e21, deployed_params=(1.1e8, 3.4e8))
    assert fleet.params_high == 3.4e8
    assert "deployed" in fleet.high_set_by


def test_a_limit_above_every_law_does_not_bind() -> None:
    found = asked(1e21, most_params=1e12, most_why="memory")
    assert found.binds == "compute"
    assert found.params_high == asked(1e21).params_high


def test_no_member_fits_is_said() -> None:
    found = asked(1e21, most_params=1e8, most_why="latency", smallest_params=3e8, smallest_id="x")
    assert any("no released member fits" in problem.what for problem in found.problems)


def test_served_models_are_smaller_and_trained_longer_at_the_same_cost() -> None:
    plain, served = asked(1e21), asked(1e21, serving_tokens=1e12)
    assert plain.params is not None
    assert served.params is not None
    assert plain.tokens is not None
    assert served.tokens is not None
    assert served.params < plain.params
    assert served.tokens > plain.tokens
    assert 6 * served.params * served.tokens == pytest.approx(1e21, rel=1e-6)


@pytest.mark.parametrize("served", [1e11, 1e12, 1e13])
def test_serving_agrees_with_sardanas_optimum(served: float) -> None:
    """sizing.md 3d: printed Hoffmann, loss 2.1. Its training FLOP as the budget gives its size back."""
    law = PUBLISHED["hoffmann"]
    there = serving_optimal(law, 2.1, served)
    found = serving_size(law, 6 * there.params * there.tokens, served)
    assert found is not None
    assert found.params == pytest.approx(there.params, rel=2e-3)
    assert found.loss == pytest.approx(2.1, rel=1e-4)


def test_nothing_served_is_the_compute_optimum() -> None:
    law = PUBLISHED["chinchilla-besiroglu"]
    found, plain = serving_size(law, 1e21, 0.0), at_flop(law, 1e21)
    assert found is not None
    assert plain is not None
    assert found.params == pytest.approx(plain.params, rel=1e-3)


@pytest.mark.parametrize("name", [way.law for way in DECODER] + ["dit-size"])
def test_budget_size_and_data_give_each_other_back(name: str) -> None:
    law = PUBLISHED[name]
    by_flop = at_flop(law, 1e21)
    assert by_flop is not None
    by_tokens, by_params = at_tokens(law, by_flop.tokens), at_params(law, by_flop.params)
    assert by_tokens is not None
    assert by_params is not None
    # Muennighoff bends sharply at its best size: a step of 2 % to either side is not even there.
    assert by_tokens.params == pytest.approx(by_flop.params, rel=1e-2)
    assert by_params.tokens == pytest.approx(by_flop.tokens, rel=1e-2)
    assert by_tokens.data_bound


def test_the_lower_end_loses_the_tolerance_and_no_more() -> None:
    law = PUBLISHED["chinchilla-besiroglu"]
    for cap in (math.inf, 17.2e9):
        point = best(law, 1e21, cap)
        assert point is not None
        assert point.loss is not None
        size = least_size(law, point, TOLERANCE)
        assert size is not None
        tokens = min(point.flop / 6 / size, cap)
        assert float(law.at(params=size, tokens=tokens)) == pytest.approx(point.loss * (1 + TOLERANCE), rel=1e-4)


def test_stated_data_is_said_on_every_number() -> None:
    found = asked(1e21, 4.3e9, stated=True)
    assert found.numbers
    assert all("stated, not measured" in each.source for each in found.numbers if each.name != "size.unspent_flop")
    assert not any("stated, not" in each.source for each in asked(1e21, 4.3e9).numbers)


def test_every_number_says_where_it_comes_from() -> None:
    for category in ("decoder", "encoder", "encoder-decoder"):
        for each in asked(1e21, 4.3e9, category=category).numbers:
            assert each.formula, each.name
            assert each.source, each.name
    far = asked(1e26)
    assert "above" in next(each.outside for each in far.numbers if each.name == "size.params")


def test_what_cannot_be_meant_is_refused_all_at_once() -> None:
    with study_error("more than there is", "Villalobos"):
        asked(1e21, 1e30)
    with study_error("flying", "smallest_params is -1") as seen:
        band(Ask("flying", exactly(1e21), exactly(1e9), "tokens", smallest_params=-1.0))
    assert len(seen[0].problems) == 2
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with study_error("positive and finite"):
            band(Ask("decoder", exactly(wrong), None, "tokens"))


def test_no_data_and_no_budget_give_no_size() -> None:
    for category in CATEGORIES:
        found = asked(None, category=category)
        assert found.params is None
        assert found.laws == () or all(law.params is None for law in found.laws)
        assert len(unsaid(Ask(category, None, None, "tokens"))) == 2


def test_powers_are_published_laws() -> None:
    assert set(POWERS) <= set(PUBLISHED)
    assert all(not power.tokens or power.tokens in PUBLISHED for power in POWERS.values())
