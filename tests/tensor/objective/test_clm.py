"""Causal language modelling: the library's own loss on the same batch, and the contract of every loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import study_error

from keel import objective
from keel.model.llama import FAMILY, Trunk
from keel.model.shapes import Size
from keel.objective.base import Batch, Key, Sample, Scratch
from keel.objective.clm import CLM
from keel.objective.facts import FACTS

pytestmark = pytest.mark.tensor
SIZE = Size(width=32, layers=2, vocabulary=200, context=24, head_width=8)


def trunk() -> Trunk:
    return FAMILY.build(FAMILY.shape(SIZE), {"body": "fp32", "head": "fp32"}, seed=0)


def batch(number: int = 5) -> Batch:
    rng = np.random.default_rng(0)
    clm = CLM()
    samples = [Sample(place, rng.integers(0, 200, 25).astype(np.uint16)) for place in range(number)]
    return clm.collate([clm.example(sample, rng) for sample in samples], [sample.id for sample in samples])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-7)])
def test_the_loss_is_the_librarys(dtype: torch.dtype, tolerance: float) -> None:
    model, made = trunk().to(dtype), batch()
    sums, _, stats = CLM().losses({"model": model}, made, {}, Key(0, 0, made.ids))
    window = torch.cat([made.tensors["inputs"], made.tensors["targets"][:, -1:]], dim=1)
    theirs = model.library(input_ids=window, labels=window).loss
    assert sums["clm"].item() / made.counts["clm"] == pytest.approx(theirs.item(), rel=tolerance)
    assert stats == {}


def test_gradients_are_the_librarys() -> None:
    model, twin, made = trunk(), trunk(), batch()
    sums, *_ = CLM().losses({"model": model}, made, {}, Key(0, 0, made.ids))
    (sums["clm"] / made.counts["clm"]).backward()
    window = torch.cat([made.tensors["inputs"], made.tensors["targets"][:, -1:]], dim=1)
    twin.library(input_ids=window, labels=window).loss.backward()
    for (name, one), other in zip(model.named_parameters(), twin.parameters()):
        assert one.grad is not None
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_targets_are_inputs_shifted_by_one_and_all_counted() -> None:
    made = batch(3)
    assert torch.equal(made.tensors["inputs"][:, 1:], made.tensors["targets"][:, :-1])
    assert made.counts == {"clm": 3 * 24}
    assert made.ids == (0, 1, 2)
    assert made.tensors["inputs"].dtype == torch.int64


def test_the_base_class_gives_the_rest() -> None:
    clm = CLM()
    parts = clm.parts("llama", SIZE, Scratch())
    assert list(parts) == ["model"]
    assert (parts["model"].family, parts["model"].size, parts["model"].role) == ("llama", SIZE, "train")
    assert clm.weights(3) == {}
    carry = {"x": torch.ones(1)}
    assert clm.after_step({}, carry, {}, 1) is carry
    assert clm.init_carry({}) == {}
    assert clm.options == {}


def test_losses_are_found_by_name_or_path() -> None:
    assert isinstance(objective.load("clm"), CLM)
    assert isinstance(objective.load("keel.objective.clm:CLM"), CLM)
    assert objective.load("clm").facts is FACTS["clm"]


def test_it_has_no_options_and_drops_none() -> None:
    with study_error("the loss 'clm' has no option 'rate'", where=False):
        objective.load("clm", {"rate": 0.3})


@pytest.mark.parametrize(
    "name", ["cml", "nowhere:CLM", "keel.objective.clm:Nothing", ":CLM", "keel.objective.clm:", ""]
)
def test_a_loss_that_is_not_there(name: str) -> None:
    with study_error(f"loss '{name}' cannot be loaded", where=False):
        objective.load(name)


def test_facts_are_cited() -> None:
    for facts in FACTS.values():
        for cite in [*facts.unlocks.values(), *facts.precludes.values()]:
            assert cite.why
            assert cite.source
        assert not set(facts.unlocks) & set(facts.precludes)
