"""BERT, ALBERT and DeBERTa's masks against numbers of their own code: equal, or different where and as said."""

from __future__ import annotations

import numpy as np
from helpers import golden
from masking import PAD, SEPARATOR, START, VOCABULARY, keyed, windows
from scipy import stats
from tokenizers import Tokenizer, models, pre_tokenizers

from keel.corpus.vocabulary import Vocabulary, vocabulary_of
from keel.objective import masks
from keel.objective.corrupt import corrupt
from keel.objective.masks import choose
from keel.objective.sentences import segments

ALPHA = 1e-3 / 10
BERT, ALBERT, DEBERTA = golden("bert"), golden("albert"), golden("deberta")
BORDERS = 3


def row(length: int) -> np.ndarray:
    """start, ordinary tokens, separator, separator."""
    return np.concatenate([[START], windows(1, length - BORDERS)[0], [SEPARATOR, SEPARATOR]])


def test_a_rate_counts_candidates_and_berts_counts_its_special_tokens_too() -> None:
    """So BERT's count is had with a rate of theirs x all / candidates."""
    differ = 0
    for length, rate, theirs in BERT["counts"]:
        assert theirs == min(max(1, round(rate * length)), length - BORDERS)
        if theirs < length - BORDERS:
            same = rate * length / (length - BORDERS)
            assert choose(row(length), keyed(0, 0, 0), VOCABULARY, rate=same).sum() == theirs
        ours = int(choose(row(length), keyed(0, 0, 0), VOCABULARY, rate=rate).sum())
        assert ours == max(1, round(rate * (length - BORDERS)))
        differ += theirs - ours
        assert 0 <= theirs - ours <= 2
    assert differ > 0


def test_masked_kept_and_random_are_as_often_as_berts() -> None:
    """80 : 10 : 10, by a test of two samples; of a random word some are the word itself."""
    theirs = [BERT["shares"][name] for name in ("mask", "kept", "other")]
    tokens = windows(1, sum(theirs))[0]
    shown = corrupt(tokens, np.ones(len(tokens), bool), keyed(0, 0, 0), VOCABULARY)
    masked, kept = int((shown == VOCABULARY.id_of("mask")).sum()), int((shown == tokens).sum())
    assert stats.chi2_contingency([theirs, [masked, kept, len(tokens) - masked - kept]]).pvalue > ALPHA
    assert BERT["shares"]["special among them"] == 0


def words_of(found: Vocabulary, tokens: list[int]) -> list[list[int]]:
    """Places of each word's tokens."""
    begins = np.flatnonzero(found.words(np.array(tokens)))
    return [part.tolist() for part in np.split(np.arange(len(tokens)), begins[1:])]


def test_words_are_those_of_berts_whole_word_masking() -> None:
    pieces = BERT["pieces"]
    known = {piece: number for number, piece in enumerate(dict.fromkeys(["[UNK]", *pieces]))}
    made = Tokenizer(models.WordPiece(known, unk_token="[UNK]"))
    assert words_of(vocabulary_of(made.to_str()), [known[piece] for piece in pieces]) == BERT["words"]


def test_words_begin_where_alberts_do_but_behind_marks_and_accents() -> None:
    """ALBERT's code joins what follows a mark to it, and lets a piece with any letter but a to z begin a word."""
    pieces = ALBERT["pieces"]
    known = {piece: number for number, piece in enumerate(dict.fromkeys(["<unk>", *pieces]))}
    made = Tokenizer(models.Unigram([(piece, 0.0) for piece in known], unk_id=0))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    begins = vocabulary_of(made.to_str()).words(np.array([known[piece] for piece in pieces]))
    differ = {place: bool(begins[place]) for place in range(len(pieces)) if begins[place] != ALBERT["starts"][place]}
    assert {pieces[place] for place, ours in differ.items() if ours} == {"hand", "s", "f"}
    assert {pieces[place] for place, ours in differ.items() if not ours} == {"f\u00e9", ","}


def test_ngrams_are_as_long_as_alberts() -> None:
    """Drawn lengths, where three words are left: 6 : 3 : 2, and ours by a test of two samples."""
    theirs = [ALBERT["ngrams"][name] for name in ("1", "2", "3")]
    assert stats.chisquare(theirs, np.array([6, 3, 2]) / 11 * sum(theirs)).pvalue > ALPHA
    numbers = masks._tiles(60_000, np.array([0]), keyed(0, 0, 0), 3)
    ours = np.bincount(np.bincount(numbers)[:-1], minlength=4)[1:]
    assert stats.chi2_contingency([theirs, ours]).pvalue > ALPHA
    for length, rate, seen in ALBERT["counts"]:
        assert [count for count, _ in seen] == [max(1, round(rate * length))]
        same = rate * length / (length - BORDERS)
        words = np.concatenate([[START], np.full(length - BORDERS, 20), [SEPARATOR, SEPARATOR]])
        found = choose(words, keyed(0, 0, length), VOCABULARY, rate=same, unit="ngram")
        # Five words may be tiled by n-grams of 2 and 3, none of which is as short as the count: ALBERT shortens one.
        assert found.sum() == seen[0][0] or (length <= 8 and found.sum() <= 3)


def test_pairs_are_cut_to_berts_lengths() -> None:
    """Where both are too long for an odd room, its first text has one token more, here the longer one."""
    differ = 0
    for one, other, most, first, second in BERT["pairs"]:
        ends = np.zeros(one + other, bool)
        ends[one - 1] = True
        ours = tuple(map(len, segments(np.arange(one + other), ends, keyed(0, 0, 0), most)))
        if one < other and one > most // 2 and most % 2:
            assert ours == (second, first)
            differ += 1
        else:
            assert ours == (first, second)
    assert differ > 0


def test_debertas_masks_end_before_the_text_does() -> None:
    """One place in each window of six, until the count is reached; ours reach every place of the same rows."""
    for length, fewest, most, first, last, rate in DEBERTA["masking"]:
        assert fewest == most == max(1, round(0.15 * length))
        assert first == 1
        assert last == 6 * most
        assert abs(rate - 1 / 6) < 0.01
        sample = np.concatenate([[START], windows(1, length - 2)[0], [SEPARATOR]])
        hit = sum(choose(sample, keyed(0, 0, seed), VOCABULARY, rate=0.15).astype(int) for seed in range(150))
        assert np.flatnonzero(hit)[[0, -1]].tolist() == [1, length - 2]
        assert PAD not in sample[hit > 0]
