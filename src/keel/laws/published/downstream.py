"""Published laws from a loss to a task's error: Gadre."""

from __future__ import annotations

from typing import Any

import numpy as np

from keel.laws.law import Law
from keel.laws.published.stated import stated


def gadre_error(c: Any, loss: Any) -> Any:
    """e - k exp(-g L)."""
    return c.e - c.k * np.exp(-c.g * loss)


DOWNSTREAM: tuple[Law, ...] = (
    stated("gadre-error", gadre_error, "e - k exp(-g L)", {"loss": "nats per token on C4, trained on C4"},
           {"e": 0.850, "k": 2.079, "g": 0.756}, unit="mean top-1 error of 17 tasks, in 0-1",
           origin="Gadre et al. 2024, arXiv:2403.08540, eq. 5", valid={"loss": (2.4, 4.8)}),
)  # fmt: skip
