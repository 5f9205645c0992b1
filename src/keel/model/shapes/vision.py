"""Models that see images: a size -> shape, exact parameters, FLOP of an image, memory. Arithmetic only, no torch.

Legend: d width, f feed-forward width, L layers, P side of a patch in pixels, n patches of an image, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from keel.errors import Problem
from keel.model.shapes.arithmetic import FLOP_A_PRODUCT
from keel.model.shapes.pieces import Piece, total
from keel.model.shapes.size import BYTES, Params, Precision, Shape, Size, Use

FLOP_A_PRODUCT_OF_PIXELS = 4  # nobody asks how the loss changes with a pixel
STATE_BYTES = 16.0  # a parameter: weights, gradients, two moments


class VisionShapes(ABC):
    """What the families share: their sums. A family says what its pieces are.

    A head is one linear layer on the pooled state of an image, or none ("body"). `Use.encoder` counts the patches
    that the body computes of an image, `Use.head` how many pooled states meet the head. No head named is the first.
    """

    heads: ClassVar[Mapping[str, bool]] = {"classes": True, "body": False}

    @abstractmethod
    def problems(self, size: Size) -> list[Problem]:
        """All that makes `size` no model of this family; empty where it is one."""

    @abstractmethod
    def shape(self, size: Size) -> Shape:
        """The shape of `size`; `problems` must find nothing."""

    @abstractmethod
    def first(self, shape: Shape, patches: int) -> Piece:
        """What meets the pixels."""

    @abstractmethod
    def rest(self, shape: Shape, patches: int) -> list[Piece]:
        """All behind it, head apart."""

    @abstractmethod
    def pooled_width(self, shape: Shape) -> int:
        """Width of the state of a whole image."""

    def tables(self, shape: Shape) -> int:
        """Learned vectors that are added or stand beside the patches: no multiply-adds."""
        return 0

    def head_piece(self, shape: Shape) -> Piece:
        """C classes: d C + C."""
        d = self.pooled_width(shape)
        return Piece(d * shape.classes + shape.classes, d * shape.classes)

    def params(self, shape: Shape, head: str = "") -> Params:
        """Exact counts under one of the family's heads; buffers of a batch norm are no parameters."""
        pieces = [self.first(shape, shape.context), *self.rest(shape, shape.context)]
        behind = self.head_piece(shape).params if self._has_head(head) else 0
        return Params(total(pieces).params, self.tables(shape), behind)

    def products(self, shape: Shape, use: Use, head: str = "") -> int:
        """Multiply-adds of the forward pass of one image."""
        pieces = [self.first(shape, use.encoder), *self.rest(shape, use.encoder)]
        behind = use.head * self.head_piece(shape).products if self._has_head(head) else 0
        return total(pieces).products + behind

    def flop(self, shape: Shape, use: Use, head: str = "") -> float:
        """Training FLOP of one image: 6 x its multiply-adds, 4 x those of the layer that meets the pixels."""
        pixels = self.first(shape, use.encoder).products
        saved = (FLOP_A_PRODUCT - FLOP_A_PRODUCT_OF_PIXELS) * pixels
        return float(FLOP_A_PRODUCT * self.products(shape, use, head) - saved)

    def full_use(self, shape: Shape) -> Use:
        """A whole image, its pooled state meeting the head once."""
        return Use(shape.context, 0, 1)

    def flop_per_token(self, shape: Shape) -> float:
        """Training FLOP of a whole image and its class, a patch: the FLOP of an image over `context`."""
        return self.flop(shape, self.full_use(shape)) / shape.context

    def memory_bytes(
        self, shape: Shape, micro_tokens: int, precision: Precision, decoder_tokens: int | None = None
    ) -> float:
        """16 bytes a parameter + what the backward pass needs of micro_tokens / context images + logits in fp32."""
        images = micro_tokens / shape.context
        pieces = [self.first(shape, shape.context), *self.rest(shape, shape.context)]
        kept = total(pieces).kept * BYTES[precision["body"]] + 3.0 * 4 * shape.classes
        return STATE_BYTES * self.params(shape).total + images * kept

    def _has_head(self, head: str) -> bool:
        head = head or next(iter(self.heads))
        assert head in self.heads, f"this family has no head '{head}', only {', '.join(self.heads)}"
        return self.heads[head]
