"""Layers in which one modality reads another: each attends to its own states, then to the other's, without torch.

Legend: d width, e width of the other's states, f feed-forward width, L layers, n own rows, m rows of the other.
"""

from __future__ import annotations

from keel.errors import Problem
from keel.model.shapes.arithmetic import FLOP_A_PRODUCT
from keel.model.shapes.size import BYTES, Params, Precision, Shape, Size, Use, four_widths
from keel.model.shapes.vision_patches import COLOURS

LEAST = {"width": 1, "layers": 1, "head_width": 1, "embedding_width": 1}
# Values a row keeps for its backward pass. Its own: three norms' inputs and outputs, query, key, value and output of
# the first attention, query and output of the second; f twice. The other's: keys and values, and its norm once.
KEPT_OWN, KEPT_WIDE, KEPT_OTHER = 12, 2, 2


class CrossShapes:
    """L (6 d^2 + 2 e d + 2 d f + 15 d + f) + 2 d + 2 e: norms before each part, over what is read, and at the end.

    Of a Use, `encoder` are own rows and `decoder` those of the other.

    Example:
        >>> size = Size(width=4, layers=1, vocabulary=0, context=8, head_width=2, embedding_width=6)
        >>> shapes = CrossShapes()
        >>> shapes.params(shapes.shape(size)).total  # 6 x 16 + 48 + 128 + 60 + 16 + 8 + 12
        368
    """

    def problems(self, size: Size) -> list[Problem]:
        """Counts that are missing, heads that do not fill the width."""
        found = [
            Problem(f"{name} is {getattr(size, name)}", f"it is at least {low}", f"raise {name}", name)
            for name, low in LEAST.items() if getattr(size, name) < low
        ]  # fmt: skip
        if not found and size.width % size.head_width:
            left = f"{size.width} / {size.head_width} leaves {size.width % size.head_width}"
            found.append(
                Problem("width is not a multiple of head_width", left, "set head_width to a divisor", "head_width")
            )
        return found

    def shape(self, size: Size) -> Shape:
        """The shape of `size`; `problems` must find nothing."""
        found = self.problems(size)
        assert not found, "; ".join(problem.what for problem in found)
        return Shape(
            width=size.width, layers=size.layers, heads=size.width // size.head_width,
            feed_forward=size.feed_forward or four_widths(size.width), vocabulary=0, context=size.context, tied=False,
            embedding_width=size.embedding_width,
        )  # fmt: skip

    def params(self, shape: Shape, head: str = "body") -> Params:
        """Exact counts; it has no head."""
        d, e, f = shape.width, shape.embedding_width, shape.feed_forward
        layer = 6 * d * d + 2 * e * d + 2 * d * f + 15 * d + f
        return Params(shape.layers * layer + 2 * d + 2 * e, 0, 0)

    def flop(self, shape: Shape, use: Use, head: str = "body") -> float:
        """6 x L (n (6 d^2 + 2 d f) + 2 m e d + 2 n^2 d + 2 n m d)."""
        d, e, f, n, m = shape.width, shape.embedding_width, shape.feed_forward, use.encoder, use.decoder
        layer = n * (6 * d * d + 2 * d * f) + 2 * m * e * d + 2 * n * n * d + 2 * n * m * d
        return float(FLOP_A_PRODUCT * shape.layers * layer)

    def full_use(self, shape: Shape) -> Use:
        """As many rows of the other as of its own."""
        return Use(shape.context, shape.context)

    def flop_per_token(self, shape: Shape) -> float:
        """Of a sample that fills its context, and as much of the other."""
        return self.flop(shape, self.full_use(shape)) / shape.context

    def memory_bytes(
        self, shape: Shape, micro_tokens: int, precision: Precision, decoder_tokens: int | None = None
    ) -> float:
        """16 bytes a parameter, and what its backward pass needs; scores are not kept, the fused kernel forms them."""
        other = micro_tokens if decoder_tokens is None else decoder_tokens
        own = micro_tokens * (KEPT_OWN * shape.width + KEPT_WIDE * shape.feed_forward)
        values = shape.layers * (own + other * KEPT_OTHER * shape.width) + other * shape.embedding_width
        return 16.0 * self.params(shape).total + values * BYTES[precision["body"]]


def pair_head_params(width: int, other: int, patch: int) -> int:
    """k + k (d + 1) + 2 (d + e) + 2, k = 3 P^2: what stands where a patch is hidden, its pixels, and whether two match.

    Example:
        >>> pair_head_params(4, 6, 2)  # 12 + 12 x 5 + 2 x 10 + 2
        94
    """
    values = COLOURS * patch * patch
    return values + values * (width + 1) + 2 * (width + other) + 2
