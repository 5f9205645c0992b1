"""The compute-optimal run, with an interval: which size and how many tokens a budget buys under the weighted laws.

    min over N of L(N, D)    s.t.  f(N) (D + D_serve / 3) <= C,   D <= k U        (f, U, k, D_serve: see budget.py)

Where the data end first (the best D at C exceeds k U), the size is the one whose compute-optimal D is k U and the rest
of the budget stays unspent: a larger model on the same tokens is named with its loss, not recommended.
The interval of N and D: optima of all posterior draws of all laws that tell sizes apart, each moved by what no law
knows. Let the true log loss leave the law's by a random walk in log N with the rate r of the back-test. Then its least
point leaves the law's by (2 r / L'')^(2/3) Z, L'' the bend along equal FLOP, Z Chernoff's variable (SD .513).

Reference: Hoffmann et al. 2022, arXiv:2203.15556, eq. 4; Sardana et al. 2024, arXiv:2401.00448, eq. 2 (serving);
Groeneboom & Wellner 2001, J. Comput. Graph. Stat. 10:388 (Z, the argmin of a Brownian motion plus t^2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.errors import Refusal, Refused
from keel.laws import priors
from keel.laws.design.budget import Budget, FlopPerToken, check, rows_flop_per_token
from keel.laws.ensemble import Ensemble, coordinates
from keel.laws.forecast import spread
from keel.laws.law import Floats
from keel.laws.links import link_of

NUM_SIZES = 241
SPAN = (0.1, 1e5)  # sizes searched: from a tenth of the smallest run to far beyond the largest
LEAST_WEIGHT, HARDLY = 1e-6, 0.05  # of laws that tell sizes apart: below them no optimum; one with a warning
SAME_LOSS = 0.002
NUDGE = 0.05  # step of log N in the slope along equal FLOP
CHERNOFF_SD = 0.513
WIDEST = 3.0  # of log N: a law without a bend has no optimum to speak of


class Surface(NamedTuple):
    """Log loss [s, m] at points [m, 4] for each of s draws, and the draws' mass [s] (sums to one).

    `share`: the weight of the laws behind it, those that tell sizes apart.
    """

    values: Callable[[Floats], Floats]
    mass: Floats
    share: float = 1.0

    def with_mean(self, points: Floats) -> Floats:
        """[1 + s, m]: the mean over draws first, then each draw."""
        found = self.values(points)
        return np.vstack([self.mass @ found, found])


class Optimum(NamedTuple):
    """For the mean surface and each draw [1 + s]: size, tokens, the bend d2 log L / d log N^2 along equal FLOP there.

    `bound`: the data end before the budget does. `edge`: the mean surface's size is the last one searched.
    """

    params: Floats
    tokens: Floats
    bend: Floats
    bound: NDArray[np.bool_]
    edge: bool


def optimum(
    ensemble: Ensemble, compute: float, *, unique_tokens: float | None = None, most_epochs: float = 4.0,
    serving_tokens: float = 0.0, flop_per_token: FlopPerToken | None = None, usd_per_flop: float | None = None,
    level: float = 0.9,
) -> dict[str, Any] | None:  # fmt: skip
    """The best run at `compute` FLOP (training, and serving where asked), or None where no law tells sizes apart.

    `params_low`, `params_high`, `tokens_*`: interval at `level` of the best size and tokens; `value_*`: of the loss
    there, extrapolation error included; `same_loss_params_*`: sizes that cost at most .2 % of loss; `valid`: doubts,
    among them that a prior is of another kind of model (priors.py).
    `flop_per_token(params)`: training FLOP of one token, tables and head included; else the rows' own.

    Raises:
        StudyError: a number is out of its range.
        Refused: serving alone costs more than the budget.

    Example:
        >>> from keel.laws import Row
        >>> from keel.laws.ensemble import build
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> rows = [Row(f"{n:.0e}-{r}", n, r * n, 6 * n * r * n, loss(n, r * n))
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (5, 20, 80)]
        >>> best = optimum(build(rows, "nats_per_token"), 1e20)
        >>> best["params_low"] < 9.5e8 < best["params_high"], best["unspent_flop"]
        (True, 0.0)
    """
    budget = Budget(
        flop_per_token=flop_per_token or rows_flop_per_token(ensemble.rows), unique_tokens=unique_tokens,
        most_epochs=most_epochs, serving_tokens=serving_tokens, usd_per_flop=usd_per_flop,
    )  # fmt: skip
    check(compute, level, budget)
    surface = surface_of(ensemble)
    if surface is None:
        return None
    # The grid stands on the smallest size, so that a rescaling of params moves it along.
    sizes = coordinates(ensemble.rows)[:, 0].min() * np.geomspace(*SPAN, NUM_SIZES)
    found = search(surface, budget, compute, sizes)
    best = _described(surface, budget, compute, sizes, found)
    point = budget.points(*(np.array([best[key]]) for key in ("params", "tokens", "flop_per_token")))
    value, low, high, _ = spread(ensemble, point, level)
    if ensemble.unit in priors.UNLIKE:
        best["valid"] = "; ".join(filter(None, (best["valid"], priors.UNLIKE[ensemble.unit])))
    best |= _interval(found, budget, compute, surface.mass, ensemble.rate * ensemble.known.widen, level)
    if "if_all_spent" in best:
        best["if_all_spent"]["value"] = float(link_of(ensemble.unit).from_loss(np.array(best["if_all_spent"]["value"])))
    most = max(row.flop for row in ensemble.rows)
    return best | {
        "value": float(value[0]), "value_low": float(low[0]), "value_high": float(high[0]), "level": level,
        "distance": math.log10(best["flop"] / most),
    }  # fmt: skip


def surface_of(ensemble: Ensemble) -> Surface | None:
    """The posterior draws of every law that tells sizes apart; None where those laws carry no weight."""
    used = [i for i, m in enumerate(ensemble.members) if "params" in m.law.coords and m.weight > 0]
    weights = np.array([ensemble.members[i].weight for i in used])
    if weights.sum() < LEAST_WEIGHT:
        return None
    counts = [len(ensemble.members[i].draws) for i in used]
    mass = np.repeat(weights / counts, counts)

    def values(points: Floats) -> Floats:
        clouds = ensemble.log_values(points, draws_too=True)
        return np.vstack([clouds[i] for i in used])

    return Surface(values, mass / mass.sum(), float(weights.sum()))


def search(surface: Surface, budget: Budget, compute: float, sizes: Floats) -> Optimum:
    """The optimum of the mean surface and of each draw, between grid points by a parabola in log N."""
    rate = budget.rate(sizes)
    tokens = budget.tokens(compute, sizes, rate)
    if not bool((tokens > 0).any()):
        raise Refused(Refusal(
            f"no run at {compute:.3g} flop", f"serving {budget.serving_tokens:.3g} tokens alone costs more",
            "raise the budget, or serve fewer tokens",
        ))  # fmt: skip
    best = _spend_all(surface, budget, compute, sizes, tokens > 0)
    over = best.tokens > budget.cap_tokens
    if not over.any():
        return best
    log_n, bend = _supported(surface, budget, sizes)
    price = budget.flop(np.full(len(sizes), budget.cap_tokens), budget.rate(sizes))
    log_all = np.interp(math.log(compute), np.log(price), np.log(sizes))  # where k U tokens cost the whole budget
    bound = over & (log_n <= log_all)
    return Optimum(
        np.where(over, np.exp(np.where(bound, log_n, log_all)), best.params),
        np.minimum(best.tokens, budget.cap_tokens),
        np.where(over, bend, best.bend), bound, best.edge and not bool(over[0]),
    )  # fmt: skip


def _spend_all(surface: Surface, budget: Budget, compute: float, sizes: Floats, able: NDArray[np.bool_]) -> Optimum:
    """The least loss along equal FLOP among the sizes that can be trained and served at all."""
    rate = budget.rate(sizes[able])
    points = budget.points(sizes[able], budget.tokens(compute, sizes[able], rate), rate)
    log_n, bend, at = lowest(surface.with_mean(points), np.log(sizes[able]))
    params, edge = np.exp(log_n), bool(at[0] in (0, int(able.sum()) - 1))
    return Optimum(params, budget.tokens(compute, params), bend, np.zeros(len(params), bool), edge)


def lowest(values: Floats, log_n: Floats) -> tuple[Floats, Floats, NDArray[np.int_]]:
    """Of each row of values [s, n]: log size of the least, by the parabola through three points; bend; index."""
    at, rows = np.argmin(values, 1), np.arange(len(values))
    if len(log_n) < 3:
        return log_n[at], np.zeros(len(values)), at
    middle, step = np.clip(at, 1, len(log_n) - 2), log_n[1] - log_n[0]
    left, here, right = (values[rows, middle + i] for i in (-1, 0, 1))
    bend = left - 2 * here + right
    shift = np.where((at == middle) & (bend > 0), 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    return log_n[at] + np.clip(shift, -0.5, 0.5) * step, bend / step**2, at


def _supported(surface: Surface, budget: Budget, sizes: Floats) -> tuple[Floats, Floats]:
    """Log size whose compute-optimal tokens are the cap, where the loss stops falling along equal FLOP; bend there.

    Serving has no say here: it makes a size dearer, not better fed.
    """
    log_n, rate = np.log(sizes), budget.rate(sizes)
    left, here, right = (
        surface.with_mean(budget.points(other, budget.cap_tokens * rate / cost, cost))
        for other in (sizes * math.exp(-NUDGE), sizes, sizes * math.exp(NUDGE))
        for cost in [budget.rate(other)]
    )
    slope = right - left
    # The potential's least point is the sign change, also where a wild draw has several.
    at, rows = np.argmin(np.cumsum(slope, 1), 1), np.arange(len(slope))
    following = np.minimum(at + 1, len(sizes) - 1)
    rise = slope[rows, following] - slope[rows, at]
    share = np.where(rise > 0, np.clip(-slope[rows, at] / np.where(rise > 0, rise, 1.0), 0.0, 1.0), 0.0)
    return log_n[at] + share * (log_n[following] - log_n[at]), (left - 2 * here + right)[rows, at] / NUDGE**2


def _described(surface: Surface, budget: Budget, compute: float, sizes: Floats, found: Optimum) -> dict[str, Any]:
    """The mean surface's optimum in words that fit.json keeps; values are losses, those of the mean log loss."""
    size, tokens = found.params[:1], found.tokens[:1]
    rate = budget.rate(size)
    spent = compute if not found.bound[0] else float(budget.flop(tokens, rate)[0])
    value = float((surface.mass @ surface.values(budget.points(size, tokens, rate)))[0])
    good = np.append(_same_loss(surface, budget, spent, sizes, value), size)
    best: dict[str, Any] = {
        "compute": compute, "params": float(size[0]), "tokens": float(tokens[0]),
        "tokens_per_param": float(tokens[0] / size[0]), "value": math.exp(value),
        "same_loss_params_low": float(good.min()), "same_loss_params_high": float(good.max()),
        "flop": float(rate[0] * tokens[0]), "unspent_flop": max(0.0, compute - spent),
        "flop_per_token": float(rate[0]), "flop_per_param_token": float(rate[0] / size[0]),
        "valid": "; ".join(_doubts(surface, found)),
    }  # fmt: skip
    if budget.unique_tokens is not None:
        best |= {"unique_tokens": budget.unique_tokens, "epochs": max(1.0, float(tokens[0] / budget.unique_tokens))}
    if budget.serving_tokens:
        best["serving_flop"] = spent - best["flop"]
    if budget.usd_per_flop is not None:
        best |= {"usd": spent * budget.usd_per_flop, "unspent_usd": best["unspent_flop"] * budget.usd_per_flop}
    return best | ({"if_all_spent": _all_spent(surface, budget, compute, sizes)} if found.bound[0] else {})


