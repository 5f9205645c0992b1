"""A student scores every view of an image as its own running mean, the teacher, scores the two large ones.

Legend: n images of a micro-batch, V views (two large ones first), e width of the space, K prototypes, H side in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from keel.corpus.images.augment import Settings
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
from keel.objective.views import LARGE, PROJECTOR, crops, scorer

CENTRE = "centre"


class DINO(Objective):
    """L = mean over images and pairs of unlike views (t large, s any) of -sum_k P_t[k] ln Q_s[k], in nats.

    P = softmax((teacher's scores - c) / T_t), Q = softmax(student's scores / T_s). No gradient reaches the teacher: its
    weights are m teacher + (1 - m) student after every step. c is the running mean of the teacher's scores over all
    images of a step, on all ranks. What a run gives is the teacher, which is the better one throughout (section 3.1).

    m is `momentum` until the run's decay begins and goes to 1 by half a cosine over it. In the paper it does over the
    whole run, which is this with decay_start 0: a trunk must be the same run for every branch that leaves it.
    Prototypes stay where they were drawn unless they `learn`, as they do in the paper from the second epoch on: in the
    first steps all images are scored nearly alike, and ones that move turn away from where all lie, the student too.
    T_t goes from `first_temperature` to `teacher_temperature` over `warm_steps`, in a line.

    Reference: Caron et al. 2021, arXiv:2104.14294, section 3.1, algorithm 1, and appendices C and D.

    Raises:
        StudyError: an unknown option, or one out of its range; all of them.
    """

    facts: ClassVar[Facts] = FACTS["dino"]
    terms = ("dino",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["dino"].checked(self.options, "dino")

    def pixels(self, side: int, background: str) -> Settings:
        """Those of the first large view."""
        return crops({**self.options, "local_views": 0, "local_side": 0}, side, background, 1)[0]

    def views(self, side: int, background: str, patch: int = 1) -> tuple[Settings, ...]:
        """Two large ones, then small ones."""
        return crops(self.options, side, background, patch)

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """Student and teacher, each with its network of scores; the teacher is the model.

        Raises:
            StudyError: the family sees no images.
        """
        check_head("dino", family, "body")
        body = Part(family=family, size=size, start=start, head="body")
        still = () if self.options["learn"] else ("prototypes",)
        head = Part(family=PROJECTOR, size=scorer(self.options, family, size), start=Scratch(), head="prototypes",
                    fixed=still)  # fmt: skip
        # Parts are told apart by their fields: a mean of weights is another part than what it follows.
        return {
            "model": _following(body, "student"), "student": body,
            "teacher_head": _following(head, "student_head"), "student_head": head,
        }  # fmt: skip

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """(V, 3, H, H) of the large views, and of the small ones, as they were drawn for this epoch."""
        large, small = sample.views[:LARGE], sample.views[LARGE:]
        return {"large": np.stack(large)} | ({"small": np.stack(small)} if small else {})

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """(V, n, 3, H, H) of each kind of view; a pair of views counts as one target."""
        views = sum(len(each) for each in examples[0].values())
        tensors = {
            kind: torch.from_numpy(np.stack([example[kind] for example in examples], 1)) for kind in examples[0]
        }  # fmt: skip
        return Batch(tensors, {"dino": len(examples) * LARGE * (views - 1)}, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """The sum over images and pairs, and what the centre and the log are made of."""
        head: Any = parts["student_head"]
        points = torch.cat([_points(parts["student"], head, views) for views in batch.tensors.values()])
        ln_student = log_softmax(head.scores(points) / self.options["temperature"], -1)
        with torch.no_grad():
            scored = self._scored(parts, batch.tensors["large"])
            teacher = ((scored - carry[CENTRE].to(scored)) / self._warmth(key.step)).softmax(-1)
        total = torch.stack([
            -(teacher[one] * ln_student[[view for view in range(len(points)) if view != one]].sum(0)).sum()
            for one in range(LARGE)
        ]).sum()  # fmt: skip
        return {"dino": total}, None, _seen(scored, teacher) | spread.seen(points.flatten(0, 1))

    def _scored(self, parts: Mapping[str, nn.Module], large: Tensor) -> Tensor:
        """(V, n, K): what the teacher gives the large views."""
        head: Any = parts["teacher_head"]
        found: Tensor = head.scores(_points(parts["model"], head, large))
        return found

    def _warmth(self, step: int) -> float:
        """The teacher's temperature at a step."""
        first, last = self.options["first_temperature"], self.options["teacher_temperature"]
        done = min(1.0, step / self.options["warm_steps"]) if self.options["warm_steps"] else 1.0
        return float(first + (last - first) * done)

    def momentum(self, step: int, decayed: float) -> float:
        """m -> 1 by half a cosine over the decay."""
        return 1.0 - (1.0 - float(self.options["momentum"])) * (1.0 + math.cos(math.pi * decayed)) / 2.0

    def init_carry(self, parts: Mapping[str, nn.Module]) -> Carry:
        """The centre (K,), nothing yet."""
        return {CENTRE: torch.zeros(self.options["prototypes"], device=next(parts["student_head"].parameters()).device)}

    def after_step(self, parts: Mapping[str, nn.Module], carry: Carry, stats: Stats, step: int) -> Carry:
        """c <- r c + (1 - r) mean of the teacher's scores over the whole step; r is `centre`."""
        keep, mean = float(self.options["centre"]), stats["teacher_scores"] / stats["teacher_number"]
        return {CENTRE: keep * carry[CENTRE] + (1.0 - keep) * mean.to(carry[CENTRE])}

    def told(self, stats: Stats) -> Mapping[str, float]:
        """In nats the mean entropy of the teacher's P, and the entropy of its mean; the spread of the student's points.

        Collapsed to one prototype both entropies are near 0; to none both near ln K. Their gap is what P says of an
        image, ln of the images in a step at most.
        """
        mean = stats["teacher_mean"] / stats["teacher_number"]
        return {
            "teacher_entropy": float(stats["teacher_entropy"] / stats["teacher_number"]),
            "teacher_mean_entropy": float(torch.special.entr(mean).sum()), "spread": spread.spread(stats),
        }  # fmt: skip


def _following(part: Part, source: str) -> Part:
    return Part(family=part.family, size=part.size, start=part.start, head=part.head, role="ema", ema_of=source)


def _points(body: nn.Module, head: nn.Module, views: Tensor) -> Tensor:
    """(V, n, 3, H, H) -> (V, n, e)."""
    found: Tensor = head(body(views.flatten(0, 1)).pooled)
    return found.reshape(*views.shape[:2], -1)


def _seen(scored: Tensor, teacher: Tensor) -> Stats:
    """Sums over views and images of the teacher's scores, its P and their entropies."""
    number = scored.new_tensor(float(scored.shape[0] * scored.shape[1]))
    return {
        "teacher_scores": scored.sum((0, 1)), "teacher_mean": teacher.sum((0, 1)),
        "teacher_entropy": torch.special.entr(teacher).sum(), "teacher_number": number,
    }  # fmt: skip
