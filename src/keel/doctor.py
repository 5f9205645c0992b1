"""`keel doctor`: what this machine and this installation can do, and the line that mends what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from keel.answer import Answer
from keel.errors import Problem
from keel.units import show_bytes


class Extra(NamedTuple):
    """Packages behind an optional ability."""

    name: str
    modules: tuple[str, ...]
    gives: str


EXTRAS = (
    Extra("train", ("torch", "transformers", "safetensors"), "run, demo"),
    Extra("eval", ("sklearn", "sacrebleu", "rouge_score"), "judging models on the tasks of [[use_case]] eval"),
    Extra("images", ("PIL",), "data of images, with or without captions"),
    Extra("bench", ("accelerate", "datasets"), "make bench against other trainers"),
)
# Where a module's name is not that of its package.
PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn", "rouge_score": "rouge-score"}


def doctor() -> Answer:
    """Look at cores, memory, disk, compiler, precision and extras; needs no study and changes nothing."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    disk = shutil.disk_usage(Path.cwd()).free
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bf16 = _bf16_flags()
    facts = {
        "python": platform.python_version(), "platform": platform.platform(), "cores": cores, "memory_bytes": memory,
        "disk_free_bytes": disk, "compiler": shutil.which("c++") or shutil.which("g++") or shutil.which("clang++"),
        "bf16_instructions": bf16, "extras": {extra.name: _missing(extra) for extra in EXTRAS},
    }  # fmt: skip
    lines = [
        f"python    {facts['python']} on {facts['platform']}",
        f"cores     {cores}",
        f"memory    {show_bytes(memory)}; disk free here {show_bytes(disk)}",
        f"compiler  {facts['compiler'] or 'none (optional)'}",
        f"bf16      {bf16}; `keel look` measures whether it pays",
        *(f"{extra.name:<10}{_state(extra)}" for extra in EXTRAS),
    ]
    problems = [
        Problem(f"extra '{extra.name}' is not complete", "missing: " + ", ".join(_missing(extra)),
                f"pip install 'keel[{extra.name}]'  (needed for: {extra.gives})")
        for extra in EXTRAS if _missing(extra)
    ]  # fmt: skip
    return Answer(result=facts, text="\n".join(lines), problems=problems)


def _missing(extra: Extra) -> list[str]:
    return [PACKAGES.get(name, name) for name in extra.modules if importlib.util.find_spec(name) is None]


def _state(extra: Extra) -> str:
    if _missing(extra):
        return "not complete"
    return ", ".join(f"{PACKAGES.get(name, name)} {_version(name)}" for name in extra.modules)


def _version(name: str) -> str:
    try:
        return version(PACKAGES.get(name, name))
    except PackageNotFoundError:
        return "?"


def _bf16_flags() -> str:
    """What the processor itself says; unknown where it cannot be asked."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return "unknown"
    flags = set(path.read_text().split())
    found = sorted(flags & {"avx512_bf16", "amx_bf16", "bf16"})
    return ", ".join(found) if found else "no instructions for it"
