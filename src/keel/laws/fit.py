"""Robust fits, many at once: maximum a posteriori under Student-t residuals of the log loss.

    minimise over theta, s:  sum_i w_i [(nu + 1)/2 log(1 + r_i^2 / (nu s^2)) + log s]
                             + sum_j (theta_j - m_j)^2 / (2 sd_j^2) + (log s - m_s)^2 / (2 sd_s^2)

with r_i = (log L_i - log L^(theta)_i) / g_i, g_i a run's noise relative to the most telling run's (relevance.py) and
w in {0, 1} (a fold's mask). Levenberg-Marquardt on iteratively reweighted residuals with analytic derivatives; all
starts and all folds of a back-test advance together in one array. Starts see at most THIN rows, evenly spaced in
compute; the best of each fold is then carried on over all rows.

Reference: Lange, Little, Taylor 1989 (Student-t regression); Hoffmann et al. 2022, app. D.2 (log-space residuals).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.laws.law import Floats, Law

NU = 4.0  # degrees of freedom: a run ten scales off weighs a twentieth
SCALE_MEAN, SCALE_SD = math.log(0.003), 1.0  # final losses scatter by .03-1 % between seeds
SCALE_LEAST = math.log(1e-5)
STEPS, SETTLED = 60, 1e-5
NUM_STARTS, NUM_WARM, THIN = 8, 3, 160
NUM_DRAWS, PROPOSAL_NU = 256, 6.0
MOST_PROPOSALS, LEAST_PROPOSALS, PROPOSAL_CELLS = 2048, 512, 200_000  # cells: proposals x rows
BLOCK_CELLS = 2048  # larger temporaries leave the cache and are given back to the system each time


class Fits(NamedTuple):
    """The best fit of each fold: theta [f, p], log residual scale [f], objective [f], Hessian [f, p, p], and the log
    misses [f, n] (not divided by g).
    """

    theta: Floats
    scale: Floats
    objective: Floats
    hessian: Floats
    residual: Floats


def starts(mean: Floats, sd: Floats, num: int) -> Floats:
    """The prior's mean and draws around it, the same at every call."""
    noise = np.random.default_rng(0).standard_normal((num - 1, len(mean)))
    return np.vstack([mean, mean + 0.8 * sd * noise])


def fit(
    law: Law, x: Floats, y: Floats, masks: Floats, noise: Floats, mean: Floats, sd: Floats, near: Floats | None = None
) -> Fits:
    """Fit `law` to log losses y [n] at x [n, 4], once for each mask [f, n] with its noise g [f, n].

    `near` is a first guess [p] for every fold; with it fewer other starts are tried.
    """
    begin = starts(mean, sd, NUM_STARTS) if near is None else np.vstack([near, starts(mean, sd, NUM_WARM - 1)])
    folds, each, some = len(masks), len(begin), _spread(x, masks)
    found = _descend(
        law, x[some], y[some], np.repeat(masks[:, some], each, 0), np.repeat(noise[:, some], each, 0), mean, sd,
        np.tile(begin, (folds, 1)),
    )  # fmt: skip
    best = np.argmin(found.objective.reshape(folds, each), 1) + each * np.arange(folds)
    if len(some) == len(y):
        return Fits(*(part[best] for part in found))
    return _descend(law, x, y, masks, noise, mean, sd, found.theta[best])


def _spread(x: Floats, masks: Floats) -> NDArray[np.intp]:
    """Row numbers: all, or THIN of them evenly over the order of compute, of those that any mask keeps."""
    kept = np.flatnonzero(masks.max(0) > 0)
    if len(kept) <= THIN:
        return np.arange(len(x)) if len(kept) == len(x) else kept
    order = kept[np.lexsort((x[kept, 0], x[kept, 2]))]
    return np.sort(order[np.linspace(0, len(order) - 1, THIN).round().astype(int)])


def _scale(residual: Floats, masks: Floats, scale: Floats) -> Floats:
    """Two EM steps on the residual scale; each lowers the objective."""
    for _ in range(2):
        square = residual**2
        weight = masks * (NU + 1) / (NU + square * np.exp(-2 * scale)[:, None])
        total, count = (weight * square).sum(1), masks.sum(1)
        for _ in range(2):
            fitted = total * np.exp(-2 * scale)
            slope = count - fitted + (scale - SCALE_MEAN) / SCALE_SD**2
            scale = scale - np.clip(slope / (2 * fitted + 1 / SCALE_SD**2), -1, 1)
    return np.maximum(scale, SCALE_LEAST)


def objective(residual: Floats, masks: Floats, scale: Floats, theta: Floats, mean: Floats, sd: Floats) -> Floats:
    """Minus the log posterior, up to a constant, for each member of the batch."""
    tail = (NU + 1) / 2 * np.log1p(residual**2 * (np.exp(-2 * scale) / NU)[:, None]) + scale[:, None]
    prior = (((theta - mean) / sd) ** 2).sum(1) + ((scale - SCALE_MEAN) / SCALE_SD) ** 2
    return np.asarray((masks * tail).sum(1) + 0.5 * prior)


