"""The learning-rate and batch surface: what a run loses by not being at its best rate, and where the best one lies.

    log L = log L*(cell) + kappa psi(s d_lr) / s^2 + kappa_b psi(s_b d_b) / s_b^2,    psi(z) = e^z - 1 - z
    d_lr = log lr - log lr*,       log lr* = c + a_N log N + a_D log D + a_B log B
    d_b  = log B - log B*,         log B*  = c_b + e_N log N + e_D log D

psi is z^2 / 2 near the best, steep on the side of large rates (divergence) and flat on the other. A cell is the runs of
one size and one token count; its best loss is free, so that only differences inside cells are read. Where the batch
does not vary inside any cell its part is left out, and a_B is the prior's.

Priors are weak and centred on published sweeps: at a fixed batch lr* ~ N^-.5 D^-.1 B^.6, and B* ~ D^.55.
Reference: Li et al. 2025, arXiv:2503.04715 (Step Law: lr* = 1.79 N^-.713 D^.307, B* = .58 D^.571 tokens, together).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.errors import Refusal
from keel.laws.beside.posterior import posterior, widened
from keel.laws.beside.valley import NAMES, NUM_LR, design, excess, valley
from keel.laws.law import Floats, Row
from keel.units import show_count

# Normal priors: c (about the sweep's middle), a_N, a_D, a_B, log kappa, log s; the batch's likewise.
LR_MEAN = np.array([0.0, -0.5, -0.1, 0.6, math.log(0.02), 0.0])
LR_SD = np.array([2.5, 0.3, 0.3, 0.3, 1.2, 0.6])
BATCH_MEAN = np.array([0.0, 0.0, 0.55, math.log(0.005), 0.0])
BATCH_SD = np.array([2.5, 0.3, 0.3, 1.2, 0.6])
LEAST_RATES, SAME = 3, 0.03  # sizes, and token counts, within 3 % are one
NEAR_BEST = 0.01  # a run 1 % above its cell's best has half the say in the shape: the law is one of the neighbourhood
# Cells scatter about the law of lr* by more than their own noise: e^.15, worth two cells, before the cells say it.
SCATTER, SCATTER_CELLS = 0.15, 2.0
SCATTER_MOST = 0.5  # a cell that knows its best rate less well says nothing of the scatter
OFF, SURELY = 0.005, 0.2
LEAST_TOLD = 0.3


class Best(NamedTuple):
    """The rate (and batch, NaN where it is not fitted) to use at one size and token count.

    `low` to `high` hold the best rate at the level asked for; `lr` is the one with the least expected loss over them,
    `regret` that loss as a share, `regret_high` its upper bound. `side` is "at least" or "at most" where the best lies
    at the edge of every sweep, and then the other end of the interval is infinite, or 0.
    """

    lr: float
    low: float
    high: float
    regret: float
    regret_high: float
    batch_tokens: float
    batch_low: float
    batch_high: float
    side: str
    warnings: tuple[str, ...]


class Cost(NamedTuple):
    """What one run lost: `log_distance` = log(lr / lr*), `cost` as a share of its loss, with its interval."""

    id: str
    lr: float
    best_lr: float
    log_distance: float
    cost: float
    low: float
    high: float


class Surface(NamedTuple):
    """The surface fitted to `rows`, the first `swept` of them in sweeps; `theta` [p], `cloud` [s, p], `centre` [4].

    `scatter`: SD by which a cell's own best rate strays from the law, in log lr. `edges`: cells whose best run has the
    lowest rate tried, cells whose best has the highest, all cells with a sweep.
    """

    rows: tuple[Row, ...]
    swept: int
    theta: Floats
    cloud: Floats
    centre: Floats
    scatter: float
    edges: tuple[int, int, int]
    notes: tuple[str, ...]

    @property
    def side(self) -> str:
        """ "at least" or "at most" where every sweep has its best run at the same edge, else ""."""
        low, high, cells = self.edges
        return "at least" if high == cells else "at most" if low == cells else ""

    def constants(self, level: float = 0.9) -> dict[str, tuple[float, float, float]]:
        """The formula's constants, each with its interval; c and c_b for one param, one token, one token a batch."""
        plain = np.vstack([self.theta, self.cloud])
        plain[:, 0] += self.centre[2] - plain[:, 1:4] @ np.nan_to_num(self.centre[[0, 1, 3]])
        plain[:, 4:6] = np.exp(plain[:, 4:6])
        if plain.shape[1] > NUM_LR:
            plain[:, 6] += self.centre[3] - plain[:, 7:9] @ self.centre[:2]
            plain[:, 9:] = np.exp(plain[:, 9:])
        tail = (1 - level) / 2
        low, high = np.quantile(plain[1:], [tail, 1 - tail], axis=0)
        return {name: (float(v), float(lo), float(hi)) for name, v, lo, hi in zip(NAMES, plain[0], low, high)}

    def best(self, params: float, tokens: float, batch_tokens: float | None = None, level: float = 0.9) -> Best:
        """The best rate at `params`, `tokens` and a batch: the given one, else the best, else the rows' middle one."""
        point = np.array([1.0, *(np.log([params, tokens]) - self.centre[:2])])
        cloud, tail = widened(self.cloud, self.scatter), (1 - level) / 2
        batch = cloud[:, 6:9] @ point if cloud.shape[1] > NUM_LR else np.full(len(cloud), math.nan)
        at = float(np.median(batch)) if batch_tokens is None else math.log(batch_tokens) - self.centre[3]
        best = cloud[:, :3] @ point + cloud[:, 3] * np.nan_to_num(at)
        tries = np.quantile(best, np.linspace(0.05, 0.95, 61))
        cost = valley(tries - best[:, None], cloud[:, 4:6])[0]
        if cloud.shape[1] > NUM_LR:
            cost = cost + valley(at - batch[:, None], cloud[:, 9:11])[0]
        chosen = int(np.argmin(cost.mean(0)))
        low, high = np.exp(np.quantile(best, [tail, 1 - tail]) + self.centre[2])
        batches = np.exp(np.quantile(batch, [0.5, tail, 1 - tail]) + self.centre[3])
        return Best(
            lr=math.exp(tries[chosen] + self.centre[2]),
            low=0.0 if self.side == "at most" else float(low),
            high=math.inf if self.side == "at least" else float(high),
            regret=float(cost[:, chosen].mean()),
            regret_high=float(np.quantile(cost[:, chosen], 1 - tail)),
            batch_tokens=float(batches[0]), batch_low=float(batches[1]), batch_high=float(batches[2]),
            side=self.side, warnings=(*self.notes, *_beyond(self, params, tokens, batch_tokens)),
        )  # fmt: skip

    def costs(self, level: float = 0.9) -> list[Cost]:
        """Each run's distance from the best rate at its size, tokens and batch, and its cost; worst first."""
        x = np.nan_to_num(_logs(self.rows) - self.centre)
        best = self.theta[:4] @ design(x).T
        value = np.expm1(excess(self.theta[None], x)[0][0])
        tail = (1 - level) / 2
        low, high = np.expm1(np.quantile(excess(widened(self.cloud, self.scatter), x)[0], [tail, 1 - tail], axis=0))
        found = [
            Cost(row.id, row.lr, math.exp(b + self.centre[2]), float(at - b), float(v), float(lo), float(hi))
            for row, at, b, v, lo, hi in zip(self.rows, x[:, 2], best, value, low, high)
        ]
        return sorted(found, key=lambda c: -c.cost)

    def off(self, level: float = 0.9) -> list[dict[str, str]]:
        """Runs that lost more than half a per cent by their rate or batch, and surely something; worst first."""
        return [{"id": c.id, "why": _why(c)} for c in self.costs(level) if c.cost > OFF and c.low > SURELY * OFF]


