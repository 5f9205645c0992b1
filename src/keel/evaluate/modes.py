"""A model while it is asked and not trained: in evaluation mode, in the weights' own precision."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def evaluating(parts: Iterable[Any]) -> Iterator[None]:
    """Every module of the parts in evaluation mode; afterwards each in the mode that was its own, after an error too.

    Example:
        >>> whole = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout().eval())
        >>> with evaluating([whole]):
        ...     inside = [part.training for part in whole.modules()]
        >>> inside, [part.training for part in whole.modules()]
        ([False, False, False], [True, True, False])
    """
    asked = list(parts)
    # A held part within one that trains has a mode of its own, which train() of the whole would not give back.
    modes = [(module, module.training) for part in asked for module in part.modules()]
    try:
        for part in asked:
            part.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def plain(part: Any) -> Any:
    """The same weights, without the products of a mixed run; the part itself where it has none."""
    if not hasattr(part, "body_dtype"):
        return part
    made = copy.copy(part)
    made.body_dtype = torch.float32
    return made
