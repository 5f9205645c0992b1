"""Cases of the losses of two stacks, and of those that FLOP are counted for: vocabulary, samples, modules in fp64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from keel import model, objective
from keel.corpus.tokenizer import train
from keel.corpus.vocabulary import Vocabulary, vocabulary_of
from keel.model.shapes import Shape, Size
from keel.objective.base import Batch, Example, Objective, Sample, Scratch
from keel.run.parts import ids_of

CONTEXT, NUMBER = 24, 16
FP32 = {"body": "fp32", "head": "fp32"}


class Case(NamedTuple):
    """A loss by name with its options, and the family that serves it here."""

    loss: str
    family: str
    options: Mapping[str, Any] = {}


CASES: Mapping[str, Case] = {
    "clm": Case("clm", "llama"),
    "mlm": Case("mlm", "bert"),
    "mlm, bernoulli": Case("mlm", "bert", {"count": "bernoulli"}),
    "span_corruption": Case("span_corruption", "t5"),
    "span_corruption, rolled, on bart": Case("span_corruption", "bart", {"density": 0.5, "roll": True}),
    "ul2": Case("ul2", "t5"),
    "ul2, t5gemma2": Case("ul2", "t5", {"mixture": "t5gemma2"}),
    "bart": Case("bart", "bart", {"random": 0.1, "mean_span": 3.5}),
    "mbart": Case("mbart", "mbart", {"language": "en"}),
    "pegasus": Case("pegasus", "bigbird_pegasus", {"share": 1 / 3}),
    "alexatm": Case("alexatm", "alexatm", {"clm": 0.5}),
    "prefix_lm": Case("prefix_lm", "llama"),
    "prefix_lm, gpt2": Case("prefix_lm", "gpt2", {"low": 0.2, "high": 0.8}),
    "prefix_lm, two stacks": Case("prefix_lm", "t5", {"stacks": 2}),
    "translation": Case("translation", "m2m_100", {"languages": ["en", "de"], "direction": "both"}),
}


@lru_cache(maxsize=1)
def tokenizer_vocabulary() -> Vocabulary:
    """Bytes, a separator, and a few merges, some of which end a sentence."""
    return vocabulary_of(train(["the cat sat. on the mat. a dog ran. far away."] * 3, 280))


def loss_of(case: Case, context: int = CONTEXT) -> Objective:
    """The objective over a vocabulary that has what it needs."""
    roles = objective.kind(case.loss).facts.roles(case.options, context)
    return objective.load(case.loss, case.options, tokenizer_vocabulary().with_special(roles))


def shape_of(case: Case, loss: Objective, context: int = CONTEXT, width: int = 16) -> Shape:
    """Two narrow layers."""
    return model.load(case.family).shape(size_of(loss, context, width))


def size_of(loss: Objective, context: int = CONTEXT, width: int = 16) -> Size:
    size = loss.vocabulary.size
    return Size(width=width, layers=2, vocabulary=size, context=context, head_width=8)


def parts_of(case: Case, loss: Objective, context: int = CONTEXT) -> dict[str, nn.Module]:
    """Every part with fresh weights, in fp64."""
    made = {}
    for place, (name, part) in enumerate(loss.parts(case.family, size_of(loss, context), Scratch()).items()):
        family = model.load(part.family)
        built = family.build(family.shape(part.size), FP32, place, ids_of(loss.vocabulary), part.head)
        made[name] = built.double()
    return made


def text(rng: np.random.Generator, length: int, *, borders: bool) -> np.ndarray:
    """Ordinary tokens with sentence ends among them, and separators where `borders`."""
    known = tokenizer_vocabulary()
    tokens = rng.choice(known.ordinary, length)
    tokens[rng.random(length) < 0.15] = np.flatnonzero(known.ends_sentence)[0]
    if borders:
        tokens[rng.random(length) < 0.05] = known.id_of("separator")
    return tokens.astype(np.uint16)


def samples_of(
    loss: Objective, number: int = NUMBER, context: int = CONTEXT, seed: int = 0, *, borders: bool = True
) -> list[Sample]:
    """What the loss reads, drawn at random: the later a sample, the shorter where lengths may differ."""
    rng, most = np.random.default_rng(seed), loss.window(context).length
    made = []
    for place in range(number):
        part = max(1, round(most * (1 - place / number)))
        if loss.facts.reads == "windows":
            made.append(Sample(place, text(rng, most, borders=borders)))
        elif loss.facts.reads == "documents":
            made.append(Sample(place << 32, text(rng, part, borders=False)))
        else:
            sides = [text(rng, int(rng.integers(1, part + 1)), borders=False) for _ in range(2)]
            made.append(Sample(place, sides[0], sides[1], ("en", "de")))
    return made


def examples_of(loss: Objective, samples: Sequence[Sample]) -> list[Example]:
    """Each sample with a generator of its own."""
    return [loss.example(sample, np.random.default_rng([1, sample.id])) for sample in samples]


def batches_of(loss: Objective, samples: Sequence[Sample], cut: Sequence[int]) -> list[Batch]:
    """The samples in micro-batches of the given sizes."""
    made, first = [], 0
    for size in cut:
        part = samples[first : first + size]
        made.append(loss.collate(examples_of(loss, part), [sample.id for sample in part]))
        first += size
    return made