def _why(c: Cost) -> str:
    side = "above" if c.log_distance > 0 else "below"
    return (
        f"lr {c.lr:.3g} is {math.exp(abs(c.log_distance)):.2g} x {side} the best, {c.best_lr:.3g}; rate and batch cost "
        f"{100 * c.cost:.2g} % of loss ({100 * c.low:.2g} to {100 * c.high:.2g})"
    )


def _logs(rows: Sequence[Row]) -> Floats:
    """Log params, tokens, rate, batch [n, 4]; no batch (NaN) where any run lacks one."""
    found = np.array([[r.params, r.tokens, r.lr, r.batch_tokens] for r in rows], dtype=float)
    found[:, 3] = found[:, 3] if (found[:, 3] > 0).all() else math.nan
    return np.asarray(np.log(found))


def _steps(values: Floats) -> Floats:
    """A number for each value; those within 3 % of the least of their group are one."""
    order, found, group, start = np.argsort(values), np.zeros(len(values)), -1.0, -math.inf
    for i in order:
        if values[i] > start + SAME:
            group, start = group + 1, values[i]
        found[i] = group
    return found


def fit_rates(rows: Sequence[Row]) -> Surface | Refusal:
    """Fit the surface to runs with a learning rate; at least one size and token count must have three rates.

    Example:
        >>> def loss(n, lr): return (2 + 400 / n**0.3) * (1 + 0.02 * np.log(lr / (2 * n**-0.4)) ** 2)
        >>> rows = [Row(f"{n:.0e} {lr}", n, 20 * n, 120 * n * n, loss(n, lr), lr=lr)
        ...         for n in (1e7, 1e8) for lr in (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3)]
        >>> found = fit_rates(rows).best(1e9, 2e10)
        >>> bool(found.low < 2 * 1e9**-0.4 < found.high), found.regret < 0.01
        (True, True)
    """
    used = [row for row in rows if row.lr > 0]
    if not used:
        return _no_sweep(used)
    logs = _logs(used)
    cell = _steps(logs[:, 0]) * len(used) + _steps(logs[:, 1])
    rates = {c: len(np.unique(logs[cell == c, 2].round(2))) for c in np.unique(cell)}
    swept = np.isin(cell, [c for c, count in rates.items() if count >= LEAST_RATES])
    if not swept.any():
        return _no_sweep(used)
    others = [row for row, keep in zip(used, swept) if not keep]
    used, logs = [row for row, keep in zip(used, swept) if keep], logs[swept]
    ids, owner = np.unique(cell[swept], return_inverse=True)
    batches = [len(np.unique(logs[owner == i, 3].round(2))) for i in range(len(ids))]
    several = bool(np.isfinite(logs[0, 3])) and max(batches) >= LEAST_RATES
    centre, y = logs.mean(0), np.log([row.value for row in used])
    x = np.nan_to_num(logs - centre)
    inside = (owner[None] == np.arange(len(ids))[:, None]).astype(float)
    least = np.array([y[owner == i].min() for i in range(len(ids))])
    noise = np.sqrt(1 + ((y - least[owner]) / NEAR_BEST) ** 2)
    share = inside / noise**2 / (inside / noise**2).sum(1, keepdims=True)

    def above(values: Floats) -> Floats:
        return np.asarray(values - (values @ share.T)[..., owner])

    def form(theta: Floats) -> tuple[Floats, Floats]:
        value, by = excess(theta, x)
        return above(value), np.moveaxis(above(np.moveaxis(by, 1, 2)), 1, 2)

    mean = np.concatenate([LR_MEAN, BATCH_MEAN]) if several else LR_MEAN
    sd = np.concatenate([LR_SD, BATCH_SD]) if several else LR_SD
    found = posterior(form, above(y), mean, sd, noise=noise)
    told = 1 - float((found.residual**2 / noise**2).sum() / (above(y) ** 2 / noise**2).sum())
    if told < LEAST_TOLD:
        why = f"the rate explains {100 * max(told, 0):.0f} % of what runs of one size and token count differ by"
        return Refusal("no learning-rate surface", f"{why}: the rest is noise", "sweep wider: rates 2 to 4 x apart")
    # Each cell's own best loss took one number from the data, which the fit's count of points does not know.
    loose = math.sqrt(len(y) / max(len(y) - len(ids), 1))
    cloud = found.theta + loose * (found.cloud - found.theta)
    pull = form(found.theta[None])[1][0, :, 0]
    places = design(inside @ x / inside.sum(1, keepdims=True))[:, :3]
    scatter, moves = _scatter(pull, found.residual, inside / noise**2, found.scale * loose, places)
    cloud[:, :3] += np.random.default_rng(2).standard_normal((len(cloud), len(ids))) @ moves
    edges = _edges(used, owner)
    notes = _notes(rows, used, edges, several)
    return Surface((*used, *others), len(used), found.theta, cloud, centre, scatter, edges, notes)


