"""What this machine can do: cores, memory and disk from the system, speed by measuring it. No torch in this process."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from keel.errors import Problem
from keel.files import utc_now
from keel.progress import waiting

# The probe and the workers of `keel run` share this, so that measured rates hold for runs.
# glibc hands large buffers back to the kernel after every step; keeping them is worth 1.1-2.3x. Waiting threads that
# never spin cost 1.3x on a quiet machine, those that spin long 2-4x on a busy one (docs/decisions/0003-speed.md).
ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0", "MALLOC_TOP_PAD_": str(256 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "GOMP_SPINCOUNT": "5000",
}  # fmt: skip
BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
SHAPES = ((1024, 1024, 1024), (512, 64, 4096))
PROBE_S, LOAD_S, GEMM_S = 90.0, 0.2, 0.05
USUAL_S = 9.0  # of the probe, with imports, on two quiet cores
NO_LIMIT = 1 << 60


def machine(study_folder: Path, kind: str = "text") -> dict[str, Any]:
    """The content of evidence/machine.json: bytes, cores, FLOP a second, tokens a second; see docs/design.md.

    Steps are those of models of one kind of data, "text", "images" or "image-text" (run/probe.py).

    A probe that fails is recorded under "problems", and numpy's matrix product is measured in its place.
    """
    cores, free = cores_and_free()
    total, unused = memory_bytes()
    problems: list[Problem] = []
    return {
        "made_utc": utc_now(),
        "cores": cores, "cores_free": free, "memory_bytes": total, "memory_free_bytes": unused,
        "disk_free_bytes": disk_free_bytes(study_folder), "cpu": cpu_name(), "platform": platform.platform(),
        "torch": _version("torch"),
        "compiler": any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")),
        **_measure(free, kind, problems),
        "problems": [problem._asdict() for problem in problems],
    }  # fmt: skip


# ---- cores ----


def cores_and_free() -> tuple[int, int]:
    """Cores this process may use (affinity and cgroup quota), and how many of them others leave idle; 1 at least."""
    places = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    quota = cpu_quota()
    cores = max(1, math.floor(min(len(places), quota)))
    idle = _idle_cores(places)
    if idle is None:
        idle = len(places) - (os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0)
    return cores, max(1, min(cores, math.floor(idle + 0.5)))


def _idle_cores(places: Iterable[int]) -> float | None:
    """Idle cores among `places` over a fifth of a second; this process sleeps meanwhile, so all load is of others."""
    before = _ticks()
    time.sleep(LOAD_S if before else 0.0)
    after = _ticks()
    shared = [place for place in places if place in before and place in after]
    if not shared:
        return None
    idle = 0.0
    for place in shared:
        (idle0, all0), (idle1, all1) = before[place], after[place]
        idle += (idle1 - idle0) / (all1 - all0) if all1 > all0 else 1.0
    return idle


def _ticks() -> dict[int, tuple[int, int]]:
    """Idle and total clock ticks of each core since boot; empty where /proc/stat is not there."""
    found = {}
    for line in _read(Path("/proc/stat")).splitlines():
        name, *counts = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and len(counts) >= 8:
            values = [int(count) for count in counts[:8]]
            found[int(name[3:])] = (values[3] + values[4], sum(values))
    return found


def cpu_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """Cores that the process's cgroups allow (v2 cpu.max, v1 cpu.cfs_quota_us), infinity without a quota."""
    quotas = [math.inf]
    for folder in _groups(root, own, "cpu"):
        quota, period = (*_read(folder / "cpu.max").split(), "", "")[:2]
        if not quota:
            quota, period = _read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()
        if quota.isdigit() and period.isdigit() and int(period):
            quotas.append(int(quota) / int(period))
    return min(quotas)


def _groups(root: Path, own: Path, controller: str) -> list[Path]:
    """Folders of the process's groups for a controller, from its own up to the root, of cgroup v2 and v1."""
    folders = {root: None, root / controller: None}
    for line in _read(own).splitlines():
        number, names, path = (*line.split(":", 2), "", "")[:3]
        if number != "0" and controller not in names.split(","):
            continue
        top = root if number == "0" else root / names if (root / names).exists() else root / controller
        steps = [step for step in path.split("/") if step and step != ".."]
        folders |= {top.joinpath(*steps[:depth]): None for depth in range(len(steps), -1, -1)}
    return list(folders)


# ---- memory, disk, names ----


def memory_bytes() -> tuple[int, int]:
    """Memory and free memory, both within the cgroup's limit."""
    total, free = _system_memory()
    root, own = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
    for folder in _groups(root, own, "memory"):
        limit = _read(folder / "memory.max").strip() or _read(folder / "memory.limit_in_bytes").strip()
        used = _read(folder / "memory.current").strip() or _read(folder / "memory.usage_in_bytes").strip()
        if limit.isdigit() and used.isdigit() and int(limit) < NO_LIMIT:
            total = min(total, int(limit))
            free = min(free, max(0, int(limit) - int(used) + _file_cache(folder)))
    return total, free


