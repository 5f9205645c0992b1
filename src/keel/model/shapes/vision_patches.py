"""Vision transformers: an image is a row of patches, as many behind the last layer as before the first.

Legend: d width, f feed-forward width, L layers, P side of a patch in pixels, n patches of an image, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from keel.errors import Problem
from keel.model.shapes import vision_check
from keel.model.shapes.pieces import Piece, conv, norm, total
from keel.model.shapes.size import Shape, Size, four_widths
from keel.model.shapes.vision import VisionShapes

COLOURS = 3
CLS = 1  # one learned row beside the patches
WITHOUT = ("vocabulary", "decoder_layers", "embedding_width", "token_types", "queries")


class PatchShapes(VisionShapes):
    """ViT: pre-norm layers, learned positions, a CLS row, biases everywhere, no pooler.

    body = (3 P^2 + 1) d + L (4 d^2 + 2 d f + 9 d + f) + 2 d; embedding = (n + 2) d; head = C d + C on the state of CLS
    ("classes") or on the mean of the patches' ("mean-classes").

    Reference: Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1 and table 1.

    Example:
        >>> size = Size(width=768, layers=12, vocabulary=0, context=196, head_width=64, patch=16, classes=1000)
        >>> PatchShapes().params(PatchShapes().shape(size)).total
        86567656
    """

    heads: ClassVar[Mapping[str, bool]] = {"classes": True, "mean-classes": True, "body": False}
    without: ClassVar[tuple[str, ...]] = WITHOUT

    def problems(self, size: Size) -> list[Problem]:
        """All that makes `size` no model of this family; empty where it is one."""
        return [*vision_check.shared(size, least_layers=1, without=self.without), *self._own_problems(size)]

    def _own_problems(self, size: Size) -> Iterator[Problem]:
        d, head = size.width, size.head_width
        if head < 1:
            yield Problem(f"head_width is {head}", "every layer attends", "set it to 64 or a divisor of the width",
                          "head_width")  # fmt: skip
        elif d > 0 and d % head:
            near = head * max(1, round(d / head))
            yield Problem("width is not a multiple of head_width", f"{d} / {head} leaves {d % head}",
                          f"set width to {near} or head_width to a divisor", "width")  # fmt: skip

    def shape(self, size: Size) -> Shape:
        """The shape of `size`; `problems` must find nothing."""
        found = self.problems(size)
        assert not found, "; ".join(problem.what for problem in found)
        return Shape(
            width=size.width, layers=size.layers, heads=size.width // size.head_width,
            feed_forward=size.feed_forward or four_widths(size.width), vocabulary=0, context=size.context, tied=False,
            embedding_width=size.embedding_width, image=vision_check.side(size), patch=size.patch, classes=size.classes,
        )  # fmt: skip

    def first(self, shape: Shape, patches: int) -> Piece:
        """The projection of a patch, 3 P^2 d + d; a patch keeps its pixels."""
        pixels = COLOURS * shape.patch**2
        return Piece((pixels + self.stem_bias) * shape.width, patches * pixels * shape.width, patches * pixels)

    stem_bias: ClassVar[bool] = True
    wide_kept: ClassVar[int] = 2

    def rest(self, shape: Shape, patches: int) -> list[Piece]:
        """L layers and the norms around them."""
        return [*[self._layer(shape, patches + CLS)] * shape.layers, *self._around(shape, patches)]

    def _around(self, shape: Shape, patches: int) -> list[Piece]:
        d = shape.width
        return [norm(d)._replace(kept=(patches + CLS) * d)]

    def _layer(self, shape: Shape, rows: int) -> Piece:
        """4 d^2 + 2 d f + 9 d + f; a row meets each matrix and every row twice; 8 d + 2 f and its scores are kept.

        `wide_kept`: values that the activation and the layer behind it keep, in f.
        """
        d, f = shape.width, shape.feed_forward
        matrices = 4 * d * d + 2 * d * f
        kept = rows * (8 * d + self.wide_kept * f + shape.heads * rows)
        return Piece(matrices + 9 * d + f, rows * matrices + 2 * rows * rows * d, kept)

    def pooled_width(self, shape: Shape) -> int:
        """Width of the state of a whole image."""
        return shape.width

    def tables(self, shape: Shape) -> int:
        """Positions of the patches and of CLS, and CLS itself: (n + 2) d."""
        return (shape.context + 2 * CLS) * shape.width


class HybridShapes(PatchShapes):
    """ViT behind a convolutional stem: log2 P convolutions 3 x 3 of stride 2, then 1 x 1 to the width.

    Their channels double up to d: d / 8, d / 4, d / 2, d where P is 16. A batch norm and a ReLU stand behind each.

    Reference: Xiao et al. 2021, arXiv:2106.14881, section 4 and table 2 (the 1 GF and 4 GF models).
    """

    def _own_problems(self, size: Size) -> Iterator[Problem]:
        yield from super()._own_problems(size)
        steps = size.patch.bit_length() - 1
        if size.patch > 0 and (size.patch < 2 or size.patch != 1 << steps):
            yield Problem(f"patch is {size.patch}", "each convolution of the stem halves the side",
                          "set patch to a power of two, 2 or more", "patch")  # fmt: skip
        elif size.patch > 1 and size.width > 0 and size.width % (size.patch // 2):
            yield Problem(f"width is {size.width}", f"channels double {steps - 1} times up to it",
                          f"set width to a multiple of {size.patch // 2}", "width")  # fmt: skip

    def first(self, shape: Shape, patches: int) -> Piece:
        """The convolution that meets the pixels; the stem sees whole images."""
        assert patches == shape.context, "a convolution sees whole images: replace the shape's image"
        pixels = COLOURS * shape.image**2
        made = self._stem(shape)[0]
        return made._replace(kept=made.kept + pixels)

    def rest(self, shape: Shape, patches: int) -> list[Piece]:
        """What is left of the stem, L layers and the norm behind them."""
        return [*self._stem(shape)[1:], *super().rest(shape, patches)]

    def _stem(self, shape: Shape) -> list[Piece]:
        made, inputs, side = [], COLOURS, shape.image
        for outputs in stem_channels(shape.width, shape.patch):
            side //= 2
            made.append(total([conv(3, inputs, outputs, side, kept=2), norm(outputs)]))
            inputs = outputs
        return [*made, conv(1, inputs, shape.width, side, bias=True)]


def stem_channels(width: int, patch: int) -> list[int]:
    """Channels of the convolutions of a stem, the last as wide as the model.

    Example:
        >>> stem_channels(192, 16), stem_channels(64, 4)
        ([24, 48, 96, 192], [32, 64])
    """
    steps = patch.bit_length() - 1
    return [width >> step for step in reversed(range(steps))]


class ClipVisionShapes(PatchShapes):
    """CLIP's image tower: ViT with a norm before the layers too, no bias on the patches, its head a projection.

    `embedding_width` is the width e of the space that it shares with the text tower: head = d e ("joint"); `vocabulary`
    counts the rows of that tower's token table, none of which are here.

    Reference: Radford et al. 2021, arXiv:2103.00020, section 2.4.
    """

    heads: ClassVar[Mapping[str, bool]] = {"joint": True, "body": False}
    without: ClassVar[tuple[str, ...]] = ("decoder_layers", "token_types", "classes", "queries")
    stem_bias: ClassVar[bool] = False
    wide_kept: ClassVar[int] = 3  # its GELU is x sigmoid(1.702 x), both factors of which are kept

    def _own_problems(self, size: Size) -> Iterator[Problem]:
        yield from super()._own_problems(size)
        if not size.embedding_width:
            yield Problem("embedding_width is 0", "it is the width of the space shared with the text", "set it to 512",
                          "embedding_width")  # fmt: skip

    def _around(self, shape: Shape, patches: int) -> list[Piece]:
        rows = (patches + CLS) * shape.width
        return [norm(shape.width)._replace(kept=rows), norm(shape.width)._replace(kept=shape.width)]

    def head_piece(self, shape: Shape) -> Piece:
        """d e: no bias."""
        return Piece(shape.width * shape.embedding_width, shape.width * shape.embedding_width)
