"""How well hidden patches of held-out images are told, under masks that are the same for every model. No label at all.

Legend: n images, h hidden patches of each, k values of a patch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from keel.errors import StudyError
from keel.evaluate.batched import batched
from keel.evaluate.modes import evaluating, plain
from keel.objective.base import Objective, Sample

MASKS_SEED = 1 << 40  # seeds of runs are below 2^32: no run has drawn these masks


class Told(NamedTuple):
    """pixel_error = mean over n h hidden patches of (1 / k) |x_hat - x|^2; 0 is perfect.

    Comparable between sizes at one side, patch, share and kind of target, never else. `standard_error` over images;
    `bar`: the best single value for all pixels, whatever the image: where patches are normalised, their own mean.
    """

    pixel_error: float
    standard_error: float
    bar: float

    @property
    def floor(self) -> str:
        """What `bar` is, in words."""
        return "one value for all pixels"

    @property
    def value(self) -> float:
        """What sizes are compared by."""
        return self.pixel_error

    def told(self) -> dict[str, Any]:
        """Its part of a result."""
        return {"pixel_error": self.pixel_error, "standard_error": self.standard_error, "floor": self.bar}


@torch.inference_mode()
def judge(parts: Mapping[str, Any], objective: Objective, heldout: Iterable[Sample]) -> Told:
    """Every held-out image once, undrawn, under the mask of its number, in the weights' own precision.

    Raises:
        StudyError: the loss hides no pixels.
    """
    of: Any = objective
    if not hasattr(of, "errors") or not hasattr(of, "targets"):
        raise StudyError("this judge reads hidden pixels", why=f"{type(of).__name__} hides none",
                         fix="judge it by a probe of labels, or train with mae", where="objective.facts")  # fmt: skip
    asked = {name: plain(part) for name, part in parts.items()}
    errors, targets = list[torch.Tensor](), list[torch.Tensor]()
    with evaluating(asked.values()):
        for some in batched(heldout):
            examples = [of.example(sample, mask_of(sample.id)) for sample in some]
            batch = of.collate(examples, [sample.id for sample in some])
            errors.append(of.errors(asked, batch).double().mean(1))
            targets.append(of.targets(batch).double().flatten())
    found = torch.cat(errors)
    error = float(found.std()) / math.sqrt(len(found)) if len(found) > 1 else math.nan
    return Told(float(found.mean()), error, float(torch.cat(targets).var(correction=0)))


def mask_of(number: int) -> np.random.Generator:
    """What the mask of an image is drawn with: its number alone.

    Example:
        >>> bool(mask_of(3).integers(100) == mask_of(3).integers(100))
        True
    """
    return np.random.Generator(np.random.Philox(key=[MASKS_SEED, number]))
