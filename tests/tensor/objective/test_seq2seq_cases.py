"""Losses of two stacks as the engine meets them: one gradient in every cut, padding without effect, empty samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from seq2seq_cases import CASES, CONTEXT, NUMBER, batches_of, loss_of, parts_of, samples_of
from torch import nn

from keel.objective.base import Batch, Key, Objective
from keel.run import engine

pytestmark = pytest.mark.tensor
CUTS = {"4x4": [4] * 4, "2x8": [8, 8], "uneven": [1, 9, 6], "16x1": [1] * 16}
MORE = 3


def flat(parts: Mapping[str, nn.Module]) -> torch.Tensor:
    grads = [weight.grad for part in parts.values() for weight in part.parameters()]
    return torch.cat([grad.to_dense().reshape(-1) for grad in grads if grad is not None])


def gradient(parts: Mapping[str, nn.Module], loss: Objective, batches: Sequence[Batch]) -> torch.Tensor:
    for part in parts.values():
        part.zero_grad(set_to_none=True)
    engine.accumulate(loss, parts, batches, loss.init_carry(parts), seed=0, step=0)
    return flat(parts)


@pytest.mark.parametrize("name", CASES)
def test_one_gradient_however_the_step_is_cut(name: str) -> None:
    loss = loss_of(CASES[name])
    parts, samples = parts_of(CASES[name], loss), samples_of(loss)
    assert len(samples) == NUMBER
    counts = [tuple(batch.counts.values()) for batch in batches_of(loss, samples, CUTS["4x4"])]
    whole = gradient(parts, loss, batches_of(loss, samples, [NUMBER]))
    assert whole.abs().max() > 1e-4
    if name not in EVEN:
        assert len(set(counts)) > 1, "cuts with equal counts prove little"
    for cut in CUTS.values():
        other = gradient(parts, loss, batches_of(loss, samples, cut))
        assert (whole - other).abs().max() <= 1e-6 * whole.abs().max()


# Whole windows are their targets, whatever was corrupted in them.
EVEN = {"bart", "mbart", "clm", "mlm"}


@pytest.mark.parametrize("name", CASES)
def test_more_padding_changes_neither_loss_nor_gradient(name: str) -> None:
    loss = loss_of(CASES[name])
    parts = parts_of(CASES[name], loss, CONTEXT + MORE)
    (batch,) = batches_of(loss, samples_of(loss, 4), [4])
    if "decoder_inputs" not in batch.tensors:
        assert "attention_mask" not in batch.tensors, "a loss that pads must say how to pad more"
        return
    wide = wider(batch, loss.vocabulary.id_of("pad"), MORE)
    found = [loss.losses(parts, one, {}, Key(0, 0, one.ids))[0] for one in (batch, wide)]
    for term in found[0]:
        torch.testing.assert_close(found[0][term], found[1][term], rtol=1e-12, atol=0)
    whole, padded = (gradient(parts, loss, [one]) for one in (batch, wide))
    assert (whole - padded).abs().max() <= 1e-10 * whole.abs().max()


def wider(batch: Batch, pad: int, more: int) -> Batch:
    """The same micro-batch with `more` columns of padding on both sides."""
    at, width = dict(batch.tensors), batch.tensors["decoder_inputs"].shape[1]
    for name, fill in (("inputs", pad), ("decoder_inputs", pad), ("attention_mask", 0)):
        at[name] = torch.nn.functional.pad(at[name], (0, more), value=fill)
    at["places"] = at["places"] + at["places"].div(width, rounding_mode="floor") * more
    return Batch(at, batch.counts, batch.ids)


@pytest.mark.parametrize("name", CASES)
def test_samples_without_a_word_are_no_trouble(name: str) -> None:
    loss = loss_of(CASES[name])
    parts, separator = parts_of(CASES[name], loss), loss.vocabulary.id_of("separator")
    samples = [
        sample._replace(tokens=np.full_like(sample.tokens, separator),
                        second=None if sample.second is None else sample.second[:0])
        for sample in samples_of(loss, 3)
    ]  # fmt: skip
    (batch,) = batches_of(loss, samples, [3])
    sums, *_ = loss.losses(parts, batch, {}, Key(0, 0, batch.ids))
    assert all(torch.isfinite(total) for total in sums.values())
    # A step of nothing else is refused where nothing can be a target; beside other samples it adds its own, or nothing.
    (words,) = batches_of(loss, samples_of(loss, 3), [3])
    whole = gradient(parts, loss, [words, batch])
    assert torch.isfinite(whole).all()
    if not any(batch.counts.values()):
        torch.testing.assert_close(whole, gradient(parts, loss, [words]))


@pytest.mark.parametrize("name", CASES)
def test_a_batch_counts_its_targets_and_holds_another_loss_to_its_rows(name: str) -> None:
    loss = loss_of(CASES[name])
    parts = parts_of(CASES[name], loss)
    (batch,) = batches_of(loss, samples_of(loss, 5), [5])
    rows = loss.rows(parts, batch)
    assert set(rows) == set(batch.counts) == set(loss.terms)
    for term, (hidden, targets) in rows.items():
        assert len(hidden) == len(targets) == batch.counts[term]
        assert not np.isin(targets, [loss.vocabulary.special.get(role, -1) for role in ("pad", "mask", "start")]).any()
