"""Convolutional networks of four stages: the side halves and the width doubles from one to the next.

Legend: w width of the first stage, L blocks of all stages.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from keel.errors import Problem
from keel.model.shapes import vision_check
from keel.model.shapes.pieces import Piece, conv, norm, total
from keel.model.shapes.size import Shape, Size
from keel.model.shapes.vision import VisionShapes

COLOURS, STAGES = 3, 4
WITHOUT = ("vocabulary", "head_width", "feed_forward", "decoder_layers", "embedding_width", "token_types", "queries")


class StageShapes(VisionShapes):
    """What the networks share: depths by rule, whole images."""

    grown: ClassVar[int] = 1  # width of a stage over the width of its inner maps

    @abstractmethod
    def depths(self, layers: int) -> tuple[int, ...]:
        """Blocks of each stage."""

    def problems(self, size: Size) -> list[Problem]:
        """All that makes `size` no model of this family; empty where it is one."""
        return [*vision_check.shared(size, least_layers=STAGES, without=WITHOUT), *self._own_problems(size)]

    def _own_problems(self, size: Size) -> Iterator[Problem]:
        yield from ()

    def shape(self, size: Size) -> Shape:
        """The shape of `size`; `problems` must find nothing."""
        found = self.problems(size)
        assert not found, "; ".join(problem.what for problem in found)
        return Shape(
            width=size.width, layers=size.layers, heads=0, feed_forward=0, vocabulary=0, context=size.context,
            tied=False, image=vision_check.side(size), patch=size.patch, classes=size.classes,
            depths=self.depths(size.layers),
        )  # fmt: skip

    def widths(self, shape: Shape) -> tuple[int, ...]:
        """Width of each stage."""
        return tuple(self.grown * shape.width << stage for stage in range(STAGES))

    def pooled_width(self, shape: Shape) -> int:
        """Width of the state of a whole image: the mean of the last map."""
        return self.widths(shape)[-1]

    def rest(self, shape: Shape, patches: int) -> list[Piece]:
        """The stages and what stands between and behind them."""
        assert patches == shape.context, "a convolution sees whole images: replace the shape's image"
        return list(self._rest(shape))

    @abstractmethod
    def _rest(self, shape: Shape) -> Iterator[Piece]:
        """All behind the layer that meets the pixels."""


class ResNetShapes(StageShapes):
    """ResNet with basic blocks: two 3 x 3 convolutions, batch norms, a 1 x 1 shortcut where the width or side changes.

    Depths: the published ones at 8 blocks (ResNet-18), 16 (34, 50), 33 (101), 50 (152); the third stage has the rest.

    Reference: He et al. 2016, arXiv:1512.03385, table 1.
    """

    def depths(self, layers: int) -> tuple[int, ...]:
        """Blocks of each stage.

        Example:
            >>> [ResNetShapes().depths(blocks) for blocks in (8, 16, 33, 50)]
            [(2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)]
        """
        ends, second = min(3, layers // 4), 8 if layers >= 50 else min(4, layers // 4)
        return ends, second, layers - 2 * ends - second, ends

    def first(self, shape: Shape, patches: int) -> Piece:
        """7 x 7 of stride 2 on the pixels, which are kept."""
        made = conv(7, COLOURS, shape.width, _half(shape.image), kept=2)
        return made._replace(kept=made.kept + COLOURS * shape.image**2)

    def _rest(self, shape: Shape) -> Iterator[Piece]:
        side, inputs = _half(_half(shape.image)), shape.width
        # The largest of 3 x 3, and where it stood in 8 bytes.
        yield norm(shape.width)._replace(kept=3 * shape.width * side * side)
        for stage, (outputs, depth) in enumerate(zip(self.widths(shape), shape.depths, strict=True)):
            for block in range(depth):
                halved = _half(side) if stage and not block else side
                yield from self._block(inputs, outputs, side, halved)
                if inputs != outputs:
                    yield _shortcut(inputs, outputs, halved)
                inputs, side = outputs, halved

    def _block(self, inputs: int, outputs: int, side: int, halved: int) -> Iterator[Piece]:
        yield _normed(3, inputs, outputs, halved)
        yield _normed(3, outputs, outputs, halved)


class BottleneckShapes(ResNetShapes):
    """ResNet with bottlenecks: 1 x 1 to a quarter of the width, 3 x 3, 1 x 1 back; w is the first quarter.

    The 3 x 3 has the stride, as in every released model since.
    """

    grown: ClassVar[int] = 4

    def _block(self, inputs: int, outputs: int, side: int, halved: int) -> Iterator[Piece]:
        inner = outputs // self.grown
        yield _normed(1, inputs, inner, side)
        yield _normed(3, inner, inner, halved)
        yield _normed(1, inner, outputs, halved)


def _half(side: int) -> int:
    """A stride of 2 with padding rounds up."""
    return -(-side // 2)


def _normed(kernel: int, inputs: int, outputs: int, side: int) -> Piece:
    """A convolution, its batch norm (which keeps the map before it) and a ReLU (which keeps the map behind it)."""
    return total([conv(kernel, inputs, outputs, side, kept=2), norm(outputs)])


def _shortcut(inputs: int, outputs: int, side: int) -> Piece:
    return total([conv(1, inputs, outputs, side, kept=1), norm(outputs)])


class ConvNextShapes(StageShapes):
    """ConvNeXt: depthwise 7 x 7, norm, d -> 4 d -> d, a learned scale; patches of 4 pixels, 2 x 2 between stages.

    Depths: s, s, L - 3 s, s with s = round(L / 6), 3 at most: the published ones at 12 to 36 blocks.

    Reference: Liu et al. 2022, arXiv:2201.03545, sections 2 and 3.1, and its released code.
    """

    stem: ClassVar[int] = 4

    def depths(self, layers: int) -> tuple[int, ...]:
        """Blocks of each stage.

        Example:
            >>> [ConvNextShapes().depths(blocks) for blocks in (12, 14, 18, 36)]
            [(2, 2, 6, 2), (2, 2, 8, 2), (3, 3, 9, 3), (3, 3, 27, 3)]
        """
        ends = max(1, min(3, round(layers / 6)))
        return ends, ends, layers - 3 * ends, ends

    def _own_problems(self, size: Size) -> Iterator[Problem]:
        step, side = self.stem << STAGES - 1, vision_check.side(size)
        if side > 0 and side % step:
            yield Problem(f"an image of {side} pixels a side", f"{step} pixels become one without padding: those left "
                          "over at two edges would be dropped", f"choose a multiple of {step}", "context")  # fmt: skip

    def first(self, shape: Shape, patches: int) -> Piece:
        """Patches of 4 x 4 pixels, which are kept."""
        made = conv(self.stem, COLOURS, shape.width, shape.image // self.stem, bias=True)
        return made._replace(kept=COLOURS * shape.image**2)

    def _rest(self, shape: Shape) -> Iterator[Piece]:
        side, inputs = shape.image // self.stem, shape.width
        yield norm(inputs)._replace(kept=inputs * side * side)
        for outputs, depth in zip(self.widths(shape), shape.depths, strict=True):
            if outputs != inputs:
                yield norm(inputs)._replace(kept=2 * inputs * side * side)
                side //= 2
                yield conv(2, inputs, outputs, side, bias=True)
            yield from [_mixed(outputs, side)] * depth
            inputs = outputs
        yield norm(inputs)._replace(kept=inputs)


def _mixed(d: int, side: int) -> Piece:
    """A block: 49 d + 8 d^2 + 9 d with norm and scale; of a place 4 d and 8 d values are kept."""
    wide = [conv(1, d, 4 * d, side, bias=True, kept=2), conv(1, 4 * d, d, side, bias=True, kept=1)]
    return total([conv(7, d, d, side, groups=d, bias=True, kept=1), norm(d)._replace(kept=2 * d * side * side), *wide,
                  Piece(d)])  # fmt: skip
