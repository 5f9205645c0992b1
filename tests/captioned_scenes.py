"""Scenes of one thing with their captions, in words; a short run of a loss on most of them, what it knows of others.

Every scene there is stands on one side: the held-out ones are of things that were never seen in that size, colour,
shape, place and ground together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from keel import objective
from keel.corpus import scenes
from keel.corpus.scene_pictures import drawn
from keel.corpus.scenes import COLOURS, GROUNDS, SHAPES, SIZES, Scene, Thing
from keel.corpus.vocabulary import BEGINS, SPECIAL, Vocabulary
from keel.evaluate import retrieved
from keel.model.shapes import Size
from keel.objective.base import Objective, Sample, Scratch
from keel.plan.spec import example_spec
from keel.run import engine, optimiser, parts

SIDE, HELD_OUT = 36, 96
OPTIONS = scenes.Options(most_objects=1, side=SIDE)
EVERY = tuple(
    Scene(ground, (Thing(size, colour, shape, *cell),))
    for ground, size, colour, shape, cell in itertools.product(
        GROUNDS, SIZES, COLOURS, SHAPES, itertools.product(range(scenes.GRID), repeat=2)
    )
)
WORDS = tuple(sorted({word for scene in EVERY for word in scenes.caption(scene).split()}))
SIZE = Size(width=64, layers=1, vocabulary=0, context=9, head_width=16, patch=12, embedding_width=64)


class Known(NamedTuple):
    """What a run knows of scenes that it never saw: captions that are word for word right, their nats, R@1."""

    exact: float
    nats: float
    recall: float | None


def vocabulary() -> Vocabulary:
    """The end has id 0 and the start the last, as in keel's own."""
    kind = np.array([SPECIAL, *[BEGINS] * len(WORDS), SPECIAL], np.uint8)
    special = {"separator": 0, "start": len(WORDS) + 1}
    return Vocabulary(len(kind), special, kind, np.zeros(len(kind), np.bool_))


@cache
def samples(seed: int = 0) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Pairs to train on, and pairs held out."""
    made = [_pair(number, scene) for number, scene in enumerate(EVERY)]
    order = np.random.default_rng(seed).permutation(len(made))
    return tuple(made[at] for at in order[HELD_OUT:]), tuple(made[at] for at in order[:HELD_OUT])


def _pair(number: int, scene: Scene) -> Sample:
    image = drawn(scene, OPTIONS).astype(np.float32).transpose(2, 0, 1) / 127.5 - 1
    words = np.array([1 + WORDS.index(word) for word in scenes.caption(scene).split()])
    return Sample(number, words, image=image)


def loss_of(name: str, **options: Any) -> Objective:
    """A loss with room for these captions."""
    return objective.load(name, {"text_context": 14, **options}, vocabulary())


def trained(loss: Objective, steps: int, batch: int = 48, seed: int = 0) -> dict[str, nn.Module]:
    """A short run through the engine and the optimiser.

    Positions begin at .02 beside patches of about 1: tables have a higher rate, to be seen in time.
    """
    spec = example_spec(family="clip-vision", size=SIZE.json(), weight_decay=0.05, clip_norm=1.0, beta2=0.98, seed=seed,
                        lr_hidden=2e-3, lr_embedding=8e-2)  # fmt: skip
    plan = loss.parts("clip-vision", SIZE, Scratch())
    modules = parts.build(plan, spec, vocabulary())
    adam, rng, seen = optimiser.build(modules, plan, spec), np.random.default_rng(seed), samples()[0]
    for step in range(steps):
        some = [seen[at] for at in rng.choice(len(seen), batch, replace=False)]
        examples = [loss.example(one, rng) for one in some]
        made = loss.collate(examples, [one.id for one in some])
        found = engine.accumulate(loss, modules, [made], {}, seed=seed, step=step)
        optimiser.step(adam, min(1.0, (step + 1) / 20) * (1 - step / steps), spec.clip_norm)
        loss.after_step(modules, {}, found.stats, step + 1)
    return modules


@torch.inference_mode()
def known(loss: Any, modules: Mapping[str, nn.Module]) -> Known:
    """By the product's own judges."""
    held, rng = samples()[1], np.random.default_rng(0)
    batch = loss.collate([loss.example(one, rng) for one in held], [one.id for one in held])
    recall = None
    if loss.coupled:
        recall = retrieved.judge(modules, loss, held).caption_of_image.recall[1].value
    if not hasattr(loss, "captioner"):
        return Known(math.nan, math.nan, recall)
    nats = float(loss.captioner.nats(modules, batch).mean())
    said = loss.captioner.written(modules, batch.tensors["images"], loss.vocabulary)
    exact = float(np.mean([one == pair.tokens.tolist() for one, pair in zip(said, held)]))
    return Known(exact, nats, recall)
