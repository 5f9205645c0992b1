"""keel's forward pass is the library's: states, gradients and names, also after export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from keel.model.head import nll_sum
from keel.model.llama import FAMILY, Trunk
from keel.model.shapes import Size

pytestmark = pytest.mark.tensor
SIZE = Size(width=48, layers=3, vocabulary=211, context=40, head_width=16)
FP32, BF16 = {"body": "fp32", "head": "fp32"}, {"body": "bf16", "head": "bf16"}


def built(precision: dict[str, str] = FP32) -> Trunk:
    trunk = FAMILY.build(FAMILY.shape(SIZE), precision, seed=3)
    with torch.no_grad():
        for name, weight in trunk.named_parameters():
            if weight.dim() == 1:
                weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name))))
    return trunk


def stock(trunk: Trunk) -> Any:
    """The library's own module with the same weights."""
    library = FAMILY.library(FAMILY.shape(SIZE))
    library.load_state_dict(trunk.library.state_dict(), strict=True)
    return library


def assert_same(name: str, ours: torch.Tensor | None, wanted: torch.Tensor | None) -> None:
    """Equal to 1e-5 of the largest entry: the embedding's gradient is a hundred times that of the norms."""
    assert ours is not None
    assert wanted is not None, name
    assert not ours.is_sparse, name
    assert (ours - wanted).abs().max() <= 1e-5 * wanted.abs().max(), name


def tokens(extra: int = 0) -> torch.Tensor:
    return torch.randint(0, SIZE.vocabulary, (5, SIZE.context + extra), generator=torch.Generator().manual_seed(1))


def test_hidden_states_and_every_gradient_are_the_librarys() -> None:
    trunk = built()
    library = stock(trunk)
    ours, theirs = trunk(input_ids=tokens()), library.model(input_ids=tokens()).last_hidden_state
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    pull = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    (ours * pull).sum().backward()
    (theirs * pull).sum().backward()
    wanted = dict(library.named_parameters())
    for name, weight in trunk.library.named_parameters():
        assert_same(name, weight.grad, wanted[name].grad)


def test_loss_and_every_gradient_are_the_librarys_with_the_tied_head_over_two_micro_batches() -> None:
    trunk = built()
    library = stock(trunk)
    rows = tokens(1)
    for part in (rows[:2], rows[2:]):
        inputs, targets = part[:, :-1], part[:, 1:]
        (nll_sum(trunk(input_ids=inputs), trunk.table, targets) / 200).backward()
        logits = library(input_ids=inputs).logits.flatten(0, 1)
        (cross_entropy(logits, targets.flatten(), reduction="sum") / 200).backward()
    wanted = dict(library.named_parameters())
    for name, weight in trunk.library.named_parameters():
        assert_same(name, weight.grad, wanted[name].grad)


def test_bf16_is_as_close_to_fp32_as_the_librarys_autocast() -> None:
    trunk = built(BF16)
    library = stock(trunk)
    with torch.no_grad():
        exact = library.model(input_ids=tokens()).last_hidden_state
        with torch.autocast("cpu", dtype=torch.bfloat16):
            theirs = library.model(input_ids=tokens()).last_hidden_state.float()
        ours = trunk(input_ids=tokens())
    assert ours.dtype == torch.float32
    assert (ours - exact).norm() < 1.1 * (theirs - exact).norm()


def test_a_second_backward_pass_gives_the_same_gradient() -> None:
    trunk = built()
    rows = tokens(1)
    loss = nll_sum(trunk(input_ids=rows[:, :-1]), trunk.table, rows[:, 1:])
    weights = list(trunk.parameters())
    once = torch.autograd.grad(loss, weights, retain_graph=True)
    again = torch.autograd.grad(loss, weights)
    for one, other in zip(once, again):
        torch.testing.assert_close(one.to_dense(), other.to_dense())


def test_export_loads_in_the_library(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    trunk = built()
    FAMILY.export(trunk, tmp_path)
    library = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert set(library.state_dict()) == set(stock(trunk).state_dict())
    with torch.no_grad():
        torch.testing.assert_close(
            library(input_ids=tokens()).logits, trunk(input_ids=tokens()) @ trunk.table.T, rtol=1e-5, atol=1e-5
        )
