"""The decoder of masked autoencoding: states of seen patches -> pixels of all. It is thrown away after training.

Legend: e width of the encoder, d its own, f feed-forward width, L layers, P side of a patch, n patches, m of them seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from keel.errors import Problem
from keel.model.shapes.arithmetic import FLOP_A_PRODUCT
from keel.model.shapes.pieces import Piece, norm
from keel.model.shapes.size import Shape, Size, Use
from keel.model.shapes.vision_patches import CLS, COLOURS, PatchShapes

PLACES = 4  # a width holds sine and cosine of a row and of a column


class PixelDecoderShapes(PatchShapes):
    """e d + d; a vector d for what is hidden; L layers as a ViT's; a norm; 3 P^2 (d + 1). Positions are fixed.

    `embedding_width` is e; `Use.encoder` counts the patches that are seen, of `context`.

    Reference: He et al. 2021, arXiv:2111.06377, section 3.

    Example:
        >>> size = Size(width=512, layers=8, vocabulary=0, context=196, head_width=32, patch=16, embedding_width=1024)
        >>> PixelDecoderShapes().params(PixelDecoderShapes().shape(size)).total
        26139392
    """

    heads: ClassVar[Mapping[str, bool]] = {"body": False}
    without: ClassVar[tuple[str, ...]] = ("vocabulary", "decoder_layers", "token_types", "classes")

    def _own_problems(self, size: Size) -> Iterator[Problem]:
        yield from super()._own_problems(size)
        if size.width > 0 and size.width % PLACES:
            yield Problem(f"the decoder's width is {size.width}", "sines and cosines of two places fill it in fours",
                          f"set decoder_width to a multiple of {PLACES}", "decoder_width")  # fmt: skip
        if not size.embedding_width:
            yield Problem("embedding_width is 0", "it is the width of the encoder's states", "set it", "width")

    def first(self, shape: Shape, patches: int) -> Piece:
        """What was seen, into its own width: CLS too."""
        e, d = shape.embedding_width, shape.width
        return Piece(e * d + d, (patches + CLS) * e * d, (patches + CLS) * e)

    def rest(self, shape: Shape, patches: int) -> list[Piece]:
        """All patches and CLS through every layer, the norm and the last layer."""
        d, rows, values = shape.width, shape.context + CLS, COLOURS * shape.patch**2
        layers = [self._layer(shape, rows)] * shape.layers
        return [*layers, norm(d)._replace(kept=rows * d), Piece(values * (d + 1), rows * values * d, rows * d)]

    def tables(self, shape: Shape) -> int:
        """The vector of what is hidden."""
        return shape.width

    def flop(self, shape: Shape, use: Use, head: str = "") -> float:
        """6 x its multiply-adds: the encoder learns through its first layer, which meets no pixels."""
        return float(FLOP_A_PRODUCT * self.products(shape, use, head))
