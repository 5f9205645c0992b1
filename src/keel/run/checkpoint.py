"""Checkpoints: safetensors and JSON with checksums, whole or absent, no pickle anywhere."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from keel.errors import StudyError
from keel.files import place_error, read_json, sha256_file, write_bytes, write_json
from keel.run.parallel import share

SCHEMA = "keel.checkpoint/2"
FILES = ("parts.safetensors", "optimiser.safetensors", "carry.safetensors")


class State(NamedTuple):
    """All that a run needs to go on from `step` (steps done)."""

    step: int
    parts: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]
    carry: Mapping[str, Tensor]


def folder_of(run_folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return run_folder / "checkpoints" / f"step-{step:08d}"


def part_state(parts: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Weights of all parts, and what a batch norm has gathered; one with several names, or that parts share, once."""
    first: dict[Tensor, str] = {}
    for part, module in parts.items():
        for name, weight in [*module.named_parameters(), *kept_buffers(module)]:
            first.setdefault(weight, f"{part}.{name}")
    return {name: weight for weight, name in first.items()}


def kept_buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Buffers that are saved with a module: they are part of what it computes, though no gradient moves them."""
    weights = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    return [(name, value) for name, value in module.state_dict(keep_vars=True).items() if name not in weights]


def load_parts(parts: Mapping[str, nn.Module], saved: Mapping[str, Tensor]) -> None:
    """Copy weights and buffers back in place."""
    for name, weight in part_state(parts).items():
        # Checkpoints of before buffers were kept had none but constants.
        if name in saved or isinstance(weight, nn.Parameter):
            weight.data.copy_(share(saved[name], weight))


def write(run_folder: Path, state: State, spec_sha256: str) -> None:
    """Write a checkpoint beside its place, then move it there in one step."""
    target = folder_of(run_folder, state.step)
    if target.exists():
        return
    building = target.with_name(f".{target.name}")
    shutil.rmtree(building, ignore_errors=True)
    for name, tensors in zip(FILES, (state.parts, state.optimiser, state.carry)):
        write_bytes(building / name, save({key: value.detach().contiguous() for key, value in tensors.items()}))
    sums = {name: sha256_file(building / name) for name in FILES}
    write_json(building / "state.json", SCHEMA, {"step": state.step, "spec_sha256": spec_sha256, "sha256": sums})
    try:
        os.replace(building, target)
    except OSError as error:
        raise place_error(error, target) from error


def steps(run_folder: Path) -> list[int]:
    """Steps that have a whole checkpoint, ascending."""
    return sorted(int(path.name[5:]) for path in (run_folder / "checkpoints").glob("step-*") if path.is_dir())


def read(run_folder: Path, step: int, spec_sha256: str | None = None) -> State:
    """Read a checkpoint; one that does not match its checksums, or is another identity's, is refused by name."""
    folder = folder_of(run_folder, step)
    meta = read_json(folder / "state.json", SCHEMA)
    if spec_sha256 not in (None, meta["spec_sha256"]):
        raise StudyError("a checkpoint is another run's", why="it was written under another identity (spec_sha256)",
                         fix="move that folder away and run again", where=str(folder))  # fmt: skip
    for name, expected in meta["sha256"].items():
        if not (folder / name).exists() or sha256_file(folder / name) != expected:
            raise StudyError(
                "a checkpoint is damaged", why=f"{name} does not match its checksum", where=str(folder),
                fix="delete that folder and run again: the run goes on from the checkpoint before it",
            )  # fmt: skip
    try:
        tensors = [load_file(folder / name) for name in FILES]
    except (SafetensorError, json.JSONDecodeError) as error:
        raise StudyError("a checkpoint cannot be read", why=str(error), fix="delete it", where=str(folder)) from error
    return State(int(meta["step"]), *tensors)


def prune(run_folder: Path, keep: set[int]) -> None:
    """Remove checkpoints that no branch and no resume needs."""
    for step in steps(run_folder):
        if step not in keep:
            shutil.rmtree(folder_of(run_folder, step), ignore_errors=True)
    for path in (run_folder / "checkpoints").glob(".step-*"):
        shutil.rmtree(path, ignore_errors=True)
