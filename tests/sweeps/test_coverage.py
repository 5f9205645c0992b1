"""Intervals cover at their level over many ladders and tables, and narrower ones would not. No torch; seconds each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ladders import chinchilla, ladder

from keel.laws import fit
from keel.laws.beside import posterior
from keel.laws.ensemble import build
from keel.laws.forecast import forecast
from keel.laws.forms import LAWS
from keel.laws.learnt import learnt

TARGET = {"params": 2e9, "tokens": 4e10}
NATS = "nats_per_token"
ALIKE = learnt()._replace(tau=1e9, fade=0.0)  # every run speaks alike, as in ladders made from one law


@pytest.fixture(scope="module")
def benchmark() -> Any:
    """benchmarks/reproduce.py, the command that prints these answers."""
    place = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, place)
    try:
        import reproduce
    finally:
        sys.path.remove(place)
    return reproduce


def test_the_interval_covers_at_its_level():
    """60 noisy ladders from one known law: hits within binomial bounds of the stated rate, and widths of use."""
    hits, widths = 0, []
    for seed in range(60):
        found = forecast(ladder(noise=0.004, seed=seed), TARGET, 0.9, unit=NATS)
        measured = chinchilla(**TARGET) * np.exp(0.004 * np.random.default_rng(900 + seed).normal())
        hits += found.low <= measured <= found.high
        widths.append((found.high - found.low) / found.value / 2)
    assert hits >= 48, hits  # P(fewer than 48 of 60 | .9) < 1 %
    assert np.median(widths) < 0.04


def posterior_shares(num: int = 60):
    """Where the truth lies in the parameter draws of its own law, over noisy ladders: uniform if they are honest."""
    point, shares = np.array([[2e9, 4e10, 4.8e20, 1.0]]), []
    for seed in range(num):
        ensemble = build(ladder(noise=0.001, seed=seed), NATS, known=ALIKE, laws=[LAWS["chinchilla"]])
        cloud = ensemble.log_values(point, draws_too=True)[0][:, 0]
        shares.append(float((cloud < np.log(chinchilla(**TARGET))).mean()))
    return np.array(shares)


def test_the_parameter_part_alone_is_calibrated_on_its_own_law():
    shares = posterior_shares()
    inside = {level: int((np.abs(shares - 0.5) < level / 2).sum()) for level in (0.5, 0.9)}
    assert 46 <= inside[0.9] <= 60, inside  # binomial(60, .9): 54 +- 2.3
    assert 20 <= inside[0.5] <= 41, inside  # binomial(60, .5): 30 +- 3.9


def test_draws_half_as_wide_would_fail_that_check(monkeypatch):
    """Mutant: a posterior cloud shrunk to half its width."""
    honest = fit.draws

    def narrow(law, found, *rest, **how):
        return found.theta[0] + 0.5 * (honest(law, found, *rest, **how) - found.theta[0])

    monkeypatch.setattr("keel.laws.ensemble.draws", narrow)
    assert (np.abs(posterior_shares() - 0.5) < 0.45).sum() < 46


def test_besiroglus_constants_lie_in_their_interval_at_the_stated_rate(benchmark, monkeypatch):
    """200 tables of 245 runs with the paper's law and noise. Binomial(200, .9) lies within .84 to .96 but for .5 %.

    1024 proposals a table: the draws' own Monte Carlo error, alike in all tables, moves these shares by some .03.
    """
    monkeypatch.setattr("keel.laws.fit.PROPOSAL_CELLS", 1024 * benchmark.NUM_POINTS)
    shares = benchmark.besiroglu(200)
    assert set(shares) == {"E", "A", "a", "B", "b", "a_opt"}
    assert all(0.84 <= share <= 0.96 for share in shares.values()), shares


def test_draws_of_half_the_width_would_fail_that_check(benchmark, monkeypatch):
    """Mutant: a posterior cloud shrunk to half its width."""
    honest = posterior.draws

    def narrow(law, found, *rest):
        return found.theta[0] + 0.5 * (honest(law, found, *rest) - found.theta[0])

    monkeypatch.setattr(posterior, "draws", narrow)
    assert max(benchmark.besiroglu(30).values()) < 0.84
