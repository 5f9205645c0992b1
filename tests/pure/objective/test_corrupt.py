"""What stands in place of chosen tokens: the shares asked for, random ones uniform and ordinary, the rest as it was."""

from __future__ import annotations

import numpy as np
import pytest
from masking import ALPHA, MASK, PAD, ROLES, START, VOCABULARY, keyed, windows
from scipy import stats

from keel.corpus.vocabulary import SPECIAL, Vocabulary
from keel.errors import StudyError
from keel.objective.corrupt import corrupt
from keel.objective.masks import choose

ORDINARY = 45
EACH = ALPHA / 4


def shares(tokens: np.ndarray, inputs: np.ndarray) -> list[int]:
    """How many chosen tokens became the mask, another token, or stayed."""
    masked = int((inputs == MASK).sum())
    kept = int((inputs == tokens).sum())
    return [masked, len(tokens) - masked - kept, kept]


@pytest.mark.parametrize(("mask", "random"), [(0.8, 0.1), (0.5, 0.5), (0.85, 0.0)])
def test_shares_are_as_asked(mask: float, random: float) -> None:
    """A random token hits the token itself once in 45 and then counts as kept; chi-square over 3e5 chosen ones."""
    tokens = windows(1, 300_000)[0]
    inputs = corrupt(tokens, np.ones(len(tokens), np.bool_), keyed(0, 0, 0), VOCABULARY, mask=mask, random=random)
    hits = random / ORDINARY
    expected = np.array([mask, random - hits, 1 - mask - random + hits]) * len(tokens)
    seen = np.array(shares(tokens, inputs))
    assert (seen[expected == 0] == 0).all()
    assert stats.chisquare(seen[expected > 0], expected[expected > 0]).pvalue > EACH


def test_random_tokens_are_uniform_and_never_special() -> None:
    tokens = windows(1, 200_000)[0]
    inputs = corrupt(tokens, np.ones(len(tokens), np.bool_), keyed(0, 0, 1), VOCABULARY, mask=0.0, random=1.0)
    counts = np.bincount(inputs, minlength=VOCABULARY.size)
    assert not counts[VOCABULARY.kind == SPECIAL].any()
    assert stats.chisquare(counts[VOCABULARY.kind != SPECIAL]).pvalue > EACH
    # The common library's rule, all ids alike, would put a special token in one place of ten.
    theirs = np.bincount(keyed(0, 0, 1).integers(0, VOCABULARY.size, len(tokens)), minlength=VOCABULARY.size)
    assert theirs[VOCABULARY.kind == SPECIAL].sum() > 0.09 * len(tokens)


def test_places_draw_on_their_own() -> None:
    """Neighbours both masked: mask squared, within words too; and the kind of change does not depend on the place."""
    tokens = windows(4000, 16)
    rows = np.stack([
        corrupt(sample, np.ones(16, np.bool_), keyed(0, 0, number), VOCABULARY) for number, sample in enumerate(tokens)
    ])  # fmt: skip
    masked = rows == MASK
    both = int((masked[:, ::2] & masked[:, 1::2]).sum())
    assert stats.binomtest(both, 4000 * 8, 0.64).pvalue > EACH
    assert stats.chisquare(masked.sum(axis=0)).pvalue > EACH


def test_only_chosen_tokens_change_and_the_samples_stay() -> None:
    samples = windows(300, 64)
    samples[:, 0], samples[:, 50:] = START, PAD
    before = samples.copy()
    for number, sample in enumerate(samples):
        chosen = choose(sample, keyed(0, 0, number), VOCABULARY, rate=0.3)
        inputs = corrupt(sample, chosen, keyed(0, 1, number), VOCABULARY)
        assert inputs.dtype == np.int64
        np.testing.assert_array_equal(inputs[~chosen], sample[~chosen])
        assert not set(inputs[chosen]) & {PAD, START}
    np.testing.assert_array_equal(samples, before)


def test_everything_masked() -> None:
    chosen = np.array([True, False, True])
    inputs = corrupt(np.array([10, 11, 12]), chosen, keyed(0, 0, 0), VOCABULARY, mask=1.0, random=0.0)
    assert inputs.tolist() == [MASK, 11, MASK]


