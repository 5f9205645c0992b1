"""CLIP's text tower: causal layers, the state of the end token projected into the space shared with images."""

from __future__ import annotations

from keel.model.shapes.arithmetic import FLOP_A_PRODUCT, FamilyShapes
from keel.model.shapes.features import Features
from keel.model.shapes.size import HEAD_ROWS, Params, Precision, Shape, Use

CLIP_TEXT = Features(
    kind="decoder", heads={"joint": ("joint",), "body": ()}, position_offset=0, final_norm=True, saved=(8, 3, 1),
)  # fmt: skip


class ClipTextShapes(FamilyShapes):
    """GPT-2's layers with a head d -> d on one row ("joint"): it predicts no tokens, so no loss on text alone has it.

    Reference: Radford et al. 2021, arXiv:2103.00020, section 2.4.
    """

    def __init__(self) -> None:
        super().__init__(CLIP_TEXT)

    def params(self, shape: Shape, head: str = "joint") -> Params:
        """Exact counts; see `FamilyShapes.params`."""
        return super().params(shape, head)

    def flop(self, shape: Shape, use: Use, head: str = "joint") -> float:
        """Training FLOP of one sample; see `FamilyShapes.flop`."""
        return super().flop(shape, use, head)

    def flop_per_token(self, shape: Shape) -> float:
        """Training FLOP a token of a sample that fills the context."""
        use = self.full_use(shape)
        return FLOP_A_PRODUCT * self._batch_products(shape, use, "joint") / use.encoder

    def memory_bytes(
        self, shape: Shape, micro_tokens: int, precision: Precision, decoder_tokens: int | None = None
    ) -> float:
        """As `FamilyShapes.memory_bytes`, without logits of tokens."""
        logits = 3.0 * 4 * min(micro_tokens, HEAD_ROWS) * shape.vocabulary
        return super().memory_bytes(shape, micro_tokens, precision, decoder_tokens) - logits
