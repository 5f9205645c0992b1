"""How far points of length 1 lie apart: what says that a network maps all images to one place.

Legend: B points, e width of their space.
"""

from __future__ import annotations

from torch import Tensor

from keel.objective.base import Stats

POINTS, NUMBER = "points", "points_number"


def seen(points: Tensor) -> Stats:
    """Sums over points (B, e): their own, and how many they are."""
    points = points.detach()
    return {POINTS: points.sum(0), NUMBER: points.new_tensor(float(len(points)))}


def spread(stats: Stats) -> float:
    """1 - |mean point|^2, the sum of variances over the space: 0 where all are one, 1 where they cancel.

    Example:
        >>> import torch
        >>> spread(seen(torch.eye(2))), spread(seen(torch.ones(4, 1)))
        (0.5, 0.0)
    """
    mean = stats[POINTS] / stats[NUMBER]
    return float(1.0 - (mean * mean).sum())
