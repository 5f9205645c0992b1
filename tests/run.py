"""`make test`: the tiers one after the other, each with its time, its slowest tests, and a loud word when slow."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# Rooms whose doctests need torch; all others belong to the pure tier.
TORCH_ROOMS = ("objective", "model", "evaluate", "run", "prove")
PURE_IN_THEM = ("objective/facts.py", "model/shapes")
SLOWEST = 5
WORKERS = "2"


class Tier(NamedTuple):
    """One `pytest` call: what it runs, and the seconds it should take on two cores."""

    name: str
    limit_s: float
    arguments: tuple[str, ...]


def tiers() -> list[Tier]:
    """pure, tensor and proof; doctests go where their imports can be met."""
    package = ROOT / "src" / "keel"
    pure = [str(package / name) for name in PURE_IN_THEM]
    pure += [
        str(path)
        for path in sorted(package.iterdir())
        if path.name not in (*TORCH_ROOMS, "__main__.py", "__pycache__") and (path.is_dir() or path.suffix == ".py")
    ]
    torch = [str(package / room) for room in TORCH_ROOMS]
    torch += [f"--ignore={package / name}" for name in PURE_IN_THEM]
    # Sweeps of many fits need no torch; the second tier has the time for them.
    sweeps = str(ROOT / "tests" / "sweeps")
    return [
        Tier("pure", 90, (str(ROOT / "tests" / "pure"), "--doctest-modules", *pure)),
        Tier("tensor", 180, (str(ROOT / "tests" / "tensor"), sweeps, "--doctest-modules", *torch)),
        Tier("proof", 240, (str(ROOT / "tests" / "proof"), "-m", "not nightly")),
    ]


def run(tier: Tier) -> tuple[int, float, list[str]]:
    """The exit code, the seconds, and the slowest tests of a tier; its output is shown as it comes."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        WORKERS,
        "--dist",
        "loadfile",
        f"--durations={SLOWEST}",
        *tier.arguments,
    ]
    started_s = time.monotonic()
    slow: list[str] = []
    env = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(r"\s*\d+\.\d+s (call|setup|teardown)\s", line):
                slow.append(line.strip())
            else:
                print(line, end="", flush=True)
    return process.returncode, time.monotonic() - started_s, slow


def main() -> int:
    """0 where every tier passed; a slow tier is named and does not fail."""
    failed, report = [], []
    wanted = sys.argv[1:]
    for tier in tiers():
        if wanted and tier.name not in wanted:
            continue
        if not Path(tier.arguments[0]).is_dir():
            report.append(f"{tier.name:<8} skipped: tests/{tier.name} is not there")
            continue
        print(f"== {tier.name} (limit {tier.limit_s:.0f} s)", flush=True)
        code, seconds, slow = run(tier)
        failed += [tier.name] if code else []
        report.append(f"{tier.name:<8} {'FAILED' if code else 'passed':<7} {seconds:6.1f} s of {tier.limit_s:.0f} s")
        report += [f"           {line}" for line in slow[:SLOWEST]]
        if seconds > tier.limit_s:
            report.append(f"WARNING: TIER {tier.name.upper()} TOOK {seconds:.0f} s, ITS LIMIT IS {tier.limit_s:.0f} s")
    print("\n" + "\n".join(report))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
