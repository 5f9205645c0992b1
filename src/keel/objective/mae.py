"""Masked autoencoding: most patches of an image are hidden, and their pixels are told from the rest.

Legend: B images, n patches, m of them seen, P side of a patch in pixels, k = 3 P^2 values of a patch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from keel.errors import StudyError
from keel.model import sincos
from keel.model.patches import patchify
from keel.model.shapes import Size
from keel.model.visible import taken
from keel.objective import facts_mae
from keel.objective.base import (
    Batch,
    Branch,
    Carry,
    Example,
    Features,
    Key,
    Objective,
    Part,
    Sample,
    Scratch,
    Start,
    Stats,
    Sums,
    stack,
)
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS

SMALL = 1e-6


class MAE(Objective):
    """L = sum over hidden patches of (1 / k) |x_hat - x|^2; count = hidden patches of all images.

    x are a patch's values; with `norm_pix` less their mean, over their deviation. The encoder sees a share 1 - `rate`
    of an image's patches, drawn anew every epoch, and CLS; the decoder all of them. `decoder_width`, `decoder_layers`:
    0 by rule (objective/facts_mae.py). `judged`: "pixels" (the loss on held-out images under fixed masks), or "probe"
    (labels of some images, which the loss never sees).

    Reference: He et al. 2021, arXiv:2111.06377, section 3.

    Raises:
        StudyError: an option is unknown or out of its range; all of them.
    """

    facts: ClassVar[Facts] = FACTS["mae"]
    terms = ("mae",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["mae"].checked(self.options, "mae")

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """A ViT whose positions do not move, and a small decoder.

        Raises:
            StudyError: there is no such decoder; the start is a release or another run.
        """
        if not isinstance(start, Scratch | Branch):
            raise StudyError(f"mae cannot start from a {start.kind}", why="its positions are sines and cosines, and "
                             "no export keeps its decoder", fix="start from scratch", where="start")  # fmt: skip
        facts_mae.seen(size.context, self.options["rate"])
        decoder = facts_mae.decoder_size(self.options, size)
        return {
            "model": Part(family=family, size=size, start=start, head="body", fixed=(sincos.NAMED,)),
            "decoder": Part(family=facts_mae.DECODER, size=decoder, start=start, head="body"),
        }

    def join(self, parts: dict[str, nn.Module]) -> dict[str, nn.Module]:
        """The encoder's positions, as the decoder has them."""
        model: Any = parts["model"]
        sincos.place(model.library)
        return parts

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The image, and its patches in an order whose first m are seen."""
        assert sample.image is not None, "a sample without an image"
        patches = (sample.image.shape[-1] // sample.patch) ** 2
        return {"pixels": sample.image, "order": rng.permutation(patches)}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Images of one size, stacked; every one has as many hidden patches."""
        images = torch.from_numpy(np.stack([example["pixels"] for example in examples]))
        order = stack(examples, "order")
        hidden = order.shape[1] - facts_mae.seen(order.shape[1], self.options["rate"])
        return Batch({"pixels": images, "order": order}, {"mae": len(examples) * hidden}, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sum over hidden patches."""
        return {"mae": self.errors(parts, batch).sum()}, None, {}

    def errors(self, parts: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """(B, n - m): the mean squared error of each hidden patch."""
        images, order = batch.tensors["pixels"], batch.tensors["order"]
        first = facts_mae.seen(order.shape[1], self.options["rate"])
        states = parts["model"](images, order[:, :first])
        told = parts["decoder"](torch.cat([states.pooled[:, None], states.patches], dim=1), order)
        wrong: Tensor = taken(told, order[:, first:]) - self.targets(batch).to(told.dtype)
        return wrong.square().mean(-1)

    def targets(self, batch: Batch) -> Tensor:
        """(B, n - m, k): what the hidden patches hold."""
        images, order = batch.tensors["pixels"], batch.tensors["order"]
        patch = images.shape[-1] // round(order.shape[1] ** 0.5)
        first = facts_mae.seen(order.shape[1], self.options["rate"])
        values = taken(patchify(images, patch), order[:, first:])
        if not self.options["norm_pix"]:
            return values
        return (values - values.mean(-1, keepdim=True)) / (values.var(-1, keepdim=True) + SMALL).sqrt()
