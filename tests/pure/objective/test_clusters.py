"""Clusters of points: whitened, none empty, named as before, each seen as often as any other."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from helpers import study_error
from scipy.stats import chi2_contingency, chisquare

from keel.objective import clusters
from keel.objective.facts_clusters import DEEPERCLUSTER, clusters_for, problems


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def blobs(number: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points about k corners far apart, and which."""
    which = np.arange(number) % k
    return np.eye(k)[which] * 20 + rng(seed).normal(size=(number, k)), which


def test_whitened_directions_have_no_scale_of_their_own() -> None:
    states = rng().normal(size=(200, 5)) @ rng(1).normal(size=(5, 5))
    one, two = (clusters.whitened(given, 8) for given in (states, states * [100, 1, 0.1, 7, 50] + 4))
    np.testing.assert_allclose(one @ one.T, two @ two.T, atol=1e-6)
    assert np.abs(states @ states.T - one @ one.T).max() > 1


def test_directions_are_those_of_most_variance_and_rounding_is_none() -> None:
    states = rng().normal(size=(300, 6)) * [9, 5, 3, 0, 0, 1e-6]
    found = clusters.whitened(states, 8)
    assert found.shape == (300, 3)
    first = clusters.whitened(states, 1)[:, 0]
    assert (np.sign(first) == np.sign(first[0]) * np.sign(states[0, 0]) * np.sign(states[:, 0])).mean() > 0.95


def test_images_of_one_state_are_refused() -> None:
    with study_error("all images have one state", "collapsed"):
        clusters.whitened(np.full((9, 4), 0.3), 4)


def test_k_means_finds_what_is_apart() -> None:
    points, which = blobs(240, 4)
    found = min(
        (clusters.k_means(points, 4, 20, rng(seed)) for seed in range(5)),
        key=lambda labels: sum(points[labels == one].var(0).sum() for one in range(4)),
    )
    assert all(len(set(found[which == one])) == 1 for one in range(4))
    assert len(set(found)) == 4


@pytest.mark.parametrize("k", [3, 7, 40])
def test_no_cluster_is_empty_though_few_points_differ(k: int) -> None:
    points = np.repeat([[0.0, 1.0], [5.0, 5.0]], 20, axis=0)
    found = clusters.k_means(points, k, 10, rng())
    assert set(found) == set(range(k))
    # An emptied cluster takes part of one, and never of two.
    assert all(len(np.unique(points[found == one], axis=0)) == 1 for one in range(k))


def test_an_empty_cluster_shares_one_that_is_not() -> None:
    points, old = rng().normal(size=(60, 3)), np.repeat([0, 1, 4], 20)
    found = clusters.filled(points, old, 5, rng())
    assert np.bincount(found, minlength=5).min() > 0
    moved = found != old
    assert set(found[moved]) == {2, 3}
    assert (found[~moved] == old[~moved]).all()
    assert all(len(set(old[found == one])) == 1 for one in (2, 3))


def test_a_super_cluster_has_its_own_clusters_and_no_more_than_images() -> None:
    points = np.concatenate([rng().normal(size=(100, 2)), [[90.0, 90], [90, 91]]])
    found = clusters.grouped(points, 2, 5, 20, rng(3))
    small = found[-1] // 5
    assert (found // 5 == small).tolist() == [False] * 100 + [True] * 2
    assert len(set(found[:100])) == 5
    assert len(set(found[100:])) == 2


def test_new_clusters_have_the_names_that_most_images_keep() -> None:
    """The best of all ways to name them, and what was only renamed is as it was, on both levels."""
    old, new = rng(1).integers(4, size=50), rng(2).integers(4, size=50)
    kept = max(int((np.array(names)[new] == old).sum()) for names in permutations(range(4)))
    assert int((clusters.matched(old, new, 1, 4) == old).sum()) == kept
    labels = rng(3).integers(12, size=400)
    supers = np.array([2, 0, 1])
    within = np.stack([rng(seed).permutation(4) for seed in range(3)])
    renamed = supers[labels // 4] * 4 + within[labels // 4, labels % 4]
    assert not (renamed == labels).all()
    assert (clusters.matched(labels, renamed, 3, 4) == labels).all()


def test_every_cluster_is_seen_as_often_and_every_image_of_it() -> None:
    labels = rng().permutation(np.repeat(np.arange(6), [300, 5, 120, 1, 60, 17]))
    drawn = np.concatenate([clusters.evenly(labels, rng(epoch)) for epoch in range(60)])
    counts = np.bincount(labels[drawn])
    assert counts.max() - counts.min() <= 60  # one an epoch
    assert chisquare(counts).pvalue > 0.5
    for one in (0, 1, 5):
        each = np.bincount(drawn, minlength=len(labels))[labels == one]
        assert chisquare(each).pvalue > 1e-3
    plain = np.bincount(labels[rng().integers(len(labels), size=len(drawn))])
    assert chisquare(plain).pvalue < 1e-9, "images drawn alike would not be told from clusters drawn alike"


def test_the_order_of_an_epoch_has_no_order() -> None:
    """Clusters come mixed: the first half of an epoch sees them all alike."""
    labels = np.repeat(np.arange(4), 250)
    drawn = labels[clusters.evenly(labels, rng())]
    table = [np.bincount(half, minlength=4) for half in np.split(drawn, 2)]
    assert chi2_contingency(table).pvalue > 1e-3
    assert len(set(map(tuple, np.split(drawn, 250)))) > 50


def test_cluster_counts_that_do_not_divide_are_told_the_next() -> None:
    assert clusters_for(10**6, 4) % 4 == 0
    at = {**DEEPERCLUSTER, "clusters": 30}
    (found,) = problems(at)
    assert (found.where, found.fix.split(":")[0]) == ("clusters", "write 32")
    assert problems({**at, "clusters": 4})
    assert not problems({**at, "clusters": 8})
