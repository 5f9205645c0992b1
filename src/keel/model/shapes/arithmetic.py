"""One arithmetic for every text family: features and a size -> shape, exact parameters, FLOP, memory.

Legend: d width, a width of all heads, e width of the token table, f feed-forward width, k 2 or 3 (gated), L layers,
V vocabulary, T context, n tokens of a sample in the first stack, m in the decoder behind it.
"""

from __future__ import annotations

from keel.errors import Problem
from keel.model.shapes import check, parts
from keel.model.shapes.features import Features
from keel.model.shapes.size import BYTES, HEAD_ROWS, Params, Precision, Shape, Size, Use

FLOP_A_PRODUCT = 6  # a multiply and an add, once forward and twice backward (by the inputs, by the weights)


class FamilyShapes:
    """The half of a family that needs no torch, from its features.

    Example:
        >>> from keel.model.shapes import SHAPES
        >>> bert = SHAPES["bert"]
        >>> base = bert.shape(Size(width=768, layers=12, vocabulary=30522, context=512, head_width=64))
        >>> bert.params(base).total, bert.params(base, head="body").total
        (109514298, 109482240)
    """

    def __init__(self, features: Features) -> None:
        self.features = features

    def problems(self, size: Size) -> list[Problem]:
        """All that makes `size` no model of this family; empty where it is one."""
        return check.problems(self.features, size)

    def shape(self, size: Size) -> Shape:
        """The shape of `size`; the width must be a multiple of the head's, and `problems` find nothing."""
        found = self.problems(size)
        assert not found, "; ".join(problem.what for problem in found)
        features, d = self.features, size.width
        table = size.embedding_width or min(features.embedding_cap or d, d)
        decoder = size.decoder_layers or max(1, round(size.layers * features.decoder_share))
        return Shape(
            width=d, layers=size.layers, heads=d // size.head_width,
            feed_forward=size.feed_forward or features.feed_forward(d), vocabulary=size.vocabulary,
            context=size.context, tied=features.tied, embedding_width=0 if table == d else table,
            decoder_layers=decoder if features.kind == "encoder-decoder" else 0,
            token_types=size.token_types or features.token_types or 0,
        )  # fmt: skip

    def params(self, shape: Shape, head: str = "tokens") -> Params:
        """Exact counts under one of the family's heads; parameters that are shared count once.

        body = L (4 d a + k d f + norms + biases) for each stack, the decoder's layers with a second attention;
        embedding = (V + positions + token types) e; head = transform + bias + an output table of its own.
        """
        features = self.features
        two = features.kind == "encoder-decoder"
        body = self._stack(shape, shape.layers, 1) + parts.mapping(features, shape)
        body += self._stack(shape, shape.decoder_layers, 2) if two else 0
        positions = 0 if features.position_offset is None else shape.context + features.position_offset
        tables = features.tables_when_untied if two and not shape.tied else 1
        rows = tables * shape.vocabulary + (1 + two) * positions + shape.token_types
        behind = parts.head_params(features, shape)
        return Params(body, rows * shape.table_width, sum(behind[part] for part in self._head(head)))

    def flop(self, shape: Shape, use: Use, head: str = "tokens") -> float:
        """Training FLOP of one sample: 3 x the products of its forward pass; causal attention is counted in full.

        First stack: L (n (4 d a + k d f) + 2 n n a). Behind an encoder: L (m (4 d a + k d f) + 2 m m a
        + 2 d a (n + m) + 2 n m a). Head: rows (d e + V e). All x 6. Sparse attention counts the blocks that meet; a
        sliding window is counted in full, as the reference attention computes it. A pooler counts as if trained.

        Reference: Kaplan et al. 2020, arXiv:2001.08361, section 2.1, with the head and attention added.
        """
        return FLOP_A_PRODUCT * self._batch_products(shape, use, head) / use.batch

    def _batch_products(self, shape: Shape, use: Use, head: str) -> int:
        """Multiply-adds of a forward pass over `use.batch` samples."""
        features, a, d = self.features, shape.inner_width, shape.width
        n, m = parts.padded(features, use.encoder), use.decoder
        distances = parts.relative_rows(features, shape)
        layer, mapping = parts.layer_products(features, shape), parts.mapping_products(features, shape)
        # The enhanced mask decoder applies the last layer once more.
        layers = shape.layers + ("positions" in self._head(head))
        sample = n * (layers * layer + mapping)
        sample += layers * 2 * a * (parts.pairs(features, n) + distances * n)
        sample += shape.decoder_layers * (m * layer + 2 * a * (m * m + n * m) + 2 * d * a * (n + m))
        sample += sum(parts.head_products(features, shape, use.head)[part] for part in self._head(head))
        # Distances are projected once for all samples of a forward pass.
        return use.batch * sample + layers * 2 * d * a * distances

    def full_use(self, shape: Shape) -> Use:
        """A sample that fills the context of every stack, with a target on every row of the last."""
        return Use(shape.context, shape.context if shape.decoder_layers else 0, shape.context)

    def flop_per_token(self, shape: Shape) -> float:
        """Training FLOP a token (source and target together) of a sample that fills the context, all rows targets.

        With one stack: 6 (L (4 d a + k d f) + V e) + 12 L T a. A masked loss has fewer rows at the head: see `flop`.
        """
        use = self.full_use(shape)
        return FLOP_A_PRODUCT * self._batch_products(shape, use, "tokens") / (use.encoder + use.decoder)

    def memory_bytes(
        self, shape: Shape, micro_tokens: int, precision: Precision, decoder_tokens: int | None = None
    ) -> float:
        """16 bytes a parameter (weights, gradients, two moments) + activations + one chunk of logits.

        Activations: tokens x L values in the body's precision, as many a token as `saved` counts for attention that
        keeps its scores; the head keeps 512 rows of V. A decoder behind an encoder has as many tokens unless it is
        said. Source: counted from the modules (what autograd keeps for the backward pass).
        """
        features, d = self.features, shape.width
        wide, narrow, rows = features.saved
        layer, met = wide * d + narrow * shape.feed_forward, parts.pairs(features, shape.context) // shape.context
        first = layer + rows * shape.heads * met + parts.kept_beside(features, shape)
        wide, more = features.cross
        second = layer + wide * d + (rows + more) * shape.heads * shape.context
        behind = micro_tokens if decoder_tokens is None else decoder_tokens
        values = micro_tokens * (shape.layers * first) + behind * shape.decoder_layers * second
        logits = 3.0 * 4 * min(micro_tokens, HEAD_ROWS) * shape.vocabulary
        return 16.0 * self.params(shape).total + values * BYTES[precision["body"]] + logits

    def _head(self, head: str) -> tuple[str, ...]:
        heads = {**self.features.heads, **self.features.own_heads}
        assert head in heads, f"this family has no head '{head}', only {', '.join(heads)}"
        return heads[head]

    def _stack(self, shape: Shape, layers: int, attentions: int) -> int:
        """Parameters of one stack: its layers, the norms around them, and relative positions."""
        features, d = self.features, shape.width
        norm = features.norm_vectors * d
        layer = attentions * parts.attention(features, shape) + parts.feed_forward(features, shape)
        layer += (attentions + 1) * norm
        own = layer * (1 if features.shared_layers else layers) - (0 if features.first_norm else norm)
        around = features.final_norm * norm + features.embedding_norm * features.norm_vectors * shape.table_width
        distances = parts.relative_rows(features, shape) * d + norm if features.distance_buckets else 0
        return own + around + features.head_buckets * shape.heads + distances
