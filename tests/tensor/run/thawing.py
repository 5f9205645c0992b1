"""Two losses whose encoder stands still at first: as a part of its own, and within an encoder-decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from keel.model.shapes import Size
from keel.objective.base import Batch, Carry, Key, Part, Start, Stats, Sums
from keel.objective.clm import CLM

THAW = 6


class TwoParts(CLM):
    """A decoder beside an encoder: the next token from both of their states."""

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        encoder = Part(family="bert", size=size, start=start, thaw_step=THAW, optimiser="encoder", head="body")
        return {"model": Part(family=family, size=size, start=start), "encoder": encoder}

    def losses(self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key) -> tuple[Sums, None, Stats]:
        model: Any = parts["model"]
        inputs = batch.tensors["inputs"]
        # The encoder must not see what is to be predicted: each row is read behind another.
        context = parts["encoder"](input_ids=inputs.roll(1, 0))
        return {"clm": model.nll(model(input_ids=inputs) + context, batch.tensors["targets"])}, None, {}


class OneModel(CLM):
    """An encoder-decoder that reads a row and writes the next token of the row behind it."""

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        return {"model": Part(family="alexatm", size=size, start=start, thaw_step=THAW, thaws="encoder")}

    def losses(self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key) -> tuple[Sums, None, Stats]:
        model: Any = parts["model"]
        inputs = batch.tensors["inputs"]
        hidden = model(input_ids=inputs.roll(1, 0), decoder_input_ids=inputs)
        return {"clm": model.nll(hidden, batch.tensors["targets"])}, None, {}


def encoder_of(parts: Mapping[str, Any]) -> torch.Tensor:
    """All weights of the encoder in one row."""
    module = parts["encoder"] if "encoder" in parts else parts["model"].library.get_encoder()
    return torch.cat([weight.detach().reshape(-1).clone() for weight in module.parameters()])
