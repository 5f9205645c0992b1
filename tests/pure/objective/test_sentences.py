"""Sentences reordered, taken out and paired: none lost, none split, each order and each cut alike."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from keel.errors import StudyError
from keel.objective.drops import restore
from keel.objective.sentences import borders, gap_sentences, permute, rouge, segments, unpermute

ALPHA = 1e-3 / 40
MASK = 99_999


def bits(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text], bool)


def pieces(tokens: np.ndarray, starts: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(part.tolist()) for part in np.split(tokens, starts[1:])]


@pytest.mark.parametrize(
    ("ends", "starts"),
    [("", []), ("0", [0]), ("1", [0]), ("0101", [0, 2]), ("01100", [0, 3]), ("111", [0]), ("00100", [0, 3])],
)
def test_a_row_of_ends_closes_one_sentence(ends: str, starts: list[int]) -> None:
    assert borders(bits(ends)).tolist() == starts


def test_fixed_tokens_are_pieces_of_their_own() -> None:
    assert borders(bits("0001000"), bits("1000101")).tolist() == [0, 1, 4, 5, 6]


@pytest.mark.parametrize("stop", [13, 4, 28_999])
def test_any_full_stop_ends_a_sentence(stop: int) -> None:
    """fairseq permutes on GPT-2's id 13 alone; with another vocabulary nothing moves (fairseq issue 3803)."""
    text = np.array([1, 2, stop, 3, stop, 5, 6, stop])
    orders = {tuple(permute(text, text == stop, np.random.default_rng(seed)).order.tolist()) for seed in range(60)}
    assert orders == set(permutations(range(3)))


def test_all_orders_are_alike() -> None:
    text, ends, rng = np.arange(9), bits("001000111"), np.random.default_rng(0)
    ends[7] = False
    seen = Counter(tuple(permute(text, ends, rng).order.tolist()) for _ in range(6000))
    assert stats.chisquare([seen[order] for order in permutations(range(len(borders(ends))))]).pvalue > ALPHA


def test_sentences_are_kept_whole_and_in_their_documents() -> None:
    rng = np.random.default_rng(1)
    for _ in range(1000):
        length = int(rng.integers(0, 40))
        text, ends, fixed = rng.integers(0, 90, length), rng.random(length) < 0.25, rng.random(length) < 0.1
        permuted = permute(text, ends, rng, fixed=fixed)
        assert unpermute(permuted).tolist() == text.tolist()
        assert permuted.tokens[fixed].tolist() == text[fixed].tolist()
        starts = borders(ends, fixed)
        sizes = np.diff(starts, append=length)
        moved = np.cumsum(sizes[permuted.order]) - sizes[permuted.order]
        old = pieces(text, starts) if length else []
        new = pieces(permuted.tokens, moved) if length else []
        assert new == [old[number] for number in permuted.order]
        assert sorted(permuted.order.tolist()) == list(range(len(starts)))
        document = np.cumsum(fixed)
        assert document[permuted.source].tolist() == document.tolist()


def test_rouge_is_that_of_its_definition() -> None:
    """Against clipped unigram counts, precision and recall written out sentence by sentence."""
    rng = np.random.default_rng(2)
    for _ in range(100):
        text, ends = rng.integers(0, 12, 40), rng.random(40) < 0.15
        starts = borders(ends)
        parts = pieces(text, starts)
        scores = rouge(text, starts, np.arange(len(starts)))
        for number, part in enumerate(parts):
            rest = Counter(token for other, tokens in enumerate(parts) if other != number for token in tokens)
            shared = sum((Counter(part) & rest).values())
            precision, recall = shared / len(part), shared / max(sum(rest.values()), 1)
            known = 2 * precision * recall / (precision + recall) if shared else 0.0
            assert scores[number] == pytest.approx(known)


