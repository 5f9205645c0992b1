"""MaskVLM's parts: parameters and FLOP as they are counted, attention as torch's, the way out and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import masked_pairs as cases
import numpy as np
import pytest
import torch
from helpers import study_error
from masked_pairs import CONTEXT, OPTIONS, SIZE, batches, loss, modules, samples
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from keel.model.cross import Attention
from keel.model.masked_pair import MaskedPair
from keel.model.patches import patchify
from keel.objective.base import Batch, FromRun, Key, Scratch
from keel.objective.cost import flop_per_token, params
from keel.objective.facts_maskvlm import MASKVLM
from keel.run import parts

pytestmark = pytest.mark.tensor
GROUP = MASKVLM["group"]


def key(batch: Batch) -> Key:
    return Key(0, 0, batch.ids)


# ---- counts ----


@pytest.mark.parametrize("more", [{}, {"cross_layers": 2, "image_rate": 0.25}])
def test_parameters_are_exact_and_flop_are_what_torch_counts(more: dict[str, Any]) -> None:
    """A caption that fills its context, nothing masked away by padding; the step's own second pass is execution."""
    of = loss(**more)
    size = replace(SIZE, vocabulary=of.vocabulary.size)
    made = modules(of)
    assert params("maskvlm", {**OPTIONS, **more}, "clip-vision", size).total == sum(
        weight.numel() for part in made.values() for weight in part.parameters()
    )
    some = [each._replace(tokens=np.resize(each.tokens, CONTEXT - 2)) for each in samples(GROUP, longer=False)]
    batch = batches(of, some, [GROUP])[0]
    for tower in (made["model"], made["text"]):
        tower.library.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        found, features, _ = of.losses(made, batch, {}, key(batch))
        assert features is not None
        (sum(found.values()) + features["image"].sum() + features["text"].sum()).backward()
    expected = flop_per_token("maskvlm", {**OPTIONS, **more}, "clip-vision", size) * size.context
    assert expected == pytest.approx(counter.get_total_flops() / GROUP, rel=1e-3)


def test_attention_is_torchs() -> None:
    ours = Attention(16, 24, 2).double()
    theirs = nn.MultiheadAttention(16, 2, kdim=24, vdim=24, batch_first=True).double()
    with torch.no_grad():
        theirs.q_proj_weight.copy_(ours.query.weight)
        theirs.k_proj_weight.copy_(ours.key.weight)
        theirs.v_proj_weight.copy_(ours.value.weight)
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())
    own, other = torch.randn(3, 5, 16, dtype=torch.float64), torch.randn(3, 7, 24, dtype=torch.float64)
    there = torch.ones(3, 7, dtype=torch.long)
    there[1, 4:] = 0
    expected = theirs(own, other, other, key_padding_mask=~there.bool(), need_weights=False)[0]
    torch.testing.assert_close(ours(own, other, there), expected, rtol=1e-9, atol=1e-12)


# ---- the way out ----


def test_what_is_exported_comes_back_and_says_the_same(tmp_path: Path) -> None:
    of = loss()
    made, batch = modules(of, torch.float32), batches(of, samples(), [16])[0]
    of.export(made, "clip-vision", tmp_path)
    back, at = MaskedPair(tmp_path), batch.tensors
    with torch.no_grad():
        features = of.features(made, batch, {}, key(batch))
        image, text = back.features(at["images"], at["tokens"], at["mask"])
        torch.testing.assert_close(image, features["image"], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(text, features["text"], rtol=1e-5, atol=1e-5)
        rows = of.rows(made, batch)["mlm"]
        expected = made["text"].logits(rows.hidden)
        filled = back.filled(at["images"], at["inputs"], at["mask"])[at["chosen"]]
        torch.testing.assert_close(filled, expected, rtol=1e-4, atol=1e-4)
        logits = back.matched(at["images"], at["tokens"], at["mask"])
        matched = cross_entropy(logits, torch.ones(16).long(), reduction="sum")
        painted = back.painted(at["images"], at["hidden"], at["tokens"], at["mask"])[at["hidden"]]
        wrong = (painted - patchify(at["images"], SIZE.patch)[at["hidden"]]).abs().mean(-1).sum()
        found = of.losses(made, batch, {}, key(batch))[0]
        assert float(wrong) == pytest.approx(float(found["mim"]), rel=1e-5)
        assert float(matched) < float(found["itm"])
    with study_error("no masked pair is here"):
        MaskedPair(tmp_path / "image")


def test_starts_that_cannot_be_are_refused() -> None:
    with study_error("maskvlm cannot start from a run", "start"):
        loss().parts("clip-vision", SIZE, FromRun("w1"))
    plan = loss().parts("clip-vision", SIZE, Scratch())
    assert list(plan) == ["model", "text", "projection", "scale", "image_reads", "text_reads", "heads"]
    assert parts.build(plan, cases.spec(), cases.vocabulary()).keys() == plan.keys()
