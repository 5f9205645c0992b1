"""Parameters computed from a model's shape, and set against the published count: 2 % apart at most, or listed with why.

Legend: d width, a width of all heads, k width of the key and value heads, f feed-forward width, L layers, V vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from keel.catalog.rows import Model
from keel.catalog.shape_families import RULES, Counted, Decoder, Patches
from keel.model.shapes import VISION, FamilyShapes, Shape

TOLERANCE = 0.02
# Rows whose published count is more than 2 % from the shape's, with the reason; a test keeps the list exact.
APART: Mapping[str, str] = {
    "deberta-v2-xlarge": "the README rounds the backbone to 710M and the whole to 900M; the shape gives 885M",
    "deberta-v2-xxlarge": "the README's backbone of 1,320M is below the shape's 1,368M; it calls the whole 1.5B",
    "albert-base-v2": "the README says 11M, the paper's table 12M",
    "albert-large-v2": "the README says 17M, the paper's table 18M",
    "electra-small": "14M is rounded up from 13.5M",
    "ettin-encoder-1b": "1B is its name; the shape gives 1,031M",
    "xlnet-large-cased": "340M is said as BERT-large's; relative positions add a projection a layer, 361M",
    "bloom-1b1": "1b1 is its name; the shape gives 1,065M",
    "gpt-neox-20b": "20B is its name; the shape gives 20.6B",
    "falcon-40b": "40B is its name; the shape gives 41.3B",
    "phi-2": "2.7B is its name; the shape gives 2.78B",
    "ul2-20b": "20B is its name; the shape gives 19.6B, as Epoch lists for flan-ul2 (19.5B)",
    "m2m100-418m": "418M is its name; the shape gives 484M, as its released weights have",
}


class Count(NamedTuple):
    """Counts of a shape. `active`: parameters that a token meets (fewer with experts); `note`: what is approximate."""

    params: float
    active: float
    attention: float
    note: str
    source: str

    def flop_per_token(self, context: int) -> float:
        """Training FLOP a token: 6 N_active + 12 L T a, where `attention` is L a.

        Reference: Kaplan et al. 2020, arXiv:2001.08361, section 2.1.
        """
        return 6 * self.active + 12 * self.attention * context

    @property
    def weight_bytes(self) -> float:
        """Weights alone in 16 bits, 2 N."""
        return 2 * self.params

    @property
    def state_bytes(self) -> float:
        """Weights, gradients and two moments of Adam in 32 bits, 16 N; activations come on top."""
        return 16 * self.params


class Check(NamedTuple):
    """A row against its shape: `ratio` = computed / published; None where one of them is unknown, and `why` says it."""

    computed: Count | None
    ratio: float | None
    why: str

    @property
    def agrees(self) -> bool | None:
        """Within 2 %; None where nothing can be compared."""
        return None if self.ratio is None else abs(self.ratio - 1) <= TOLERANCE


def check(model: Model) -> Check:
    """Set the published count against the shape's.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> found = check(Catalogue().models["llama-3-8b"])
        >>> found.agrees, round(found.computed.params)
        (True, 8030261248)
    """
    count, why = counted(model)
    if count is None:
        return Check(None, None, why)
    if model.params is None:
        return Check(count, None, "no count is published")
    ratio = count.params / model.params
    if abs(ratio - 1) <= TOLERANCE:
        return Check(count, ratio, count.note)
    return Check(count, ratio, APART.get(model.id, "the published count differs and no reason is recorded"))


def counted(model: Model) -> tuple[Count | None, str]:
    """The count of a row's shape, or None and what is missing."""
    rule = RULES.get(model.family)
    if model.layers is None or model.width is None:
        return None, "its shape is not recorded"
    if rule is None:
        return None, f"no arithmetic for the family {model.family}"
    if isinstance(rule, Patches):
        return _patches(rule, model, model.layers[0], model.width), ""
    vocabulary, note = _vocabulary(model)
    missing = [] if vocabulary else ["vocabulary"]
    if isinstance(rule, Decoder):
        missing += [name for name in ("heads", "feed_forward") if not getattr(model, name)]
    if missing:
        return None, f"not recorded: {', '.join(missing)}"
    if isinstance(rule, Decoder):
        return _decoder(rule, model, vocabulary, note), ""
    return _family(rule, model, vocabulary, note), ""


