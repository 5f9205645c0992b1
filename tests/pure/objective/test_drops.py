"""Infilling and dropping: exact shares, known laws, every position alike; the window comes back from what is left."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from keel.errors import StudyError
from keel.objective import drops
from keel.objective.drops import Gapped, drop, gap, infill, restore, span_lengths

ALPHA = 1e-3 / 40
MASK = 99_999
LENGTH = 40
FREE = np.zeros(LENGTH, bool)
SEPARATORS = np.isin(np.arange(LENGTH), [0, 13, 14, 39])

Corrupt = Callable[[np.ndarray, np.random.Generator, np.ndarray], Gapped]
KINDS: dict[str, Corrupt] = {
    "BART": lambda text, rng, fixed: infill(text, rng, 0.3, 3.5, MASK, fixed=fixed),
    "mBART": lambda text, rng, fixed: infill(text, rng, 0.35, 3.5, MASK, fixed=fixed),
    "AlexaTM": lambda text, rng, fixed: drop(text, rng, 0.15, 3, fixed=fixed),
}
SHARES = {"BART": 0.3, "mBART": 0.35, "AlexaTM": 0.15}


def hidden(gapped: Gapped, length: int) -> np.ndarray:
    """Which positions lie in a span, by the plainest loop."""
    mask = np.zeros(length, int)
    for start, size in gapped.spans.tolist():
        mask[start : start + size] += 1
    return mask


def evenness(kind: str, fixed: np.ndarray, draws: int = 3000) -> tuple[float, set[int]]:
    """The smallest two-sided binomial p-value over the free positions, times their number; the totals covered."""
    rng = np.random.default_rng(1)
    windows = [hidden(KINDS[kind](np.arange(len(fixed)), rng, fixed), len(fixed)) for _ in range(draws)]
    seen, total = sum(windows), round(SHARES[kind] * int((~fixed).sum()))
    assert not np.any(seen[fixed])
    odds = total / int((~fixed).sum())
    smallest = min(stats.binomtest(int(count), draws, odds).pvalue for count in seen[~fixed])
    return smallest * int((~fixed).sum()), {int((window > 0).sum()) for window in windows}


@pytest.mark.parametrize("fixed", [FREE, SEPARATORS, FREE[:5]], ids=["free", "separators", "short"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_position_is_covered_equally_often_and_the_share_is_exact(kind: str, fixed: np.ndarray) -> None:
    smallest, totals = evenness(kind, fixed)
    assert smallest > ALPHA
    assert totals == {round(SHARES[kind] * int((~fixed).sum()))}


def test_spans_begun_apart_would_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutant, as fairseq does it: starts drawn one by one and spans stopped at the end cover less, the front least."""

    def apart(free: np.ndarray, total: int, mean: float, rng: np.random.Generator) -> np.ndarray:
        sizes = span_lengths(total, mean, rng)
        starts = rng.permutation(len(free))[: len(sizes)]
        mask = np.zeros(len(free) + 1, bool)
        for start, size in zip(starts, sizes):
            mask[start : min(start + size, len(free))] = True
        edges = np.flatnonzero(np.diff(mask, prepend=False))
        return np.stack([edges[::2], edges[1::2] - edges[::2]], axis=1)

    monkeypatch.setattr(drops, "_spans", apart)
    smallest, totals = evenness("BART", FREE)
    assert smallest < ALPHA
    assert min(totals) < 12