def _no_sweep(used: Sequence[Row]) -> Refusal:
    why = "no run has a learning rate" if not used else "no size and token count has three learning rates"
    size = f"{show_count(min(row.params for row in used))} params" if used else "the smallest size"
    return Refusal("no learning-rate surface", why, f"sweep three rates or more, 2 to 4 x apart, at {size}")


def _scatter(pull: Floats, residual: Floats, weight: Floats, scale: float, places: Floats) -> tuple[float, Floats]:
    """SD of the cells' own best rates about the law, and how one SD of each cell moves c, a_N, a_D: [cells, 3].

    A cell's shift is the least-squares one of its residuals on the derivative by log lr* (`weight` [cells, n]); the
    law of lr* takes as many of these shifts from sight as it has constants the priors leave free.
    """
    power = np.maximum(weight @ pull**2, 1e-12)
    shift, error = np.clip(weight @ (pull * residual) / power, -1, 1), scale**2 / power
    known = error < SCATTER_MOST**2
    draw = places / (SCATTER**2 + error)[:, None]
    take = np.linalg.solve(draw.T @ places + np.diag(LR_SD[:3] ** -2.0), draw.T)
    left = max(float((1 - np.einsum("ij,ji->i", places, take))[known].sum()), 0.0)
    own = float(np.maximum(shift**2 - error, 0.0)[known].sum())
    scatter = math.sqrt((SCATTER_CELLS * SCATTER**2 + own) / (SCATTER_CELLS + left))
    return scatter, np.asarray(scatter * take.T)


