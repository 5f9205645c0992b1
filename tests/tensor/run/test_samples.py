"""Documents and pairs of lines as samples: all of them, once, each with a number that says which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import study_error

from keel.corpus.parallel import Bitext, Pair, open_bitext, write
from keel.corpus.shards import Shards
from keel.corpus.tokenizer import train
from keel.objective.clm import CLM
from keel.run import samples
from keel.run.samples import Documents, Parallel, samples_of

pytestmark = pytest.mark.tensor


class Text:
    """A stream of documents, cut into parts at odd places."""

    separator = 0

    def __init__(self, documents: list[list[int]], cuts: tuple[int, ...] = ()) -> None:
        self.stream = np.concatenate([[*document, 0] for document in documents]).astype(np.uint16)
        self.parts, self.folder, self.num_tokens = np.split(self.stream, cuts), Path("text"), len(self.stream)

    def window(self, start: int, length: int) -> np.ndarray:
        assert 0 <= start <= start + length <= len(self.stream)
        return self.stream[start : start + length]


class Reader(CLM):
    """Reads what it is told to."""

    def __init__(self, reads: Any, **options: Any) -> None:
        super().__init__()
        self.options = options
        self.facts = CLM.facts._replace(reads=reads)  # type: ignore[misc]


def documents_of(read: Documents) -> list[list[int]]:
    whole: dict[int, list[int]] = {}
    for place in range(len(read)):
        sample = read[place]
        document, piece = sample.id >> 32, sample.id & 0xFFFFFFFF
        assert 1 <= len(sample.tokens) <= read.most
        assert len(whole.get(document, [])) == piece * read.most
        whole.setdefault(document, []).extend(sample.tokens.tolist())
    return [whole[document] for document in sorted(whole)]


@pytest.mark.parametrize("most", [1, 3, 4, 7, 100])
def test_every_document_comes_back_from_its_pieces(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [list(range(1, 1 + size)) for size in (5, 1, 12, 4, 8, 3)]
    for cuts in ((), (1, 6, 20), (6,)):
        assert documents_of(Documents(Text(given, cuts), most)) == given  # type: ignore[arg-type]
    monkeypatch.setattr(samples, "SCAN_TOKENS", 3)
    assert documents_of(Documents(Text(given, (7,)), most)) == given  # type: ignore[arg-type]


def test_an_empty_document_is_no_sample() -> None:
    assert documents_of(Documents(Text([[], [1, 2], [], [], [3]]), 2)) == [[1, 2], [3]]  # type: ignore[arg-type]
    with study_error("no document"):
        Documents(Text([[], []]), 2)  # type: ignore[arg-type]


def test_the_shards_hold_no_other_token(shards: Shards) -> None:
    read = Documents(shards, 50)
    found = sum(len(read[place].tokens) for place in range(len(read)))
    assert found + len(read.ends) == shards.num_tokens
    assert all((read[place].tokens != 0).all() for place in range(0, len(read), 7))


@pytest.fixture(scope="module")
def bitext(tmp_path_factory: pytest.TempPathFactory) -> Bitext:
    folder = tmp_path_factory.mktemp("bitext") / "bitext"
    pairs = [Pair(n + 1, f"line {n}", f"Zeile {n} " * (1 + (n == 30) * 20)) for n in range(60)]
    write(folder, pairs, train(["line", "Zeile"], 260), ("en", "de"), heldout_share=0.1)
    return open_bitext(folder)


def test_pairs_keep_their_numbers_and_languages(bitext: Bitext) -> None:
    read = Parallel(bitext, 1000)
    assert len(read) == len(bitext.train[0])
    for place in (0, 5, len(read) - 1):
        sample = read[place]
        assert sample.second is not None
        assert (sample.id, sample.languages) == (place, ("en", "de"))
        np.testing.assert_array_equal(sample.tokens, bitext.train[0][place])
        np.testing.assert_array_equal(sample.second, bitext.train[1][place])


def test_a_pair_that_does_not_fit_is_never_cut(bitext: Bitext) -> None:
    with study_error("1 of", "longer than the context", "a side may hold 40 tokens", "leave out"):
        Parallel(bitext, 40)
    read = Parallel(bitext, 40, leave_out=True)
    assert (len(read), read.left_out) == (len(bitext.train[0]) - 1, 1)
    lengths = [max(len(read[place].tokens), len(read[place].second)) for place in range(len(read))]  # type: ignore[arg-type]
    assert max(lengths) <= 40
    with study_error("no pair of lines fits"):
        Parallel(bitext, 1, leave_out=True)


def test_sides_of_unequal_length_are_refused(bitext: Bitext) -> None:
    broken = open_bitext(bitext.folder)
    broken.train = (broken.train[0], broken.heldout[1])
    with study_error("unequal numbers of lines"):
        Parallel(broken, 1000)


def test_a_loss_reads_what_its_facts_say(bitext: Bitext, shards: Shards) -> None:
    assert isinstance(samples_of(Reader("documents"), shards, 16), Documents)
    assert isinstance(samples_of(Reader("parallel", too_long="leave out"), bitext, 40), Parallel)
    with study_error("reads pairs of lines"):
        samples_of(Reader("parallel"), shards, 16)
    for reads in ("windows", "documents"):
        with study_error("reads one text"):
            samples_of(Reader(reads), bitext, 16)
