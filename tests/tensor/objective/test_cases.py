"""Every loss: one gradient however a step is cut, terms by their own counts, and micro-batches without a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import CASES, CUTS, VOCABULARY, Case, batches, gradient, grads, key
from torch import Tensor, nn

from keel.objective.base import Sample

pytestmark = pytest.mark.tensor


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def modules(case: Case) -> dict[str, nn.Module]:
    return case.parts()


def same(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    """Equal to 1e-6 of the largest: XLM's softmax is in fp32 whatever the weights are in."""
    assert one.keys() == two.keys()
    largest = max(float(grad.abs().max()) for grad in one.values())
    assert largest > 1e-3
    return all(float((grad - two[name]).abs().max()) <= 1e-6 * largest for name, grad in one.items())


def test_micro_batches_do_not_change_the_gradient(case: Case, modules: dict[str, nn.Module]) -> None:
    whole, step = gradient(case, modules, CUTS["1x16"])
    for cut in list(CUTS)[1:]:
        other, again = gradient(case, modules, CUTS[cut])
        assert again.terms == pytest.approx(step.terms, rel=1e-9)
        assert same(whole, other), cut


def test_the_quarters_of_a_step_have_unequal_targets(case: Case) -> None:
    counts = [batch.counts for batch in batches(case.objective(), case.samples(), CUTS["4x4"])]
    assert all(len({count[term] for count in counts}) > 1 for term in counts[0])
    assert set(counts[0]) == set(case.objective().terms)


def test_the_gradient_is_that_of_each_terms_mean_over_all_targets(case: Case, modules: dict[str, nn.Module]) -> None:
    found, step = gradient(case, modules, CUTS["4x4"])
    loss = case.objective()
    made = batches(loss, case.samples(), [16])[0]
    sums, *_ = loss.losses(modules, made, {}, key(made))
    means = {term: total / made.counts[term] for term, total in sums.items()}
    assert step.terms == pytest.approx({term: mean.item() for term, mean in means.items()}, rel=1e-9)
    for module in modules.values():
        module.zero_grad(set_to_none=True)
    torch.stack([loss.weights(0).get(term, 1.0) * mean for term, mean in means.items()]).sum().backward()
    assert same(found, grads(modules))


def test_each_terms_own_gradient_adds_up_to_the_whole(case: Case, modules: dict[str, nn.Module]) -> None:
    """Also where parts share a weight, which has one gradient and not one for each of them."""
    whole, _ = gradient(case, modules, CUTS["1x16"])
    apart, step = gradient(case, modules, CUTS["uneven"], norms=True)
    assert same(whole, apart)
    assert set(step.norms) == set(case.objective().terms)


def test_a_micro_batch_without_a_target_adds_nothing(case: Case, modules: dict[str, nn.Module]) -> None:
    separators = np.full(3, VOCABULARY.id_of("separator"))

    def emptied(sample: Sample) -> Sample:
        if sample.id >= 4:
            return sample
        second = None if sample.second is None else separators
        return sample._replace(tokens=np.resize(separators, len(sample.tokens)), second=second)

    some = [emptied(sample) for sample in case.samples()]
    assert set(batches(case.objective(), some, [4])[0].counts.values()) == {0}
    found, step = gradient(replace(case, samples=lambda: some), modules, CUTS["4x4"])
    rest, without = gradient(replace(case, samples=lambda: some[4:]), modules, [12])
    assert step.terms == pytest.approx(without.terms, rel=1e-9)
    assert same(rest, found)