def _file_cache(folder: Path) -> int:
    """Bytes of a group's use that the kernel gives back on demand."""
    rows = dict(line.split(maxsplit=1) for line in _read(folder / "memory.stat").splitlines() if " " in line)
    return int(rows.get("total_inactive_file", rows.get("inactive_file", "0")))


def _system_memory() -> tuple[int, int]:
    rows = {}
    for line in _read(Path("/proc/meminfo")).splitlines():
        name, _, rest = line.partition(":")
        if rest.split()[:1] and rest.split()[0].isdigit():
            rows[name] = int(rest.split()[0]) * 1024
    if "MemTotal" in rows:
        return rows["MemTotal"], rows.get("MemAvailable", rows.get("MemFree", rows["MemTotal"]))
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total, total


def disk_free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder, or of the nearest folder above it that exists."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def cpu_name() -> str:
    """The processor's model as the system names it."""
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _version(package: str) -> str | None:
    try:
        return version(package) if find_spec(package) else None
    except PackageNotFoundError:
        return None


# ---- speed ----


def _measure(free: int, kind: str, problems: list[Problem]) -> dict[str, Any]:
    """gemm, steps and precision: from the torch probe, else numpy's products alone."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    why = f"{next(iter(missing), '')} is not installed: bf16 not measured"
    if not missing:
        with waiting("machine", USUAL_S):
            failed, found = _child(["-m", "keel.run.probe", str(free), kind], PROBE_S, {"HF_HUB_OFFLINE": "1"})
        if not failed:
            return {name: found[name] for name in ("gemm", "steps", "precision")}
        problems.append(Problem(
            "training steps were not measured", failed, "mend it, then run `keel look` again; until then times are "
            "estimated from numpy's matrix product", "keel.run.probe",
        ))  # fmt: skip
        why = "the probe of training steps failed: bf16 not measured"
    return {"gemm": _numpy_gemm(free, problems), "steps": [], "precision": {"body": "fp32", "head": "fp32", "why": why}}


def _numpy_gemm(free: int, problems: list[Problem]) -> list[dict[str, Any]]:
    """fp32 rates at 1 thread and at all free ones; a process each, as BLAS reads its thread count when it is loaded."""
    rows: list[dict[str, Any]] = []
    for threads in sorted({1, free}):
        env = dict.fromkeys(BLAS_THREADS, str(threads))
        failed, found = _child(["-m", "keel.corpus.machine", str(threads)], PROBE_S, env)
        if failed:
            problems.append(Problem(f"numpy was not timed at {threads} threads", failed,
                                    "mend it, then run `keel look` again", "keel.corpus.machine"))  # fmt: skip
        rows += found.get("gemm", [])
    return rows or numpy_gemm(1)


def _child(arguments: list[str], limit_s: float, env: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Why a measuring process failed ("" = it did not), and the JSON object on its last line."""
    extra = ALLOCATOR if sys.platform == "linux" else {}
    try:
        done = subprocess.run(
            [sys.executable, *arguments], env={**os.environ, **extra, **env}, timeout=limit_s, check=False,
            capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            return f"it ended with code {done.returncode}: {last[0][:300]}", {}
        found = json.loads(done.stdout.strip().splitlines()[-1])
        return ("", found) if isinstance(found, dict) else ("it did not print an object", {})
    except subprocess.TimeoutExpired:
        return f"it took more than {limit_s:.0f} s", {}
    except (OSError, ValueError, IndexError) as error:
        return f"its answer could not be read: {error}", {}


def numpy_gemm(threads: int) -> list[dict[str, Any]]:
    """FLOP a second of numpy's fp32 product, the best of those made in a twentieth of a second for each shape.

    Example:
        >>> numpy_gemm(1)[0]["flop_per_s"] > 0
        True
    """
    import numpy as np

    rows = []
    for m, k, n in SHAPES:
        a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
        out = np.empty((m, n), np.float32)
        best, end = math.inf, time.perf_counter() + GEMM_S
        while time.perf_counter() < end or best == math.inf:
            start = time.perf_counter()
            np.matmul(a, b, out=out)
            best = min(best, time.perf_counter() - start)
        rows.append({"precision": "fp32", "threads": threads, "m": m, "k": k, "n": n,
                     "flop_per_s": 2.0 * m * k * n / best})  # fmt: skip
    return rows


if __name__ == "__main__":
    print(json.dumps({"gemm": numpy_gemm(int(sys.argv[1]))}))
