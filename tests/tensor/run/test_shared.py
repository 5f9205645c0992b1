"""A weight that two parts share: one tensor in a checkpoint, in one optimiser, with one gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from keel.model import sharing
from keel.model.shapes import Size
from keel.objective.base import Part, Scratch
from keel.plan.spec import Spec
from keel.run import checkpoint, optimiser, parts
from keel.run.checkpoint import State

pytestmark = pytest.mark.tensor
SIZE = Size(width=16, layers=1, vocabulary=40, context=16, head_width=8)
TABLE = "library.electra.embeddings.word_embeddings.weight"


def tied(spec: Spec, second: str = "main") -> tuple[dict[str, nn.Module], dict[str, Part]]:
    plan = {
        "model": Part(family="electra", size=SIZE, start=Scratch(), head="replaced"),
        "generator": Part(family="electra", size=SIZE, start=Scratch(), optimiser=second),
    }
    built: Any = parts.build(plan, spec)
    sharing.tie(built["generator"].library, built["model"].library)
    return built, plan


def test_a_checkpoint_holds_it_once_and_gives_it_back_to_both(tiny_spec: Callable[..., Spec], tmp_path: Path) -> None:
    modules, _ = tied(tiny_spec())
    state = checkpoint.part_state(modules)
    assert f"model.{TABLE}" in state
    assert f"generator.{TABLE}" not in state
    assert len(state) == len({id(weight) for weight in state.values()})
    checkpoint.write(tmp_path, State(1, state, {}, {}), "0")
    other, _ = tied(tiny_spec(seed=5))
    checkpoint.load_parts(other, checkpoint.read(tmp_path, 1).parts)
    for name, module in modules.items():
        for one, two in zip(module.parameters(), other[name].parameters()):
            assert torch.equal(one, two)
    table: Any = other["generator"].get_parameter(TABLE)
    assert table is other["model"].get_parameter(TABLE)


@pytest.mark.parametrize("second", ["main", "second"])
def test_it_is_moved_once(tiny_spec: Callable[..., Spec], second: str) -> None:
    """Two steps' worth of one gradient would move it twice as far: Adam's first step is the rate."""
    spec = tiny_spec(lr_embedding=0.25)
    modules, plan = tied(spec, second)
    made = optimiser.build(modules, plan, spec)
    before = modules["model"].get_parameter(TABLE).detach().clone()
    for module in modules.values():
        for weight in module.parameters():
            weight.grad = torch.ones_like(weight)
    optimiser.step(made, 1.0, 1e9)
    moved = before - modules["model"].get_parameter(TABLE).detach()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.25), rtol=1e-4, atol=0)


def test_tables_of_other_shapes_are_not_tied() -> None:
    small = parts.model.load("electra").build
    shapes = [parts.model.load("electra").shape(Size(**(vars(SIZE) | {"width": width}))) for width in (16, 32)]
    ids = parts.ids_of(None)
    one, two = (small(shape, {"body": "fp32", "head": "fp32"}, 0, ids) for shape in shapes)
    with pytest.raises(AssertionError, match="tables of one shape"):
        sharing.tie(one.library, two.library)


def test_llama_has_no_other_head(tiny_spec: Callable[..., Spec]) -> None:
    from helpers import study_error

    spec = tiny_spec()
    plan = {"model": Part(family="llama", size=Size(**spec.size), start=Scratch(), head="replaced")}
    with study_error("a llama has no head 'replaced'"):
        parts.build(plan, spec)
