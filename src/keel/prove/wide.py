"""fp64 all through: libraries compute rotations, norms and softmax in fp32 whatever their weights are in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class Wide(TorchFunctionMode):
    """Where fp32 is asked for by name, fp64 is given; use as a context around a forward and backward pass.

    Example:
        >>> import torch
        >>> with Wide():
        ...     torch.ones(2, dtype=torch.float64).float().dtype, torch.zeros(1).to(torch.float32).dtype
        (torch.float64, torch.float64)
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The call with fp64 in place of fp32."""
        if func is Tensor.float:
            func = Tensor.double
        wider = {name: _wider(value) for name, value in (kwargs or {}).items()}
        return func(*[_wider(value) for value in args], **wider)


def _wider(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value
