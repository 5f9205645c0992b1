"""The novice's path: the released model nearest in data and compute, with its recipe as published.

Distance = mean of |log10 (its data / yours)| and |log10 (its FLOP / yours)|; what it does not tell counts `UNTOLD`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import mean
from typing import NamedTuple

from keel.answer import Number
from keel.catalog.licence import allowed
from keel.catalog.rows import Model
from keel.catalog.store import Catalogue
from keel.laws.law import FLOP_PER_PARAM_TOKEN
from keel.size.convert import bytes_per_token
from keel.units import show_count

GIGA, TERA, MEGA = 1e9, 1e12, 1e6
UNTOLD = 1.0  # decades, for data or compute that a model does not tell: it is no recipe to copy
BYTES_PER_WORD = "wikitext-103"  # the corpus whose words and bytes are both known
CATEGORY_OF: Mapping[str, str] = {"vision": "vision", "vision-language": "vision-language",
                                  "image-generation": "diffusion"}  # fmt: skip


class Proven(NamedTuple):
    """A released model as a recipe to follow. `distance` in decades, over what `by` names."""

    model: Model
    unique: float | None
    flop: float | None
    flop_from: str
    distance: float
    by: str

    @property
    def text(self) -> str:
        """One line: what it was made of, and with what."""
        model = self.model
        shape = f"{model.layers[0]} layers of {model.width}" if model.layers and model.width else ""
        parts = (
            f"{show_count(model.params)} params" if model.params else "", shape,
            " ".join(part for part in (model.data, f"({_said(model)})" if _said(model) else "") if part),
            f"{show_count(model.seen)} seen ({model.seen_unit})" if model.seen else "",
            f"context {model.context_said}" if model.context_said else "", model.objective, model.train_hardware,
            f"{self.flop:.2g} flop ({self.flop_from})" if self.flop else "", model.licence,
        )  # fmt: skip
        return f"{model.name} ({model.year}): " + "; ".join(part for part in parts if part)


def category_of(model: Model) -> str | None:
    """Which of the categories a released model belongs to; None: none of them (speech).

    Example:
        >>> models = Catalogue().models
        >>> [category_of(models[name]) for name in ("bert-base-uncased", "gpt2", "t5-base", "clip-vit-b32")]
        ['encoder', 'decoder', 'encoder-decoder', 'vision-language']
    """
    if model.modality != "text":
        return CATEGORY_OF.get(model.modality)
    kinds = ("encoder-decoder", "encoder", "decoder")
    return next((kind for kind in kinds if model.architecture.startswith(kind)), None)


def nearest(
    known: Catalogue, category: str, unit: str, unique: float | None, flop: float | None, *, limit: str = "any",
    before: int | None = None, params: float | None = None, most: int = 3,
) -> tuple[Proven, ...]:  # fmt: skip
    """Released models of the category by distance in data and compute; those of one distance by size near `params`.

    `limit`: the licence limit; `before`: only models of earlier years; models of unknown data and compute are left out.

    Example:
        >>> found = nearest(Catalogue(), "encoder", "tokens", 4.3e9, None, params=1e8)
        >>> found[0].model.id, found[0].by
        ('bert-base-uncased', 'data')
    """
    scales = scale_of(known)
    found = []
    for model in known.models.values():
        if category_of(model) != category or allowed(model, limit) or (before is not None and model.year >= before):
            continue
        own, (cost, cost_from) = unique_of(model, unit, scales), flop_of(model)
        sides = [side for side in (("data", own, unique), ("compute", cost, flop)) if side[2]]
        gaps = {name: abs(math.log10(theirs / yours)) for name, theirs, yours in sides if theirs and yours}
        if gaps:
            distance = mean([*gaps.values(), *[UNTOLD] * (len(sides) - len(gaps))])
            found.append(Proven(model, own, cost, cost_from, distance, " and ".join(gaps)))
    return tuple(sorted(found, key=_order(params))[:most])


def number(best: Proven, unit: str) -> Number:
    """The recipe as a number with its source: how much data it was given."""
    return Number(
        "size.proven", best.model.id, unit, formula="least log10 distance in " + best.by,
        inputs={"distance_decades": round(best.distance, 3)}, source=f"{best.text}; {best.model.source}",
        valid="what worked once: not the best size", outside=f"{10**best.distance:.2g}x away in {best.by}",
    )  # fmt: skip


def scale_of(known: Catalogue) -> Mapping[str, float]:
    """From a catalogue row's unit of data to tokens, images or pairs; text by bytes per token."""
    english, many = bytes_per_token(known, ["en"]), bytes_per_token(known)
    words = known.corpora.get(BYTES_PER_WORD)
    per_word = words.bytes / words.tokens if words and words.bytes and words.tokens else math.nan
    return {
        "B tokens": GIGA, "GB text": GIGA / english.value, "TB text": TERA / many.value,
        "B words": GIGA * per_word / english.value, "M images": MEGA, "M pairs": MEGA,
    }  # fmt: skip


def unique_of(model: Model, unit: str, scales: Mapping[str, float]) -> float | None:
    """A model's data in the unit asked for; None where it is unknown or of another kind."""
    if model.data_size is None:
        return None
    own = next((name for name in scales if model.data_unit.startswith(name)), None)
    kind = {"M images": "images", "M pairs": "pairs"}.get(own or "", "tokens")
    if own is None or (kind != unit and {kind, unit} != {"images", "pairs"}):
        return None
    return model.data_size * scales[own]


def flop_of(model: Model) -> tuple[float | None, str]:
    """Training FLOP: as published, else 6 N D of tokens seen, and which of the two."""
    if model.train_flop:
        return model.train_flop, model.train_flop_source
    if model.params and model.seen and "tokens" in model.seen_unit:
        return FLOP_PER_PARAM_TOKEN * model.params * model.seen, "6 N D"
    return None, ""


def _order(params: float | None) -> Callable[[Proven], tuple[float, float, str]]:
    def key(item: Proven) -> tuple[float, float, str]:
        size = item.model.params or math.inf
        return round(item.distance, 2), abs(math.log(size / params)) if params else size, item.model.id

    return key


def _said(model: Model) -> str:
    return f"{model.data_size:g} {model.data_unit}" if model.data_size is not None else ""
