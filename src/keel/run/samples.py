"""Samples of a corpus: what an objective reads, each with a number, a pure function of the shards.

Legend: n samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from keel.corpus.instructions import Instructions
from keel.corpus.parallel import Bitext
from keel.corpus.shards import Shards
from keel.corpus.store import Corpus
from keel.errors import StudyError
from keel.objective.base import Objective, Sample
from keel.run.draws import Samples
from keel.run.pictures import Captioned, Pictures, Want
from keel.run.tasks import Tasks

SCAN_TOKENS = 1 << 24


class Windows(Samples):
    """Packed windows of the training stream: sample i holds tokens i stride ... i stride + length - 1."""

    def __init__(self, shards: Shards, length: int, stride: int) -> None:
        self.shards, self.length, self.stride = shards, length, stride
        self.number = 1 + (shards.num_tokens - length) // stride if shards.num_tokens >= length else 0
        if not self.number:
            raise StudyError("the training text is shorter than one window", where=str(shards.folder),
                             why=f"{shards.num_tokens} tokens, and a window is {length}",
                             fix="bring more text, or set a smaller model.context and plan again")  # fmt: skip

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Sample:
        return Sample(index, self.shards.window(index * self.stride, self.length))


class Documents(Samples):
    """Whole documents without their separators; one of more than `most` tokens in consecutive pieces, nothing dropped.

    A sample's id holds both: document 2^32 + piece.
    """

    def __init__(self, shards: Shards, most: int) -> None:
        self.shards, self.most = shards, most
        self.ends = _separators(shards)
        self.starts = np.concatenate([[0], self.ends[:-1] + 1]).astype(np.int64)
        # The last piece of each document [D], counted over all of them.
        self.pieces = np.cumsum(-(-(self.ends - self.starts) // most))
        if not len(self):
            raise StudyError("the training text holds no document", why="its stream is empty", fix="bring more text",
                             where=str(shards.folder))  # fmt: skip

    def __len__(self) -> int:
        return int(self.pieces[-1]) if len(self.pieces) else 0

    def __getitem__(self, index: int) -> Sample:
        document = int(np.searchsorted(self.pieces, index, side="right"))
        piece = index - (int(self.pieces[document - 1]) if document else 0)
        return Sample(document << 32 | piece, self.piece(document, piece))

    def piece(self, document: int, piece: int) -> np.ndarray:
        """Tokens of one piece of a document."""
        start = int(self.starts[document]) + piece * self.most
        return self.shards.window(start, min(self.most, int(self.ends[document]) - start))


class Pairs(Documents):
    """Documents in pieces, from which a loss cuts pairs of texts; `elsewhere` gives a piece of another document.

    Every token of the other documents is as likely as any other to be in that piece.
    """

    def __init__(self, shards: Shards, most: int) -> None:
        super().__init__(shards, most)
        self.lengths = self.ends - self.starts
        self.through = np.cumsum(self.lengths)  # tokens up to the end of each document

    def __getitem__(self, index: int) -> Sample:
        plain = super().__getitem__(index)
        own = plain.id >> 32
        alone = self.lengths[own] == self.through[-1]
        return plain if alone else plain._replace(elsewhere=partial(self._elsewhere, own))

    def _elsewhere(self, own: int, rng: np.random.Generator) -> np.ndarray:
        length = int(self.lengths[own])
        token = int(rng.integers(int(self.through[-1]) - length))
        if token >= int(self.through[own]) - length:
            token += length
        document = int(np.searchsorted(self.through, token, side="right"))
        first = int(self.through[document] - self.lengths[document])
        return self.piece(document, (token - first) // self.most)


def _separators(shards: Shards) -> np.ndarray:
    """Where the documents of the training stream end [D]."""
    found, first = [np.empty(0, np.int64)], 0
    for part in shards.parts:
        for start in range(0, len(part), SCAN_TOKENS):
            found.append(np.flatnonzero(part[start : start + SCAN_TOKENS] == shards.separator) + first + start)
        first += len(part)
    return np.concatenate(found)


class Parallel(Samples):
    """Pairs of lines that say the same in two languages: `tokens` and `second` of a sample.

    Raises:
        StudyError: the sides have unequal numbers of lines, or a side is longer than `most` tokens, held out or not,
            unless such pairs are to be left out (`left_out` counts them); none fits.
    """

    def __init__(self, bitext: Bitext, most: int, *, leave_out: bool = False) -> None:
        self.source, self.target = bitext.train
        self.languages = bitext.languages
        if len(self.source) != len(self.target):
            raise StudyError("the two sides have unequal numbers of lines", where=str(bitext.folder),
                             why=f"{len(self.source)} and {len(self.target)}", fix="align them again")  # fmt: skip
        longest, held = (np.maximum(one.lengths, two.lengths) for one, two in (bitext.train, bitext.heldout))
        self.kept, self.left_out = np.flatnonzero(longest <= most), int((longest > most).sum())
        every = np.concatenate([longest, held])
        if (number := int((every > most).sum())) and not leave_out:
            raise StudyError(
                f"{number} of {len(every)} pairs are longer than the context", where=str(bitext.folder),
                why=f"a side may hold {most} tokens, the longest has {every.max()}; the first is pair "
                f"{np.argmax(every > most)}",
                fix="set model.context higher, or train.options.too_long = 'leave out'",
            )  # fmt: skip
        for part, lengths in (("", longest), (" held-out", held)):
            if not (lengths <= most).any():
                raise StudyError(f"no{part} pair of lines fits the context", why=f"a side may hold {most} tokens",
                                 fix="raise model.context", where=str(bitext.folder))  # fmt: skip
        said = f"{self.left_out} of {len(longest)} pairs are left out: a side of theirs is over {most} tokens"
        self.notes = (said,) if self.left_out else ()

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> Sample:
        line = int(self.kept[index])
        return Sample(line, self.source[line], self.target[line], self.languages)


def _windows(objective: Objective, corpus: Corpus, want: Want) -> Samples:
    window = objective.window(want.context)
    return Windows(_stream(corpus), window.length, window.stride)


def _documents(objective: Objective, corpus: Corpus, want: Want) -> Samples:
    return Documents(_stream(corpus), objective.window(want.context).length)


def _pairs(objective: Objective, corpus: Corpus, want: Want) -> Samples:
    return Pairs(_stream(corpus), objective.window(want.context).length)


def _parallel(objective: Objective, corpus: Corpus, want: Want) -> Samples:
    if not isinstance(corpus, Bitext):
        raise StudyError("this loss reads pairs of lines", why=f"the corpus is {corpus.kind}", where="[data]",
                         fix="bring two files of lines that match, or choose a loss for plain text")  # fmt: skip
    leave_out = objective.options.get("too_long") == "leave out"
    return Parallel(corpus, objective.window(want.context).length, leave_out=leave_out)


def _stream(corpus: Corpus) -> Shards:
    """One stream of text."""
    if not isinstance(corpus, Shards):
        raise StudyError("this loss reads one text", why=f"the corpus is {corpus.kind}", where="[data]",
                         fix="choose a loss that this data can feed, or bring plain text")  # fmt: skip
    return corpus


def _instructions(objective: Objective, corpus: Corpus, want: Want) -> Samples:
    if not isinstance(corpus, Instructions):
        raise StudyError("this loss reads prompts and answers", why=f"the corpus is {corpus.kind}",
                         fix="name [data] train, prompt and answer, or choose another loss",
                         where="[data]")  # fmt: skip
    return Tasks(corpus, objective, want.context)


READERS: Mapping[str, Callable[[Objective, Corpus, Want], Samples]] = {
    "windows": _windows,
    "documents": _documents,
    "pairs": _pairs,
    "parallel": _parallel,
    "instructions": _instructions,
    "images": Pictures,
    "image-text": Captioned,
}


def samples_of(objective: Objective, corpus: Corpus, want: Want | int) -> Samples:
    """What this objective reads where a model sees so much; a number is a context of text."""
    want = Want(want) if isinstance(want, int) else want
    return READERS[objective.facts.reads](objective, corpus, want)
