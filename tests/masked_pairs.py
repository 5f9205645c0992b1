"""Pairs for MaskVLM: a square of a colour in a quarter of a ground, and a caption that names all three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from keel.corpus.vocabulary import BEGINS, SPECIAL, Vocabulary
from keel.model.shapes import Size
from keel.objective.base import Batch, Objective, Sample, Scratch
from keel.objective.maskvlm import MaskVLM
from keel.plan.spec import Spec, example_spec
from keel.run import parts

COLOURS, GROUNDS, CELLS, CELL, NOISE = 6, 4, 4, 4, 0.1
SCENES = tuple(product(range(COLOURS), range(GROUNDS), range(CELLS)))
PALETTE = np.array([[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]], np.float32)
GROUND = np.array([[1, 1, 1], [-1, -1, -1], [1, 0, -1], [-1, 0, 1]], np.float32) / 2
SIZE = Size(width=32, layers=1, vocabulary=0, context=CELLS, head_width=16, patch=CELL, embedding_width=48)
ROLES = ("pad", "start", "separator", "mask", "unknown")
CONTEXT = 8
OPTIONS: Mapping[str, Any] = {"text_context": CONTEXT}


def vocabulary() -> Vocabulary:
    """Five special ids, then a word for every colour, ground and place."""
    kind = np.array([SPECIAL] * len(ROLES) + [BEGINS] * (COLOURS + GROUNDS + CELLS), np.uint8)
    special = {role: place for place, role in enumerate(ROLES)}
    pieces = {place: b"word " for place in range(len(ROLES), len(kind))}
    return Vocabulary(len(kind), special, kind, np.zeros(len(kind), np.bool_), pieces)


def loss(kind: type[MaskVLM] = MaskVLM, **options: Any) -> MaskVLM:
    return kind({**OPTIONS, **options}, vocabulary())


def spec(**changes: Any) -> Spec:
    return replace(example_spec(family="clip-vision", size=SIZE.json()), **changes)


def modules(of: MaskVLM, dtype: torch.dtype = torch.float64, moved: float = 0.05) -> dict[str, nn.Module]:
    """Fresh parts, no weight without effect."""
    made = parts.build(of.parts("clip-vision", SIZE, Scratch()), spec(), of.vocabulary)
    generator = torch.Generator().manual_seed(0)
    for part in made.values():
        for weight in part.parameters():
            weight.data += moved * torch.randn(weight.shape, generator=generator)
    return {name: module.to(dtype) for name, module in made.items()}


def pair(place: int, scene: tuple[int, int, int], rng: np.random.Generator) -> Sample:
    """One scene."""
    colour, ground, cell = scene
    image = rng.normal(0, NOISE, (3, 2 * CELL, 2 * CELL)).astype(np.float32) + GROUND[ground][:, None, None]
    row, column = CELL * (cell // 2), CELL * (cell % 2)
    image[:, row : row + CELL, column : column + CELL] = PALETTE[colour][:, None, None]
    words = np.array([colour, COLOURS + ground, COLOURS + GROUNDS + cell]) + len(ROLES)
    return Sample(place, words, image=image, patch=CELL)


def samples(number: int = 16, longer: bool = True) -> list[Sample]:
    """Different scenes; every third caption says its first words twice, so that lengths differ."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(SCENES))
    made = [pair(at, SCENES[order[at]], rng) for at in range(number)]
    return [one._replace(tokens=np.concatenate([one.tokens, one.tokens[:2]])) if longer and at % 3 == 0 else one
            for at, one in enumerate(made)]  # fmt: skip


def batches(of: Objective, some: Sequence[Sample], cut: Sequence[int]) -> list[Batch]:
    """Micro-batches of the given sizes; each sample with a generator of its own."""
    made, first = [], 0
    for size in cut:
        these = some[first : first + size]
        examples = [of.example(one, np.random.default_rng([7, one.id])) for one in these]
        made.append(of.collate(examples, [one.id for one in these]))
        first += size
    return made


def grads(of: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Gradients by name."""
    return {f"{part}.{name}": weight.grad for part, module in of.items()
            for name, weight in module.named_parameters() if weight.grad is not None}  # fmt: skip
