"""Two views of an image belong together, and are told from those of all other images of the step.

Legend: n images of a step, m of them on this rank, e width of the space, H side in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from keel.corpus.images.augment import Settings
from keel.errors import StudyError
from keel.model.shapes import Size
from keel.objective import spread
from keel.objective.base import (
    Batch,
    Carry,
    Example,
    Features,
    Key,
    Objective,
    Part,
    Sample,
    Scratch,
    Start,
    Stats,
    Sums,
)
from keel.objective.facts import FACTS, Facts
from keel.objective.heads import check_head
from keel.objective.options import OPTIONS
from keel.objective.views import PROJECTOR, projector

ONE, TWO = "one", "two"


class SimCLR(Objective):
    """L = mean over the 2 n views i of -ln softmax_j(z_i z_j / t)[the other view of the same image], j != i, in nats.

    z: projected states, of length 1. All n images of a step take part, however it is cut; count = views. Families with
    batch norms are refused: a step goes through the model twice.
    Options: `temperature` t; `hidden` and `out`, widths of the projector (0: as wide as the state); what is done to
    images. t is .1 in the paper on ImageNet with 4,096 images a step, .5 on CIFAR-10; ladders here have few and small
    images, so .5.

    Reference: Chen et al. 2020, arXiv:2002.05709, section 2.1, algorithm 1 and appendix B.9.

    Raises:
        StudyError: an unknown option, or one out of its range; all of them.
    """

    facts: ClassVar[Facts] = FACTS["simclr"]
    coupled: ClassVar[bool] = True
    terms = ("simclr",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["simclr"].checked(self.options, "simclr")

    def views(self, side: int, background: str, patch: int = 1) -> tuple[Settings, ...]:
        """Two, drawn alike."""
        return (self.pixels(side, background),) * 2

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """The model without a head, and the projector, which is of no use afterwards (section 4.2).

        Raises:
            StudyError: the family sees no images.
        """
        check_head("simclr", family, "body")
        return {
            "model": Part(family=family, size=size, start=start, head="body"),
            "projector": Part(family=PROJECTOR, size=projector(self.options, family, size), start=Scratch(),
                              head="points"),
        }  # fmt: skip

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Both views as they were drawn for this epoch."""
        first, second = sample.views
        return {ONE: first, TWO: second}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """(n, 3, H, H) of each view."""
        tensors = {view: torch.from_numpy(np.stack([example[view] for example in examples])) for view in (ONE, TWO)}
        return Batch(tensors, {"simclr": 2 * len(examples)}, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Projected states (n, e) of each view, and how far they lie apart."""
        # Both at once: one pass through the layers.
        states = parts["model"](torch.cat([batch.tensors[ONE], batch.tensors[TWO]])).pooled
        points: Tensor = parts["projector"](states)
        first, second = points.chunk(2)
        return {}, {ONE: first, TWO: second}, spread.seen(points)

    def batch_losses(self, parts: Mapping[str, nn.Module], everyone: Features, mine: slice) -> Sums:
        """The sum over both views of this rank's images.

        Raises:
            StudyError: a step of one image, which nothing could be told from.
        """
        first, second = everyone[ONE], everyone[TWO]
        if len(first) < 2:
            raise StudyError("a step has one image", why="simclr tells its views from those of the step's others",
                             fix="raise train.batch to 2 images or more", where="train.batch")  # fmt: skip
        ways = (self._told_apart(first, second, mine), self._told_apart(second, first, mine))
        return {"simclr": torch.stack(ways).sum()}

    def _told_apart(self, view: Tensor, other: Tensor, mine: slice) -> Tensor:
        """The sum over rows `mine` of one view: against all views but itself."""
        own, number = torch.arange(len(view), device=view.device)[mine], len(view)
        logits = torch.cat([view[mine] @ other.T, view[mine] @ view.T], 1) / self.options["temperature"]
        itself = torch.zeros_like(logits, dtype=torch.bool)
        itself[torch.arange(len(own), device=view.device), number + own] = True
        return nn.functional.cross_entropy(logits.masked_fill(itself, -torch.inf), own, reduction="sum")

    def told(self, stats: Stats) -> Mapping[str, float]:
        """`spread` of the projected states: near 0 all images are one point."""
        return {"spread": spread.spread(stats)}