def test_principal_sentences_are_the_highest_scored() -> None:
    """Sentence 2 repeats most of the rest; 0 and 1 are equal, and the earlier goes first."""
    text = np.array([1, 2, 9, 3, 4, 9, 1, 2, 3, 4, 9, 5, 9])
    ends, rng = text == 9, np.random.default_rng(0)
    one = gap_sentences(text, ends, rng, 0.25, MASK)
    assert one.inputs.tolist() == [1, 2, 9, 3, 4, 9, MASK, 5, 9]
    assert one.removed.tolist() == [1, 2, 3, 4, 9]
    two = gap_sentences(text, ends, rng, 0.5, MASK, "principal")
    assert two.inputs.tolist() == [MASK, 3, 4, 9, MASK, 5, 9]
    assert two.removed.tolist() == [1, 2, 9, 1, 2, 3, 4, 9]


def test_the_lead_and_random_sentences() -> None:
    text = np.array([1, 9, 2, 9, 3, 9, 4, 9])
    ends, rng = text == 9, np.random.default_rng(3)
    assert gap_sentences(text, ends, rng, 0.5, MASK, "lead").inputs.tolist() == [MASK, MASK, 3, 9, 4, 9]
    seen = Counter(tuple(gap_sentences(text, ends, rng, 0.5, MASK, "random").removed.tolist()) for _ in range(3000))
    assert len(seen) == 6
    assert stats.chisquare(list(seen.values())).pvalue > ALPHA


@pytest.mark.parametrize("how", ["random", "lead", "principal"])
def test_gaps_are_whole_sentences_and_give_the_window_back(how: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(500):
        length = int(rng.integers(0, 40))
        text, ends, fixed = rng.integers(0, 30, length), rng.random(length) < 0.2, rng.random(length) < 0.1
        gapped = gap_sentences(text, ends, rng, 0.3, MASK, how, fixed=fixed)
        starts = borders(ends, fixed)
        number = int((~fixed[starts]).sum())
        assert len(gapped.spans) == max(min(max(round(0.3 * number), 1), number - 1), 0)
        assert (gapped.inputs == MASK).sum() == len(gapped.spans)
        sizes = dict(zip(starts.tolist(), np.diff(starts, append=length).tolist()))
        assert all(sizes[start] == size and not fixed[start] for start, size in gapped.spans.tolist())
        assert restore(gapped).tolist() == text.tolist()


def test_a_window_of_one_sentence_keeps_it() -> None:
    gapped = gap_sentences(np.arange(5), bits("00001"), np.random.default_rng(0), 0.3, MASK)
    assert (gapped.inputs.tolist(), gapped.removed.tolist()) == ([0, 1, 2, 3, 4], [])


@pytest.mark.parametrize(("share", "how"), [(0, "lead"), (0.3, "leed"), (1.5, "random")])
def test_gaps_that_mean_nothing_are_refused(share: float, how: str) -> None:
    with pytest.raises(StudyError):
        gap_sentences(np.arange(5), bits("01001"), np.random.default_rng(0), share, MASK, how)


def test_segments_are_cut_at_any_end_alike() -> None:
    ends, rng = bits("0100010110001"), np.random.default_rng(5)
    seen: Counter[int] = Counter()
    for _ in range(3000):
        a, b = segments(np.arange(13), ends, rng, most=13)
        assert a.tolist() + b.tolist() == list(range(13))
        seen[len(a)] += 1
    assert sorted(seen) == [2, 6, 9]
    assert stats.chisquare(list(seen.values())).pvalue > ALPHA


def test_segments_that_are_too_long_lose_their_outer_tokens() -> None:
    rng = np.random.default_rng(6)
    for _ in range(1000):
        length, most = int(rng.integers(0, 40)), int(rng.integers(2, 40))
        ends = rng.random(length) < 0.2
        a, b = segments(np.arange(length), ends, rng, most)
        assert len(a) + len(b) == min(length, most)
        if not len(b):
            assert len(borders(ends)) < 2
            continue
        assert len(a) >= 1
        assert a.tolist() + b.tolist() == list(range(a[0], b[-1] + 1))
        assert b[0] in borders(ends)[1:]
        # The longer one gave first: what was cut is no shorter than the other, but for one token.
        assert a[0] == 0 or len(a) >= len(b) - 1
        assert b[-1] == length - 1 or len(b) >= len(a) - 1


def test_two_segments_need_two_tokens() -> None:
    with pytest.raises(StudyError, match="two segments in 1 tokens"):
        segments(np.arange(5), bits("01001"), np.random.default_rng(0), most=1)
