"""Losses on pairs whose text tower is the tiny release, and pairs for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pair_cases import CONTEXT, SIDE, SIZE
from tiny_bert import write
from torch import nn

from keel.corpus.tokenizer import load, released
from keel.corpus.vocabulary import vocabulary_of
from keel.model.shapes import folder
from keel.objective.base import Batch, Sample, Scratch
from keel.objective.contrastive import CLIP, Contrastive, SigLIP
from keel.objective.released_text import sha256_of
from keel.plan.spec import example_spec
from keel.run import parts

__all__ = ["KINDS", "batches", "captions", "loss", "modules", "options", "samples", "write"]
KINDS = {"clip": CLIP, "siglip": SigLIP}


def options(path: Path, trains: str = "no", **more: Any) -> dict[str, Any]:
    """Options of a loss whose text tower is the release there."""
    sha256 = sha256_of(folder.read(path))
    return {"text_context": CONTEXT, "text_from": str(path), "text_sha256": sha256, "text_trains": trains, **more}


def loss(name: str, path: Path, trains: str = "no", **more: Any) -> Contrastive:
    """A loss with it, over its own vocabulary."""
    return KINDS[name](options(path, trains, **more), vocabulary_of(released(path)))


def modules(of: Contrastive, dtype: torch.dtype = torch.float64, step: int = 0) -> dict[str, nn.Module]:
    """All parts, those that are frozen held."""
    spec = example_spec(family="clip-vision", size=SIZE.json())
    plan = of.parts("clip-vision", SIZE, Scratch())
    made = {name: module.to(dtype) for name, module in parts.build(plan, spec, of.vocabulary).items()}
    parts.hold(made, plan, step)
    return made


def captions() -> list[str]:
    """Captions of one to six tokens, all different."""
    return [f"{colour} {' '.join(rest)}".strip() for colour in ("red", "green", "blue", "white")
            for rest in ((), ("disc",), ("square", "left"), ("discs", "on", "a", "white"))]  # fmt: skip


def samples(path: Path) -> list[Sample]:
    """Images with these captions, cut by the release's tokenizer."""
    rng, tokenizer = np.random.default_rng(0), load(released(path))
    return [
        Sample(place, np.array(tokenizer.encode(text, add_special_tokens=False).ids),
               image=rng.normal(size=(3, SIDE, SIDE)).astype(np.float32))
        for place, text in enumerate(captions())
    ]  # fmt: skip


def batches(of: Contrastive, some: list[Sample], cut: list[int]) -> list[Batch]:
    """Micro-batches of the given sizes."""
    made, rng, first = [], np.random.default_rng(0), 0
    for size in cut:
        these = some[first : first + size]
        made.append(of.collate([of.example(one, rng) for one in these], [one.id for one in these]))
        first += size
    return made
