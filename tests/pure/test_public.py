"""The public names: sorted, whole, loaded when first used."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import keel


def test_all_is_sorted_and_complete() -> None:
    assert list(keel.__all__) == sorted(set(keel.__all__))
    assert set(keel.__all__) == {*keel._HOMES, "__version__"}
    assert set(keel.__all__) <= set(dir(keel))


@pytest.mark.parametrize("name", keel.__all__)
def test_every_name_can_be_used(name: str) -> None:
    value = getattr(keel, name)
    assert value is not None
    assert value if name == "__version__" else value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        keel.fly  # noqa: B018


def test_the_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", keel.__version__)


def test_importing_keel_loads_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "scipy", "pyarrow", "pydantic", "transformers"}
    code = f"import sys, keel, keel.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
