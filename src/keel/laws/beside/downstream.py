"""Accuracy in two steps: runs forecast the loss, and pairs of (loss, accuracy) say what a loss is worth on a task.

    acc = floor + (top - floor) sigma(eta),     eta = c - s (L / L_mid - 1),     floor ~ N(chance, .02),  top <= 1

Far above the bend this is chance + k e^(-gamma L), the error law of Gadre et al.; it stays in [floor, 1]. The loss may
be the validation loss or the task's own bits per byte of the right answer. Pairs may come from any models that the
same task and the same loss were measured on: finished runs, checkpoints, released models.

The interval holds the loss's own forecast, the posterior of (c, s, top), the scatter of runs about the curve, and an
error of eta that grows with the loss below the lowest seen, learnt from hiding the best pairs.

Reference: Gadre et al. 2024, arXiv:2403.08540, eq. 5 (error against loss); Bhagia et al. 2024, arXiv:2412.04403 (two
steps, sigmoid from task loss to accuracy).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from keel.errors import Problem, Refusal, StudyError
from keel.laws.beside.posterior import posterior
from keel.laws.ensemble import Ensemble
from keel.laws.forecast import spread
from keel.laws.law import Floats

# Normal priors of c, log s, t with top = floor + (1 - floor) sigma(t), and of how far the floor lies off chance.
MEAN, SD = np.array([-1.0, math.log(6.0), 3.0, 0.0]), np.array([2.5, 0.7, 1.0, 0.02])
LEAST_PAIRS = 6
NEAR = 0.1  # a pair whose loss is 10 % above the lowest has half the say: the curve is wanted where the best pairs end
CUTS = (0.5, 0.65, 0.8, 0.9)  # back-tests see this share of the pairs, those of the highest losses
# SD of eta per square root of relative loss below the lowest seen: before the folds say it, and at most.
RATE, RATE_FOLDS, RATE_MOST = 1.0, 1.0, 4.0
OFF_CHANCE, BEST_SHARE = 3.0, 0.25  # the best quarter of pairs must lie three standard errors above chance
NUM_LOSS, NUM_NOISE = 32, 8
SMALL = 1e-9


class Pair(NamedTuple):
    """One model's `loss` and its `accuracy` in [0, 1] on the task."""

    id: str
    loss: float
    accuracy: float


class TaskForecast(NamedTuple):
    """Accuracy in [0, 1] at one point with its interval at `level`; `loss` is the first step's median.

    `ahead`: how far that loss lies below the lowest of the pairs, as a share of it. `width_parts`: half-widths that
    the loss, the curve, and the runs' scatter would give alone.
    """

    value: float
    low: float
    high: float
    level: float
    loss: float
    ahead: float
    width_parts: dict[str, float]
    warnings: tuple[str, ...]


class Task(NamedTuple):
    """The fitted second step: `theta` [3], `cloud` [s, 3], scatter of accuracies, `rate` of eta's error."""

    theta: Floats
    cloud: Floats
    middle: float
    lowest: float
    chance: float
    scatter: float
    rate: float
    folds: int

    def accuracy(self, loss: Floats) -> Floats:
        """The best fit's accuracy at each loss [n]."""
        return np.asarray(_curve(self.theta[None], loss / self.middle - 1, self.chance)[0][0])

    def forecast(self, losses: Floats, level: float = 0.9) -> list[TaskForecast]:
        """Accuracy at each of m points, from equally likely losses [k, m] of the first step."""
        return [self._one(losses[:, i], level) for i in range(losses.shape[1])]

    def _one(self, losses: Floats, level: float) -> TaskForecast:
        middle = float(np.median(losses))
        ahead = np.maximum(1 - losses / self.lowest, 0.0)
        strata = _strata(NUM_NOISE)
        moved = strata[:, None] * self.rate * np.sqrt(ahead)  # of eta, [noise, k]
        z = losses / self.middle - 1
        eta = _eta(self.cloud, z)[:, None, :] + moved  # [draws, noise, k]
        middles = self._range(eta)
        full = np.clip(middles[..., None] + self.scatter * strata, 0.0, 1.0)
        tail = (1 - level) / 2
        low, value, high = np.quantile(full, [tail, 0.5, 1 - tail])
        alone = {
            "loss": self.accuracy(losses),
            "curve": self._range(_eta(self.cloud, np.full(1, middle / self.middle - 1)) + moved[:, NUM_LOSS // 2]),
            "scatter": self.scatter * strata,
        }
        parts = {name: float(np.ptp(np.quantile(part, [tail, 1 - tail]))) / 2 for name, part in alone.items()}
        share = max(1 - middle / self.lowest, 0.0)
        return TaskForecast(
            float(value), float(low), float(high), level, middle, share, parts, self._warnings(share, value)
        )

    def _range(self, eta: Floats) -> Floats:
        floor, height = (part.reshape(-1, *([1] * (eta.ndim - 1))) for part in _ends(self.cloud, self.chance))
        return np.asarray(floor + height * _sigma(eta))

    def _warnings(self, share: float, value: float) -> tuple[str, ...]:
        found = []
        if share > 0.02:
            found.append(f"the loss is {100 * share:.2g} % below the lowest with a measured accuracy")
        if not self.folds:
            found.append("too few pairs for a back-test: the interval leans on priors")
        if value < self.chance + 2 * self.scatter:
            found.append(f"within the runs' scatter of chance ({self.chance:g})")
        return tuple(found)


def _sigma(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -500, 500))))


