"""The least compute that reaches a loss, serving included: what a wanted quality costs, with an interval.

    min over N, D of f(N) (D + D_serve / 3)    s.t.  L(N, D) = the wanted loss,   D <= k U

With many served tokens the answer moves to smaller models trained longer.

Reference: Sardana et al. 2024, arXiv:2401.00448, eq. 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.optimize import brentq

from keel.errors import Refusal, Refused, StudyError
from keel.laws import backtest
from keel.laws.design.budget import Budget, FlopPerToken, check, rows_flop_per_token
from keel.laws.design.optimum import NUM_SIZES, SPAN, Surface, lowest, surface_of, weighted_quantile
from keel.laws.ensemble import Ensemble, coordinates
from keel.laws.law import Floats
from keel.laws.links import link_of

BELOW, ABOVE = 1e-6, 1e9  # compute searched, times the least and the largest run's
NUM_BUDGETS, DECADES, THIN = 13, 2.5, 4
UNAFFORDABLE = 10.0  # log loss of a budget below every size


def cheapest(
    ensemble: Ensemble, value: float, *, unique_tokens: float | None = None, most_epochs: float = 4.0,
    serving_tokens: float = 0.0, flop_per_token: FlopPerToken | None = None, usd_per_flop: float | None = None,
    level: float = 0.9,
) -> dict[str, Any] | None:  # fmt: skip
    """Params, tokens and total FLOP of the cheapest run that reaches `value`; None where no law tells sizes apart.

    `compute_low`, `compute_high`: interval at `level`, extrapolation error included; `compute_high` is None where
    more than the upper tail of the posterior never gets there. `reached`: the share of it that does.

    Raises:
        StudyError: a number is out of its range.
        Refused: no compute searched reaches the loss under the laws.

    Example:
        >>> from keel.laws import Row
        >>> from keel.laws.ensemble import build
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> rows = [Row(f"{n:.0e}-{r}", n, r * n, 6 * n * r * n, loss(n, r * n))
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (5, 20, 80)]
        >>> ensemble = build(rows, "nats_per_token")
        >>> plain, served = cheapest(ensemble, 2.5), cheapest(ensemble, 2.5, serving_tokens=1e12)
        >>> served["params"] < plain["params"], served["tokens"] > plain["tokens"]
        (True, True)
    """
    budget = Budget(
        flop_per_token=flop_per_token or rows_flop_per_token(ensemble.rows), unique_tokens=unique_tokens,
        most_epochs=most_epochs, serving_tokens=serving_tokens, usd_per_flop=usd_per_flop,
    )  # fmt: skip
    check(value, level, budget, "value")
    link = link_of(ensemble.unit)
    if wrong := link.valid(value):
        raise StudyError(f"a wanted value of {value!r}", why=wrong, fix=f"give a value in {ensemble.unit}")
    log_value = float(np.log(link.to_loss(np.array(value))))
    surface = surface_of(ensemble)
    if surface is None:
        return None
    points = coordinates(ensemble.rows)
    sizes = points[:, 0].min() * np.geomspace(*SPAN, NUM_SIZES)
    served = budget.flop(np.zeros(1), budget.rate(points[:1, 0]))[0]
    span = (points[:, 2].min() * BELOW, (points[:, 2].max() + served) * ABOVE)
    compute, params, tokens = least_compute(surface, budget, log_value, sizes, span, ensemble.unit)
    rate = budget.rate(np.array([params]))
    training = float(rate[0] * tokens)
    best: dict[str, Any] = {
        "value": value, "level": level, "compute": compute, "params": params, "tokens": tokens,
        "tokens_per_param": tokens / params, "flop": training, "serving_flop": compute - training,
        "flop_per_param_token": float(rate[0] / params),
    }  # fmt: skip
    if unique_tokens is not None:
        best |= {"unique_tokens": unique_tokens, "epochs": max(1.0, tokens / unique_tokens)}
    if usd_per_flop is not None:
        best["usd"] = compute * usd_per_flop
    ahead = np.log(np.array([training]) / points[:, 2].max())
    noise = ensemble.known.widen * float(backtest.grown(ensemble.rate, ahead)[0])
    return best | _spread(surface, budget, log_value, sizes[::THIN], best, noise)


def least_compute(
    surface: Surface,
    budget: Budget,
    log_value: float,
    sizes: Floats,
    span: tuple[float, float],
    unit: str = "",
) -> tuple[float, float, float]:
    """Total FLOP, params and tokens where the mean surface first reaches the log loss; compute searched over `span`.

    Raises:
        Refused: it does not, within the span.
    """
    mean = Surface(lambda points: (surface.mass @ surface.values(points))[None], np.ones(1))
    best = _frontier(mean, budget, sizes)
    low, high = (math.log(end) for end in span)
    reached = float(best(high)[0][0])
    if reached > log_value:
        wanted, given = link_of(unit).from_loss(np.exp([log_value, reached]))
        raise Refused(Refusal(
            f"no compute reaches {wanted:.4g}{f' {unit}' if unit else ''}",
            f"the laws give {given:.4g} at {span[1]:.3g} flop", "ask for a loss above the floor, or allow more data",
        ))  # fmt: skip

    def excess(log_compute: float) -> float:
        return min(float(best(log_compute)[0][0]) - log_value, UNAFFORDABLE)

    high = float(brentq(excess, low, high, xtol=1e-7)) if excess(low) > 0 else low
    size = np.exp(best(high)[1])
    tokens = min(float(budget.tokens(math.exp(high), size)[0]), budget.cap_tokens)
    return math.exp(high), float(size[0]), tokens


def _frontier(surface: Surface, budget: Budget, sizes: Floats) -> Callable[[float], tuple[Floats, Floats]]:
    """Log compute -> least log loss of each draw and the log size that gives it; inf where no size is affordable."""
    rate, draws = budget.rate(sizes), len(surface.mass)

    def best(log_compute: float) -> tuple[Floats, Floats]:
        tokens = np.minimum(budget.tokens(math.exp(log_compute), sizes, rate), budget.cap_tokens)
        able = tokens > 0
        if not bool(able.any()):
            return np.full(draws, math.inf), np.full(draws, math.nan)
        values = surface.values(budget.points(sizes[able], tokens[able], rate[able]))
        return values.min(1), lowest(values, np.log(sizes[able]))[0]

    return best


def _spread(
    surface: Surface, budget: Budget, log_value: float, sizes: Floats, best: dict[str, Any], noise: float
) -> dict[str, Any]:
    """Intervals of compute, params and tokens: where each draw, shifted by extrapolation error, reaches the loss."""
    frontier = _frontier(surface, budget, sizes)
    logs = math.log(best["compute"]) + math.log(10.0) * np.linspace(-DECADES, DECADES, NUM_BUDGETS)
    losses, log_n = (np.stack(part, 1) for part in zip(*(frontier(at) for at in logs)))
    count, normal = len(losses), NormalDist()
    steps = np.array([normal.inv_cdf((i + 0.5) / count) for i in range(count)])
    wanted = log_value - noise * np.random.default_rng(2).permutation(steps)
    able = losses[:, -1] <= wanted
    compute, size = np.full(count, math.inf), np.full(count, math.nan)
    for i in np.flatnonzero(able):
        # Losses fall with compute: read the curve from its low end.
        compute[i] = np.interp(wanted[i], losses[i, ::-1], logs[::-1])
        size[i] = np.interp(compute[i], logs, log_n[i])
    rate = np.interp(size, np.log(sizes), np.log(budget.rate(sizes)))
    spent = np.exp(compute) / np.exp(rate) - budget.serving_tokens / 3.0
    tokens = np.minimum(np.where(able, spent, math.nan), budget.cap_tokens)
    found: dict[str, Any] = {"reached": float(surface.mass[able].sum())}
    tails = ((1 - best["level"]) / 2, (1 + best["level"]) / 2)
    for name, draws in (("compute", np.exp(compute)), ("params", np.exp(size)), ("tokens", tokens)):
        ends = [weighted_quantile(draws, surface.mass, q) for q in tails]  # those that never reach come last
        for side, end, bound in zip(("low", "high"), ends, (min, max)):
            found[f"{name}_{side}"] = bound(end, best[name]) if math.isfinite(end) else None
    return found
