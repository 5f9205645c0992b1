"""How much each run says about the run asked for: its noise, relative to the most telling run's.

    g^2  =  (1 + (excess / tau)^2) * (1 + (off the way / way)^2) * (compute of the largest run / the run's)^fade

- excess: log loss above the frontier, the lowest loss reached with no more compute (and no fewer epochs). No smooth
  law describes runs far off it (diverged, stopped in warm-up, off their learning rate, a size far from the best).
- off the way: distance in log tokens per param and log epochs from the target. Laws are approximate, and least so along
  the way to it.
- compute: the regime of the smallest runs (warm-up, batch, tables of embeddings) fades as runs grow.

A run g times as noisy as another weighs 1 / g^2 of it. No run is dropped. The three constants are one set for all
tables (learnt.py).
"""

from __future__ import annotations

import numpy as np

from keel.laws.law import Floats
from keel.laws.learnt import Learnt

MOST = 30.0  # of log g: a run that far off has no say


def excess(x: Floats, y: Floats) -> Floats:
    """Log loss above the lowest loss seen with no more compute and no fewer epochs, [n].

    Example:
        >>> x = np.array([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 3.0, 0.0]])
        >>> excess(x, np.array([1.0, 0.7, 0.8])).round(3).tolist()
        [0.0, 0.0, 0.1]
    """
    order = np.lexsort((y, x[:, 2]))
    found, epochs = np.empty(len(y)), x[order, 3]
    lowest = np.minimum.accumulate(y[order])
    for again in np.unique(np.round(epochs, 2)):
        like = epochs >= again - 0.01
        lowest = np.where(like, np.minimum.accumulate(np.where(like, y[order], np.inf)), lowest)
    found[order] = y[order] - lowest
    return found


def off_way(x: Floats, aim: Floats | None) -> Floats:
    """Squared distance of log tokens per param and log epochs from the target's x [4], [n]; zero without a target."""
    if aim is None:
        return np.zeros(len(x))
    ratio = x[:, 1] - x[:, 0] - (aim[1] - aim[0])
    return np.asarray(ratio**2 + (x[:, 3] - aim[3]) ** 2)


def likeness(x: Floats, y: Floats, aim: Floats | None, known: Learnt) -> Floats:
    """1 / g^2 without the part of compute: what a hidden run's miss counts in a back-test, [n] in (0, 1]."""
    return np.asarray(1.0 / ((1.0 + (excess(x, y) / known.tau) ** 2) * (1.0 + off_way(x, aim) / known.way**2)))


def noise(like: Floats, x: Floats, masks: Floats, known: Learnt) -> Floats:
    """g [f, n] for each mask [f, n] of fitted runs, from their likeness; the most telling run of each has one."""
    log_g = -0.5 * np.log(like) - 0.5 * known.fade * x[:, 2]
    least = np.where(masks > 0, log_g, np.inf).min(1)
    return np.asarray(np.exp(np.minimum(log_g - least[:, None], MOST)))
