"""The modules of a run: built from the parts of an objective, frozen and thawed by step, averaged where they follow."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from keel import model, objective
from keel.corpus import vocabulary as vocabularies
from keel.corpus.shards import Shards
from keel.corpus.vocabulary import Vocabulary
from keel.errors import StudyError
from keel.objective.base import Branch, Objective, Part, Scratch, Start
from keel.plan.spec import Spec

SEED_STRIDE = 1 << 20  # seeds of runs are small numbers: parts of different runs never share one


def start_of(spec: Spec) -> Start:
    """The spec's start as a value."""
    known = {"scratch": Scratch, "branch": Branch}
    return known[spec.start["kind"]](**{name: value for name, value in spec.start.items() if name != "kind"})


def vocabulary_of(spec: Spec, shards: Shards) -> Vocabulary:
    """The shards' vocabulary with the special tokens that the loss needs; the model has a row for each id.

    Raises:
        StudyError: the spec's model was sized for another vocabulary.
    """
    context = int(spec.size["context"])
    known = vocabularies.vocabulary_of(shards.tokenizer_path.read_text(encoding="utf-8"))
    found = known.with_special(objective.kind(spec.objective).facts.roles(spec.options, context))
    if found.size != spec.size["vocabulary"]:
        raise StudyError(
            f"the model has {spec.size['vocabulary']} rows for {found.size} tokens", fix="plan again",
            where="spec.json", why=f"{known.size} of the tokenizer and {found.size - known.size} that the loss adds",
        )  # fmt: skip
    return found


def ids_of(vocabulary: Vocabulary | None) -> dict[str, int | None]:
    """The special ids that the library's configs ask for."""
    special = vocabulary.special if vocabulary else {}
    pad, separator = special.get("pad"), special.get("separator")
    return {
        "pad": pad,
        "bos": special.get("start", separator),
        "eos": separator,
        "decoder_start": special.get("start", pad),
    }


def build(parts: Mapping[str, Part], spec: Spec, vocabulary: Vocabulary | None = None) -> dict[str, nn.Module]:
    """Every part's module, each with initial weights from a seed of its own; an "ema" part begins as its source."""
    built: dict[str, nn.Module] = {}
    for place, (name, part) in enumerate(parts.items()):
        family, seed = model.load(part.family), spec.seed + place * SEED_STRIDE
        shape = family.shape(part.size)
        built[name] = family.build(shape, spec.precision, seed, ids_of(vocabulary), part.head)
    for name, part in parts.items():
        if part.role == "ema":
            assert part.ema_of is not None, f"part {name} follows nobody"
            built[name].load_state_dict(built[part.ema_of].state_dict())
    return built


def hold(modules: Mapping[str, nn.Module], parts: Mapping[str, Part], step: int) -> None:
    """Let the weights move that train at `step` (steps done), and no other: sharing with a part that trains wins."""
    moving = {
        weight for name, part in parts.items() if part.role == "train" and step >= part.thaw_step
        for weight in modules[name].parameters()
    }  # fmt: skip
    for name, module in modules.items():
        for weight in module.parameters():
            weight.requires_grad_(weight in moving)
            if weight not in moving:
                weight.grad = None
        module.train(parts[name].role == "train" and step >= parts[name].thaw_step)


@torch.no_grad()
def follow(modules: Mapping[str, nn.Module], parts: Mapping[str, Part], loss: Objective, step: int) -> None:
    """ema <- m ema + (1 - m) source, for every part that follows one."""
    for name, part in parts.items():
        if part.ema_of is None:
            continue
        keep = loss.momentum(step)
        for weight, source in zip(modules[name].parameters(), modules[part.ema_of].parameters()):
            weight.lerp_(source, 1.0 - keep)
