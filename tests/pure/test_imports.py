"""The order of docs/design.md: no module knows a later station, and what plans needs no torch."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import keel

ROOT = Path(keel.__file__).parent
DESIGN = ROOT.parents[1] / "docs" / "design.md"
# They join rooms, so they stand behind all of them.
JOINERS = {
    "cli",
    "outcome",
    "cli_catalog",
    "cli_size",
    "verbs",
    "fitted",
    "notebook",
    "demo",
    "demo_sources",
    "doctor",
    "__main__",
    "__init__",
}
HEAVY = {"torch", "transformers", "safetensors", "accelerate", "datasets"}
MODULES = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.py"))


def stations() -> list[set[str]]:
    """The order as written in docs/design.md, each station a set of rooms."""
    line = re.search(r"`(errors <.*)`", DESIGN.read_text(encoding="utf-8"))
    assert line, "docs/design.md names no order"
    return [set(station.split()) for station in line[1].split("<")]


def room(module: str) -> str:
    """ "model/shapes" -> "model.shapes" where the order names it apart, else "model"."""
    parts = module.split("/")
    named = set().union(*stations())
    dotted = ".".join(parts[:2])
    if dotted in named:
        return dotted
    # The packages of `objective.facts` and `model.shapes` are loaded with them and belong to the same station.
    whole = [name for name in named if name.startswith(f"{parts[0]}.")]
    return whole[0] if whole and parts[-1] == "__init__" else parts[0]


def place(module: str) -> int:
    """The number of a module's station; joiners stand with the last, `cli`."""
    order = stations()
    name = room(module)
    found = [number for number, station in enumerate(order) if name in station]
    assert found or module in JOINERS, f"docs/design.md gives '{name}' no place in the order"
    return found[0] if found else len(order) - 1


def imported(module: str) -> list[tuple[str, int]]:
    """Every import anywhere in a module, functions included, those for type checkers left out: (name, line)."""
    tree = ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))
    hidden = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports relatively"
            assert node.module
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def own(name: str) -> str | None:
    """The module of ours that an import names: "keel.plan.spec.Spec" -> "plan/spec"."""
    parts = name.split(".")
    if parts[0] != "keel":
        return None
    for length in range(len(parts), 1, -1):
        path = "/".join(parts[1:length])
        if path in MODULES:
            return path
        if f"{path}/__init__" in MODULES:
            return f"{path}/__init__"
    return None


@pytest.mark.parametrize("module", MODULES)
def test_no_module_knows_a_later_station(module: str) -> None:
    here = place(module)
    later = [
        f"line {line}: {name}" for name, line in imported(module) if (target := own(name)) and place(target) > here
    ]
    assert not later, f"{module} imports what comes after it"


def test_every_room_has_a_place_and_every_place_a_room() -> None:
    rooms = {room(module) for module in MODULES if module not in JOINERS}
    named = set().union(*stations())
    assert rooms <= named
    assert named - rooms <= {"launch", "cli", "objective", "model"}


def light(module: str) -> bool:
    """Whether a module stands left of `objective model`."""
    border = next(number for number, station in enumerate(stations()) if "objective" in station)
    return module not in JOINERS and place(module) < border


@pytest.mark.parametrize("module", [module for module in MODULES if light(module)])
def test_what_plans_needs_no_torch(module: str) -> None:
    heavy = [f"line {line}: {name}" for name, line in imported(module) if name.split(".")[0] in HEAVY]
    assert not heavy, f"{module} imports a heavy library"


@pytest.mark.parametrize("module", ["report/page", "report/status", "laws/verb", "cli", "verbs"])
def test_verbs_without_torch_stay_without(module: str) -> None:
    assert not [name for name, _ in imported(module) if name.split(".")[0] in HEAVY]


def test_the_test_sees_imports_in_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "units.py").write_text("def f():\n    from keel.plan import build\n    import torch\n")
    monkeypatch.setattr("test_imports.ROOT", tmp_path)
    names = [name for name, _ in imported("units")]
    assert names == ["keel.plan.build", "torch"]
    assert place(own(names[0]) or "") > place("units")


@pytest.mark.parametrize("module", MODULES)
def test_files_hold_one_idea(module: str) -> None:
    source = (ROOT / f"{module}.py").read_text(encoding="utf-8")
    assert source.isascii()
    assert source.count("\n") <= 330
    assert ast.get_docstring(ast.parse(source)), "a module begins with what flows in and out"
