"""T5, fairseq's BART and PEGASUS against numbers of their own code: equal, or different where and as said."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from helpers import golden
from scipy import stats

from keel.errors import StudyError
from keel.objective.drops import infill, span_lengths
from keel.objective.sentences import borders, gap_sentences, permute, rouge
from keel.objective.spans import counts, join, lengths, noise_spans, split

ALPHA = 1e-3 / 40
T5, FAIRSEQ, PEGASUS = golden("t5"), golden("fairseq"), golden("pegasus")
ANY = 10**6


@pytest.mark.parametrize("name", ["t5", "electra", "deberta", "bert", "albert", "fairseq", "pegasus"])
def test_every_golden_file_says_where_it_comes_from(name: str) -> None:
    found = golden(name)
    assert re.fullmatch(r"[0-9a-f]{40}", found["commit"])
    assert found["licence"] in ("Apache-2.0", "MIT")
    assert "/" in found["repository"]
    assert "outside this repository" in found["made"]


def test_lengths_are_those_of_t5s_code_but_for_two_cases() -> None:
    """One token more where its density is .5; shorter where it reckons with no span and its masks then have one."""
    kinds: Counter[str] = Counter()
    for inputs, density, mean, raw, targets in T5["lengths"]:
        ours = lengths(inputs, density, mean, num_sentinels=ANY)
        if (ours.raw, ours.targets) == (raw, targets):
            kinds["equal"] += 1
        elif not round(round(raw * density) / mean):
            noise = counts(raw, density, mean).noise
            assert raw - noise + 1 + 1 == inputs + 1, "its inputs, with the span its masks have, are a token too long"
            assert ours.raw < raw
            kinds["no span"] += 1
        else:
            assert density == 0.5
            assert (ours.raw, ours.targets) == (raw + 1, targets + 1)
            assert ours.targets > inputs
            kinds["half"] += 1
    assert kinds == {"equal": 239, "no span": 55, "half": 36}


def test_noise_and_spans_are_as_many_as_in_t5s_masks() -> None:
    for length, density, mean, noise, spans in T5["counts"]:
        assert counts(length, density, mean) == (noise, spans)


def test_masks_have_the_law_of_t5s() -> None:
    """The same masks as 1,800 of its own, as often, by a test of two samples."""
    rng = np.random.default_rng(11)
    ours = Counter("".join(map(str, noise_spans(8, 0.5, 2, rng).astype(int))) for _ in range(1800))
    theirs = T5["law"]
    assert set(ours) == set(theirs)
    table = [[ours[mask] for mask in theirs], list(theirs.values())]
    assert stats.chi2_contingency(table).pvalue > ALPHA


def test_sentinels_stand_as_in_t5s() -> None:
    """Equal for masks as it draws them; of others its targets do not tell which span is which, and ours always do."""
    sentinels = tuple(range(T5["vocabulary"] - 1, T5["vocabulary"] - 101, -1))
    equal = 0
    for case in T5["sentinels"]:
        noise = np.array(case["noise"], bool)
        inputs, targets = split(np.array(case["tokens"]), noise, sentinels)
        assert inputs.tolist() == case["inputs"]
        if noise[-1] and not noise[0]:
            assert targets.tolist() == case["targets"]
            equal += 1
            continue
        assert join(inputs, targets, sentinels).tolist() == case["tokens"]
        with pytest.raises(StudyError, match="do not belong together"):
            join(inputs, np.array(case["targets"]), sentinels)
    assert 4 <= equal < len(T5["sentinels"])


class Given:
    """A generator whose Poisson draws are given, then zeros."""

    def __init__(self, drawn: list[int]) -> None:
        self.drawn = drawn

    def poisson(self, mean: float, number: int) -> np.ndarray:
        found, self.drawn = self.drawn[:number], self.drawn[number:]
        return np.array(found + [0] * (number - len(found)))


def test_the_same_draws_make_the_spans_of_bart() -> None:
    for case in FAIRSEQ["infilling"]:
        rng: Any = Given(case["drawn"])
        ours = span_lengths(int(np.ceil(case["share"] * case["tokens"])), 3.5, rng)
        assert ours[ours > 0].tolist() == case["lengths"]
        assert int((ours == 0).sum()) == case["inserts"]


def test_spans_that_overlap_cover_less_in_bart_and_not_here() -> None:
    """Its spans start anywhere and meet: 11 % fewer tokens than its share. Ours lie apart and are exact."""
    for tokens, share, budget, covered, least, most in FAIRSEQ["cover"]:
        assert least < most
        assert 0.88 < covered / budget < 0.9
        for seed in range(20):
            free = np.zeros(tokens, bool)
            made = infill(np.full(tokens, 30), np.random.default_rng(seed), share, 3, 59, fixed=free)
            assert made.spans[:, 1].sum() == round(share * tokens)


def test_sentences_permuted_are_barts() -> None:
    """The same orders. Of two full stops in a row its sentence ends behind the first, ours behind the last.

    A last sentence of one token behind a full stop never moves there; here it does.
    """
    rng, doubled = np.random.default_rng(0), 0
    for case in FAIRSEQ["permuted"]:
        tokens = np.array(case["tokens"])
        ours = {tuple(permute(tokens, tokens == 13, rng).tokens.tolist()) for _ in range(200)}
        theirs = {tuple(order) for order in case["results"]}
        assert all(sorted(order) == sorted(case["tokens"]) for order in theirs)
        if ((tokens[1:] == 13) & (tokens[:-1] == 13)).any():
            doubled += 1
            assert {order[-1] for order in theirs} == {8} < {order[-1] for order in ours}
            assert any(order[0] == 13 for order in theirs)
            assert not any(order[0] == 13 for order in ours)
        elif len(borders(tokens == 13)) < 4:
            assert ours == theirs
        else:
            assert theirs <= ours
    assert doubled == 1


def flat(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The document's tokens, and which of them end a sentence."""
    sizes = [len(sentence) for sentence in case["sentences"]]
    ends = np.zeros(sum(sizes), bool)
    ends[np.cumsum(sizes) - 1] = True
    return np.concatenate(case["sentences"]), ends


@pytest.mark.parametrize("case", PEGASUS["cases"], ids=lambda case: f"{len(case['sentences'])} sentences")
def test_principal_sentences_are_those_of_pegasus(case: dict[str, Any]) -> None:
    """Scores to a float's precision, and the same sentences; of equal ones it takes the last, this the first."""
    tokens, ends = flat(case)
    starts, theirs = borders(ends), np.array(case["scores"])
    number = len(starts)
    np.testing.assert_allclose(rouge(tokens, starts, np.arange(number)), theirs, atol=1e-6)
    for what, chosen in case["chosen"].items():
        how, share = what.split()
        assert len(chosen) == min(max(int(number * np.float32(share)), 1), number)
        if len(chosen) == number:
            continue  # it takes them all, which leaves nothing to read: ours leaves one
        made = gap_sentences(tokens, ends, np.random.default_rng(0), len(chosen) / number, 99, how)
        ours = np.searchsorted(starts, made.spans[:, 0])
        if how == "lead" or len(np.unique(theirs.round(6))) == number:
            assert ours.tolist() == chosen
        np.testing.assert_allclose(np.sort(theirs[ours]), np.sort(theirs[chosen]), atol=1e-6)


def test_never_all_sentences() -> None:
    for case in PEGASUS["cases"]:
        tokens, ends = flat(case)
        made = gap_sentences(tokens, ends, np.random.default_rng(0), 1.0, 999)
        assert len(made.spans) == len(case["sentences"]) - 1 < len(case["chosen"]["principal 1"])
