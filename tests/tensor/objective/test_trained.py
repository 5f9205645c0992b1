"""FLOP of the losses of encoders as their facts say it, against torch's own counter on real batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import CASES, CONTEXT, VOCABULARY, Case, batches, key, text
from torch.utils.flop_counter import FlopCounterMode

from keel.model.shapes import SHAPES, Size
from keel.objective.base import Sample, Scratch
from keel.objective.cost import flop_per_token
from keel.objective.facts import FACTS

pytestmark = pytest.mark.tensor
SIZE = {"width": 32, "layers": 2, "vocabulary": VOCABULARY.size, "context": CONTEXT, "head_width": 8}
# Batches of one: DeBERTa projects its distances once for all samples of a forward pass.
COUNTED = [Case("nsp", "bert"), Case("sop", "albert"), Case("tlm", "xlm", options={"rate": 0.3}), CASES["rtd"],
           Case("rtd", "electra", options={"sharing": "none", "generator_width": 0.5, "rate": 0.3}),
           CASES["rtd-v3"]]  # fmt: skip


def full_sample(case: Case) -> Sample:
    """One that fills the context."""
    loss, rng = case.objective(), np.random.default_rng(1)
    most = loss.window(CONTEXT).length
    tokens = text(rng, most)
    tokens[[3, 4]] = 7, 4
    return Sample(1, tokens, text(rng, most), ("de", "en"), lambda _: text(np.random.default_rng(2), most))


@pytest.mark.parametrize("case", COUNTED, ids=lambda case: f"{case.loss} {case.family} {dict(case.options)}")
def test_flop_of_a_real_sample_is_what_torch_counts(case: Case) -> None:
    loss = case.objective()
    parts: Any = Case(case.loss, case.family, options=case.options, size={"layers": 2}).parts()
    for part in parts.values():
        if part.library.config._attn_implementation == "sdpa":
            part.library.set_attn_implementation("eager")
    batch = batches(loss, [full_sample(case)], [1])[0]
    seen = batch.tensors["inputs"].shape[1]
    assert seen == (CONTEXT - 1 if case.loss == "tlm" else CONTEXT)
    with FlopCounterMode(display=False) as counter:
        sums, *_ = loss.losses(parts, batch, {}, key(batch))
        sum(sums.values()).backward()  # type: ignore[union-attr]
    said = CONTEXT * flop_per_token(case.loss, case.options, case.family, Size(**SIZE))
    assert said == pytest.approx(counter.get_total_flops(), rel=1e-3)


@pytest.mark.parametrize("name", ["rtd", "rtd-v3", "nsp", "sop"])
def test_the_facts_name_the_models_that_are_built(name: str) -> None:
    case, size = CASES[name], Size(**SIZE)
    models_of = FACTS[name].models
    assert models_of is not None
    parts = case.objective().parts(case.family, size, Scratch())
    models = models_of(case.options, case.family, size)
    assert [(part.head, part.size) for part in parts.values()] == [(model.head, model.size) for model in models]
    assert all(sum(odds for odds, _ in model.work) == pytest.approx(1) for model in models)


def test_electra_small_has_the_released_generator() -> None:
    """google/electra-small: 256 wide with 4 heads of 64, its generator 64 wide, both with tables of 128."""
    released = Size(width=256, layers=12, vocabulary=30522, context=512, head_width=64, embedding_width=128)
    models_of = FACTS["rtd"].models
    assert models_of is not None
    shape = SHAPES["electra"].shape(models_of({}, "electra", released)[1].size)
    assert (shape.width, shape.heads, shape.table_width, shape.layers, shape.feed_forward) == (64, 1, 128, 12, 256)