def _doubts(surface: Surface, found: Optimum) -> list[str]:
    """What limits the answer."""
    doubts = ["the optimum lies at the edge of the sizes searched"] if found.edge else []
    if surface.share < HARDLY:
        doubts.append(
            f"compute alone describes these runs (weight {1 - surface.share:.3f}): sizes are hardly told apart"
        )
    return doubts


def _all_spent(surface: Surface, budget: Budget, compute: float, sizes: Floats) -> dict[str, float]:
    """The larger model on the same capped tokens that the whole budget buys, and its loss."""
    price = budget.flop(np.full(len(sizes), budget.cap_tokens), budget.rate(sizes))
    size = np.exp(np.interp([math.log(compute)], np.log(price), np.log(sizes)))
    points = budget.points(size, np.array([budget.cap_tokens]), budget.rate(size))
    return {"params": float(size[0]), "value": float(np.exp(surface.mass @ surface.values(points))[0])}


def _same_loss(surface: Surface, budget: Budget, spent: float, sizes: Floats, value: float) -> Floats:
    """The sizes whose mean log loss at the same spending is within SAME_LOSS of the best."""
    rate = budget.rate(sizes)
    tokens = budget.tokens(spent, sizes, rate)
    able = (tokens > 0) & (tokens <= budget.cap_tokens)
    mean = surface.mass @ surface.values(budget.points(sizes[able], tokens[able], rate[able]))
    return sizes[able][mean <= value + SAME_LOSS]