def test_a_mask_beyond_the_stored_type_is_not_wrapped() -> None:
    """A mask added at id 256 to tokens stored as bytes."""
    grown = Vocabulary(256, {}, np.ones(256, np.uint8), np.zeros(256, np.bool_)).with_special(["mask"])
    tokens = np.array([7, 8], np.uint8)
    inputs = corrupt(tokens, np.ones(2, np.bool_), keyed(0, 0, 0), grown, mask=1.0, random=0.0)
    assert inputs.tolist() == [256, 256]


@pytest.mark.parametrize("length", [0, 1, 5])
def test_nothing_chosen_changes_nothing(length: int) -> None:
    tokens = np.full(length, 10)
    inputs = corrupt(tokens, np.zeros(length, np.bool_), keyed(0, 0, 0), VOCABULARY)
    np.testing.assert_array_equal(inputs, tokens)
    assert inputs is not tokens


def test_the_same_key_gives_the_same_inputs_and_others_differ() -> None:
    tokens, chosen = windows(1, 2000)[0], np.ones(2000, np.bool_)
    one, same = (corrupt(tokens, chosen, keyed(0, 3, 7), VOCABULARY) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    masked = (one == MASK).astype(float)
    for key in [(1, 3, 7), (0, 4, 7), (0, 3, 8)]:
        other = (corrupt(tokens, chosen, keyed(*key), VOCABULARY) == MASK).astype(float)
        assert abs(np.corrcoef(masked, other)[0, 1]) < stats.norm.isf(ALPHA / 6) / np.sqrt(len(tokens))


@pytest.mark.parametrize(
    ("mask", "random", "problems"),
    [(-0.1, 0.1, ["mask"]), (1.2, 0.0, ["mask"]), (0.8, float("nan"), ["random"]), (2.0, -1.0, ["mask", "random"]),
     (0.8, 0.3, ["mask' and 'random"])],
)  # fmt: skip
def test_shares_out_of_range_are_refused(mask: float, random: float, problems: list[str]) -> None:
    with pytest.raises(StudyError) as caught:
        corrupt(np.array([10]), np.array([True]), keyed(0, 0, 0), VOCABULARY, mask=mask, random=random)
    found = [problem.what for problem in caught.value.problems]
    assert [f"'{name}'" in what for name, what in zip(problems, found, strict=True)] == [True] * len(problems)
    assert all(problem.why and problem.fix for problem in caught.value.problems)


@pytest.mark.parametrize("hundredths", range(0, 101, 7))
def test_shares_that_sum_to_one_are_taken(hundredths: int) -> None:
    tokens = windows(1, 1000)[0]
    mask, random = hundredths / 100, (100 - hundredths) / 100
    inputs = corrupt(tokens, np.ones(1000, np.bool_), keyed(0, 0, 0), VOCABULARY, mask=mask, random=random)
    assert (inputs != tokens).mean() > 0.95


def test_a_vocabulary_without_a_mask_is_refused_only_if_it_is_needed() -> None:
    roles = {role: index for role, index in ROLES.items() if role != "mask"}
    without = Vocabulary(VOCABULARY.size, roles, VOCABULARY.kind, VOCABULARY.ends_sentence)
    tokens, chosen = np.array([10, 11]), np.array([True, True])
    with pytest.raises(StudyError, match="no 'mask' token") as caught:
        corrupt(tokens, chosen, keyed(0, 0, 0), without)
    assert "with_special(['mask'])" in caught.value.problems[0].fix
    assert corrupt(tokens, chosen, keyed(0, 0, 0), without, mask=0.0).shape == (2,)
    assert corrupt(tokens, chosen, keyed(0, 0, 0), without.with_special(["mask"]), mask=1, random=0).tolist() == [
        50,
        50,
    ]


def test_a_vocabulary_without_ordinary_tokens_is_refused() -> None:
    bare = Vocabulary(1, {"mask": 0}, np.array([SPECIAL], np.uint8), np.zeros(1, np.bool_))
    with pytest.raises(StudyError, match="no token to draw"):
        corrupt(np.array([0]), np.array([True]), keyed(0, 0, 0), bare)
