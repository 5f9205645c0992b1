"""The parts of a text model: parameters and products (multiply-adds) of each.

Legend: d width, a width of all heads, e width of the token table, f feed-forward width, V vocabulary, n tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

from keel.model.shapes.features import Features
from keel.model.shapes.size import Shape


def attention(features: Features, shape: Shape) -> int:
    """Query, key, value and output: 4 d a, with biases 3 a + d."""
    d, a = shape.width, shape.inner_width
    return 4 * d * a + features.attention_bias * (3 * a + d)


def feed_forward(features: Features, shape: Shape) -> int:
    """2 d f, gated 3 d f; with biases (1 or 2) f + d."""
    d, f = shape.width, shape.feed_forward
    ways = 2 if features.gated else 1
    return (ways + 1) * d * f + features.feed_forward_bias * (ways * f + d)


def layer_products(features: Features, shape: Shape) -> int:
    """Weights of one layer that every token meets, attention to an encoder apart."""
    d, f = shape.width, shape.feed_forward
    return 4 * d * shape.inner_width + (3 if features.gated else 2) * d * f


def mapping_products(features: Features, shape: Shape) -> int:
    """From the token table to the width: e d where the two differ or the family always has it."""
    if not features.always_mapped and shape.table_width == shape.width:
        return 0
    return shape.table_width * shape.width


def mapping(features: Features, shape: Shape) -> int:
    """Its parameters: e d + d, or none."""
    products = mapping_products(features, shape)
    return products + shape.width if products else 0


def relative_rows(features: Features, shape: Shape) -> int:
    """Rows of the table of distances: two a bucket; no more buckets than the context has distances."""
    return 2 * min(features.distance_buckets, shape.context)


def head_params(features: Features, shape: Shape) -> Mapping[str, int]:
    """Parameters of each part that a head can have."""
    d, e, v = shape.width, shape.table_width, shape.vocabulary
    transform = (d * e + (features.transform - 1) * e + features.norm_vectors * e) if features.transform else 0
    table = 0 if shape.tied else v * e
    return {
        "tokens": transform + features.output_bias * v + table,
        "pooler": d * d + d,
        "pair": 2 * d + 2,
        "replaced": d * d + d + d + 1,
        "norm": features.norm_vectors * d,
        "positions": shape.context * d,
        "joint": d * d,
    }


def head_products(features: Features, shape: Shape, rows: int) -> Mapping[str, int]:
    """Products of each part for one sample with `rows` rows at the head; pooler and pair see its first row."""
    d, e = shape.width, shape.table_width
    return {
        "tokens": rows * ((d * e if features.transform else 0) + shape.vocabulary * e),
        "pooler": d * d,
        "pair": 2 * d,
        "replaced": rows * (d * d + d),
        "norm": 0,
        "positions": 0,
        "joint": d * d,
    }


def sparse_from(features: Features) -> int:
    """The longest sample that sparse attention still sees in full: 5 + 2 x random blocks."""
    return (5 + 2 * features.random_blocks) * features.block


def padded(features: Features, tokens: int) -> int:
    """Tokens that the first stack computes: whole blocks where its attention is sparse."""
    if not features.block or tokens <= sparse_from(features):
        return tokens
    return features.block * -(-tokens // features.block)


def kept_beside(features: Features, shape: Shape) -> int:
    """Values a token that special attention keeps for its backward pass beside its scores, in a full sample.

    DeBERTa: scores against every distance, and the projected distances of each sample. Sparse attention: copies of
    queries, keys and values for window and random blocks, 3 (3 + r) d counted at r = 3.
    """
    distances = 2 * relative_rows(features, shape)
    sparse = features.block and shape.context > sparse_from(features)
    copies = 3 * (3 + features.random_blocks) * shape.width if sparse else 0
    return distances * shape.heads + distances * shape.width // shape.context + copies


def pairs(features: Features, tokens: int) -> int:
    """Pairs of query and key in the first stack: n^2, or those of the blocks that meet.

    The first and the last block meet all, their neighbours 4 + r, the others 5 + r (window 3, global 2, random r).

    Reference: Zaheer et al. 2020, arXiv:2007.14062, appendix D, and the library's own code.
    """
    if not features.block or tokens <= sparse_from(features):
        return tokens * tokens
    blocks, random = tokens // features.block, features.random_blocks
    met = 2 * blocks + 2 * (4 + random) + (blocks - 4) * (5 + random)
    return features.block**2 * met
