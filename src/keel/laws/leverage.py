"""Which runs decide a forecast: what leaving out each of them does to it.

For each law, one Gauss-Newton step from the whole posterior's best (theta, log s) towards that without run i,

    step_i = -H_-i^-1 grad J_-i,      J_-i = J - rho_i,      change_i = (d log L* / d theta) step_i

with rho the Student-t term of fit.py and L* the forecast, ranks all runs at a cost linear in them. The foremost, by
that change and by how hard they pull for their residual, are then left out in earnest, all in one array: where two
runs carry a size alone, the law without one of them may be another law, which no step sees. The laws keep their
weights and priors.

Reference: Cook 1977, Technometrics 19(1) (case deletion); Pregibon 1981, Ann. Statist. 9(4) (one step of it).
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keel.laws.ensemble import Ensemble, Member, coordinates
from keel.laws.fit import NU, SCALE_SD, fit
from keel.laws.law import Floats, Law
from keel.laws.links import link_of
from keel.laws.priors import priors

LEAST_WEIGHT = 0.02  # laws below it can move the mixture by no more than that
NUM_LEFT_OUT, MOST_ROWS = 12, 4000  # of each of the two rankings; fewer where runs are many
MOST_NAMED = 3


class Influence(NamedTuple):
    """One run's say: `change` of the log forecast if it is left out, and its `share` of all runs' absolute changes."""

    id: str
    params: float
    tokens: float
    flop: float
    value: float
    change: float
    share: float


class _Posterior(NamedTuple):
    """One law's data and prior: x [n, 4], log loss y [n], its noise g [n], prior mean and sd [p]."""

    law: Law
    x: Floats
    y: Floats
    noise: Floats
    mean: Floats
    sd: Floats


@dataclass(frozen=True)
class Leverage:
    """All runs of a fit, the one that decides most first."""

    runs: tuple[Influence, ...]

    def __str__(self) -> str:
        """The line that is printed.

        Example:
            >>> some = (Influence("a", 1, 1, 1, 1, 0.012, 0.6), Influence("b", 1, 1, 1, 1, -0.008, 0.4))
            >>> print(Leverage(some))
            2 of 2 runs carry 100 % of the forecast; it would move without a by +1.2 %, b by -0.8 %
        """
        top = self.runs[:MOST_NAMED]
        moves = ", ".join(f"{item.id} by {100 * math.expm1(item.change):+.1f} %" for item in top)
        share = 100 * sum(item.share for item in top)
        return f"{len(top)} of {len(self.runs)} runs carry {share:.0f} % of the forecast; it would move without {moves}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>"


def leverage(ensemble: Ensemble, point: Floats) -> Leverage:
    """The runs by their say in the forecast at `point` [4] (params, tokens, flop, epochs), the strongest first.

    Example:
        >>> from keel.laws import Row
        >>> from keel.laws.ensemble import build
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> rows = [Row(f"{n:.0e}-{r}", n, r * n, 6 * n * r * n, loss(n, r * n) * (1.03 if n == 3e8 and r == 40 else 1))
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (10, 20, 40)]
        >>> found = leverage(build(rows, "nats_per_token"), np.array([1e9, 2e10, 1.2e20, 1.0]))
        >>> len(found.runs), round(sum(item.share for item in found.runs), 6)
        (12, 1.0)
    """
    change = np.zeros(len(ensemble.rows))
    x = np.log(coordinates(ensemble.rows)) - ensemble.frame.centre
    at = np.log(np.atleast_2d(point)) - ensemble.frame.centre
    for member in ensemble.members:
        if member.weight >= LEAST_WEIGHT:
            change += member.weight * _changes(_posterior(ensemble, member, x), member, at)
    change = _in_unit(ensemble, at, change)
    total = float(np.abs(change).sum()) or 1.0
    found = [
        Influence(row.id, row.params, row.tokens, row.flop, row.value, float(c), float(abs(c) / total))
        for row, c in zip(ensemble.rows, change)
    ]
    return Leverage(tuple(sorted(found, key=lambda item: -item.share)))


def _in_unit(ensemble: Ensemble, at: Floats, change: Floats) -> Floats:
    """Changes of the log loss that the laws see, as changes of the log of the forecast in the rows' unit."""
    logs = [m.law.curve(m.theta[None], at)[0][0, 0] for m in ensemble.members]
    log_loss = float(ensemble.weights @ np.array(logs)) + ensemble.frame.log_value
    back = link_of(ensemble.unit).from_loss
    return np.asarray(np.log(back(np.exp(log_loss + change)) / back(np.exp(np.array(log_loss)))))


def _posterior(ensemble: Ensemble, member: Member, x: Floats) -> _Posterior:
    mean, sd = priors(member.law, ensemble.unit, ensemble.frame, ensemble.known)
    y = member.residual + member.law.curve(member.theta[None], x)[0][0]
    return _Posterior(member.law, x, y, ensemble.noise, mean, sd)


def _changes(made: _Posterior, member: Member, at: Floats) -> Floats:
    """Change of the log forecast [n] without each run, under one law."""
    slope = made.law.curve(member.theta[None], at)[1][0, 0]
    change, pull = _first_steps(made, member, slope)
    most = max(1, min(NUM_LEFT_OUT, MOST_ROWS // len(made.y)))
    ranks = [np.argsort(-np.abs(ranked))[:most] for ranked in (change, pull)]
    left_out = np.unique(np.concatenate(ranks))
    masks = np.ones((len(left_out) + 1, len(made.y)))
    masks[1 + np.arange(len(left_out)), left_out] = 0.0
    found = fit(
        made.law, made.x, made.y, masks, np.tile(made.noise, (len(masks), 1)), made.mean, made.sd, near=member.theta
    )
    values = made.law.curve(found.theta, at)[0][:, 0]
    change[left_out] = values[1:] - values[0]
    return change


def _first_steps(made: _Posterior, member: Member, slope: Floats) -> tuple[Floats, Floats]:
    """Change of the log forecast [n] by one step, and what a residual of one scale would change [n]."""
    fitted, by = (part[0] for part in made.law.curve(member.theta[None], made.x))
    residual, by, square = (made.y - fitted) / made.noise, by / made.noise[:, None], member.scale**2
    bottom = NU * square + residual**2
    weight = (NU + 1) / bottom
    mixed = 2 * NU * square * weight * residual / bottom
    each = _bordered(weight[:, None, None] * by[:, :, None] * by[:, None, :], mixed[:, None] * by, mixed * residual)
    hessian = each.sum(0) + np.diag(np.append(made.sd, SCALE_SD) ** -2.0)
    # Without run i the slope of J is minus that of its own term: w r by in theta, and w r^2 - 1 in log s.
    gradient = np.column_stack([(weight * residual)[:, None] * by, weight * residual**2 - 1.0])
    aim = np.append(slope, 0.0)
    change = -np.linalg.solve(hessian - each, gradient[:, :, None])[:, :, 0] @ aim
    pull = weight * member.scale * (by @ np.linalg.solve(hessian, aim)[:-1])
    return np.asarray(change), np.asarray(pull)


def _bordered(theta: Floats, mixed: Floats, scale: Floats) -> Floats:
    """Hessians [n, p + 1, p + 1] in (theta, log s) from their blocks [n, p, p], [n, p], [n]."""
    p = theta.shape[-1]
    whole = np.empty((len(theta), p + 1, p + 1))
    whole[:, :p, :p], whole[:, p, p] = theta, scale
    whole[:, :p, p] = whole[:, p, :p] = mixed
    return whole
