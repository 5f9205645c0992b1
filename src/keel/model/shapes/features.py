"""What a family is made of, as data. One arithmetic (`arithmetic.py`) reads it; nothing asks for a family's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from keel.model.shapes.size import feed_forward_width, four_widths, half_more

Kind = Literal["encoder", "decoder", "encoder-decoder"]
Heads = Mapping[str, tuple[str, ...]]

# A head is made of: tokens (transform, output table, bias), pooler (d -> d on the first row), pair (d -> 2 on the
# pooled row: next sentence, sentence order), replaced (d -> d -> 1 on every row), joint (d -> d on one row, no bias).
PLAIN: Heads = {"body": (), "tokens": ("tokens",)}
POOLED: Heads = {"body": ("pooler",), "tokens": ("tokens",)}
PAIRED: Heads = {**POOLED, "sentences": ("tokens", "pooler", "pair")}
# The library keeps BigBird's pooler under its masked head, where nothing trains it.
BIG_BIRD: Heads = {**PAIRED, "tokens": ("tokens", "pooler")}
# Where "body" has a pooler: the states alone, as the library makes them where it is told to.
STATES: Heads = {"states": ()}
REPLACED: Heads = {**PLAIN, "replaced": ("replaced",)}
# DeBERTa: absolute positions and one more pass through the last layer; a norm before "replaced".
DEBERTA: Heads = {"enhanced": ("tokens", "positions"), "replaced": ("norm", "replaced")}


@dataclass(frozen=True, kw_only=True)
class Features:
    """The named differences between text families; `own_heads` are ours and not the library's.

    norm_vectors: 2 = weight and bias, 1 = weight alone. position_offset: rows of the position table beyond the context
    (None: no table). positions_from_pad: positions are numbered from the pad token's id, which must then be small.
    embedding_cap: None = the token table is as wide as the model, 0 = as wide unless asked, else the widest it is
    unless asked. transform: 0 = none, 1 = a dense layer and a norm, 2 = with a bias. head_buckets: a bias
    for every head and bucket (T5). distance_buckets: the most buckets a side, with a table of rows of width d that
    every layer projects (DeBERTa). block, random_blocks: sparse attention of the first stack. saved: values that a
    layer keeps a token for its backward pass, in widths, feed-forward widths, and rows of scores; cross: what attention
    to an encoder adds, in widths and rows of scores. Both follow from the modules: a norm and a dense layer keep their
    input, a GELU by its tanh formula three values more than the exact one, a ReLU in place one less.
    """

    kind: Kind
    heads: Heads
    own_heads: Heads = field(default_factory=dict)
    saved: tuple[int, int, int]
    cross: tuple[int, int] = (0, 0)
    feed_forward: Callable[[int], int] = four_widths
    feed_forward_fixed: bool = False
    gated: bool = False
    attention_bias: bool = True
    feed_forward_bias: bool = True
    norm_vectors: int = 2
    first_norm: bool = True
    final_norm: bool = False
    embedding_norm: bool = False
    position_offset: int | None = None
    positions_from_pad: bool = False
    rotary: bool = False
    sinusoidal: bool = False
    head_buckets: int = 0
    distance_buckets: int = 0
    token_types: int | None = None
    least_token_types: int = 1
    embedding_cap: int | None = None
    always_mapped: bool = False
    shared_layers: bool = False
    decoder_share: float = 1.0
    tied: bool = True
    tables_when_untied: int = 1
    transform: int = 0
    output_bias: bool = False
    block: int = 0
    random_blocks: int = 0


LLAMA = Features(
    kind="decoder", heads=PLAIN, feed_forward=feed_forward_width, gated=True, attention_bias=False,
    feed_forward_bias=False, norm_vectors=1, final_norm=True, rotary=True, saved=(14, 6, 1),
)  # fmt: skip

FEATURES: Mapping[str, Features] = {
    "bert": Features(
        kind="encoder", heads=PAIRED, position_offset=0, token_types=2, embedding_norm=True, transform=2,
        output_bias=True, own_heads=STATES, saved=(8, 2, 1),
    ),
    "roberta": Features(
        kind="encoder", heads=POOLED, position_offset=2, positions_from_pad=True, token_types=1, embedding_norm=True,
        transform=2, output_bias=True, own_heads=STATES, saved=(8, 2, 1),
    ),
    "xlm-roberta": Features(
        kind="encoder", heads=POOLED, position_offset=2, positions_from_pad=True, token_types=1, embedding_norm=True,
        transform=2, output_bias=True, own_heads=STATES, saved=(8, 2, 1),
    ),
    "xlm": Features(
        kind="encoder", heads=PLAIN, position_offset=0, token_types=0, least_token_types=2, embedding_norm=True,
        feed_forward_fixed=True, output_bias=True, saved=(8, 2, 1),
    ),
    "albert": Features(
        kind="encoder", heads=PAIRED, position_offset=0, token_types=2, embedding_norm=True, embedding_cap=128,
        always_mapped=True, shared_layers=True, transform=2, output_bias=True, own_heads=STATES, saved=(8, 5, 1),
    ),
    "electra": Features(
        kind="encoder", heads=REPLACED, position_offset=0, token_types=2, embedding_norm=True, embedding_cap=0,
        transform=2, output_bias=True, saved=(8, 2, 1),
    ),
    "deberta-v2": Features(
        kind="encoder", heads=PLAIN, own_heads=DEBERTA, distance_buckets=256, token_types=0, embedding_norm=True,
        transform=2, output_bias=True, saved=(8, 2, 1),
    ),
    "modernbert": Features(
        kind="encoder", heads=PLAIN, feed_forward=half_more, gated=True, attention_bias=False, feed_forward_bias=False,
        norm_vectors=1, first_norm=False, final_norm=True, embedding_norm=True, rotary=True, transform=1,
        output_bias=True, saved=(8, 4, 1),
    ),
    "bigbird": Features(
        kind="encoder", heads=BIG_BIRD, position_offset=0, token_types=2, embedding_norm=True, transform=2,
        output_bias=True, block=64, random_blocks=3, own_heads=STATES, saved=(8, 5, 1),
    ),
    "gpt2": Features(kind="decoder", heads=PLAIN, position_offset=0, final_norm=True, saved=(8, 5, 1)),
    "opt": Features(kind="decoder", heads=PLAIN, position_offset=2, final_norm=True, saved=(8, 1, 1)),
    "bloom": Features(
        kind="decoder", heads=PLAIN, feed_forward_fixed=True, embedding_norm=True, final_norm=True, saved=(8, 2, 1),
    ),
    "llama": LLAMA,
    "t5": Features(
        kind="encoder-decoder", heads=PLAIN, feed_forward=feed_forward_width, gated=True, attention_bias=False,
        feed_forward_bias=False, norm_vectors=1, final_norm=True, head_buckets=32, tied=False, saved=(10, 7, 1),
        cross=(7, 1),
    ),
    "bart": Features(
        kind="encoder-decoder", heads=PLAIN, position_offset=2, embedding_norm=True, tables_when_untied=2,
        saved=(8, 2, 1), cross=(6, 1),
    ),
    "mbart": Features(
        kind="encoder-decoder", heads=PLAIN, position_offset=2, embedding_norm=True, final_norm=True,
        tables_when_untied=2, saved=(8, 2, 1), cross=(6, 1),
    ),
    "m2m_100": Features(
        kind="encoder-decoder", heads=PLAIN, sinusoidal=True, final_norm=True, tables_when_untied=2, saved=(8, 1, 1),
        cross=(6, 1),
    ),
    "bigbird_pegasus": Features(
        kind="encoder-decoder", heads=PLAIN, position_offset=0, attention_bias=False, final_norm=True,
        tables_when_untied=2, block=64, random_blocks=3, saved=(8, 5, 1), cross=(6, 1),
    ),
    # Soltan et al. 2022, arXiv:2208.01448: BART with Pre-LN, which is mBART. It differs from the library's mBART in its
    # depths, 46 : 32, and in three tables of tokens (encoder, decoder, output). The library's norm behind each
    # embedding is kept, though the paper names none: 4 d parameters more.
    "alexatm": Features(
        kind="encoder-decoder", heads=PLAIN, position_offset=2, embedding_norm=True, final_norm=True,
        decoder_share=32 / 46, tied=False, tables_when_untied=2, saved=(8, 2, 1), cross=(6, 1),
    ),
}  # fmt: skip


def bare(features: Features) -> str:
    """The head with nothing behind the last state.

    Example:
        >>> bare(FEATURES["bert"]), bare(FEATURES["modernbert"])
        ('states', 'body')
    """
    return next(name for name, made in {**features.heads, **features.own_heads}.items() if not made)