def _interval(
    found: Optimum, budget: Budget, compute: float, mass: Floats, rate: float, level: float
) -> dict[str, float]:
    """Quantiles of the draws' optima, each moved by a law's unknown error; the recommended run is never outside."""
    bend, normal, count = found.bend[1:], NormalDist(0.0, CHERNOFF_SD), len(mass)
    steps = np.array([normal.inv_cdf((i + 0.5) / count) for i in range(count)])
    width = np.where(bend > 0, (2 * rate / np.where(bend > 0, bend, 1.0)) ** (2 / 3), WIDEST)
    move = np.minimum(width, WIDEST) * np.random.default_rng(3).permutation(steps)
    params = found.params[1:] * np.exp(move)
    tokens = np.where(found.bound[1:], budget.cap_tokens, budget.tokens(compute, params)).clip(max=budget.cap_tokens)
    sides: dict[str, float] = {}
    for name, draws, best in (("params", params, found.params[0]), ("tokens", tokens, found.tokens[0])):
        low, high = (weighted_quantile(draws, mass, q) for q in ((1 - level) / 2, (1 + level) / 2))
        sides |= {f"{name}_low": min(low, float(best)), f"{name}_high": max(high, float(best))}
    # At one budget a larger size has fewer tokens: the ends of the ratio are the opposite ends of its parts.
    return sides | {
        "tokens_per_param_low": sides["tokens_low"] / sides["params_high"],
        "tokens_per_param_high": sides["tokens_high"] / sides["params_low"],
    }


def weighted_quantile(draws: Floats, mass: Floats, q: float) -> float:
    """The least draw with at least the share q of the mass at or below it."""
    order = np.argsort(draws)
    at = int(np.searchsorted(np.cumsum(mass[order]), q))
    return float(draws[order[min(at, len(order) - 1)]])
