"""Links: every unit goes to a loss and back, keeps order, and never leaves its range."""

from __future__ import annotations

import math

import numpy as np
import pytest

from keel.laws.links import LINKS, link_of

INSIDE = {"perplexity": (1.01, 1e4), **dict.fromkeys(("error", "accuracy", "recall", "share_right"), (1e-6, 1 - 1e-6)),
          "error_percent": (1e-4, 99.9999), "accuracy_percent": (1e-4, 99.9999)}  # fmt: skip


@pytest.mark.parametrize("unit", [*LINKS, "anything"])
def test_there_and_back_in_order(unit):
    link = link_of(unit)
    values = np.linspace(*INSIDE.get(unit, (0.01, 20.0)), 200)
    losses = link.to_loss(values)
    assert np.all(losses > 0)
    assert np.all(np.diff(losses) < 0) if link.rising else np.all(np.diff(losses) > 0)
    np.testing.assert_allclose(link.from_loss(losses), values, rtol=1e-9)
    assert not any(link.valid(float(v)) for v in values)


def test_known_answers():
    assert float(link_of("perplexity").to_loss(np.array(math.e**3))) == pytest.approx(3.0)
    assert float(link_of("error").to_loss(np.array(0.5))) == pytest.approx(math.log(2))
    assert float(link_of("accuracy").to_loss(np.array(0.25))) == pytest.approx(math.log(4))
    # Small errors are unchanged to first order, in both scales.
    assert float(link_of("error").to_loss(np.array(1e-4))) == pytest.approx(1e-4, rel=1e-4)
    assert float(link_of("error_percent").to_loss(np.array(0.01))) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("unit", ["error", "error_percent", "accuracy", "accuracy_percent"])
def test_no_loss_leaves_the_range(unit):
    top = 100.0 if unit.endswith("percent") else 1.0
    values = link_of(unit).from_loss(np.geomspace(1e-9, 30 * top, 100))
    assert np.all((values >= 0) & (values <= top))


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [("perplexity", 1.0, "above 1"), ("perplexity", -2.0, "not positive"), ("error", 1.0, "between 0 and 1"),
     ("accuracy", 0.0, "between 0 and 1"), ("accuracy", 45.0, "between 0 and 1"), ("loss", 0.0, "not positive"),
     ("loss", math.nan, "not finite"), ("error_percent", math.inf, "not finite")],
)  # fmt: skip
def test_a_value_that_is_none_of_its_unit(unit, value, words):
    assert words in link_of(unit).valid(value)
