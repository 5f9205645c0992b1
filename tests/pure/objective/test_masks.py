"""Masks: the count is exact, no place, length or sample is favoured, words stay whole, special tokens stay out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from masking import ALPHA, PAD, START, VOCABULARY, keyed, windows
from scipy import stats

from keel.corpus import tokenizer
from keel.corpus.vocabulary import SPECIAL, vocabulary_of
from keel.errors import StudyError
from keel.objective import masks
from keel.objective.masks import choose

UNITS = ("token", "word", "ngram")
# Four tests of uniformity, one of neighbours, three of rates, three of the n-gram law share the one alpha.
EACH = ALPHA / 11


def flags(samples: np.ndarray, **options: Any) -> np.ndarray:
    return np.stack(
        [choose(sample, keyed(0, 0, number), VOCABULARY, **options) for number, sample in enumerate(samples)]
    )


def uniform(chosen: np.ndarray, seed: int = 0) -> float:
    """The p-value of "every place alike": one chosen place of each sample (independent draws), chi-square."""
    rng = np.random.default_rng(seed)
    picks = [rng.choice(np.flatnonzero(row)) for row in chosen if row.any()]
    counts = np.bincount(picks, minlength=chosen.shape[1])
    groups = np.add.reduceat(counts, np.arange(0, len(counts), 8))
    sizes = np.diff(np.append(np.arange(0, len(counts), 8), len(counts)))
    return float(stats.chisquare(groups, len(picks) * sizes / sizes.sum()).pvalue)


def every_place(chosen: np.ndarray) -> float:
    """The p-value of "every place alike" from all flags: places of one sample drawn without replacement, chi-square."""
    num_samples, places = chosen.shape
    rate = chosen.mean()
    spread = num_samples * rate * (1 - rate) * places / (places - 1)
    return float(stats.chi2.sf(((chosen.sum(axis=0) - num_samples * rate) ** 2).sum() / spread, places - 1))


def test_token_masks_are_exact_and_uniform() -> None:
    """A million tokens: each place as often as chance allows, the count to the token."""
    chosen = flags(windows(7813, 128), rate=0.15)
    np.testing.assert_array_equal(chosen.sum(axis=1), 19)
    assert every_place(chosen) > EACH
    assert uniform(chosen) > EACH
    # Neighbours know nothing of each other: 19 of 128 without replacement.
    pairs = (chosen[:, 1:] & chosen[:, :-1]).sum(axis=1)
    assert abs(pairs.mean() - 19 * 18 / 128) < stats.norm.isf(EACH / 2) * pairs.std() / np.sqrt(len(pairs))


@pytest.mark.parametrize("unit", ["word", "ngram"])
def test_units_are_exact_and_uniform(unit: masks.Unit) -> None:
    chosen = flags(windows(1500, 128), rate=0.15, unit=unit)
    np.testing.assert_array_equal(chosen.sum(axis=1), 19)
    assert uniform(chosen) > EACH


def deberta(length: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """The rule to avoid, as its code has it: one token of every window of int(1 / rate), up to the count."""
    window, target = int(1 / rate), round(rate * length)
    picked = [first + int(rng.integers(min(window, length - first))) for first in range(0, length, window)]
    chosen = np.zeros(length, np.bool_)
    chosen[picked[:target]] = True
    return chosen


def test_a_cap_from_left_to_right_never_reaches_the_end() -> None:
    """DeBERTa's generator gives the right count and a full first part; the same check that ours passes refuses it."""
    theirs = np.stack([deberta(128, 0.15, keyed(0, 0, number)) for number in range(2500)])
    np.testing.assert_array_equal(theirs.sum(axis=1), 19)
    assert not theirs[:, 114:].any()
    assert every_place(theirs) < 1e-100
    assert uniform(theirs) < 1e-20
    ours = flags(windows(1000, 128), rate=0.15)
    assert ours[:, 114:].any(axis=0).all()


@pytest.mark.parametrize("unit", UNITS)
def test_bernoulli_has_the_rate_in_the_mean(unit: masks.Unit) -> None:
    counts = flags(windows(600, 128), rate=0.3, unit=unit, count="bernoulli").sum(axis=1)
    assert abs(counts.mean() - 0.3 * 128) < stats.norm.isf(EACH / 2) * counts.std() / np.sqrt(len(counts))
    # Longer units, wider counts; single tokens have the least.
    assert counts.std() > {"token": 0.9, "word": 1.2, "ngram": 1.8}[unit] * np.sqrt(0.3 * 0.7 * 128)


