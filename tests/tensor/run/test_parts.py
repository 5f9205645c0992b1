"""Parts: who moves, who is frozen, who thaws, who follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch

from keel.model.shapes import Size
from keel.objective.base import Branch, Part, Scratch
from keel.objective.clm import CLM
from keel.plan.spec import Spec
from keel.run import optimiser, parts

pytestmark = pytest.mark.tensor
Make = Callable[..., Spec]


class Slow(CLM):
    def momentum(self, step: int, decayed: float) -> float:
        return 0.9


def plan_of(spec: Spec) -> Mapping[str, Part]:
    size = Size(**spec.size)
    common = {"family": spec.family, "size": size, "start": Scratch()}
    return {
        "model": Part(**common),
        "late": Part(**common, thaw_step=3, optimiser="second"),
        "fixed": Part(**common, role="frozen"),
        "mean": Part(**common, role="ema", ema_of="model"),
    }


def state(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().reshape(-1).clone() for weight in module.parameters()])


def test_every_part_has_weights_of_its_own_and_a_mean_begins_as_its_source(tiny_spec: Make) -> None:
    spec = tiny_spec()
    modules = parts.build(plan_of(spec), spec)
    assert torch.equal(state(modules["mean"]), state(modules["model"]))
    assert not torch.equal(state(modules["late"]), state(modules["model"]))
    again = parts.build(plan_of(spec), spec)
    assert all(torch.equal(state(again[name]), state(modules[name])) for name in modules)


def test_frozen_until_the_thaw_and_moving_from_it_on(tiny_spec: Make) -> None:
    spec = tiny_spec()
    plan = plan_of(spec)
    modules = parts.build(plan, spec)
    optimisers = optimiser.build(modules, plan, spec)
    assert set(optimisers) == {"main", "second"}
    moved = {name: [] for name in plan}
    generator = torch.Generator().manual_seed(0)
    for step in range(5):
        parts.hold(modules, plan, step)
        before = {name: state(module) for name, module in modules.items()}
        for module in modules.values():
            for weight in module.parameters():
                if weight.requires_grad:
                    weight.grad = torch.randn(weight.shape, generator=generator)
        optimiser.step(optimisers, 1.0, 1.0)
        parts.follow(modules, plan, Slow(), step + 1, 0.0)
        for name, module in modules.items():
            moved[name].append(not torch.equal(state(module), before[name]))
        torch.testing.assert_close(state(modules["mean"]), 0.9 * before["mean"] + 0.1 * state(modules["model"]))
        assert any(name.startswith("second.") for name in optimiser.state(optimisers)) == (step >= 3)
    assert moved == {"model": [True] * 5, "late": [False] * 3 + [True] * 2, "fixed": [False] * 5, "mean": [True] * 5}
    assert modules["late"].training
    assert not modules["fixed"].training


def test_a_weight_that_a_moving_part_shares_moves(tiny_spec: Make) -> None:
    spec = tiny_spec()
    plan = {name: part for name, part in plan_of(spec).items() if name in ("model", "fixed")}
    modules = parts.build(plan, spec)
    shared = next(modules["model"].parameters())
    modules["fixed"].library.model.embed_tokens.weight = shared
    parts.hold(modules, plan, 0)
    assert shared.requires_grad
    assert sum(weight.requires_grad for weight in modules["fixed"].parameters()) == 1


def test_start_is_read_from_the_spec(tiny_spec: Make) -> None:
    assert parts.start_of(tiny_spec()) == Scratch()
    branch = tiny_spec(start={"kind": "branch", "run": "a", "step": 3})
    assert parts.start_of(branch) == Branch("a", 3)