def _eta(theta: Floats, z: Floats) -> Floats:
    return np.asarray(theta[:, :1] - np.exp(theta[:, 1:2]) * z)


def _curve(theta: Floats, z: Floats, chance: float) -> tuple[Floats, Floats]:
    """Accuracy [b, n] at relative losses z [n] and its derivatives by c, log s, t [b, n, 3]."""
    bend = _sigma(_eta(theta, z))
    floor, height = _ends(theta, chance)
    slope = height * bend * (1 - bend)
    share = _sigma(theta[:, 2:3])
    free = (floor > 0) + 0.0
    by = (slope, -slope * np.exp(theta[:, 1:2]) * z, height * (1 - share) * bend, free * (1 - share * bend))
    return floor + height * bend, np.stack(by, -1)


def _ends(theta: Floats, chance: float) -> tuple[Floats, Floats]:
    """Floor and height of the curve for each theta, [b, 1]; a task not yet learnt may sit a little off chance."""
    floor = np.clip(chance + theta[:, 3:4], 0.0, 1.0)
    return floor, (1 - floor) * _sigma(theta[:, 2:3])


def _strata(num: int) -> Floats:
    """Evenly likely standard normal values."""
    return np.array([NormalDist().inv_cdf((i + 0.5) / num) for i in range(num)])


def fit_task(pairs: Sequence[Pair], chance: float) -> Task | Refusal:
    """Fit the second step; `chance` is the accuracy of guessing (1 / choices, 0 for free answers).

    Raises:
        StudyError: an accuracy outside [0, 1], a loss that is not positive, a chance outside [0, 1).
    """
    _check(pairs, chance)
    what = "no second step from loss to accuracy"
    if len(pairs) < LEAST_PAIRS:
        return Refusal(what, f"{len(pairs)} pairs of loss and accuracy; {LEAST_PAIRS} are needed",
                       "evaluate the task on more checkpoints, or on released models of known loss")  # fmt: skip
    ordered = sorted(pairs, key=lambda p: (p.loss, p.accuracy, p.id))
    loss, accuracy = np.array([p.loss for p in ordered]), np.array([p.accuracy for p in ordered])
    refusal = _at_chance(loss, accuracy, chance, what)
    if refusal is not None:
        return refusal
    middle = float(loss.mean())
    z = loss / middle - 1
    masks = [m for cut in CUTS if LEAST_PAIRS <= (m := loss >= np.quantile(loss, 1 - cut)).sum() < len(loss)]
    noise = np.sqrt(1 + ((loss / loss[0] - 1) / NEAR) ** 2)
    found = posterior(lambda theta: _curve(theta, z, chance), accuracy, MEAN, SD, np.array(masks, float), noise)
    slope = _curve(found.theta[None], z, chance)[1][0, :, 0]
    squares = [RATE_FOLDS * RATE**2]
    for miss, mask in zip(found.miss, masks):
        ahead = np.maximum(1 - loss / loss[mask].min(), 0.0)
        extra = np.maximum(miss**2 - found.scale**2, 0.0)[~mask].sum()
        room = float((slope**2 * ahead)[~mask].sum())
        squares.append(min(float(extra) / max(room, SMALL), RATE_MOST**2))
    rate = math.sqrt(sum(squares) / (RATE_FOLDS + len(masks)))
    return Task(found.theta, found.cloud, middle, float(loss[0]), chance, found.scale, rate, len(masks))