def _curvature(residual: Floats, masks: Floats, scale: Floats, by: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """Gauss-Newton Hessian [b, p, p] and each residual's weight over s^2 [b, n]."""
    weight = masks * (NU + 1) / (NU * np.exp(2 * scale)[:, None] + residual**2)
    return np.matmul((by * weight[:, :, None]).transpose(0, 2, 1), by) + np.diag(sd**-2.0), weight


def _descend(
    law: Law, x: Floats, y: Floats, masks: Floats, noise: Floats, mean: Floats, sd: Floats, theta: Floats
) -> Fits:
    scale, damping = np.full(len(theta), math.log(0.02)), np.full(len(theta), 1e-2)

    def at(theta: Floats) -> tuple[Floats, Floats]:
        guess, by = law.curve(theta, x)
        return (y - guess) / noise, by / noise[:, :, None]

    (residual, by), eye = at(theta), np.eye(theta.shape[1])
    quiet = 0
    for _ in range(STEPS):
        scale = _scale(residual, masks, scale)
        now = objective(residual, masks, scale, theta, mean, sd)
        hessian, weight = _curvature(residual, masks, scale, by, sd)
        slope = np.matmul(by.transpose(0, 2, 1), (weight * residual)[:, :, None])[:, :, 0] - (theta - mean) / sd**2
        ridge = damping[:, None] * np.diagonal(hessian, axis1=1, axis2=2)
        step = np.linalg.solve(hessian + ridge[:, :, None] * eye, slope[:, :, None])[:, :, 0]
        # No constant moves by more than two prior SDs at once: exponentials of exponentials overflow otherwise.
        step = step / np.maximum(1.0, np.abs(step / (2 * sd)).max(1))[:, None]
        residual_new, by_new = at(theta + step)
        new = objective(residual_new, masks, scale, theta + step, mean, sd)
        better = new <= now
        theta = np.where(better[:, None], theta + step, theta)
        residual = np.where(better[:, None], residual_new, residual)
        by = np.where(better[:, None, None], by_new, by)
        damping = np.clip(np.where(better, damping * 0.2, damping * 6.0), 1e-8, 1e6)
        quiet = quiet + 1 if bool(np.all(now - new < SETTLED)) else 0
        if quiet >= 3:
            break
    scale = _scale(residual, masks, scale)
    hessian, _ = _curvature(residual, masks, scale, by, sd)
    return Fits(theta, scale, objective(residual, masks, scale, theta, mean, sd), hessian, residual * noise)


def log_evidence(found: Fits, sd: Floats, num: int) -> float:
    """Laplace approximation of the log marginal likelihood of the first fold, up to a constant of the data."""
    width = float(np.linalg.slogdet(found.hessian[0])[1]) + math.log(2.0 * num + 1.0 / SCALE_SD**2)
    return float(-found.objective[0] - np.log(sd).sum() - 0.5 * width)


def draws(
    law: Law, found: Fits, x: Floats, y: Floats, noise: Floats, mean: Floats, sd: Floats, *, fine: bool = True
) -> Floats:
    """Posterior draws [NUM_DRAWS, p] of theta, the residual scale integrated out.

    Proposals from a multivariate t around the best fit, widened with the drawn scale, then importance-resampled to
    the exact posterior; each proposal comes with its mirror image. The Laplace cloud alone is too wide where a floor
    and an exponent trade off along a curved ridge, and a scale held at its best makes it too narrow where runs are few.
    """
    rng = np.random.default_rng(1)
    many = min(MOST_PROPOSALS, max(LEAST_PROPOSALS, PROPOSAL_CELLS // len(y)))
    count, dim = many if fine else LEAST_PROPOSALS // 2, len(mean)
    half = count // 2
    shift = np.repeat(rng.standard_normal(half), 2) * np.tile([1.0, -1.0], half)
    tails = np.sqrt(rng.chisquare(PROPOSAL_NU, half) / PROPOSAL_NU)
    step = np.repeat(rng.standard_normal((half, dim)) / tails[:, None], 2, 0)
    step[1::2] *= -1.0
    spread = 1.5 / math.sqrt(2.0 * len(y))  # of log s: wider than its own posterior, and a little above its mode
    scale = found.scale[0] + spread * (shift + 0.5)
    stretch = np.exp(spread * shift)
    root = _root(found.hessian[0])
    cloud = found.theta[0] + stretch[:, None] * (step @ root.T)
    parts, all_runs = min(count, math.ceil(count * len(y) / BLOCK_CELLS)), np.ones((1, len(y)))
    fall = np.concatenate(
        [
            objective((y - law.curve(theta, x)[0]) / noise, all_runs, log_s, theta, mean, sd) - found.objective[0]
            for theta, log_s in zip(np.array_split(cloud, parts), np.array_split(scale, parts))
        ]
    )
    tail = 0.5 * (PROPOSAL_NU + dim) * np.log1p((step**2).sum(1) / PROPOSAL_NU)
    log_weight = tail + 0.5 * shift**2 + dim * np.log(stretch) - fall
    weight = np.exp(log_weight - log_weight.max())
    weight = np.minimum(weight, weight.mean() * math.sqrt(count))  # truncated: one draw may not carry all
    marks = (np.arange(NUM_DRAWS) + 0.5) / NUM_DRAWS
    return np.asarray(cloud[np.searchsorted(np.cumsum(weight) / weight.sum(), marks)])


def _root(hessian_pp: Floats) -> Floats:
    """A matrix R [p, p] with R R^T = H^-1; by eigenvalues where runs without noise leave H too ill to invert."""
    try:
        return np.asarray(np.linalg.cholesky(np.linalg.inv(hessian_pp)))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(hessian_pp)
        return np.asarray(vectors / np.sqrt(np.maximum(values, values.max() * np.finfo(float).eps)))
