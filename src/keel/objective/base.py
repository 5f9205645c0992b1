"""The contract of a loss. Simple ones fill `example`, `collate` and `losses`; the base class gives the rest.

An objective gives sums and counts, never means: the engine alone divides, by each term's count over all ranks and
accumulation steps, so that 1 x 16, 4 x 4 and 2 x 2 x 4 samples give the same gradient.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from keel import model
from keel.corpus.images.augment import Settings
from keel.corpus.vocabulary import Vocabulary
from keel.errors import StudyError
from keel.model.shapes import Size
from keel.objective import pixels
from keel.objective.facts import Facts
from keel.objective.reading import Read, Renewed
from keel.objective.start import STARTS as STARTS
from keel.objective.start import Branch as Branch
from keel.objective.start import FromRun as FromRun
from keel.objective.start import Released as Released
from keel.objective.start import Scratch as Scratch
from keel.objective.start import Start as Start
from keel.objective.start import start_from as start_from

Sums = dict[str, Tensor]
Stats = dict[str, Tensor]
Carry = dict[str, Tensor]
Features = dict[str, Tensor]
Example = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One module of an objective: what it is, how big, where it starts, and what is done to it.

    `head` is what stands behind its last hidden state, one of its family's. `thaw_step` > 0: its weights do not move
    before that step; of one that `thaws` "encoder", the encoder's (its token table too). An "ema" part follows the part
    `ema_of`. Parts of one `optimiser` name share its state and its clipping. `cache`: a frozen part's outputs are kept,
    keyed by its weights. `vocabulary`: whose ids it reads, the run's or (a teacher behind a map) its own. Weights whose
    names end as one of `fixed` never move.
    """

    family: str
    size: Size
    start: Start
    head: str = "tokens"
    role: Literal["train", "frozen", "ema"] = "train"
    ema_of: str | None = None
    thaw_step: int = 0
    thaws: Literal["all", "encoder"] = "all"
    optimiser: str = "main"
    cache: bool = False
    vocabulary: Literal["run", "own"] = "run"
    fixed: tuple[str, ...] = ()


class Sample(NamedTuple):
    """One unit of data with its place in the corpus: a packed window, a document, or two texts that belong together.

    `second` is the other text of a pair; `languages` names those of the two, where they are known. `elsewhere` draws a
    text from another document than this one's; None where there is no other. Of images, `views` (3, H, H each, fp32)
    are made for this epoch, `image` is the first of them, of which a model sees patches of `patch` pixels a side, and
    `label` the number of its class; the tokens are then those of its caption, or none.
    """

    id: int
    tokens: np.ndarray
    second: np.ndarray | None = None
    languages: tuple[str, ...] = ()
    elsewhere: Callable[[np.random.Generator], np.ndarray] | None = None
    image: np.ndarray | None = None
    label: int | None = None
    views: tuple[np.ndarray, ...] = ()
    patch: int = 1


class Window(NamedTuple):
    """Tokens that a sample of packed text holds, and tokens from one sample's first to the next one's."""

    length: int
    stride: int


class Around(NamedTuple):
    """What the exported tokenizer makes of a text: at most so many positions, roles of special tokens at its ends."""

    positions: int
    before: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()