def test_without_the_ring_the_ends_would_be_covered_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutant: the ring is not turned, so a window begins and ends with whole spans."""

    class Still:
        def __init__(self, rng: np.random.Generator) -> None:
            self.poisson, self.choice = rng.poisson, rng.choice

        def integers(self, high: int) -> int:
            return 0

    turned = drops._spans
    monkeypatch.setattr(drops, "_spans", lambda free, total, mean, rng: turned(free, total, mean, Still(rng)))
    assert evenness("BART", FREE)[0] < ALPHA


def test_shares_are_exact_on_any_window() -> None:
    rng = np.random.default_rng(2)
    for _ in range(2000):
        length, share, mean = int(rng.integers(0, 40)), float(rng.uniform(0.01, 1)), float(rng.choice([1, 3, 3.5, 50]))
        text, fixed = rng.integers(0, 1000, length), rng.random(length) < 0.2
        free = int((~fixed).sum())
        filled = infill(text, rng, share, mean, MASK, fixed=fixed)
        dropped = drop(text, rng, share, mean, fixed=fixed)
        for gapped, most in ((filled, free), (dropped, max(free - 1, 0))):
            covered = hidden(gapped, length)
            assert covered.max(initial=0) <= 1
            assert covered.sum() == len(gapped.removed) == min(max(round(share * free), 1), most)
            assert not covered[fixed].any()
            assert restore(gapped).tolist() == text.tolist()
        assert (filled.inputs == MASK).sum() == len(filled.spans)
        assert len(filled.inputs) == length - len(filled.removed) + len(filled.spans)
        assert len(dropped.inputs) == length - len(dropped.removed)
        assert (dropped.spans[:, 1] > 0).all()


def test_the_shortest_windows_are_defined() -> None:
    rng = np.random.default_rng(0)
    for text in ([], [7]):
        assert drop(np.array(text), rng, 0.9, 3, fixed=np.zeros(len(text), bool)).inputs.tolist() == text
    assert set(infill(np.array([7]), rng, 0.3, 3, MASK, fixed=np.zeros(1, bool)).inputs.tolist()) == {MASK}
    assert infill(np.array([], int), rng, 0.3, 3, MASK, fixed=np.zeros(0, bool)).inputs.tolist() == []
    for corrupt in KINDS.values():
        assert corrupt(np.array([7, 8]), rng, np.ones(2, bool)).inputs.tolist() == [7, 8]
    assert drop(np.array([7, 8, 9]), rng, 1, 3, fixed=np.zeros(3, bool)).inputs.shape == (1,)


def test_lengths_are_poisson_until_the_total_is_met() -> None:
    """The first length is min(Poisson, total); P of every composition of 5 without its zeros is known exactly."""
    rng, draws, total, mean = np.random.default_rng(3), 8000, 5, 3.0
    drawn = [span_lengths(total, mean, rng) for _ in range(draws)]
    assert {int(lengths.sum()) for lengths in drawn} == {total}
    first = stats.poisson(mean).pmf(np.arange(total)).tolist()
    seen = np.bincount([lengths[0] for lengths in drawn], minlength=total + 1)
    assert stats.chisquare(seen, draws * np.array([*first, 1 - sum(first)])).pvalue > ALPHA

    none = first[0]
    parts, odds = [], []
    for number in range(1, total + 1):
        for inner in combinations(range(1, total), number - 1):
            part = np.diff([0, *inner, total])
            last = stats.poisson(mean).sf(part[-1] - 1) / (1 - none)
            parts.append(tuple(part.tolist()))
            odds.append(np.prod([stats.poisson(mean).pmf(size) / (1 - none) for size in part[:-1]]) * last)
    assert sum(odds) == pytest.approx(1)
    whole = [tuple(lengths[lengths > 0].tolist()) for lengths in drawn]
    assert set(whole) <= set(parts)
    rare = np.array(odds) * draws < 5
    counted = np.array([whole.count(part) for part in parts])
    seen, expected = (
        np.append(counted[~rare], counted[rare].sum()),
        np.append(np.array(odds)[~rare], np.array(odds)[rare].sum()),
    )
    assert stats.chisquare(seen, draws * expected).pvalue > ALPHA


def test_masks_are_inserted_as_often_as_spans_of_no_tokens_come() -> None:
    """Before each of r spans with tokens stands a geometric number of zeros: mean r q / (1 - q), q = exp(-mean)."""
    rng, none = np.random.default_rng(4), np.exp(-3.5)
    zeros, whole = 0, 0
    for _ in range(2000):
        lengths = span_lengths(60, 3.5, rng)
        zeros, whole = zeros + int((lengths == 0).sum()), whole + int((lengths > 0).sum())
    assert stats.nbinom(whole, 1 - none).cdf(zeros) > ALPHA
    assert stats.nbinom(whole, 1 - none).sf(zeros) > ALPHA


def test_inserts_stand_before_any_free_token_alike() -> None:
    rng = np.random.default_rng(5)
    seen = np.zeros(LENGTH, int)
    for _ in range(3000):
        spans = infill(np.arange(LENGTH), rng, 0.3, 1, MASK, fixed=SEPARATORS).spans
        np.add.at(seen, spans[spans[:, 1] == 0, 0], 1)
    assert not seen[SEPARATORS].any()
    # Inserts of one window repel or attract each other a little, so the test is on the scale of a whole window's.
    assert stats.chisquare(seen[~SEPARATORS]).pvalue > ALPHA


def test_spans_are_cut_at_separators_and_at_the_end_only() -> None:
    """A span that is not cut is as long as drawn: with no separators at most one span more than drawn, at the edge."""
    rng = np.random.default_rng(6)
    for _ in range(300):
        spans = infill(np.arange(LENGTH), rng, 0.5, 5, MASK, fixed=FREE).spans
        stops = spans.sum(axis=1)
        assert (np.diff(spans[:, 0]) >= 0).all()
        assert (stops[:-1] <= spans[1:, 0]).all()
        assert stops[-1] <= LENGTH


def test_random_tokens_are_ordinary_and_as_frequent_as_asked() -> None:
    """mask_random of BART's run, without the special tokens that fairseq draws too."""
    rng, ordinary = np.random.default_rng(7), np.arange(50, 70)
    marks = []
    for _ in range(1500):
        gapped = infill(np.zeros(LENGTH, int), rng, 0.3, 3.5, MASK, 0.1, ordinary, fixed=FREE)
        assert restore(gapped).tolist() == [0] * LENGTH
        marks.append(gapped.inputs[gapped.inputs != 0])
        assert len(marks[-1]) == len(gapped.spans)
    flat = np.concatenate(marks)
    drawn = flat[flat != MASK]
    assert stats.binomtest(len(drawn), len(flat), 0.1).pvalue > ALPHA
    assert np.isin(drawn, ordinary).all()
    assert stats.chisquare(np.bincount(drawn - 50, minlength=20)).pvalue > ALPHA


