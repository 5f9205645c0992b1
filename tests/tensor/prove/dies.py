"""A loss whose second rank ends without a word, and one whose fourth raises while the others wait for it."""

from __future__ import annotations

import os
from typing import Any

import torch.distributed as dist
from users import Suffix


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


class Dies(Suffix):
    def losses(self, *given: Any) -> Any:
        if rank() == 1:
            os._exit(9)
        return super().losses(*given)


class RaisesApart(Suffix):
    def losses(self, *given: Any) -> Any:
        if rank() == 1:
            raise ValueError("only here")
        return super().losses(*given)