def _vocabulary(model: Model) -> tuple[int, str]:
    """Entries, and what is approximate: "250K (approx.)" is 250,000."""
    if model.vocabulary:
        return model.vocabulary, ""
    found = re.match(r"(\d+)K\b", model.vocabulary_said)
    return (1000 * int(found[1]), f"vocabulary only as {model.vocabulary_said}") if found else (0, "")


def _family(rule: Counted, model: Model, vocabulary: int, note: str) -> Count:
    """Through keel.model.shapes; heads as wide as the model where their number is not recorded."""
    assert model.layers is not None
    assert model.width is not None
    d, features = model.width, rule.features
    narrow = rule.embedding_width if not rule.only_embedding or model.id in rule.only_embedding else 0
    two = features.kind == "encoder-decoder"
    shape = Shape(
        width=d, layers=model.layers[0], heads=model.heads or 1,
        feed_forward=model.feed_forward or features.feed_forward(d), vocabulary=vocabulary,
        context=model.context or 512, tied=rule.tied, embedding_width=narrow,
        decoder_layers=model.layers[-1] if two else 0, head_width=_head_width(rule.head_widths, model.id),
        token_types=features.token_types or 0,
    )  # fmt: skip
    found = FamilyShapes(replace(features, tied=rule.tied)).params(shape, head=rule.head)
    layers = sum(model.layers) if two else model.layers[0]
    params = found.total + (layers * rule.squares + rule.tail_squares) * d * d
    # Tables that are looked up cost nothing, but a tied one is multiplied with at the head.
    active = params - found.embedding + (vocabulary * shape.table_width if rule.tied else 0)
    if features.shared_layers:
        active += (layers - 1) * found.body
    return Count(params, active, layers * shape.inner_width, note, rule.source)


def _head_width(widths: Mapping[str, int], name: str) -> int:
    return widths.get(name, widths.get("", 0))


def _decoder(rule: Decoder, model: Model, vocabulary: int, note: str) -> Count:
    """L (2 d a + 2 d k + E (2 or 3) d f + d E + biases + norms) + d + V d, once more V d where untied."""
    assert model.layers is not None
    assert model.width
    assert model.heads
    assert model.feed_forward
    d, layers, f = model.width, model.layers[0], model.feed_forward
    one = _head_width(rule.head_widths, model.id) or d // model.heads
    a, k = one * model.heads, one * (model.kv_heads or model.heads)
    matrices = 3 if rule.gated else 2
    attention = 2 * d * a + 2 * d * k + (a + 2 * k if rule.query_bias else 0) + (2 * one if rule.head_norms else 0)
    router = d * rule.experts if rule.experts > 1 else 0
    layer = attention + router + rule.norms * d
    untied = rule.untied and model.id not in rule.exceptions
    tables = vocabulary * d * (2 if untied else 1)
    around = d if rule.norms else 0
    total = layers * (layer + rule.experts * matrices * d * f) + around + tables
    active = layers * (layer + rule.active_experts * matrices * d * f) + around + vocabulary * d
    return Count(total, active, layers * a, note, rule.source)


def _patches(rule: Patches, model: Model, layers: int, d: int) -> Count:
    """Through keel.model.shapes, as a ViT with a classifier or none."""
    patch = rule.patches.get(model.id, rule.patch)
    shape = Shape(
        width=d, layers=layers, heads=model.heads or 1, feed_forward=model.feed_forward or 4 * d, vocabulary=0,
        context=(rule.pixels // patch) ** 2, tied=False, image=rule.pixels, patch=patch, classes=rule.classes,
    )  # fmt: skip
    params = VISION["vit"].params(shape, "classes" if rule.classes else "body").total
    return Count(params, params, layers * d, "", rule.source)
