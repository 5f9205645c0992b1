"""Captions of held-out images: their bits a byte given the image, and what a model writes when it is asked for one.

Legend: B images at once, m tokens of a caption, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from keel.corpus.images.captions import readable
from keel.corpus.images.store import Store
from keel.corpus.store import tokenizer_of
from keel.corpus.tokenizer import load
from keel.errors import StudyError
from keel.evaluate import intervals, retrieved
from keel.evaluate.batched import batched
from keel.evaluate.bits_per_byte import Judgement
from keel.evaluate.cider import MOST, cider_d
from keel.evaluate.intervals import Interval, ratio_error
from keel.evaluate.masked_captions import token_counts
from keel.evaluate.modes import evaluating, plain
from keel.evaluate.targets import piece_bytes
from keel.evaluate.tasks.overlap import chrf
from keel.objective.base import Objective, Sample

WRITTEN = 200
Counts = NDArray[np.int64]


class Answers(NamedTuple):
    """What a model wrote against what stands there: the share that is the same, CIDEr-D in [0, 10], chrF in [0, 1].

    `chrf` is None where its library is not installed, and `without` says so.
    """

    exact: Interval
    cider_d: Interval
    chrf: Interval | None
    images: int
    without: str = ""

    def told(self) -> dict[str, Any]:
        """Its part of a result."""
        found = {"exact": self.exact._asdict(), "CIDEr-D": self.cider_d._asdict(),
                 "chrF": self.chrf._asdict() if self.chrf else None}  # fmt: skip
        said = {"without": self.without} if self.without else {}
        return {**found, **said, "images": self.images, "level": intervals.LEVEL,
                "how": "the likeliest token at each place; bootstrap over images"}  # fmt: skip


class Captioned(NamedTuple):
    """bits_per_byte = sum of -log2 p(y_t | y_<t, image) over the tokens and ends of captions / bytes of the captions.

    Every token before is the caption's own. `bar`: what frequencies of training captions' tokens alone reach on the
    same, ends included. `among`: retrieval by the same model, where it has a space for it. Comparable between sizes and
    losses on one data set.
    """

    bits: Judgement
    answers: Answers
    among: retrieved.Retrieved | None

    @property
    def value(self) -> float:
        """What sizes are compared by."""
        return self.bits.bits_per_byte

    @property
    def bar(self) -> float | None:
        """What frequencies reach."""
        return self.bits.bar

    @property
    def floor(self) -> str:
        """What `bar` is, in words."""
        return self.bits.floor

    def told(self) -> dict[str, Any]:
        """Its part of a result."""
        found = self.among.told() if self.among else {"candidates": None, "recall": None}
        beside = {name: found[name] for name in ("candidates", "recall")}
        return {**self.bits.told(), "captions": self.answers.told(), **beside}


@torch.inference_mode()
def judge(parts: Mapping[str, Any], loss: Objective, heldout: Iterable[Sample], store: Store) -> Captioned:
    """Every held-out pair once, in fp32; the first so many images are captioned.

    Raises:
        StudyError: the loss writes no captions.
    """
    if not hasattr(loss, "captioner"):
        raise StudyError("this loss cannot be judged by captions", why="it has no decoder of captions",
                         fix="choose another judge", where="objective.facts")  # fmt: skip
    asked = {name: plain(part) for name, part in parts.items()}
    heard, seen = _Heard(asked, loss, store), list[retrieved.Seen]()
    with evaluating(asked.values()):
        # A sample is made when it is read: both read it while it is here.
        for samples in batched(heldout):
            heard.hear(samples)
            if loss.coupled:
                seen.append(retrieved.seen(asked, loss, samples))
        among = retrieved.among(asked, seen) if loss.coupled else None
    return Captioned(heard.bits(), heard.answers(), among)


@dataclass
class _Heard:
    """What is gathered of held-out samples, a few at a time."""

    parts: Mapping[str, Any]
    loss: Any
    store: Store
    nats: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    tokens: list[np.ndarray] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    meant: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        text = tokenizer_of(self.store)
        assert text is not None, "images without captions"
        self.text, self.tokenizer, self.vocabulary = text, load(text), self.loss.vocabulary
        self.room, self.pieces = self.loss.captioner.room, piece_bytes(self.vocabulary)

    def hear(self, samples: list[Sample]) -> None:
        """What a few samples' captions cost, and what is written of their images."""
        examples = [self.loss.example(sample, np.random.default_rng(0)) for sample in samples]
        batch = self.loss.collate(examples, [sample.id for sample in samples])
        self.nats += self.loss.captioner.nats(self.parts, batch).tolist()
        self.sizes += [self._bytes(sample) for sample in samples]
        self.tokens += [example["tokens"][1:] for example in examples]
        if (more := WRITTEN - len(self.said)) > 0:
            images = batch.tensors["images"][:more]
            found = self.loss.captioner.written(self.parts, images, self.vocabulary)
            self.said += [self.tokenizer.decode(each) for each in found]
            self.meant += [self.tokenizer.decode(sample.tokens[: self.room].tolist()) for sample in samples[:more]]

    def _bytes(self, sample: Sample) -> float:
        """Bytes of the caption, of one that is shortened those of what is read."""
        if len(sample.tokens) > self.room:
            return float(self.pieces[sample.tokens[: self.room]].sum())
        return float(len(readable(self.store.caption(sample.id) or "").encode()))

    def bits(self) -> Judgement:
        """Bits a byte, and what frequencies reach."""
        total, size, number = sum(self.nats), sum(self.sizes), sum(map(len, self.tokens))
        asked = np.concatenate(self.tokens)
        odds = _frequencies(self.store, self.text, self.vocabulary)
        bar = float(-np.log(odds[asked]).sum()) / math.log(2) / size
        error = ratio_error(self.nats, self.sizes) / math.log(2)
        return Judgement(total / math.log(2) / size, total / number, number, round(size), error, bar)

    def answers(self) -> Answers:
        """What was written, against what stands there."""
        same = np.array([one == other for one, other in zip(self.said, self.meant)], np.float64)
        stars = intervals.mean(cider_d(self.said, self.meant), ends=(0, MOST))
        alike, without = None, ""
        try:
            alike = intervals.mean(chrf(self.said, self.meant))
        except StudyError as error:
            without = error.problems[0].what
        return Answers(intervals.mean(same), stars, alike, len(self.said), without)


def _frequencies(store: Store, tokenizer_json: str, vocabulary: Any) -> NDArray[np.float64]:
    """p(x) = (n_x + 1) / sum (n + 1) over the tokens of training captions, each with its end, (V,)."""
    counts = token_counts(store, tokenizer_json, vocabulary.size) + 1.0
    counts[vocabulary.id_of("separator")] += int((~store.heldout()).sum())
    return np.asarray(counts / counts.sum())