def _edges(rows: Sequence[Row], owner: NDArray[np.intp]) -> tuple[int, int, int]:
    """Cells whose best run has the lowest rate, cells whose best has the highest, all cells."""
    low = high = 0
    for c in range(int(owner.max()) + 1):
        mine = [row for row, at in zip(rows, owner) if at == c]
        best = min(mine, key=lambda row: row.value).lr
        low += best <= min(row.lr for row in mine) * 1.001
        high += best >= max(row.lr for row in mine) / 1.001
    return low, high, int(owner.max()) + 1


def _notes(rows: Sequence[Row], used: Sequence[Row], edges: tuple[int, int, int], several: bool) -> tuple[str, ...]:
    notes = []
    if len(used) < len(rows):
        notes.append(
            f"{len(rows) - len(used)} of {len(rows)} runs are in no sweep, or have no rate: they shape nothing"
        )
    low, high, cells = edges
    for count, edge in ((low, "lowest"), (high, "highest")):
        if count:
            notes.append(f"{count} of {cells} sweeps have their best run at the {edge} rate tried: sweep further")
    for name, least, exponent in (("size", "params", "-.5 +- .3"), ("token count", "tokens", "-.1 +- .3 at one batch")):
        if float(np.ptp(np.log([getattr(row, least) for row in used]))) < SAME:
            notes.append(f"one {name} swept: the exponent of {least} is the prior's, {exponent}")
    batches = [row.batch_tokens for row in used if row.batch_tokens > 0]
    if not several and batches and max(batches) > 1.03 * min(batches):
        notes.append("the batch varies between sweeps only: the exponent of batch is the prior's, .6 +- .3")
    return tuple(notes)


def _beyond(surface: Surface, params: float, tokens: float, batch_tokens: float | None) -> tuple[str, ...]:
    found = []
    for name, wanted in (("params", params), ("tokens", tokens)):
        most = max(getattr(row, name) for row in surface.rows[: surface.swept])
        if wanted > 1.03 * most:
            found.append(f"{name} {wanted / most:.3g} x beyond the largest swept ({show_count(most)})")
    if batch_tokens is not None and not math.isfinite(surface.centre[3]):
        found.append("not every run has a batch: the one given changes nothing here")
    return tuple(found)