def run_lengths(row: np.ndarray, last_start: int) -> list[int]:
    """Lengths of runs of flags that begin before `last_start`, so that the end of the sample cuts none of them."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]])))
    return [int(stop - start) for start, stop in edges.reshape(-1, 2) if start < last_start]


@pytest.mark.parametrize("ngram", [1, 3, 4])
def test_spans_follow_albert(ngram: int) -> None:
    """Words of one token: a run is k n-grams with probability (1 - r) r^(k-1), its law the k-fold sum of p(n) ~ 1/n."""
    rate, words = 0.15, np.full((400, 512), 10)
    chosen = flags(words, rate=rate, unit="ngram", ngram=ngram, count="bernoulli")
    seen = np.bincount([length for row in chosen for length in run_lengths(row, 400)])
    single = np.append(0, 1 / np.arange(1, ngram + 1)) / (1 / np.arange(1, ngram + 1)).sum()
    law, power = np.zeros(200), np.array([1.0])
    for repeats in range(40):
        power = np.convolve(power, single)[:200]
        law[: len(power)] += (1 - rate) * rate**repeats * power
    cut = 6
    expected = np.append(law[1:cut], 1 - law[:cut].sum()) * seen.sum()
    assert expected.min() > 0
    assert (
        stats.chisquare(np.append(seen[1:cut], seen[cut:].sum()), expected * (seen.sum() / expected.sum())).pvalue
        > EACH
    )


def test_long_words_are_chosen_as_often_as_short_ones() -> None:
    """Words of 1 to 4 tokens, 128 tokens, 19 to choose; BERT's "pass over what no longer fits" fails the same check."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 5, (3000, 51))
    assert lengths.sum(axis=1).min() > 80

    def passes_over(row: np.ndarray, target: int, rng: np.random.Generator) -> np.ndarray:
        left, picked = target, np.zeros(len(row), np.bool_)
        for place in rng.permutation(len(row)):
            if row[place] <= left:
                picked[place], left = True, left - row[place]
        return picked

    def worst(rule: Any) -> float:
        """The largest |z| over lengths of "chosen as often as all units"."""
        picked = np.stack([rule(row, 19, rng) for row in lengths])
        np.testing.assert_array_equal((picked * lengths).sum(axis=1), 19)
        share = picked.mean()
        return max(
            abs(picked[lengths == length].mean() - share) / np.sqrt(share * (1 - share) / (lengths == length).sum())
            for length in range(1, 5)
        )

    limit = stats.norm.isf(ALPHA / 8)
    assert worst(masks._exact) < limit < 2 * limit < worst(passes_over)


def sums(lengths: Sequence[int]) -> set[int]:
    """All sums of some of the lengths, one at least."""
    found: set[int] = {0}
    for length in lengths:
        found |= {length + each for each in found}
    return found - {0} | ({0} if 0 in lengths else set())


def test_the_count_is_the_nearest_that_whole_words_can_give() -> None:
    """Samples of 1 to 30 tokens against all subsets of their words."""
    rng = np.random.default_rng(1)
    for number in range(400):
        sample = rng.choice([PAD, START, 10, 30, 30, 30, 45], rng.integers(1, 31))
        rate = float(rng.choice([0.01, 0.15, 0.4, 0.8, 1.0]))
        candidates = VOCABULARY.kind[sample] != SPECIAL
        token = choose(sample, keyed(0, 1, number), VOCABULARY, rate=rate)
        target = max(1, round(rate * candidates.sum())) if candidates.any() else 0
        assert token.sum() == target
        numbers = np.cumsum(VOCABULARY.words(sample))
        lengths = np.bincount(numbers[candidates]) if candidates.any() else np.zeros(0, np.int64)
        for unit in ("word", "ngram"):
            chosen = choose(sample, keyed(0, 2, number), VOCABULARY, rate=rate, unit=unit)
            assert not (chosen & ~candidates).any()
            assert all(chosen[numbers == word].all() or not chosen[numbers == word].any() for word in set(numbers))
            if unit == "word" and candidates.any():
                reachable = sums([length for length in lengths.tolist() if length])
                assert abs(int(chosen.sum()) - target) == min(abs(each - target) for each in reachable)
            assert bool(chosen.any()) == bool(candidates.any())


def test_the_nearest_sum_is_found_among_all_subsets() -> None:
    rng = np.random.default_rng(2)
    ties = set()
    for _ in range(500):
        lengths = rng.integers(1, 9, rng.integers(1, 8))
        target = int(rng.integers(1, lengths.sum() + 1))
        total = int(lengths[masks._nearest(lengths, target, rng)].sum())
        assert total > 0
        assert abs(total - target) == min(abs(each - target) for each in sums(lengths.tolist()))
        ties |= {total - target} if {2 * target - total} <= sums(lengths.tolist()) else set()
    assert min(ties) < 0 < max(ties), "of two equally near counts, either"


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("count", ["exact", "bernoulli"])
def test_special_tokens_are_never_chosen(unit: masks.Unit, count: masks.Count) -> None:
    rng = np.random.default_rng(3)
    samples = windows(100, 128)
    samples[rng.random(samples.shape) < 0.2] = PAD
    samples[:, 0], samples[:, -20:] = START, PAD
    chosen = flags(samples, rate=0.9, unit=unit, count=count)
    assert chosen.mean() > 0.4
    assert not chosen[VOCABULARY.kind[samples] == SPECIAL].any()


