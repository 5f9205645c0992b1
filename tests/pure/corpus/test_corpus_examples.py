"""The examples in the room's docstrings run."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import keel.corpus

NAMES = sorted(path.stem for path in Path(keel.corpus.__path__[0]).glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", NAMES)
def test_examples(name):
    assert doctest.testmod(import_module(f"keel.corpus.{name}")).failed == 0
