"""Weights, gradients and moments split over ranks (FSDP2): a block is whole only while it is used.

Execution, never identity: the same numbers as one process, up to the order in which ranks are summed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map_only

from keel.errors import StudyError
from keel.objective.base import Objective

Given = TypeVar("Given")


class Sharded(dict[str, nn.Module]):
    """Parts by name, their weights split over ranks; `inside` makes them whole."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__(modules)
        self.root: Any = _Root(modules)


class _Root(nn.Module):
    """All parts in one module, so that a weight which two of them share stays one; its forward is the loss.

    What is no block (tables, heads, norms, the weights that a loss reads by itself) is then whole for as long as a loss
    runs, and its gradient is reduced once, behind the whole backward pass.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.held = nn.ModuleList(modules.values())

    def forward(self, call: Callable[[], Given]) -> Given:
        """Whatever `call` does with the parts; views of one tensor (two halves of it) become tensors of their own."""
        made: Given = tree_map_only(Tensor, lambda one: one.clone() if one._is_view() else one, call())
        return made


def shard(modules: Mapping[str, nn.Module], loss: Objective) -> Sharded:
    """Split every part's weights over the ranks, in place: each block by itself, all else of all parts together.

    Gradients are summed over ranks, as the engine's are: shares of one sum. Lookups give dense gradients.

    Raises:
        StudyError: there is one process; or ranks may run different passes, and would wait for each other's blocks.
    """
    if not loss.same_passes:
        raise StudyError(
            f"{type(loss).__name__} cannot be sharded", why="a step's ranks may hold samples of different losses, and "
            "would wait for each other's blocks", fix="leave --sharded out: every rank then keeps all weights",
        )  # fmt: skip
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        raise StudyError("one process has nothing to shard over", why="each rank keeps a share of the weights",
                         fix="start it with torchrun on two ranks or more, or leave --sharded out")  # fmt: skip
    made = Sharded(modules)
    mesh = init_device_mesh(next(made.root.parameters()).device.type, (dist.get_world_size(),))
    for part in made.values():
        for block in _blocks(part):
            block.register_forward_hook(_no_view)
            fully_shard(block, mesh=mesh)
            for way in getattr(part, "ways", ()):
                register_fsdp_forward_method(block, way)
    fully_shard(made.root, mesh=mesh)
    for module in made.root.modules():
        if isinstance(module, FSDPModule):
            # Without the second, a factor of 1 asks for a reduction that gloo does not have.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
        if isinstance(module, nn.Embedding):
            module.sparse = False
    return made


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """What stands in lists, outermost first met: the library keeps its layers so, and uses them by their forward."""
    for child in module.children():
        if not isinstance(module, nn.ModuleList):
            yield from _blocks(child)
        elif next(child.parameters(), None) is not None:
            yield child


def _no_view(block: nn.Module, given: Any, made: Any) -> Any:
    """FSDP hangs the gathering for the backward pass on what a block gives; work in place on a view would shed it."""
    if isinstance(made, tuple):
        return tuple(_no_view(block, given, each) for each in made)
    return made.clone() if isinstance(made, Tensor) and made.requires_grad and made._is_view() else made


def inside(parts: Mapping[str, nn.Module], call: Callable[[], Given]) -> Given:
    """What `call` gives where it finds the parts' weights whole; every rank makes the same calls in the same order."""
    if not isinstance(parts, Sharded):
        return call()
    made: Given = parts.root(call)
    return made


def whole(tensor: Tensor) -> Tensor:
    """A tensor in one piece; all ranks lend their shares of it."""
    full: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach()


def gathered(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """Every tensor whole on ranks that `keep` them; the others lend their shares and get nothing."""
    pieces = ((name, whole(tensor)) for name, tensor in tensors.items())
    return {name: piece for name, piece in pieces if keep}


def share(full: Tensor, of: Tensor) -> Tensor:
    """This rank's share of a tensor that every rank has, split as `of` is; memory of its own."""
    if not isinstance(of, DTensor):
        return full.clone()
    return distribute_tensor(full, of.device_mesh, of.placements, src_data_rank=None).clone()
