"""What is believed beforehand of answers that may become certain: they fall faster than text, and to no known floor."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from keel.errors import Refusal
from keel.laws import Forecast, Row, Target, forecast, priors
from keel.laws.forms import LAWS
from keel.laws.law import UNIT
from keel.laws.learnt import learnt

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "pairs_seeds.json").read_text("utf-8"))["ladders"][0]
PAIRS = "retrieval_nats"


def measured() -> tuple[list[Row], Target, float]:
    """A ladder of pairs as it was run, and what its largest run came to."""
    rows = [Row(f"run-{place}", *numbers) for place, numbers in enumerate(GOLDEN["runs"])]
    params, tokens, _, value = GOLDEN["held_out"]
    return rows, Target(params, tokens), value


def test_a_ladder_of_pairs_is_forecast() -> None:
    rows, target, value = measured()
    found = forecast(rows, target, unit=PAIRS)
    assert isinstance(found, Forecast), found
    assert found.low < value < found.high
    assert 0.8 < found.value / value < 1.25
    assert any("floor is believed near 0" in warning for warning in found.warnings)


def test_the_priors_of_text_do_not_forecast_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a floor at .58 of the lowest loss and exponents near .28 the same runs say three times what came."""
    monkeypatch.setattr(priors, "CERTAIN", frozenset())
    rows, target, value = measured()
    found = forecast(rows, target, unit=PAIRS)
    assert isinstance(found, Refusal) or value < found.low


def test_recall_follows_its_errors_to_nothing() -> None:
    """A law without floor: R@1 = exp(-(N / 1e4)^-.6 - (D / 1e5)^-.6)."""

    def right(params: float, tokens: float) -> float:
        return math.exp(-((params / 1e4) ** -0.6) - (tokens / 1e5) ** -0.6)

    sizes = [(params, tokens) for params in (2e4, 4e4, 8e4) for tokens in (2e5, 4e5, 8e5)]
    noise = np.random.default_rng(0).normal(0, 0.01, len(sizes))
    rows = [Row(f"{n:g}-{d:g}", n, d, 6 * n * d, right(n, d) ** (1 + e)) for (n, d), e in zip(sizes, noise)]
    found = forecast(rows, Target(1.6e5, 3.2e6), unit="recall")
    assert isinstance(found, Forecast), found
    assert found.low < right(1.6e5, 3.2e6) < found.high < 1


@pytest.mark.parametrize("name", sorted(LAWS))
def test_every_constant_has_a_belief(name: str) -> None:
    law = LAWS[name]
    means, sds = priors.priors(law, PAIRS, UNIT, learnt())
    by_role = {param.role: (mean, sd) for param, mean, sd in zip(law.params, means, sds)}
    assert len(means) == len(law.params)
    assert (sds > 0).all()
    assert by_role["rate"][1] == priors.CERTAIN_RATE_SD
    if "floor" in by_role:
        assert by_role["floor"] == (math.log(priors.CERTAIN_FLOOR), priors.CERTAIN_FLOOR_SD)


def test_a_law_without_floor_is_likely_here_and_unlikely_of_text() -> None:
    assert priors.odds(LAWS["floorless"], PAIRS, UNIT, learnt()) > 0.5
    assert priors.odds(LAWS["floorless"], "nats_per_token", UNIT, learnt()) < 0.05
