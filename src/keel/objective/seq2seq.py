"""What losses with an encoder and a decoder share: one reads, the other writes the targets, each behind the last.

Legend: B samples, S positions of the longest inputs, T of the longest targets, n targets in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from keel.corpus.vocabulary import SPECIAL
from keel.objective.base import Batch, Carry, Example, Features, Key, Objective, Rows, Stats, Sums
from keel.objective.denoisers import Denoiser
from keel.objective.room import side_room
from keel.objective.spans import around, split
from keel.objective.trim import fitting

Tokens = NDArray[np.int64]


class Seq2Seq(Objective):
    """L = sum_t -ln p(y_t | y_<t, x), in nats; count = targets, the end token among them.

    The decoder reads the targets shifted right behind what starts it. Inputs end with the end token too. Padding is
    masked in the encoder, stands behind all targets in the decoder, and never meets the head.
    """

    def pack(self, inputs: Tokens, targets: Tokens, start: Sequence[str] = ("start",)) -> Example:
        """Inputs and targets without their end tokens -> an example; roles `start` lead the decoder and are given."""
        end = self.vocabulary.id_of("separator")
        lead = [self.vocabulary.id_of(role) for role in start]
        return {
            "inputs": np.append(inputs, end).astype(np.int64),
            "decoder_inputs": np.concatenate([lead, targets]).astype(np.int64),
            "targets": np.append(targets, end).astype(np.int64),
        }

    def fixed(self, tokens: NDArray[Any]) -> NDArray[np.bool_]:
        """Tokens that no corruption touches: the special ones, those that part documents among them."""
        special: NDArray[np.bool_] = self.vocabulary.kinds(tokens) == SPECIAL
        return special

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Padded to the longest; targets (n,) in one row, and where they stand in the flattened decoder."""
        pad = self.vocabulary.id_of("pad")
        inputs, decoder = (_padded(examples, name, pad) for name in ("inputs", "decoder_inputs"))
        tensors = {
            "inputs": inputs,
            "attention_mask": (torch.arange(inputs.shape[1]) < _lengths(examples, "inputs")[:, None]).long(),
            "decoder_inputs": decoder,
            "places": _places(examples, decoder.shape[1]),
            "targets": torch.cat([torch.from_numpy(example["targets"]) for example in examples]),
        }
        if "left_out" in examples[0]:
            tensors["left_out"] = _lengths(examples, "left_out").sum()
        return Batch(tensors, {self.terms[0]: len(tensors["targets"])}, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sum over all targets; tokens of windows that found no room, where some may not."""
        model: Any = parts["model"]
        sums = {name: model.nll(*rows) for name, rows in self.rows(parts, batch).items()}
        stats = {"left_out_tokens": batch.tensors["left_out"].double()} if "left_out" in batch.tensors else {}
        return sums, None, stats

    def rows(self, parts: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Rows]:
        """The decoder's states before each target."""
        at = batch.tensors
        hidden = parts["model"](
            input_ids=at["inputs"], attention_mask=at["attention_mask"], decoder_input_ids=at["decoder_inputs"]
        )  # fmt: skip
        return {self.terms[0]: Rows(hidden.flatten(0, 1)[at["places"]], at["targets"])}


class Denoising(Seq2Seq):
    """Inputs and targets joined by sentinels, by one denoiser or several."""

    denoisers: tuple[Denoiser, ...]

    def denoise(self, tokens: NDArray[Any], denoiser: Denoiser, rng: np.random.Generator) -> Example:
        """One window under one denoiser, its mode token first.

        Special tokens are never noise: a span that meets one is cut there. What then finds no room at the window's end
        is left out, and counted.
        """
        fixed, sentinels = self.fixed(tokens), self.vocabulary.sentinels
        noise = around(denoiser.noise(int(np.count_nonzero(~fixed)), rng), fixed)
        mode = [self.vocabulary.id_of(f"mode {denoiser.mode}")] if denoiser.mode else []
        most = side_room(len(tokens), self.denoisers)
        length = fitting(noise, most - len(mode), most, len(sentinels))
        inputs, targets = split(tokens[:length], noise[:length], sentinels)
        made = self.pack(np.concatenate([mode, inputs]).astype(np.int64), targets)
        return {**made, "left_out": np.arange(length, len(tokens))}


def _padded(examples: Sequence[Example], name: str, fill: int) -> Tensor:
    """One field of all examples, each row filled at its end."""
    return pad_sequence([torch.from_numpy(example[name]) for example in examples], True, fill)


def _lengths(examples: Sequence[Example], name: str) -> Tensor:
    return torch.tensor([len(example[name]) for example in examples])


def _places(examples: Sequence[Example], width: int) -> Tensor:
    """The targets of a sample belong to the last of its decoder's positions; those before were given."""
    found = []
    for row, example in enumerate(examples):
        last = row * width + len(example["decoder_inputs"])
        found.append(torch.arange(last - len(example["targets"]), last))
    return torch.cat(found)
