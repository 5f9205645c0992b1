"""Span corruption: T5's numbers, its law and its end effects; inputs and targets give their window back."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy import stats

from keel.errors import StudyError
from keel.objective import spans
from keel.objective.spans import Lengths, around, composition, counts, join, lengths, noise_spans, split

# Bonferroni over the statistical tests of tests/pure/objective.
ALPHA = 1e-3 / 40
SENTINELS = tuple(range(32099, 31999, -1))


def compositions(total: int, parts: int) -> list[tuple[int, ...]]:
    """All of them, listed by their borders."""
    borders = [(0, *inner, total) for inner in combinations(range(1, total), parts - 1)]
    return [tuple(np.diff(border).tolist()) for border in borders]


def law_of_masks() -> float:
    """p-value of 9 equally likely masks: 8 tokens, 4 of noise in 2 spans, 3 x 3 compositions."""
    rng = np.random.default_rng(1)
    seen = Counter(noise_spans(8, 0.5, 2, rng).tobytes() for _ in range(6000))
    known = [
        np.repeat([False, True, False, True], [a, c, b, d]).tobytes()
        for a, b in compositions(4, 2)
        for c, d in compositions(4, 2)
    ]
    assert set(seen) <= set(known)
    return float(stats.chisquare([seen[mask] for mask in known]).pvalue)


@pytest.mark.parametrize(
    ("inputs", "raw", "targets"), [(512, 568, 114), (128, 141, 29), (256, 284, 58), (1024, 1137, 229)]
)
def test_lengths_are_those_of_t5(inputs: int, raw: int, targets: int) -> None:
    found = lengths(inputs, 0.15, 3, num_sentinels=100)
    assert found == Lengths(raw, inputs, targets, round(round(raw * 0.15) / 3))


@pytest.mark.parametrize(
    ("inputs", "density", "mean", "needed"), [(512, 0.5, 3, 128), (1024, 0.5, 8, 114), (2048, 0.15, 3, 114)]
)
def test_spans_that_outnumber_the_sentinels_are_refused(inputs: int, density: float, mean: float, needed: int) -> None:
    """H7: T5's own code takes ordinary vocabulary for the 101st span and those after it."""
    with pytest.raises(StudyError, match=f"{needed} spans need {needed} sentinels; there are 100"):
        lengths(inputs, density, mean, num_sentinels=100)
    assert lengths(inputs, density, mean, num_sentinels=needed).spans == needed


@pytest.mark.parametrize("roll", [False, True])
def test_lengths_are_the_longest_that_fit_and_exact(roll: bool) -> None:
    rng = np.random.default_rng(0)
    for inputs in (3, 4, 5, 9, 64, 100):
        for density, mean in ((0.15, 3), (0.5, 3), (0.15, 64), (0.9, 1), (0.25, np.inf), (0.99, 5)):
            found = lengths(inputs, density, mean, num_sentinels=10**6, roll=roll)
            assert found.inputs <= inputs
            for raw in range(found.raw + 1, found.raw + 40):
                noise, number = counts(raw, density, mean, roll=roll)
                assert raw - noise + number + 1 > inputs
            pair = split(
                np.zeros(found.raw), noise_spans(found.raw, density, mean, rng, roll=roll), range(9, 9 + found.spans)
            )
            shorter = (found.inputs - len(pair[0]) - 1, found.targets - len(pair[1]) - 1)
            assert shorter == (0, 0) or (roll and shorter == (1, 1))


def test_lengths_differ_from_t5_where_said() -> None:
    """Its code gives 766 raw and 512 target tokens for the first; for the second 140 and 22, and inputs of 121."""
    assert lengths(512, 0.5, 3, num_sentinels=128) == Lengths(767, 512, 513, 128)
    assert lengths(120, 0.15, 64, num_sentinels=1) == Lengths(139, 120, 23, 1)
    assert len(split(np.zeros(140), noise_spans(140, 0.15, 64, np.random.default_rng(0)), (9,))[0]) + 1 == 121


