"""Images in clusters by their states: whitened, of length 1, k-means; and every cluster seen as often. No torch.

Legend: n images, d width of a state, p directions kept, k clusters.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from keel.errors import StudyError

Points = NDArray[np.floating]
Labels = NDArray[np.int64]
# Below a share so small of the largest variance a direction is rounding, and whitening would make it as loud as any.
LEAST_VARIANCE = 1e-8


def whitened(states: Points, most: int) -> Points:
    """(n, d) -> (n, p): the p <= `most` principal directions of largest variance, each of variance 1, rows of length 1.

    Reference: Caron et al. 2018, arXiv:1807.05520, section 4.1.

    Raises:
        StudyError: all states are one.

    Example:
        >>> points = whitened(np.array([[9.0, 0, 5], [-9, 0, 5], [0, 1, 5], [0, -1, 5]]), 8)
        >>> points.shape, np.linalg.norm(points, axis=1).round(6).tolist()
        ((4, 2), [1.0, 1.0, 1.0, 1.0])
    """
    from threadpoolctl import threadpool_limits

    states = np.asarray(states, np.float64)
    centred = states - states.mean(0)
    with threadpool_limits(1):  # the bits of a product hang on how many threads share it
        variances, axes = np.linalg.eigh(centred.T @ centred / len(states))
        kept = np.arange(len(variances))[::-1][:most]
        if variances[-1] <= LEAST_VARIANCE**2 * np.square(states).sum(1).mean():
            raise StudyError("all images have one state", why="nothing tells them apart: the model has collapsed",
                             fix="lower the learning rate, or raise train.options.every", where="train")  # fmt: skip
        kept = kept[variances[kept] > LEAST_VARIANCE * variances[-1]]
        points = centred @ axes[:, kept] / np.sqrt(variances[kept])
    found: Points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return found


def grouped(points: Points, supers: int, subs: int, iterations: int, rng: np.random.Generator) -> Labels:
    """Labels (n,): k-means into `supers` super-clusters (label // subs), and each of them into `subs` clusters.

    One of fewer images than `subs` has a cluster for each. Reference: Caron et al. 2019, arXiv:1905.01278, section 3.3.
    """
    first, labels = k_means(points, supers, iterations, rng), np.empty(len(points), np.int64)
    for one in range(supers):
        members = np.flatnonzero(first == one)
        labels[members] = one * subs + k_means(points[members], min(subs, len(members)), iterations, rng)
    return labels


def k_means(points: Points, k: int, iterations: int, rng: np.random.Generator) -> Labels:
    """The nearest of k centroids (n,), which begin at random points and move so many times at most; none is empty."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    assert k <= len(points), "more clusters than images"
    seed = int(rng.integers(1 << 31))
    if k == 1:
        return np.zeros(len(points), np.int64)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer points that differ than clusters: filled below
        made = KMeans(k, init="random", n_init=1, max_iter=iterations, random_state=seed, algorithm="lloyd")
        labels = made.fit_predict(points).astype(np.int64)
    return filled(points, labels, k, rng)


def filled(points: Points, labels: Labels, k: int, rng: np.random.Generator) -> Labels:
    """Labels without an empty cluster: each takes a part of one that has two images at least, drawn at random.

    That one's centroid and a slightly moved copy of it share its images; where these are all alike, each takes half.
    Reference: Caron et al. 2018, arXiv:1807.05520, section 3.3.

    Example:
        >>> filled(np.array([[0.0], [1], [9]]), np.array([0, 0, 2]), 3, np.random.default_rng(0)).tolist()
        [0, 1, 2]
    """
    labels = labels.copy()
    for empty in np.flatnonzero(np.bincount(labels, minlength=k) == 0):
        chosen = rng.choice(np.flatnonzero(np.bincount(labels, minlength=k) > 1))
        members = np.flatnonzero(labels == chosen)
        inside = points[members]
        nearer = (inside - inside.mean(0)) @ rng.standard_normal(points.shape[1]) > 0
        if not 0 < nearer.sum() < len(members):
            nearer = np.arange(len(members)) >= len(members) // 2
        labels[members[nearer]] = empty
    return labels


def matched(old: Labels, new: Labels, supers: int, subs: int) -> Labels:
    """New labels renamed so that as many images as can be keep their old one: super-clusters, then clusters within.

    Reference: Kuhn 1955, doi:10.1002/nav.3800020109.

    Example:
        >>> matched(np.array([0, 0, 1, 1, 2]), np.array([2, 2, 0, 0, 0]), 1, 3).tolist()
        [0, 0, 1, 1, 1]
    """
    first = _renamed(old // subs, new // subs, supers)[new // subs]
    labels = np.empty_like(new)
    for one in range(supers):
        here = first == one
        stayed = here & (old // subs == one)
        labels[here] = one * subs + _renamed(old[stayed] % subs, new[stayed] % subs, subs)[new[here] % subs]
    return labels


def _renamed(old: Labels, new: Labels, k: int) -> Labels:
    """The old name (k,) of each new one."""
    from scipy.optimize import linear_sum_assignment

    overlap = np.bincount(new * k + old, minlength=k * k).reshape(k, k)
    names: Labels = linear_sum_assignment(overlap, maximize=True)[1]
    return names


def evenly(labels: Labels, rng: np.random.Generator) -> Labels:
    """Places (n,): every cluster as often as any other, up to one, each time an image of it drawn at random.

    Reference: Caron et al. 2018, arXiv:1807.05520, section 3.3.
    """
    present, by_label = np.unique(labels), np.argsort(labels, kind="stable")
    which = rng.permutation(present)[np.arange(len(labels)) % len(present)]
    starts, ends = (np.searchsorted(labels[by_label], which, side) for side in ("left", "right"))
    drawn = starts + np.floor(rng.random(len(labels)) * (ends - starts)).astype(np.int64)
    return rng.permutation(by_label[drawn])
