"""A mixture of losses over one corpus: each sample goes to one of them, and their terms are normalised apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from keel import objective
from keel.errors import Problem, StudyError
from keel.model.shapes import Size
from keel.objective.base import (
    Batch,
    Carry,
    Example,
    Features,
    Key,
    Objective,
    Part,
    Rows,
    Sample,
    Start,
    Stats,
    Sums,
    Window,
)
from keel.objective.facts import FACTS, Facts
from keel.objective.held import TENSOR, TERM, mixture_of
from keel.objective.options import OPTIONS

Value = TypeVar("Value")
IDS = ""  # the tensor with the sample ids of a part of the mixture


class Mixture(Objective):
    """L = sum_i w_i L_i, each L_i a held loss over its own targets; w_i is its share of the samples unless given.

    A sample goes to loss i with probability share_i, drawn by its own generator, so neither ranks nor workers change
    it. Terms are named "name.term". A step may be without a loss: its terms are then absent, and since a mean of no
    target cannot be formed, a loss of share s is heard with weight w (1 - (1 - s)^B) in batches of B samples on
    average. All held losses get windows of one length, that of the one that takes fewest tokens.
    Options: `of` {name: {loss, options, share, weight}}; see `held.mixture_of`.

    Raises:
        StudyError: losses that cannot be held, or cannot share a model.
    """

    facts: ClassVar[Facts] = FACTS["mixture"]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["mixture"].checked(self.options, "mixture")
        self.shares = {one.name: one for one in mixture_of(self.options)}
        self.of = {
            name: objective.load(one.loss, one.options, self._vocabulary) for name, one in self.shares.items()
        }  # fmt: skip
        problems = [Problem(*found, "options.of") for name, loss in self.of.items() for found in _unfit(name, loss)]
        turns = {loss.variants for loss in self.of.values()}
        if len(turns) > 1:
            problems.append(Problem("some losses of the mixture draw a sample anew each epoch, others in turn",
                                    f"variants: {', '.join(map(str, sorted(turns)))}", "give all the same",
                                    "options.of"))  # fmt: skip
        if problems:
            raise StudyError.all(problems)
        self.variants = turns.pop()
        self.terms = tuple(name + TERM + term for name, loss in self.of.items() for term in loss.terms)
        self.optional, self.same_passes = self.terms, False
        self._following: Objective | None = None

    def window(self, context: int) -> Window:
        """The shortest of all: no token is left out for a loss that takes fewer."""
        windows = [loss.window(context) for loss in self.of.values()]
        return Window(min(one.length for one in windows), min(one.stride for one in windows))

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """All parts of all losses; those of one name are one part, and must agree.

        Raises:
            StudyError: they differ; or two losses have parts that follow others, each at its own pace.
        """
        found: dict[str, Part] = {}
        problems, following = [], set()
        for name, loss in self.of.items():
            for part, made in loss.parts(family, size, start).items():
                if found.setdefault(part, made) != made:
                    problems.append(Problem(f"'{name}' wants another part '{part}' than the losses before it",
                                            _unlike(made, found[part]), "train it alone", "options.of"))  # fmt: skip
                following |= {name} if made.role == "ema" else set()
        if len(following) > 1:
            problems.append(Problem("two losses of the mixture have means of weights",
                                    f"{', '.join(sorted(following))} could differ in their momentum",
                                    "mix one of them only", "options.of"))  # fmt: skip
        if problems:
            raise StudyError.all(problems)
        self._following = self.of[following.pop()] if following else None
        return found

    def join(self, parts: dict[str, nn.Module]) -> dict[str, nn.Module]:
        """Joined by each loss in turn."""
        for loss in self.of.values():
            parts = loss.join(parts)
        return parts

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The example of the loss that the sample goes to, its fields under that loss's name."""
        names = list(self.of)
        name = names[int(rng.choice(len(names), p=[self.shares[each].share for each in names]))]
        return _under(name, self.of[name].example(sample, rng))

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """One micro-batch for each loss that got a sample, side by side."""
        tensors: dict[str, Tensor] = {}
        counts = dict.fromkeys(self.terms, 0)
        for name, loss in self.of.items():
            places = [place for place, example in enumerate(examples) if next(iter(example)).startswith(name + TENSOR)]
            if places:
                mine = [ids[place] for place in places]
                made = loss.collate([_within(name, examples[place]) for place in places], mine)
                tensors |= _under(name, {**made.tensors, IDS: torch.tensor(mine)})
                counts |= {name + TERM + term: count for term, count in made.counts.items()}
        return Batch(tensors, counts, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """The sums of every loss on its samples; 0 for those that got none."""
        sums: Sums = {}
        stats: Stats = {}
        for name, mine in self._batches(batch):
            made, _, seen = self.of[name].losses(parts, mine, _within(name, carry), key._replace(sample_ids=mine.ids))
            sums |= _under(name, made, TERM)
            stats |= _under(name, seen)
        nothing = next(iter(sums.values())).detach().new_zeros(())
        return {term: sums.get(term, nothing) for term in self.terms}, None, stats

    def rows(self, parts: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Rows]:
        """Rows of every loss that got a sample."""
        found: dict[str, Rows] = {}
        for name, mine in self._batches(batch):
            found |= _under(name, self.of[name].rows(parts, mine), TERM)
        return found

    def _batches(self, batch: Batch) -> Iterator[tuple[str, Batch]]:
        """Each loss that got a sample, with its micro-batch."""
        for name in self.of:
            tensors = _within(name, batch.tensors)
            if tensors:
                ids = tuple(int(each) for each in tensors.pop(IDS))
                yield name, Batch(tensors, _within(name, batch.counts, TERM), ids)

    def weights(self, step: int) -> Mapping[str, float]:
        """w_i times the held loss's own weights."""
        found: dict[str, float] = {}
        for name, loss in self.of.items():
            own = loss.weights(step)
            found |= {name + TERM + term: self.shares[name].weight * own.get(term, 1.0) for term in loss.terms}
        return found

    def momentum(self, step: int, decayed: float) -> float:
        """That of the one loss with a part that follows."""
        if self._following is None:
            return super().momentum(step, decayed)
        return self._following.momentum(step, decayed)

    def init_carry(self, parts: Mapping[str, nn.Module]) -> Carry:
        """Each loss's own, under its name."""
        found: Carry = {}
        for name, loss in self.of.items():
            found |= _under(name, loss.init_carry(parts))
        return found

    def after_step(self, parts: Mapping[str, nn.Module], carry: Carry, stats: Stats, step: int) -> Carry:
        """Each loss's own."""
        found: Carry = {}
        for name, loss in self.of.items():
            found |= _under(name, loss.after_step(parts, _within(name, carry), _within(name, stats), step))
        return found

    def told(self, stats: Stats) -> Mapping[str, float]:
        """What each loss that got a sample says, under its name."""
        found: dict[str, float] = {}
        for name, loss in self.of.items():
            if mine := _within(name, stats):
                found |= _under(name, loss.told(mine), TERM)
        return found


def _unfit(name: str, loss: Objective) -> Iterator[tuple[str, str, str]]:
    """Why a loss cannot be held."""
    if not loss.terms:
        yield (f"'{name}' does not say its terms", "a step may be without any of them, and every rank must know them",
               f'give {type(loss).__name__} an attribute terms = ("name",)')  # fmt: skip
    if loss.coupled:
        yield (f"'{name}' compares all samples of a step", "in a mixture it would get some of them only",
               "train it alone")  # fmt: skip


def _under(name: str, values: Mapping[str, Value], join: str = TENSOR) -> dict[str, Value]:
    return {name + join + key: value for key, value in values.items()}


def _within(name: str, values: Mapping[str, Value], join: str = TENSOR) -> dict[str, Value]:
    start = name + join
    return {key[len(start) :]: value for key, value in values.items() if key.startswith(start)}


def _unlike(one: Part, other: Part) -> str:
    """The fields in which two parts differ."""
    left, right = vars(one), vars(other)
    return ", ".join(f"{name} {left[name]} and {right[name]}" for name in left if left[name] != right[name])
