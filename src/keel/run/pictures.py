"""Samples of an image store: views cropped, flipped and coloured anew every epoch, made ahead by worker processes."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from itertools import tee
from typing import NamedTuple

import numpy as np

from keel.corpus.images.augment import evaluation
from keel.corpus.images.captions import readable
from keel.corpus.images.loader import Job, Loader, Views
from keel.corpus.images.store import Store
from keel.corpus.store import Corpus
from keel.corpus.tokenizer import load
from keel.errors import StudyError
from keel.model.shapes import Shape
from keel.objective.base import Objective, Sample
from keel.run.draws import Draw, Samples
from keel.run.whose_tokens import tokenizer_json

NO_TOKENS = np.empty(0, np.int64)
KNOWN_CAPTIONS = 1 << 16  # some 30 MB of tokens


class Want(NamedTuple):
    """What a run asks of its corpus: the positions that its model sees, and of images their side in pixels, how many
    classes the model tells apart, the seed of crops and flips, how many processes make them ahead (0: none), and the
    side of a patch in pixels."""

    context: int
    side: int = 0
    classes: int = 0
    seed: int = 0
    workers: int = 0
    patch: int = 1


def want_of(shape: Shape, seed: int, workers: int = 0) -> Want:
    """What a model of this shape asks for."""
    return Want(shape.context, shape.image, shape.classes, seed, workers, max(1, shape.patch))


class Pictures(Samples):
    """Sample i of an epoch is image i as (seed, epoch, number of the image) draw it, in as many views as the loss asks.

    `held`: held-out images, in one view, undrawn. Where the model tells classes apart, images without a label are left
    out.

    Raises:
        StudyError: the corpus is not of images; it has another number of classes; no image is left.
    """

    def __init__(self, objective: Objective, corpus: Corpus, want: Want, *, held: bool = False) -> None:
        if not isinstance(corpus, Store):
            raise StudyError("this loss reads images", why=f"the corpus is {corpus.kind}", where="[data]",
                             fix="name [data] image, or choose another loss")  # fmt: skip
        self.store, self.labels = corpus, corpus.labels()
        side = corpus.heldout() == held
        wanted = side & (self.labels >= 0) if want.classes else side
        self.numbers, without = np.flatnonzero(wanted), int(side.sum() - wanted.sum())
        self.notes = (f"{without} images without a label are left out",) if without else ()
        self._check(want, held)
        background = str(corpus.index["data"]["background"])
        plain = (evaluation(objective.pixels(want.side, background)),)
        self.patch = want.patch
        self.plain = plain
        self.asked = plain if held else objective.views(want.side, background, want.patch)
        self.loader, self.seed, self.workers = self._loader(want.seed, 0), want.seed, want.workers
        self.ahead: Loader | None = None
        self.waited = 0.0

    def _check(self, want: Want, held: bool) -> None:
        if want.classes and want.classes != len(self.store.classes):
            raise StudyError(f"the model tells {want.classes} classes apart", fix="plan again", where="spec.json",
                             why=f"the images have {len(self.store.classes)}")  # fmt: skip
        if not len(self.numbers):
            what = f"no {'held-out ' if held else ''}image{' with a label' if want.classes else ''}"
            raise StudyError(f"there is {what}", why=f"the store holds {len(self.store)} images",
                             fix="bring more images, or look again", where=str(self.store.folder))  # fmt: skip

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def ids(self) -> np.ndarray:
        """Numbers of the images in their store."""
        return self.numbers

    def __getitem__(self, index: int) -> Sample:
        """As the first epoch draws it."""
        number = int(self.numbers[index])
        return self._sample(number, next(self.loader.views([Job(0, number)])))

    def stream(self, draws: Iterable[Draw]) -> Generator[Sample]:
        """Images made ahead of what is asked for, and how long that was waited for."""
        if self.ahead is None or self.ahead.closed:
            self.ahead = self._loader(self.seed, self.workers)
        ours, theirs = tee(Job(draw.again << 32 | draw.epoch, int(self.numbers[draw.place])) for draw in draws)
        made = self.ahead.views(theirs)
        try:
            while True:
                start = time.perf_counter()
                views = next(made, None)
                self.waited += time.perf_counter() - start
                if views is None:
                    return
                yield self._sample(next(ours).number, views)
        finally:
            made.close()  # type: ignore[attr-defined]

    def undrawn(self, places: Iterable[int]) -> Iterator[Sample]:
        """One view of each, as held-out images are seen."""
        ours, theirs = tee(Job(0, int(self.numbers[place])) for place in places)
        with Loader(self.store, self.plain, self.seed, self.workers) as loader:
            for views in loader.views(theirs):
                yield self._sample(next(ours).number, views)

    @property
    def waited_s(self) -> float:
        """Seconds spent waiting for images."""
        return self.waited

    def close(self) -> None:
        """End the workers."""
        for loader in (self.loader, self.ahead):
            if loader is not None:
                loader.close()

    def _loader(self, seed: int, workers: int) -> Loader:
        return Loader(self.store, self.asked, seed, workers)

    def _sample(self, number: int, views: Views) -> Sample:
        label = int(self.labels[number])
        return Sample(number, NO_TOKENS, image=views[0], label=label if label >= 0 else None, views=views,
                      patch=self.patch)  # fmt: skip


class Captioned(Pictures):
    """Images with the tokens of their captions, special ones apart; what is too long is the loss's to refuse.

    Raises:
        StudyError: the corpus has no captions.
    """

    def __init__(self, objective: Objective, corpus: Corpus, want: Want, *, held: bool = False) -> None:
        super().__init__(objective, corpus, want._replace(classes=0), held=held)
        text = tokenizer_json(objective.facts, objective.options, corpus)
        if text is None:
            raise StudyError("this loss reads images with captions", why="the images have none", where="[data] text",
                             fix="name [data] text, or choose a loss for images alone")  # fmt: skip
        self.tokenizer = load(text)
        self.known: dict[int, np.ndarray] = {}

    def _sample(self, number: int, views: Views) -> Sample:
        return super()._sample(number, views)._replace(tokens=self._tokens(number))

    def _tokens(self, number: int) -> np.ndarray:
        """Of a caption, made once as long as there are not too many of them."""
        if (known := self.known.get(number)) is not None:
            return known
        caption = self.store[number].caption
        assert caption is not None, "pairs are stored with both"
        found = np.asarray(self.tokenizer.encode(readable(caption), add_special_tokens=False).ids, np.int64)
        if len(self.known) < KNOWN_CAPTIONS:
            found.setflags(write=False)
            self.known[number] = found
        return found
