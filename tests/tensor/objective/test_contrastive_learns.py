"""A known answer: squares of a colour in a place and captions that say so; captions never seen are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pair_cases
import pytest
import torch
from torch import nn

from keel.model.shapes import Size
from keel.objective.base import Batch, Carry, Features, Key, Sample, Scratch, Stats, Sums
from keel.objective.contrastive import CLIP, Contrastive, SigLIP
from keel.run import engine, optimiser, parts

pytestmark = pytest.mark.tensor
COLOURS, GROUNDS, CELLS, CELL, NAMES, NOISE = 6, 4, 4, 4, 4, 0.1
BATCH, HELD_OUT, WORDS, STEPS = 80, 16, 60, 250
SIZE = Size(width=48, layers=1, vocabulary=0, context=CELLS, head_width=16, patch=CELL, embedding_width=48)
SCENES = tuple(product(range(COLOURS), range(GROUNDS), range(CELLS)))
PALETTE = np.array([[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]], np.float32)
# A norm stands before the layers: tints differ in hue, for brightness alone would be normed away.
GROUND = np.array([[1, 1, 1], [-1, -1, -1], [1, 0, -1], [-1, 0, 1]], np.float32) / 2
OPTIONS = {"text_context": 5}


class TextCut(CLIP):
    """The mutant: nothing is pulled through the text tower."""

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        sums, features, stats = super().losses(parts, batch, carry, key)
        assert features is not None
        return sums, {**features, "text": features["text"].detach()}, stats


def pair(place: int, scene: tuple[int, int, int], rng: np.random.Generator) -> Sample:
    """A square of one of six colours in a quarter of a ground of one of four tints; its caption names all three.

    Each thing has four names, of which a caption has any.
    """
    colour, ground, cell = scene
    image = rng.normal(0, NOISE, (3, 2 * CELL, 2 * CELL)).astype(np.float32) + GROUND[ground][:, None, None]
    row, column = CELL * (cell // 2), CELL * (cell % 2)
    image[:, row : row + CELL, column : column + CELL] = PALETTE[colour][:, None, None]
    meant = np.array([colour, COLOURS + ground, COLOURS + GROUNDS + cell])
    return Sample(place, 1 + NAMES * meant + rng.integers(0, NAMES, 3), image=image)


def made_batch(loss: Contrastive, samples: list[Sample]) -> Batch:
    rng = np.random.default_rng(0)
    return loss.collate([loss.example(one, rng) for one in samples], [one.id for one in samples])


def recall(loss: Contrastive, steps: int) -> float:
    """R@1 of images among the captions of 16 scenes that no step has seen, after training on all the others."""
    # Positions begin at .02 beside patches of about .7: tables are given a higher rate to be seen in time.
    rates = {"lr_hidden": 3e-3, "lr_embedding": 6e-2}
    spec = replace(pair_cases.spec(), size=SIZE.json(), weight_decay=0.0, clip_norm=1.0, **rates)
    plan = loss.parts("clip-vision", SIZE, Scratch())
    modules = parts.build(plan, spec, loss.vocabulary)
    adam, rng = optimiser.build(modules, plan, spec), np.random.default_rng(1)
    order = rng.permutation(len(SCENES))
    held, seen = [SCENES[at] for at in order[:HELD_OUT]], [SCENES[at] for at in order[HELD_OUT:]]
    for step in range(steps):
        chosen = rng.choice(len(seen), BATCH, replace=False)
        some = [pair(int(at), seen[at], rng) for at in chosen]
        found = engine.accumulate(loss, modules, [made_batch(loss, some)], {}, seed=0, step=step)
        optimiser.step(adam, min(1.0, (step + 1) / 20) * (1 - step / steps), spec.clip_norm)
        loss.after_step(modules, {}, found.stats, step + 1)
    batch = made_batch(loss, [pair(at, scene, rng) for at, scene in enumerate(held)])
    with torch.no_grad():
        _, features, _ = loss.losses(modules, batch, {}, Key(0, 0, batch.ids))
    assert features is not None
    nearest = (features["image"] @ features["text"].T).argmax(1)
    return float((nearest == torch.arange(HELD_OUT)).double().mean())


@pytest.mark.parametrize(("kind", "steps"), [(CLIP, STEPS), (SigLIP, 2 * STEPS)])
def test_captions_of_scenes_never_seen_are_found(kind: type[Contrastive], steps: int) -> None:
    """SigLIP's scale begins with every pair held to be a negative, and takes longer to leave that."""
    assert recall(kind(OPTIONS, pair_cases.vocabulary(WORDS)), steps) > 0.9


def test_without_a_gradient_of_the_text_tower_they_are_not() -> None:
    """Names of one thing then stay as far apart as those of two, and the image cannot be near all of them."""
    assert recall(TextCut(OPTIONS, pair_cases.vocabulary(WORDS)), STEPS) < 0.75
