"""keel's forecasts on public runs against two peers and two baselines: one table, two plots.

    python benchmarks/forecast.py [--quick] [--only gadre] [--look] [--out benchmarks/out] [--json FILE]

Sets and splits are in sets.py. Every method sees the same rows and is judged on the same held-out runs; CPU seconds
are of one thread, of the fit and one forecast of all held-out runs. A method that fails on a set is said to fail
there, and its means stand on the sets it answered. Nothing learnt across sets may come from the judged set's family.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import forecast_peers
import forecast_plot
import forecast_show
from forecast_baselines import chinchilla_huber, nearest
from forecast_keel import KEEL, Informed, keel, timed
from forecast_score import Score, score
from forecast_task import LEVELS, Guess, Task, gather
from sets import FAMILIES, LOOK, SCALING, SPLITS

WORKERS = 2
TIMED_ROWS = (100, 1000, 10_000)
GUARDED = "what keel has learnt across sets was learnt without the judged set's family (checked at every fit)"
OURS: tuple[tuple[str, Callable[[Task], Guess]], ...] = (
    (KEEL, keel),
    ("Chinchilla, log-Huber", chinchilla_huber),
    ("nearest run", nearest),
)


def answers(task: Task) -> list[Guess]:
    """keel and the baselines on one task; an exception is that method's failure, unless the guard raised it."""
    found = []
    for name, method in OURS:
        try:
            found.append(method(task))
        except Informed:
            raise
        except Exception as error:
            found.append(Guess(name, "failed", f"{type(error).__name__}: {error}"))
    return found


def say(line: str) -> None:
    """Progress, apart from the report."""
    print(line, file=sys.stderr, flush=True)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """All guesses, scores, notes and times."""
    families = LOOK if asked.look else FAMILIES
    tasks, notes = gather({name: load for name, load in families.items() if asked.only in (None, name)})
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        ours = []
        for task, found in zip(tasks, pool.map(answers, tasks)):
            say(f"{task.name} {task.split}: {', '.join(f'{one.method} {one.status}' for one in found)}")
            ours.append(found)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        times = dict(zip(TIMED_ROWS, pool.map(timed, TIMED_ROWS)))
    theirs: list[Guess] = []
    if not asked.quick:
        theirs, note = forecast_peers.guesses(tasks, asked.cap, asked.grid, asked.fresh_peers, say)
        notes.append(note)
    each = len(forecast_peers.PEERS) if theirs else 0
    guesses = [(task, [*mine, *theirs[each * i : each * (i + 1)]]) for i, (task, mine) in enumerate(zip(tasks, ours))]
    notes.append(GUARDED)
    if asked.only:
        notes.append(f"the targets are meant for all families: this is {asked.only} alone")
    return {"guesses": guesses, "notes": notes, "times": times, "peers": bool(theirs)}


def report(found: dict[str, Any]) -> tuple[str, list[Score], list[forecast_show.Target]]:
    """Everything that is printed."""
    scores = [score(task, guess) for task, guesses in found["guesses"] for guess in guesses]
    peers = forecast_peers.PEERS if found["peers"] else ()
    methods = [KEEL, *peers, *(name for name, _ in OURS[1:])]
    parts = []
    for split in (name for name in SPLITS if any(one.split == name for one in scores)):
        here = [one for one in scores if one.split == split]
        head = f"## {split}\n\n{forecast_show.FIVE}; without interval: MARE % / CPU s"
        parts += [head, forecast_show.split_table(split, scores, methods), forecast_show.summary_table(here, methods)]
    targets = forecast_show.targets(scores, found["times"], found["peers"])
    sets, families = ({getattr(task, part) for task, _ in found["guesses"]} for part in ("name", "family"))
    sources = f"sets: {len(sets)}, families: {len(families)}; sets of one family are not independent"
    shy = [
        f"keel fit would refuse {guess.refused} of {len(task.held)} held-out runs of {task.name}, {task.split}; kept"
        for task, guesses in found["guesses"]
        for guess in guesses
        if guess.refused
    ]
    failed = [f"{one.method} {one.status} on {one.name} ({one.split}): {one.message}" for one in scores if not one.ok]
    notes = "\n".join(f"- {line}" for line in (sources, *found["notes"], *shy, *failed))
    parts += [f"## Targets\n\n{forecast_show.target_table(targets)}", f"## Notes\n\n{notes}"]
    return "\n\n".join(parts), scores, targets


def dump(found: dict[str, Any], scores: Sequence[Score], targets: Sequence[forecast_show.Target]) -> dict[str, Any]:
    """The same for machines, forecasts of each held-out run included."""
    runs = [
        {"set": task.name, "family": task.family, "split": task.split, "unit": task.unit,
         "held": [{"params": r.params, "tokens": r.tokens, "flop": r.flop, "value": r.value} for r in task.held],
         "guesses": [guess._asdict() for guess in guesses]}
        for task, guesses in found["guesses"]
    ]  # fmt: skip
    return {
        "scores": [one._asdict() for one in scores], "targets": [one._asdict() for one in targets], "runs": runs,
        "times_cpu_s": found["times"], "notes": found["notes"], "levels": LEVELS,
    }  # fmt: skip


def plain(value: Any) -> Any:
    """JSON knows no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> None:
    """Print the report, write the plots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="keel and the baselines only")
    parser.add_argument("--only", choices=list(FAMILIES), help="sets of one family")
    parser.add_argument(
        "--look", action="store_true", help="the families kept for one last look, instead of the others"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out", help="folder of the plots")
    parser.add_argument("--json", type=Path, help="write everything to this file too")
    parser.add_argument("--cap", type=float, default=forecast_peers.CAP_CPU_S, help="CPU s a peer may take on a set")
    parser.add_argument(
        "--grid", type=int, default=forecast_peers.GRID_POINTS, help="points an axis of chinchilla's grid"
    )
    parser.add_argument("--fresh-peers", action="store_true", help="make the peers' answers anew")
    asked = parser.parse_args()
    if not SCALING.exists():
        sys.exit(f"no public runs at {SCALING}: name their folder with KEEL_SCALING")
    try:
        found = measure(asked)
    except Informed as error:
        sys.exit(f"THE BENCHMARK FAILS, a set informs its own test: {error}")
    text, scores, targets = report(found)
    print(text)
    if asked.json:
        asked.json.write_text(json.dumps(plain(dump(found, scores, targets)), indent=1) + "\n", encoding="utf-8")
    asked.out.mkdir(parents=True, exist_ok=True)
    forecast_plot.coverage(scores, asked.out / "coverage.svg")


if __name__ == "__main__":
    main()
