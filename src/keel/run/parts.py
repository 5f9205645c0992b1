"""The modules of a run: built from the parts of an objective, frozen and thawed by step, averaged where they follow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from keel import model
from keel.corpus import vocabulary as vocabularies
from keel.corpus.store import Corpus
from keel.corpus.vocabulary import Vocabulary
from keel.errors import StudyError
from keel.files import read_json
from keel.objective.base import Branch, Objective, Part, Scratch, Start, start_from
from keel.objective.held import facts_of
from keel.plan.spec import SCHEMA, Spec, from_json
from keel.run import starts
from keel.run.began import Began
from keel.run.checkpoint import kept_buffers
from keel.run.whose_tokens import tokenizer_json

SEED_STRIDE = 1 << 20  # seeds of runs are small numbers: parts of different runs never share one


def start_of(spec: Spec) -> Start:
    """The spec's start as a value."""
    return start_from(spec.start, "spec.json: start")


def vocabulary_of(spec: Spec, corpus: Corpus) -> Vocabulary | None:
    """The corpus's vocabulary with the special tokens that the loss needs; the model has a row for each id.

    None where the corpus holds no tokens.

    Raises:
        StudyError: the spec's model was sized for another vocabulary.
    """
    context, facts = int(spec.size["context"]), facts_of(spec.objective, spec.options)
    text = tokenizer_json(facts, spec.options, corpus)
    if text is None:
        return None
    known = vocabularies.vocabulary_of(text)
    found = known.with_special(facts.roles(spec.options, context))
    # Captions' tokens are those of another part than the one that the size is of: the loss sizes it by what is found.
    if spec.size["vocabulary"] and found.size != spec.size["vocabulary"]:
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


class Built(NamedTuple):
    """The modules of a run, and for those that did not start from scratch where their weights came from."""

    modules: dict[str, nn.Module]
    began: dict[str, Began]


def build(parts: Mapping[str, Part], spec: Spec, vocabulary: Vocabulary | None = None) -> dict[str, nn.Module]:
    """The modules of `begin` where no part starts from a run."""
    return begin(parts, spec, vocabulary).modules


def begin(
    parts: Mapping[str, Part], spec: Spec, vocabulary: Vocabulary | None = None, runs: Path | None = None,
    tokenizer_json: str | None = None,
) -> Built:  # fmt: skip
    """Every part's module with its first weights: those of its start, and fresh ones from a seed of its own.

    `runs` holds earlier runs, `tokenizer_json` is what ids mean in this one. An "ema" part begins as its source.

    Raises:
        StudyError: a start that cannot be read, or does not fit its part.
    """
    built, began = dict[str, nn.Module](), dict[str, Began]()
    for place, (name, part) in enumerate(parts.items()):
        family, seed = model.load(part.family), spec.seed + place * SEED_STRIDE
        start = _first(part.start, runs)
        if isinstance(start, Scratch | Branch):
            shape = family.shape(part.size)
            built[name] = family.build(shape, spec.precision, seed, ids_of(vocabulary), part.head)
        else:
            source = starts.source_of(start, runs)
            ids = ids_of(vocabulary)
            built[name], began[name] = starts.build(part, source, spec.precision, seed, ids, tokenizer_json)
    for name, part in parts.items():
        if part.role == "ema":
            assert part.ema_of is not None, f"part {name} follows nobody"
            built[name].load_state_dict(built[part.ema_of].state_dict())
    return Built(built, began)


def _first(start: Start, runs: Path | None) -> Start:
    """What a branch's trunk started from: the release's config is part of the architecture."""
    while isinstance(start, Branch) and runs is not None and (path := runs / start.run / "spec.json").exists():
        start = start_of(from_json(read_json(path, SCHEMA), str(path)))
    return start


def hold(modules: Mapping[str, nn.Module], parts: Mapping[str, Part], step: int) -> None:
    """Let the weights move that train at `step` (steps done), and no other: sharing with a part that trains wins."""
    moving = {
        weight for name, part in parts.items() if part.role == "train"
        for weight in set(modules[name].parameters()) - _held(modules[name], part, step)
    }  # fmt: skip
    for module in modules.values():
        for weight in module.parameters():
            weight.requires_grad_(weight in moving)
            if weight not in moving:
                weight.grad = None
        module.train(any(weight.requires_grad for weight in module.parameters()))


def _held(module: Any, part: Part, step: int) -> set[torch.Tensor]:
    """The weights of a part that do not move, or not yet."""
    never = {weight for name, weight in module.named_parameters() if name.endswith(part.fixed)}
    if step >= part.thaw_step:
        return never
    return never | set((module.library.get_encoder() if part.thaws == "encoder" else module).parameters())


@torch.no_grad()
def follow(
    modules: Mapping[str, nn.Module], parts: Mapping[str, Part], loss: Objective, step: int, decayed: float
) -> None:  # fmt: skip
    """ema <- m ema + (1 - m) source, for every part that follows one; what batch norms have gathered too."""
    for name, part in parts.items():
        if part.ema_of is None:
            continue
        keep = loss.momentum(step, decayed)
        for weight, source in zip(modules[name].parameters(), modules[part.ema_of].parameters()):
            weight.lerp_(source, 1.0 - keep)
        for (_, held), (_, newest) in zip(kept_buffers(modules[name]), kept_buffers(modules[part.ema_of])):
            held.lerp_(newest, 1.0 - keep) if held.is_floating_point() else held.copy_(newest)