class Key(NamedTuple):
    """All that randomness may depend on: the run's seed, the step, the samples."""

    seed: int
    step: int
    sample_ids: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Tensors of one micro-batch; `counts` are known before any forward pass."""

    tensors: Mapping[str, Tensor]
    counts: Mapping[str, int]
    ids: tuple[int, ...] = field(default=())


class Rows(NamedTuple):
    """States (n, d) that meet the head of "model", and the tokens (n,) that they predict."""

    hidden: Tensor
    targets: Tensor


class Objective(ABC):
    """A loss as data -> sums; see the module's page in docs/design.md.

    `coupled`: terms that need the features of all samples of a step; `losses` then gives features, `batch_losses` the
    terms. `terms` are all names that counts can have, known before any batch: what a loss must say to be held by
    another. A whole step may be without those that are `optional`: they add nothing to it and are logged as absent.
    `notes` say what a user should know of this loss on this data when a run begins. `same_passes`: every micro-batch
    goes through the same parts in the same order, whatever its samples are, so that sharded ranks keep step.
    """

    facts: ClassVar[Facts]
    coupled: ClassVar[bool] = False
    terms: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    same_passes: bool = True
    fills: str = "model"  # the part whose head the rows of `rows` meet
    reorders: bool = False  # `before_epoch` gives the epochs' orders: nothing is read ahead of them
    opened: str = ""  # how a stranger opens what `export` writes, where the library has no such model
    variants: int = 0  # k > 0: a sample is drawn in k ways in turn, one an epoch (static masks); 0: anew every epoch

    def __init__(self, options: Mapping[str, Any] | None = None, vocabulary: Vocabulary | None = None) -> None:
        self.options, self._vocabulary = dict(options or {}), vocabulary
        if getattr(self, "facts", None) and self.facts.of is not None:
            vars(self)["facts"] = self.facts.of(self.options)

    @property
    def vocabulary(self) -> Vocabulary:
        """What the tokenizer's ids mean; an objective that never asks works on ids alone."""
        assert self._vocabulary is not None, f"{type(self).__name__} was made without a vocabulary"
        return self._vocabulary

    def window(self, context: int) -> Window:
        """What a sample of packed text holds where a model sees `context` positions."""
        return Window(context, context)

    def around(self, context: int) -> Around:
        """How a text is laid out where a model sees `context` positions."""
        return Around(context)

    def pixels(self, side: int, background: str) -> Settings:
        """How an image becomes numbers, as the options say; `side` in pixels."""
        return pixels.settings_of(self.options, side, background)

    def views(self, side: int, background: str, patch: int = 1) -> tuple[Settings, ...]:
        """How each view of an image in training becomes numbers; sides may differ, each of whole patches in pixels."""
        return (self.pixels(side, background),)

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """The modules this loss trains; one model unless said otherwise."""
        return {"model": Part(family=family, size=size, start=start)}

    def join(self, parts: dict[str, nn.Module]) -> dict[str, nn.Module]:
        """The parts as they are used: where they share weights, these are joined here, before anything else is done."""
        return parts

    def export(self, parts: Mapping[str, nn.Module], family: str, folder: Path) -> None:
        """Write what a run gives as the library itself would: "model" alone, unless a loss joins several."""
        model.load(family).export(parts["model"], folder)

    @abstractmethod
    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """One sample as arrays; `rng` is keyed by (seed, epoch, sample id) and nothing else."""

    @abstractmethod
    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Examples as one micro-batch, with the count of each term."""

    @abstractmethod
    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """The sum of each term over the micro-batch, features of coupled terms, and anything worth logging as sums."""

    def features(self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key) -> Features | None:
        """The features of coupled terms alone, those that `losses` gives: what the first of two passes needs."""
        return self.losses(parts, batch, carry, key)[1]

    def rows(self, parts: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Rows]:
        """What meets the head of `parts["model"]`, by term: another model in its place answers the same questions.

        Raises:
            StudyError: this loss does not predict tokens row by row, or does not say where.
        """
        name = type(self).__name__
        raise StudyError(
            f"{name} has no rows to distil", why="it does not say which states predict which tokens",
            fix=f"hold another loss, or give {name} a method `rows` (docs/design.md)", where="options.of",
        )  # fmt: skip

    def batch_losses(self, parts: Mapping[str, nn.Module], everyone: Features, mine: slice) -> Sums:
        """The sum of each coupled term over the rows `mine` of all features of the step."""
        return {}

    def weights(self, step: int) -> Mapping[str, float]:
        """The weight of each term at a step; 1 for terms that are not named."""
        return {}

    def momentum(self, step: int, decayed: float) -> float:
        """What an "ema" part keeps of itself at a step: ema <- m ema + (1 - m) source.

        `decayed`: the share that is done of the run's decay, 0 before it; a trunk has none.
        """
        return 0.996

    def init_carry(self, parts: Mapping[str, nn.Module]) -> Carry:
        """State beside the weights; checkpointed."""
        return {}

    def before_epoch(self, parts: Mapping[str, nn.Module], read: Read, carry: Carry, epoch: int) -> Renewed:
        """The state that an epoch begins with, and its order; parts are in evaluation mode and give no gradient."""
        return carry, None

    def after_step(self, parts: Mapping[str, nn.Module], carry: Carry, stats: Stats, step: int) -> Carry:
        """The state after an optimiser step; `stats` are sums over ranks and accumulation."""
        return carry

    def told(self, stats: Stats) -> Mapping[str, float]:
        """What metrics.jsonl says of a step beside its terms, from sums over ranks and accumulation."""
        return {}


def stack(examples: Sequence[Example], name: str) -> Tensor:
    """One field of all examples as an int64 tensor."""
    return torch.from_numpy(np.stack([example[name] for example in examples]).astype(np.int64))