def test_gaps_by_hand() -> None:
    """An insert before a span, two spans that touch, an insert before the last token."""
    gapped = gap(np.arange(6, dtype=np.uint16), np.array([[1, 0], [1, 2], [3, 1], [5, 0]]), np.array([90, 91, 92, 93]))
    assert gapped.inputs.tolist() == [0, 90, 91, 92, 4, 93, 5]
    assert gapped.removed.tolist() == [1, 2, 3]
    assert restore(gapped).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("bad", [(0, 3), (1.2, 3), (0.3, 0.5), (0.3, float("nan"))])
def test_shares_and_means_that_mean_nothing_are_refused(bad: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(StudyError):
        infill(np.arange(LENGTH), rng, *bad, MASK, fixed=FREE)
    with pytest.raises(StudyError):
        drop(np.arange(LENGTH), rng, *bad, fixed=FREE)


@pytest.mark.parametrize(
    ("random", "ordinary"), [(0.1, None), (0.1, np.array([])), (-0.1, np.arange(9)), (2, np.arange(9))]
)
def test_random_tokens_need_a_share_and_a_vocabulary(random: float, ordinary: np.ndarray | None) -> None:
    with pytest.raises(StudyError) as error:
        infill(np.arange(LENGTH), np.random.default_rng(0), 0.3, 3, MASK, random, ordinary, fixed=FREE)
    assert error.value.problems[0].where == "random"


def test_a_mean_beyond_any_window_is_one_span() -> None:
    gapped = drop(np.arange(LENGTH), np.random.default_rng(0), 0.5, 1e300, fixed=FREE)
    assert len(gapped.removed) == 20
    assert len(gapped.spans) <= 2
