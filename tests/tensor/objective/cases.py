"""Every loss on a model and samples small enough for a test: CASES, and what any of them is made of.

A case's samples differ in their number of targets. The vocabulary is written by hand, so that its padding has id 0,
which RoBERTa's positions ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from keel import objective
from keel.corpus.vocabulary import ALONE, BEGINS, JOINS, SPECIAL, Vocabulary
from keel.model.shapes import Size
from keel.objective.base import Batch, Key, Objective, Sample, Scratch
from keel.plan.spec import example_spec
from keel.run import engine, parts

SPECIALS = ("pad", "start", "separator", "mask")
CUTS = {"1x16": [16], "4x4": [4] * 4, "2x8": [8, 8], "uneven": [1, 9, 6]}
CONTEXT = 32


def vocabulary(ordinary: int = 60) -> Vocabulary:
    """Four special ids, then words, their continuations and full stops in turn."""
    kind = np.array([SPECIAL] * 4 + [(BEGINS, JOINS, BEGINS, ALONE)[place % 4] for place in range(ordinary)], np.uint8)
    special = {role: place for place, role in enumerate(SPECIALS)}
    return Vocabulary(4 + ordinary, special, kind, kind == ALONE)


VOCABULARY = vocabulary()


def text(rng: np.random.Generator, length: int) -> np.ndarray:
    """Ordinary tokens."""
    return rng.integers(4, VOCABULARY.size, length)


def windows(number: int = 16, length: int = CONTEXT - 1) -> list[Sample]:
    """Packed windows, each with more separators than the one before, which are never targets."""
    rng = np.random.default_rng(0)
    made = [text(rng, length) for _ in range(number)]
    for place, window in enumerate(made):
        window[rng.choice(length, place % 12, replace=False)] = VOCABULARY.id_of("separator")
    return [Sample(place, window) for place, window in enumerate(made)]


def documents(number: int = 16) -> list[Sample]:
    """Documents of unequal length, some of one sentence; text from elsewhere is all of one token."""
    rng = np.random.default_rng(0)
    made = [text(rng, 4 + (place * place) % (CONTEXT - 7)) for place in range(number)]
    for place, document in enumerate(made):
        if place in (0, 1, 5, 8):
            document[VOCABULARY.ends_sentence[document]] = 4
        else:
            document[[1, 2]] = 7, 4
    return [Sample(place, document, elsewhere=lambda _: np.full(24, 8)) for place, document in enumerate(made)]


def lines(number: int = 16) -> list[Sample]:
    """Pairs of lines of unequal lengths in two languages, in turn."""
    rng = np.random.default_rng(0)
    languages = (("de", "en"), ("en", "de"))
    return [
        Sample(place, text(rng, 1 + place % 12), text(rng, 1 + (5 * place) % 14), languages[place % 2])
        for place in range(number)
    ]


@dataclass(frozen=True)
class Case:
    """A loss with its options, a family, and what it reads."""

    loss: str
    family: str
    samples: Callable[[], list[Sample]] = windows
    options: Mapping[str, Any] = field(default_factory=dict)
    size: Mapping[str, int] = field(default_factory=dict)

    def objective(self) -> Objective:
        """The loss on the vocabulary above."""
        return objective.load(self.loss, self.options, VOCABULARY)

    def parts(self, dtype: torch.dtype = torch.float64) -> dict[str, nn.Module]:
        """Fresh modules, joined."""
        plain = {"width": 32, "layers": 1, "vocabulary": VOCABULARY.size, "context": CONTEXT, "head_width": 8}
        loss, size = self.objective(), Size(**(plain | dict(self.size)))
        spec = example_spec(family=self.family, size=size.json())
        made = parts.build(loss.parts(self.family, size, Scratch()), spec, VOCABULARY)
        return loss.join({name: module.to(dtype) for name, module in made.items()})


# One line a loss; a test runs each through `engine.accumulate` in every cut.
CASES: Mapping[str, Case] = {
    "mlm": Case("mlm", "modernbert"),
    "mlm bernoulli": Case("mlm", "bert", options={"count": "bernoulli", "rate": 0.05}),
    "nsp": Case("nsp", "bert", documents),
    "rtd": Case("rtd", "electra"),
    "rtd-v3": Case("rtd-v3", "deberta-v2"),
    "sop": Case("sop", "albert", documents),
    "tlm": Case("tlm", "xlm", lines, {"languages": ["de", "en", "fr"]}, {"token_types": 3}),
}


def batches(loss: Objective, samples: Sequence[Sample], cut: Sequence[int]) -> list[Batch]:
    """Micro-batches of the given sizes; each sample with a generator of its own."""
    made, first = [], 0
    for size in cut:
        some = samples[first : first + size]
        examples = [loss.example(sample, np.random.default_rng(sample.id)) for sample in some]
        made.append(loss.collate(examples, [sample.id for sample in some]))
        first += size
    return made


def one(case: Case) -> tuple[Objective, dict[str, nn.Module], Batch]:
    """The loss, its modules, and all samples as one micro-batch."""
    loss = case.objective()
    samples = case.samples()
    return loss, case.parts(), batches(loss, samples, [len(samples)])[0]


def key(batch: Batch, step: int = 0) -> Key:
    """The key of a micro-batch under seed 0."""
    return Key(0, step, batch.ids)


def gradient(
    case: Case, modules: Mapping[str, nn.Module], cut: Sequence[int], *, norms: bool = False
) -> tuple[dict[str, Tensor], engine.Step]:
    """Each weight's gradient of a whole step, and the step."""
    loss = case.objective()
    for module in modules.values():
        module.zero_grad(set_to_none=True)
    step = engine.accumulate(loss, modules, batches(loss, case.samples(), cut), {}, seed=0, step=0, norms=norms)
    return grads(modules), step


def grads(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Gradients by name, of weights that have one."""
    return {
        f"{part}.{name}": weight.grad for part, module in modules.items()
        for name, weight in module.named_parameters() if weight.grad is not None
    }  # fmt: skip
