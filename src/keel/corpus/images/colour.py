"""What is done to the colours of an image in training: jitter, hue, grey, solarised, each with odds of its own.

Legend: (3, H, H) red, green and blue in [0, 1], float32; one plane is (H, H).
"""

from __future__ import annotations

import math

import numpy as np

GREY = (np.float32(0.299), np.float32(0.587), np.float32(0.114))  # ITU-R BT.601, as Pillow's own grey
# Of red, green and blue: the two axes of colour beside the grey of BT.601 (its I and Q), and the way back.
ACROSS = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
BACK = np.linalg.inv(ACROSS)


def jittered(values: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Brightness, then contrast about the mean grey, then saturation about each pixel's grey; cut to [0, 1]."""
    bright, contrast, saturation = (np.float32(factor) for factor in factors)
    values = np.clip(values * bright, 0.0, 1.0)
    middle = np.float32(_grey(values).mean(dtype=np.float64))
    values = np.clip(middle + (values - middle) * contrast, 0.0, 1.0)
    grey = _grey(values)
    return np.asarray(np.clip(grey + (values - grey) * saturation, 0.0, 1.0), dtype=np.float32)


def turned(values: np.ndarray, share: float) -> np.ndarray:
    """Hues turned by a share of the full circle about the axis of greys, which stay; cut to [0, 1].

    A turn in the plane of I and Q keeps the grey of every pixel; libraries turn the hue of HSV, whose circle it nearly
    is, and which does not.

    Example:
        >>> red = np.array([1.0, 0.0, 0.0], np.float32)[:, None, None]
        >>> [round(float(v), 2) for v in turned(red, 1 / 3).ravel()]
        [0.0, 0.73, 0.0]
    """
    angle = 2.0 * math.pi * share
    circle = np.array(
        [[1.0, 0.0, 0.0], [0.0, math.cos(angle), math.sin(angle)], [0.0, -math.sin(angle), math.cos(angle)]]
    )
    weights = (BACK @ circle @ ACROSS).astype(np.float32)
    # By planes, as `_grey`: a matrix product's bits would hang on the number of threads.
    mixed = [values[0] * row[0] + values[1] * row[1] + values[2] * row[2] for row in weights]
    return np.asarray(np.clip(np.stack(mixed), 0.0, 1.0), dtype=np.float32)


def greyed(values: np.ndarray) -> np.ndarray:
    """Each pixel's grey in all three planes."""
    return np.repeat(_grey(values)[None], 3, axis=0)


def solarised(values: np.ndarray) -> np.ndarray:
    """1 - v from .5 on, v below.

    Example:
        >>> solarised(np.array([0.25, 0.5, 0.75], np.float32)).tolist()
        [0.25, 0.5, 0.25]
    """
    return np.where(values < np.float32(0.5), values, np.float32(1.0) - values)


def _grey(values: np.ndarray) -> np.ndarray:
    """Brightness of each pixel, (H, H). No matrix product: its bits would hang on the number of threads."""
    return np.asarray(values[0] * GREY[0] + values[1] * GREY[1] + values[2] * GREY[2])
