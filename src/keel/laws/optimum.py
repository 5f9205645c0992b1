"""The compute-optimal run under the weighted laws: least median loss over sizes at one budget of FLOP.

min over N of L(N, D),  D = C / (r N),   r = flop per param and token of the rows (6 where unknown)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keel.laws.ensemble import Ensemble, coordinates

NUM_SIZES = 241
SPAN = (0.1, 1e5)  # sizes searched: from a tenth of the smallest run to far beyond the largest


def optimum(ensemble: Ensemble, compute: float) -> dict[str, Any] | None:
    """Params, tokens, value and tokens per param of the best run at `compute` FLOP, with a range for params.

    `params_low` to `params_high`: sizes that cost at most .2 % of loss. None where no law in use tells sizes apart.
    """
    points = coordinates(ensemble.rows)
    rate = float(np.exp(np.mean(np.log(points[:, 2] / (points[:, 0] * points[:, 1])))))
    weights = np.array([m.weight if "params" in m.law.coords else 0.0 for m in ensemble.members])
    if weights.sum() < 0.05:
        return None
    # The grid stands on the smallest size, so that a rescaling of params moves it along.
    sizes = points[:, 0].min() * np.geomspace(*SPAN, NUM_SIZES)
    tokens = compute / (rate * sizes)
    values = ensemble.log_values(np.stack([sizes, tokens, np.full(NUM_SIZES, compute), np.ones(NUM_SIZES)], 1))
    mean = sum(w * v[0] for w, v in zip(weights / weights.sum(), values))
    mean = np.asarray(mean)
    best = int(np.argmin(mean))
    good = np.flatnonzero(mean <= mean[best] + 0.002)
    edge = best in (0, NUM_SIZES - 1)
    return {
        "compute": compute,
        "params": float(sizes[best]),
        "params_low": float(sizes[good[0]]),
        "params_high": float(sizes[good[-1]]),
        "tokens": float(tokens[best]),
        "tokens_per_param": float(tokens[best] / sizes[best]),
        "value": math.exp(float(mean[best])),
        "flop_per_param_token": rate,
        "valid": "the optimum lies at the edge of the sizes searched" if edge else "",
    }
