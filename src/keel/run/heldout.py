"""Held-out samples of a loss, made as they are read: what it reads in training, from the text that is kept from it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator

import numpy as np

from keel.corpus.images.store import Store
from keel.corpus.instructions import Instructions
from keel.corpus.parallel import Bitext
from keel.corpus.shards import Shards
from keel.corpus.store import Corpus
from keel.errors import StudyError
from keel.objective.base import Objective, Sample
from keel.run import samples
from keel.run.draws import Draw, Samples
from keel.run.pictures import Captioned, Pictures, Want
from keel.run.tasks import Tasks


class Held(Shards):
    """The held-out stream of shards in the place of their training stream."""

    def __init__(self, shards: Shards) -> None:
        vars(self).update(vars(shards))
        self.parts = [shards.heldout]  # type: ignore[list-item]
        self.ends, self.num_tokens = np.array([len(shards.heldout)]), len(shards.heldout)


def windows(shards: Shards, length: int, stride: int) -> Iterator[Sample]:
    """Windows of the held-out stream; the last one is shorter where it ends, and a single token is left out.

    Example:
        >>> from types import SimpleNamespace
        >>> text = SimpleNamespace(heldout=np.arange(6))
        >>> [sample.tokens.tolist() for sample in windows(text, 3, 2)], len(list(windows(text, 4, 4)))
        ([[0, 1, 2], [2, 3, 4], [4, 5]], 2)
    """
    stream = shards.heldout
    for number, first in enumerate(range(0, len(stream), stride)):
        # What overlaps the window before has been asked there.
        fresh = len(stream) - first - (length - stride if number else 0)
        if fresh > 0 and len(stream) - first > 1:
            yield Sample(number, stream[first : first + length])


def samples_of(objective: Objective, corpus: Corpus, want: Want | int, most: int = 0) -> Iterator[Sample]:
    """What this objective reads where a model sees so much, of the held-out part, in order and once.

    `most` > 0: of images no more than so many, those whose keys have the least digests, whatever the loss or the model.

    Raises:
        StudyError: no held-out pair fits the context; no image is held out.
    """
    want = Want(want) if isinstance(want, int) else want
    context = want.context
    if isinstance(corpus, Store):
        kind = Captioned if objective.facts.reads == "image-text" else Pictures
        pictures = kind(objective, corpus, want, held=True)
        yield from pictures.stream(Draw(0, place) for place in _few(pictures, most))
        pictures.close()
        return
    if isinstance(corpus, Shards) and objective.facts.reads == "windows":
        yield from windows(corpus, *objective.window(context))
        return
    if isinstance(corpus, Instructions):
        made: Samples = Tasks(_held_tasks(corpus), objective, context, once=True)
    else:
        made = samples.samples_of(objective, Held(corpus) if isinstance(corpus, Shards) else _held(corpus), context)
    if not len(made):
        raise StudyError("no held-out pair fits the context", why=f"the model sees {context} positions",
                         fix="raise model.context", where=str(corpus.folder))  # fmt: skip
    yield from (made[place] for place in range(len(made)))


def labelled_of(objective: Objective, corpus: Corpus, want: Want, most: int) -> Iterator[Sample]:
    """Training images that have a label, as they are judged: at most so many, those whose keys have the least digests.

    They are the same whatever the loss or the model. Nothing where the corpus is not of images.
    """
    if not isinstance(corpus, Store):
        return
    pictures = Pictures(objective, corpus, want._replace(classes=0), held=True)
    pictures.numbers = np.flatnonzero(~corpus.heldout() & (corpus.labels() >= 0))
    yield from pictures.stream(Draw(0, place) for place in _few(pictures, most))
    pictures.close()


def _few(pictures: Pictures, most: int) -> list[int]:
    """Places of the images to judge."""
    places = list(range(len(pictures)))
    if not most or len(places) <= most:
        return places
    keys = [pictures.store[int(number)].key.encode(errors="surrogatepass") for number in pictures.numbers]
    return sorted(sorted(places, key=lambda place: hashlib.sha256(keys[place]).digest())[:most])


def _held(corpus: Bitext) -> Bitext:
    """Pairs whose training part is the held-out one."""
    held = copy.copy(corpus)
    held.train = corpus.heldout
    return held


def _held_tasks(corpus: Instructions) -> Instructions:
    """Tasks that have held-out pairs."""
    held = copy.copy(corpus)
    held.tasks = {name: _held(task) for name, task in corpus.tasks.items() if len(task.heldout[0])}
    return held
