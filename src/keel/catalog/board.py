"""`keel catalog leaderboard`: snapshots read, models traced to the catalogue, licences and contamination flagged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keel.answer import Answer
from keel.catalog import show
from keel.catalog.deployed import trace
from keel.catalog.leaderboard import NOT_YOURS, Drift, Standing, drift, standings
from keel.catalog.licence import HINT, allowed
from keel.catalog.rows import Model
from keel.catalog.snapshots import Snapshot, read
from keel.catalog.store import Catalogue
from keel.errors import Problem, StudyError

SHOWN = 25
STEADY = 0.5  # a model in the top on half of all tasks and snapshots is called consistent
UNSTABLE = 0.6


def leaderboard(known: Catalogue, files: Sequence[Path], licence: str, top: int) -> Answer:
    """Rank stability over tasks and snapshots, with the licence and contamination flags of each model.

    Raises:
        StudyError: files that are no snapshots, top below 1; all of them.
    """
    snapshots = _read(files, top)
    rows = [_row(known, standing, licence) for standing in standings(snapshots, top)]
    moved = drift(snapshots)
    steady = [row for row in rows if row["top_share"] >= STEADY and not row["flags"]]
    result = {
        "what": "leaderboard", "top": top, "standings": rows, "drift": [one._asdict() for one in moved],
        "consistent": [row["model"] for row in steady],
        "snapshots": [{"name": one.name, "date": one.date, "tasks": list(one.tasks), "models": len(one.entries)}
                      for one in snapshots],
    }  # fmt: skip
    text = [
        *_table(rows, top),
        "",
        *_verdict(rows, steady, snapshots, moved, top),
        NOT_YOURS,
        *([HINT] if licence else []),
    ]
    return Answer(result=result, text="\n".join(text), problems=_problems(moved), reads=[str(path) for path in files])


def _read(files: Sequence[Path], top: int) -> list[Snapshot]:
    found: list[Snapshot] = []
    problems: list[Problem] = []
    if not files:
        problems.append(Problem("no snapshot is named", "a leaderboard is read from CSV files that you exported",
                                "keel catalog leaderboard A.csv B.csv", "leaderboard"))  # fmt: skip
    if top < 1:
        problems.append(Problem(f"--top is {top}", "it counts places", "1 or more", "--top"))
    for path in files:
        try:
            found += read(path)
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError.all(problems)
    return found


def _row(known: Catalogue, standing: Standing, licence: str) -> dict[str, Any]:
    """A standing with what the catalogue and the snapshot say against the model."""
    traced = trace(known, Path(), (standing.model,)).rows[0]
    flags = ["contaminated, says the snapshot"] if standing.contaminated else []
    if licence and (reason := _licence(traced.base, standing, licence)):
        flags.append(reason)
    unknown = [] if standing.contaminated is not None else ["contamination unknown"]
    return standing._asdict() | {"base": traced.base.id if traced.base else None, "base_why": traced.why,
                                 "flags": flags, "unknown": unknown}  # fmt: skip


def _licence(base: Model | None, standing: Standing, limit: str) -> str:
    """The base's licence binds what was made from it; the snapshot's own word is shown, never taken."""
    said = f"the snapshot says {standing.licence}" if standing.licence else "the snapshot names none"
    if base is None:
        return f"licence unknown to the catalogue; {said}: check it"
    reason = allowed(base, limit)
    return f"its base {base.id}: {reason}" if reason else ""


def _table(rows: Sequence[dict[str, Any]], top: int) -> list[str]:
    body = [(row["model"], f"{row['top_share']:.0%}", f"{row['mean_rank']:.1f}", f"{row['task_spread']:.1f}",
             str(row["places"]), str(row["missing"]), row["base"] or show.UNKNOWN,
             "; ".join([flag.split(";")[0] for flag in row["flags"]] + row["unknown"]))
            for row in rows[:SHOWN]]  # fmt: skip
    heading = ("model", f"in top {top}", "mean rank", "sd over tasks", "scores", "missing", "base", "flags")
    more = [f"and {len(rows) - SHOWN} more: all with --json"] if len(rows) > SHOWN else []
    return [*show.table(heading, body), *more]


def _verdict(
    rows: Sequence[dict[str, Any]], steady: Sequence[dict[str, Any]], snapshots: Sequence[Snapshot],
    moved: Sequence[Drift], top: int,
) -> list[str]:  # fmt: skip
    places = sum(len(snapshot.tasks) for snapshot in snapshots)
    names = ", ".join(row["model"] for row in steady[:5])
    found = f"consistently near the top ({STEADY:.0%} or more of {places} tasks and snapshots in the top {top}): "
    lines = [found + (names or "none without a flag")]
    flagged = [row["model"] for row in rows if row["top_share"] >= STEADY and row["flags"]]
    if flagged:
        lines.append(f"as near the top, but flagged: {', '.join(flagged[:5])}")
    for one in moved:
        tau = show.UNKNOWN if one.tau is None else f"{one.tau:.2f}"
        lines.append(f"order from {one.first} to {one.second}: Kendall's tau {tau} over {one.models} models")
    if len(snapshots) == 1:
        lines.append("one snapshot only: nothing can be said about stability over time")
    return lines


def _problems(moved: Sequence[Drift]) -> list[Problem]:
    return [
        Problem(f"the order changed much from {one.first} to {one.second}",
                f"Kendall's tau is {one.tau:.2f} over {one.models} models: places of one day do not last",
                "trust the share of places in the top over several snapshots, not the latest one", one.second)
        for one in moved if one.tau is not None and one.tau < UNSTABLE
    ]  # fmt: skip