@pytest.mark.parametrize(
    "bad", [(2, 0.15, 3), (512, 1, 3), (512, 0, 3), (512, 1.5, 3), (512, 0.15, 0.5), (512, float("nan"), 3)]
)
def test_lengths_that_mean_nothing_are_refused(bad: tuple[int, float, float]) -> None:
    with pytest.raises(StudyError):
        lengths(*bad, num_sentinels=100)


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(StudyError) as error:
        counts(10, 0, 0)
    assert [problem.where for problem in error.value.problems] == ["density", "mean_span"]


@pytest.mark.parametrize("roll", [False, True])
def test_density_and_number_of_spans_are_exact(roll: bool) -> None:
    rng = np.random.default_rng(2)
    for _ in range(3000):
        length, density, mean = (
            int(rng.integers(0, 60)),
            float(rng.uniform(0.01, 1)),
            float(rng.choice([1, 1.5, 3, 8, 64])),
        )
        mask = noise_spans(length, density, mean, rng, roll=roll)
        noise = max(min(max(round(density * length), 1), length - 1), 0)
        number = min(max(round(noise / mean), 1), noise, length - noise)
        assert mask.shape == (length,)
        assert mask.sum() == noise
        runs = int(mask[:1].sum() + (mask[1:] & ~mask[:-1]).sum())
        assert runs == number or (roll and runs == number + 1)
        assert runs <= counts(length, density, mean, roll=roll).spans


@pytest.mark.parametrize("roll", [False, True])
def test_the_shortest_windows_are_defined(roll: bool) -> None:
    """A window of one token teaches nothing: it has no noise, and its targets are empty."""
    rng = np.random.default_rng(0)
    assert noise_spans(0, 0.15, 3, rng, roll=roll).tolist() == []
    assert noise_spans(1, 0.15, 3, rng, roll=roll).tolist() == [False]
    assert sorted(noise_spans(2, 0.15, 3, rng, roll=roll).tolist()) == [False, True]
    assert noise_spans(9, 1, 3, rng, roll=roll).sum() == 8


def test_masks_are_uniform_over_compositions() -> None:
    assert law_of_masks() > ALPHA


def test_a_biased_composition_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutant: break the rest evenly, part by part, as if that were uniform too."""

    def stick(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
        first = 1 + rng.binomial(total - parts, 1 / parts)
        return np.array([first, total - first])

    monkeypatch.setattr(spans, "composition", stick)
    assert law_of_masks() < ALPHA


def test_compositions_are_equally_likely() -> None:
    rng = np.random.default_rng(3)
    known = compositions(6, 3)
    seen = Counter(tuple(composition(6, 3, rng).tolist()) for _ in range(5000))
    assert len(known) == comb(5, 2)
    assert set(seen) <= set(known)
    assert stats.chisquare([seen[parts] for parts in known]).pvalue > ALPHA


def test_span_lengths_follow_their_exact_law() -> None:
    """P(n) = C(84 - n, 26) / C(84, 27) for T5's 85 tokens in 28 spans; .32 .22 .15 .10 measured on its own code."""
    odds = np.array([comb(84 - n, 26) / comb(84, 27) for n in range(1, 59)])
    assert odds.sum() == pytest.approx(1)
    np.testing.assert_allclose(odds[:4], [0.32, 0.22, 0.15, 0.10], atol=6e-3)
    rng = np.random.default_rng(4)
    drawn = np.array([composition(85, 28, rng) for _ in range(4000)])
    for part in (0, 13, 27):
        seen = np.bincount(np.minimum(drawn[:, part], 15), minlength=16)[1:]
        expected = 4000 * np.append(odds[:14], odds[14:].sum())
        assert stats.chisquare(seen, expected).pvalue > ALPHA


def test_t5_never_hides_the_first_token_and_always_the_last() -> None:
    """Its end effect, kept: so real targets have no closing sentinel, and a single span is the tail."""
    rng = np.random.default_rng(5)
    masks = np.array([noise_spans(64, 0.15, 3, rng) for _ in range(1000)])
    assert not masks[:, 0].any()
    assert masks[:, -1].all()
    assert noise_spans(64, 0.15, 64, rng).tolist() == [False] * 54 + [True] * 10


