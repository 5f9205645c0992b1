"""What a plan says that a loss on views keeps for its backward pass, against what autograd keeps."""

from __future__ import annotations

import pytest
import torch
import view_cases
from torch import Tensor
from view_cases import IMAGES, OPTIONS, SIZE

from keel.objective import cost

pytestmark = pytest.mark.tensor
FULL = {"body": "fp32", "head": "fp32"}


def kept_bytes(name: str) -> int:
    """Of one micro-batch of all images, the weights' own apart."""
    of = view_cases.loss(name)
    made = view_cases.modules(of, dtype=torch.float32)
    for module in made.values():
        if hasattr(module, "library"):
            module.library.set_attn_implementation("eager")
    weights = [each for module in made.values() for each in (*module.parameters(), *module.buffers())]
    known = {weight.untyped_storage().data_ptr() for weight in weights}
    found: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            found[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    (batch,) = view_cases.batches(of, [IMAGES])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        of.losses(made, batch, of.init_carry(made), view_cases.key())
    return sum(tensor.untyped_storage().nbytes() for tensor in found.values())


def said_bytes(name: str) -> float:
    """The plan's, less what it says of weights, gradients and moments."""
    full, empty = (
        cost.memory_bytes(name, OPTIONS[name], "vit", SIZE, images * SIZE.context, FULL) for images in (IMAGES, 0)
    )
    return full - empty


@pytest.mark.parametrize("name", OPTIONS)
def test_all_views_are_counted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run gives, one view of SimCLR and nothing that learns of DINO, is too little."""
    kept, every = kept_bytes(name), cost._models
    assert said_bytes(name) == pytest.approx(kept, rel=0.15)
    monkeypatch.setattr(cost, "_models", lambda *of: tuple(model for model in every(*of) if model.given))
    assert said_bytes(name) < 0.6 * kept


def test_a_teacher_is_kept_as_weights_alone() -> None:
    dino, simclr = (cost.memory_bytes(name, OPTIONS[name], "vit", SIZE, 0, FULL) for name in ("dino", "simclr"))
    body = cost.memory_bytes("classify", {}, "vit", SIZE, 0, FULL)
    assert body < simclr < dino < 2 * body