def _at_chance(loss: Floats, accuracy: Floats, chance: float, what: str) -> Refusal | None:
    """A task that no pair has left: the best quarter within three standard errors of chance."""
    num = max(math.ceil(BEST_SHARE * len(loss)), 4)
    line = np.polyval(np.polyfit(loss[:num], accuracy[:num], 1), loss[:num])
    noise = max(float(np.std(accuracy[len(accuracy) // 2 :])), float(np.std(accuracy[:num] - line)))
    above, error = float(accuracy[:num].mean()) - chance, noise / math.sqrt(num)
    if above >= OFF_CHANCE * error and above > 0:
        return None
    return Refusal(
        what,
        f"at chance: the best {num} pairs lie {100 * above:.2g} points above {chance:g}, with a standard error of "
        f"{100 * error:.2g}; nothing here says at which loss, or size, the task is learnt",
        f"evaluate a released model whose loss is below {loss[0]:.3g} on the task, or forecast one that has moved",
    )


def downstream(
    ensemble: Ensemble, pairs: Sequence[Pair], points: Floats, level: float, chance: float
) -> list[TaskForecast] | Refusal:
    """Accuracy at points [m, 4] (params, tokens, flop, epochs) from laws of the loss and pairs of (loss, accuracy).

    Points beyond the reach of the loss's own back-tests are the caller's to refuse (refuse.py).

    Example:
        >>> from keel.laws.ensemble import build
        >>> from keel.laws.law import Row
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> rows = [Row(f"{n:.0e}-{r}", n, r * n, 6 * n * r * n, loss(n, r * n))
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (10, 20, 40)]
        >>> pairs = [Pair(row.id, row.value, 0.25 + 0.75 / (1 + np.exp(3 * (row.value - 2.9)))) for row in rows]
        >>> point = np.array([[1e9, 2e10, 1.2e20, 1.0]])
        >>> found = downstream(build(rows, "nats_per_token"), pairs, point, 0.9, chance=0.25)[0]
        >>> bool(found.low < 0.25 + 0.75 / (1 + np.exp(3 * (loss(1e9, 2e10) - 2.9))) < found.high)
        True
    """
    task = fit_task(pairs, chance)
    return task if isinstance(task, Refusal) else task.forecast(losses(ensemble, points), level)


def losses(ensemble: Ensemble, points: Floats) -> Floats:
    """NUM_LOSS equally likely losses at each point [k, m], lowest first, from the whole width of the forecast."""
    half = [spread(ensemble, points, 1 - (2 * i + 1) / NUM_LOSS)[1:3] for i in range(NUM_LOSS // 2)]
    return np.stack([low for low, _ in half] + [high for _, high in reversed(half)])


def pairs_of(
    records: Iterable[Mapping[str, Any]], loss: str, accuracy: str, *, percent: bool = False, where: str = "",
    names: Iterable[str] | None = None,
) -> tuple[tuple[Pair, ...], tuple[str, ...]]:  # fmt: skip
    """Pairs from a table's columns, and the rows left out because one of the two cells is empty.

    `names` are the rows' own, "row 1" and so on if not given.

    Raises:
        StudyError: cells that are no numbers; all of them are named.
    """
    pairs, empty, problems = [], [], []
    plain = (f"row {line}" for line in itertools.count(1))
    for name, record in zip(plain if names is None else names, records):
        cells = [record.get(loss), record.get(accuracy)]
        if any(cell is None or cell == "" for cell in cells):
            empty.append(name)
            continue
        try:
            pairs.append(Pair(name, float(str(cells[0])), float(str(cells[1])) / (100 if percent else 1)))
        except ValueError:
            problems.append(Problem(f"{name}: not a number", f"{loss} is {cells[0]!r}, {accuracy} is {cells[1]!r}",
                                    "mend the cell, or empty it to leave the pair out", where))  # fmt: skip
    if problems:
        raise StudyError.all(problems)
    return tuple(pairs), tuple(empty)


def _check(pairs: Sequence[Pair], chance: float) -> None:
    if not 0 <= chance < 1:
        raise StudyError(f"chance {chance!r} is not in [0, 1)", why="it is the accuracy of guessing",
                         fix="give 1 / number of choices, or 0 for free answers")  # fmt: skip
    bad = [p for p in pairs if not (0 <= p.accuracy <= 1 and p.loss > 0 and math.isfinite(p.loss))]
    if bad:
        shown = ", ".join(f"{p.id} (loss {p.loss!r}, accuracy {p.accuracy!r})" for p in bad[:5])
        raise StudyError(f"{len(bad)} pairs are none", why=f"accuracy in [0, 1] and a positive loss: {shown}",
                         fix="mend these runs; write per cent as shares")  # fmt: skip
