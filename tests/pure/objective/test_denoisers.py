"""UL2's mixture of denoisers, and where a prefix ends."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from keel.errors import StudyError
from keel.objective.denoisers import T5GEMMA2, UL2, Denoiser, draw, prefix
from keel.objective.spans import noise_spans

ALPHA = 1e-3 / 40
SENTINELS = tuple(range(32099, 31999, -1))


@pytest.mark.parametrize("table", [UL2, T5GEMMA2], ids=["UL2", "T5Gemma 2"])
def test_denoisers_are_drawn_by_weight(table: tuple[Denoiser, ...]) -> None:
    rng = np.random.default_rng(0)
    seen = Counter(draw(table, rng) for _ in range(4000))
    weights = np.array([denoiser.weight for denoiser in table])
    assert stats.chisquare([seen[one] for one in table], 4000 * weights / weights.sum()).pvalue > ALPHA


def test_ul2_has_seven_denoisers() -> None:
    """Tay et al. 2023, Table 1."""
    assert [(one.mode, one.mean_span, one.density) for one in UL2 if one.mode != "S"] == [
        ("R", 3, 0.15), ("R", 8, 0.15), ("X", 3, 0.5), ("X", 8, 0.5), ("X", 64, 0.15), ("X", 64, 0.5)
    ]  # fmt: skip
    assert len(UL2) == 7


@pytest.mark.parametrize("length", [8, 100, 511])
def test_s_is_a_prefix_of_three_quarters(length: int) -> None:
    (tail,) = (one for one in UL2 if one.mode == "S")
    hidden = round(length / 4)
    assert tail.noise(length, np.random.default_rng(0)).tolist() == [False] * (length - hidden) + [True] * hidden


def test_long_sparse_spans_would_be_s_without_rolling() -> None:
    """Why R and X are rolled: X (64, .15) unrolled is one span, the tail, up to 636 tokens."""
    rng = np.random.default_rng(1)
    for length, number in ((512, 1), (636, 1), (637, 2)):
        mask = noise_spans(length, 0.15, 64, rng)
        assert (mask[1:] & ~mask[:-1]).sum() == number
    rolled = [UL2[5].noise(512, rng) for _ in range(200)]
    assert len({mask.tobytes() for mask in rolled}) > 100


@pytest.mark.parametrize("denoiser", UL2)
def test_each_denoiser_hides_its_density(denoiser: Denoiser) -> None:
    mask = denoiser.noise(640, np.random.default_rng(2))
    assert mask.sum() == round(640 * denoiser.density)


@pytest.mark.parametrize(("low", "high", "cuts"), [(0, 1, range(1, 20)), (0.2, 0.8, range(4, 17)), (0.25, 0.25, [5])])
def test_prefixes_are_uniform(low: float, high: float, cuts: range) -> None:
    rng = np.random.default_rng(4)
    seen = Counter(prefix(20, rng, low, high) for _ in range(4000))
    assert set(seen) <= set(cuts)
    assert len(cuts) == 1 or stats.chisquare([seen[cut] for cut in cuts]).pvalue > ALPHA


def test_prefixes_of_alexatm_are_uniform_in_share() -> None:
    """On long windows, KS against the uniform law on [.2, .8]; 2,000 draws cannot see a grid of 1e-4."""
    rng = np.random.default_rng(5)
    shares = [prefix(10_000, rng, 0.2, 0.8) / 10_000 for _ in range(2000)]
    assert stats.kstest(shares, stats.uniform(0.2, 0.6).cdf).pvalue > ALPHA


def test_short_windows_have_a_prefix_and_a_rest_where_they_can() -> None:
    rng = np.random.default_rng(6)
    for low, high in ((0.0, 1.0), (0.2, 0.8), (0.45, 0.55), (0.9, 0.95), (0.0, 0.0), (1.0, 1.0)):
        assert [prefix(length, rng, low, high) for length in (0, 1, 2)] == [0, 1, 1]
        assert all(1 <= prefix(length, rng, low, high) < length for length in range(2, 40))


def test_a_whole_number_of_tokens_is_not_lost_to_rounding() -> None:
    """.07 * 100 is 7.000000000000001 and .29 * 100 is 28.999999999999996."""
    rng = np.random.default_rng(7)
    assert prefix(100, rng, 0.07, 0.07) == 7
    assert prefix(100, rng, 0.29, 0.29) == 29


@pytest.mark.parametrize("bad", [(-0.1, 0.5), (0.8, 0.2), (0.2, 1.1), (float("nan"), 0.5)])
def test_prefixes_that_mean_nothing_are_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(StudyError, match="a prefix from"):
        prefix(20, np.random.default_rng(0), *bad)
