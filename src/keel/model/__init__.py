"""Any size. `FAMILIES` is read, not registered into: a new family is one file and one line here and in `shapes`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

FAMILIES: Mapping[str, str] = {"llama": "keel.model.llama"}


def load(name: str) -> Any:
    """The family called `name`, with its torch half."""
    return import_module(FAMILIES[name]).FAMILY