def test_ngrams_do_not_reach_over_special_tokens() -> None:
    """Every word stands between separators: all n-grams have one word, whatever was drawn."""
    sample = np.array([30, START] * 200)
    numbers = masks._units(sample, np.arange(0, 400, 2), keyed(0, 0, 0), VOCABULARY, "ngram", 3)
    np.testing.assert_array_equal(numbers, np.arange(200))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("sample", [[], [PAD], [START, PAD, PAD], [30], [START, 30, PAD], [45] * 9, [30] + [45] * 30])
def test_small_samples(sample: list[int], unit: masks.Unit) -> None:
    tokens = np.array(sample, np.uint16)
    for count in ("exact", "bernoulli"):
        chosen = choose(tokens, keyed(0, 0, 0), VOCABULARY, rate=0.15, unit=unit, count=count)
        assert chosen.shape == tokens.shape
        assert chosen.dtype == np.bool_
    exact = choose(tokens, keyed(0, 0, 0), VOCABULARY, rate=0.15, unit=unit)
    ordinary = sum(token not in (PAD, START) for token in sample)
    assert int(exact.sum()) == (0 if not ordinary else ordinary if unit != "token" else max(1, round(0.15 * ordinary)))


def test_words_of_a_real_tokenizer_stay_whole() -> None:
    """Through the text: what is hidden of it begins and ends at the borders of its words."""
    text = "The quick brown fox,the lazy dog and the (unbelievably) left-handed caf\u00e9 owner; 3.5 km! " * 4 + "!"
    made = tokenizer.train([text], 290)
    loaded, found = tokenizer.load(made), vocabulary_of(made)
    tokens = np.array(loaded.encode(text).ids)
    whole = set(re.findall(r"[^\W_]+|[^\w\s]", text))
    for number in range(100):
        chosen = choose(tokens, keyed(0, 0, number), found, rate=0.15, unit="word")
        numbers = np.cumsum(found.words(tokens))
        hidden = [loaded.decode(tokens[numbers == word].tolist()).strip() for word in np.unique(numbers[chosen])]
        assert set(hidden) <= whole
        assert abs(int(chosen.sum()) - 0.15 * len(tokens)) <= 1


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel().astype(float), other.ravel().astype(float))[0, 1])


@pytest.mark.parametrize("unit", UNITS)
def test_masks_are_independent_over_seeds_epochs_and_samples(unit: masks.Unit) -> None:
    """Same tokens, other key: correlation about 0. A seed made of the run's and the worker's repeats itself (H5)."""
    samples = np.broadcast_to(windows(1, 128), (150, 128))

    def stream(seed: int, epoch: int, first: int) -> np.ndarray:
        keys = [keyed(seed, epoch, first + number) for number in range(len(samples))]
        return np.stack([choose(sample, key, VOCABULARY, rate=0.15, unit=unit) for sample, key in zip(samples, keys)])

    base, limit = stream(0, 0, 0), stats.norm.isf(EACH / 6) * np.sqrt(4 / samples.size)
    others = [stream(1, 0, 0), stream(0, 1, 0), stream(0, 0, 1000)]
    assert max(abs(correlation(base, other)) for other in others) < limit
    np.testing.assert_array_equal(base, stream(0, 0, 0))

    def by_worker(rank: int, epoch: int) -> np.ndarray:
        rng = np.random.default_rng(1234 + 0)
        return np.stack([choose(sample, rng, VOCABULARY, rate=0.15, unit=unit) for sample in samples])

    assert correlation(by_worker(0, 0), by_worker(1, 3)) > 0.99


@pytest.mark.parametrize("num_workers", [2, 3, 8])
def test_the_number_of_workers_changes_nothing(num_workers: int) -> None:
    """Samples dealt to workers that go through them in their own order, beside other draws from numpy's own state."""
    samples = windows(48, 128)
    alone = flags(samples, rate=0.15, unit="ngram")
    together = np.zeros_like(alone)
    for worker in range(num_workers):
        np.random.seed(worker)
        for number in range(worker, len(samples), num_workers)[::-1]:
            together[number] = choose(samples[number], keyed(0, 0, number), VOCABULARY, rate=0.15, unit="ngram")
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"rate": 0.0}, "rate"), ({"rate": 1.1}, "rate"), ({"rate": float("nan")}, "rate"), ({"unit": "words"}, "unit"),
     ({"count": "fixed"}, "count"), ({"ngram": 0}, "ngram"), ({"ngram": True}, "ngram"), ({"ngram": 2.0}, "ngram")],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(StudyError, match=f"'{named}' is wrong") as caught:
        choose(np.array([30]), keyed(0, 0, 0), VOCABULARY, **{"rate": 0.15, **options})
    problem = caught.value.problems[0]
    assert str(options[named]) in problem.why
    assert problem.fix


def test_all_wrong_options_are_named_at_once() -> None:
    with pytest.raises(StudyError) as caught:
        choose(np.array([30]), keyed(0, 0, 0), VOCABULARY, rate=2, unit="x", count="y", ngram=-1)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 4


def test_a_token_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(StudyError, match="token 50 is outside"):
        choose(np.array([30, 50]), keyed(0, 0, 0), VOCABULARY, rate=0.15)
