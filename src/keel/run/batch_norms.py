"""Batch norms see all samples of a forward pass, so that a step cannot be cut without changing what it computes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from keel.errors import StudyError
from keel.objective.base import Objective


def check(parts: Mapping[str, nn.Module], loss: Objective, at_once: int, samples: int) -> None:
    """Nothing where a step goes through the model whole, `at_once` being `samples`, or no part has a batch norm.

    Raises:
        StudyError: the step is cut, into micro-batches or over ranks; or its samples go through the model twice.
    """
    normed = sorted(name for name, part in parts.items() if any(isinstance(m, _BatchNorm) for m in part.modules()))
    if not normed or (at_once == samples and not loss.coupled):
        return
    why = f"{at_once} of {samples} samples would be normed by themselves: another model than that of the whole step"
    if loss.coupled:
        why = "the loss is taken in two passes, and the norm's moments would count each sample twice"
    raise StudyError(f"{', '.join(normed)} has batch norms, and the step is cut", why=why, where="family",
                     fix="train it in one process without micro-batches, with a smaller batch if memory wants it, or "
                     "choose a family without them (vit, convnext)")  # fmt: skip
