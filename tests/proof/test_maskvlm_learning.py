"""A known answer: a hidden word is told from the image, hidden pixels from the caption; not where that is cut off."""

from __future__ import annotations

from typing import Any

import masked_pairs as cases
import numpy as np
import pytest
import torch
from masked_pairs import SCENES, SIZE, loss, pair
from torch import Tensor

from keel.model.cross import CrossEncoder
from keel.objective.base import Key, Sample, Scratch
from keel.objective.maskvlm import MaskVLM
from keel.run import engine, optimiser, parts

pytestmark = pytest.mark.proof
STEPS, BATCH, HELD_OUT, DRAWS = 36, 40, 16, 3


def trained(of: MaskVLM) -> tuple[dict[str, Any], list[Sample]]:
    """The parts after 36 steps on all scenes but 16, and pairs of these."""
    spec = cases.spec(lr_hidden=3e-3, lr_embedding=3e-2, weight_decay=0.0, clip_norm=1.0)
    plan = of.parts("clip-vision", SIZE, Scratch())
    made = parts.build(plan, spec, of.vocabulary)
    adam, rng = optimiser.build(made, plan, spec), np.random.default_rng(1)
    order = rng.permutation(len(SCENES))
    held, seen = order[:HELD_OUT], order[HELD_OUT:]
    for step in range(STEPS):
        chosen = rng.choice(seen, BATCH, replace=False)
        some = [pair(BATCH * step + at, SCENES[scene], rng) for at, scene in enumerate(chosen)]
        found = engine.accumulate(of, made, cases.batches(of, some, [BATCH]), {}, seed=0, step=step)
        optimiser.step(adam, min(1.0, (step + 1) / 10) * (1 - step / STEPS), spec.clip_norm)
        of.after_step(made, {}, found.stats, step + 1)
    return made, [pair(at, SCENES[scene], rng) for at, scene in enumerate(held)]


@torch.no_grad()
def told(of: MaskVLM, made: dict[str, Any], right: list[Sample], turn: int) -> tuple[float, float]:
    """Nats a hidden word and error of a hidden patch, where each pair has the other side of the pair `turn` on."""
    nats, errors = [], []
    for draw in range(DRAWS):
        mixed = [(one, right[(at + turn) % len(right)]) for at, one in enumerate(right)]
        seeing = [one._replace(image=other.image, id=one.id + 97 * draw) for one, other in mixed]
        reading = [one._replace(tokens=other.tokens, id=one.id + 97 * draw) for one, other in mixed]
        for found, some, term in ((nats, seeing, "mlm"), (errors, reading, "mim")):
            batch = cases.batches(of, some, [len(some)])[0]
            sums = of.losses(made, batch, {}, Key(0, draw, batch.ids))[0]
            found.append(float(sums[term]) / batch.counts[term])
    return float(np.mean(nats)), float(np.mean(errors))


def gains(of: MaskVLM) -> tuple[float, float, float]:
    """What the right image saves of a hidden word's nats, the right caption of a hidden patch's error; its nats."""
    made, right = trained(of)
    (nats, error), (other_nats, other_error) = (told(of, made, right, turn) for turn in (0, 5))
    return other_nats - nats, other_error - error, nats


def test_each_side_is_told_from_the_other_in_scenes_never_seen() -> None:
    words, pixels, nats = gains(loss(mask=1.0, random=0.0))
    assert nats < 1.1
    assert words > 1.5
    assert pixels > 0.1


def test_nothing_is_learnt_from_a_side_that_is_another_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: in training every pair reads the side of the next one, as a slip of a row would have it."""
    plain = CrossEncoder.forward

    def slipped(self: Any, states: Tensor, other: Tensor, there: Any = None, other_there: Any = None) -> Tensor:
        if torch.is_grad_enabled():
            other, other_there = other.roll(1, 0), None if other_there is None else other_there.roll(1, 0)
        return plain(self, states, other, there, other_there)

    monkeypatch.setattr(CrossEncoder, "forward", slipped)
    words, pixels, _ = gains(loss(mask=1.0, random=0.0))
    assert abs(words) < 0.3
    assert abs(pixels) < 0.05