@pytest.mark.parametrize(("length", "noise"), [(3, 1), (5, 2), (40, 6)])
def test_rolled_every_position_is_noise_equally_often(length: int, noise: int) -> None:
    rng = np.random.default_rng(6)
    seen = sum(noise_spans(length, noise / length, 3, rng, roll=True).astype(int) for _ in range(4000))
    tails = [stats.binomtest(int(count), 4000, noise / length).pvalue for count in seen]
    assert min(tails) > ALPHA / length


def test_sentinels_are_those_of_t5() -> None:
    """As in Raffel et al. 2020, Figure 2: descending ids, less the closing sentinel, which its code never makes."""
    text = np.arange(1, 10)
    noise = np.array([0, 0, 1, 1, 0, 0, 0, 0, 1], bool)
    inputs, targets = split(text, noise, SENTINELS)
    assert inputs.tolist() == [1, 2, 32099, 5, 6, 7, 8, 32098]
    assert targets.tolist() == [32099, 3, 4, 32098, 9]


@pytest.mark.parametrize("noise", [[], [0], [1], [1, 1], [1, 0], [0, 1, 0, 1, 1], [0, 0]])
def test_any_mask_can_be_split_and_joined(noise: list[int]) -> None:
    text = np.arange(len(noise), dtype=np.uint16)
    inputs, targets = split(text, np.array(noise, bool), SENTINELS)
    assert inputs.dtype == targets.dtype == np.int64
    assert join(inputs, targets, SENTINELS).tolist() == text.tolist()


def test_split_never_eats_vocabulary() -> None:
    alternating = np.arange(8) % 2 == 1
    with pytest.raises(StudyError, match="4 spans need 4 sentinels; there are 3") as error:
        split(np.arange(8), alternating, SENTINELS[:3])
    assert "add 1 sentinels" in error.value.problems[0].fix
    with pytest.raises(StudyError, match="1 spans need 1 sentinels; there are 0"):
        split(np.arange(2), np.array([False, True]), ())


@pytest.mark.parametrize("sentinels", [SENTINELS, (90, 5, 70)])
def test_text_that_holds_a_sentinel_is_refused(sentinels: tuple[int, ...]) -> None:
    text = np.array([1, 2, sentinels[1], 3])
    with pytest.raises(StudyError, match=f"the text holds the sentinel {sentinels[1]}"):
        split(text, np.array([0, 0, 0, 1], bool), sentinels)
    inputs, targets = split(np.array([6, 71, 8, 89]), np.array([0, 1, 0, 1], bool), sentinels)
    assert join(inputs, targets, sentinels).tolist() == [6, 71, 8, 89]


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        ([1, 99], [98, 2]),
        ([1, 98], [98, 2]),
        ([1, 99], [2, 99]),
        ([1], [2]),
        ([1, 99, 98], [99, 2]),
        ([99, 99], [99, 1, 99]),
    ],
)
def test_pairs_that_do_not_belong_together_are_refused(inputs: list[int], targets: list[int]) -> None:
    with pytest.raises(StudyError, match="do not belong together"):
        join(np.array(inputs), np.array(targets), (99, 98, 97))


def test_fixed_tokens_are_never_noise_and_cut_spans() -> None:
    rng = np.random.default_rng(7)
    for _ in range(500):
        text = rng.integers(0, 9, 30)
        fixed = text == 0
        noise = around(noise_spans(int((~fixed).sum()), 0.3, 3, rng, roll=True), fixed)
        assert not (noise & fixed).any()
        inputs, targets = split(text, noise, SENTINELS)
        assert (inputs == 0).sum() == fixed.sum()
        assert 0 not in targets
        assert join(inputs, targets, SENTINELS).tolist() == text.tolist()


def test_the_same_key_gives_the_same_noise() -> None:
    one, two, other = (
        noise_spans(568, 0.15, 3, np.random.Generator(np.random.Philox(key=[0, key]))) for key in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
