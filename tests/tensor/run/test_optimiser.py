"""AdamW by groups: what is decayed, how fast each learns, and what is saved."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from keel.model.shapes import Size
from keel.objective.base import Part, Scratch
from keel.plan.spec import Spec
from keel.run import optimiser, parts

pytestmark = pytest.mark.tensor
Make = Callable[..., Spec]


def made(spec: Spec) -> tuple[dict[str, torch.nn.Module], torch.optim.AdamW]:
    plan = {"model": Part(family=spec.family, size=Size(**spec.size), start=Scratch())}
    modules = parts.build(plan, spec)
    return modules, optimiser.build(modules, plan, spec)["main"]


def fill(modules: dict[str, torch.nn.Module], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in modules["model"].parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)


def test_every_weight_is_in_one_group(tiny_spec: Make) -> None:
    modules, adam = made(tiny_spec())
    grouped = [id(weight) for group in adam.param_groups for weight in group["params"]]
    assert sorted(grouped) == sorted(id(weight) for weight in modules["model"].parameters())


def test_only_matrices_are_decayed_and_the_table_has_its_own_rate(tiny_spec: Make) -> None:
    spec = tiny_spec(lr_hidden=0.01, lr_embedding=0.5, weight_decay=0.3)
    modules, adam = made(spec)
    names = {id(weight): name for name, weight in modules["model"].named_parameters()}
    for group in adam.param_groups:
        for weight in group["params"]:
            table = "embed" in names[id(weight)]
            assert group["lr"] == (0.5 if table else 0.01)
            assert group["weight_decay"] == (0.3 if weight.dim() > 1 and not table else 0.0)
        assert (group["betas"], group["eps"]) == ((0.9, 0.95), 1e-8)


def test_the_schedule_scales_every_group_from_its_peak(tiny_spec: Make) -> None:
    _, adam = made(tiny_spec(lr_hidden=0.01, lr_embedding=0.5))
    for multiplier in (0.5, 0.1, 1.0):
        optimiser.set_rate(adam, multiplier)
        assert [group["lr"] for group in adam.param_groups] == pytest.approx(
            [0.01 * multiplier, 0.5 * multiplier, 0.01 * multiplier]
        )


def test_one_step_by_hand(tiny_spec: Make) -> None:
    """w <- w (1 - lr wd) - lr m^ / (sqrt(v^) + eps); at step 1, m^ = g and v^ = g^2."""
    spec = tiny_spec(lr_hidden=0.01, weight_decay=0.3)
    modules, adam = made(spec)
    fill(modules, 0)
    matrix = adam.param_groups[0]["params"][0]
    assert matrix.grad is not None
    expected = matrix.detach() * (1 - 0.01 * 0.3) - 0.01 * matrix.grad / (matrix.grad.abs() + 1e-8)
    adam.step()
    torch.testing.assert_close(matrix.detach(), expected, rtol=1e-5, atol=1e-6)


def test_what_is_saved_and_loaded_goes_on_bitwise(tiny_spec: Make) -> None:
    spec = tiny_spec()
    modules, adam = made(spec)
    twin_modules, twin = made(spec)
    for seed in range(2):
        fill(modules, seed)
        adam.step()
    with torch.no_grad():
        for one, other in zip(modules["model"].parameters(), twin_modules["model"].parameters()):
            other.copy_(one)
    saved = {name: value.clone() for name, value in optimiser.state({"main": adam}).items()}
    optimiser.load_state({"main": twin}, saved)
    for both in ((modules, adam), (twin_modules, twin)):
        fill(both[0], 9)
        both[1].step()
    for one, other in zip(modules["model"].parameters(), twin_modules["model"].parameters()):
        assert torch.equal(one, other)


def test_a_fresh_optimiser_has_no_state(tiny_spec: Make) -> None:
    assert optimiser.state({"main": made(tiny_spec())[1]}) == {}
