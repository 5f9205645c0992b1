"""Where the study stands: one line a run, cost so far, what is left, and how the forecasts fared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keel.answer import Answer
from keel.report.answer import record_words
from keel.report.artefacts import Artefacts, read
from keel.report.bar import bar_of
from keel.report.runs import STATES, Run
from keel.report.task_figures import uses_of
from keel.report.use_cases import said
from keel.report.verdict import contests, sentences
from keel.report.words import clean, interval, number, plural
from keel.units import show_count, show_duration, show_usd

RIGHT = frozenset({"params", "tokens", "measured", "time"})


def status(study_folder: Path) -> Answer:
    """The table of runs and its totals.

    Raises:
        StudyError: no study, or artefacts that this keel cannot read.
    """
    found = read(study_folder)
    total = totals(found)
    header = ("run", "state", "params", "tokens", "measured", *found.beside, "forecast", "outcome", "time")
    rows = [header, *(_cells(run, found.beside) for run in found.runs)]
    lines = _columns(rows) if found.runs else ["no runs: nothing is planned"]
    lines += [f"measured in {found.measure} of what is held out"] if found.runs else []
    held = contests(found)
    lines += [*arm_lines(found), *sentences(found, held)]
    lines += [f"  {run.id}: {run.gate}" for run in found.runs if run.gate]
    lines += ["", totals_words(total)]
    lines += [record_words(found)] if found.scored else []
    lines += said(found.uses)
    lines += [f"{missing.what}: {missing.verb}" for missing in found.missing]
    result = {
        "runs": [_record(run) for run in found.runs],
        "arms": [_record(run) | {"change": run.planned["why"], "judge": run.measure} for run in found.arms],
        "verdicts": [contest.told() for contest in held],
        "totals": total,
        "record": {"hits": found.hits, "scored": len(found.scored)},
        "missing": [missing._asdict() for missing in found.missing],
        "tasks": list(uses_of(found.uses)),
    }
    return Answer(result=result, text="\n".join(lines), reads=list(found.reads))


def arm_lines(found: Artefacts) -> list[str]:
    """The arms that were begun: each has one change against its baseline, and its own judge."""
    if not found.arms:
        waiting = len(((found.plan or {}).get("arms") or {}).get("runs") or ())
        return [f"{plural(waiting, 'arm')} planned, not run: keel run --arms"] if waiting else []
    base = found.arms[0].planned.get("baseline")
    rows = [
        (
            run.id,
            run.state,
            f"{run.value:.4f} {run.measure}" if run.value is not None else "-",
            clean(run.planned["why"]),
        )
        for run in found.arms
    ]
    gates = [f"  {run.id}: {run.gate}" for run in found.arms if run.gate]
    head = f"arms, each at the FLOP of {clean(base)}"
    return ["", head, *_columns([("arm", "state", "measured", "change"), *rows]), *gates]


def totals(found: Artefacts) -> dict[str, Any]:
    """Runs by state, seconds spent, and what the plan still costs (a run half done counts whole)."""
    every = [*found.runs, *found.arms]
    left = [run for run in every if run.result is None and run.planned]
    usd = [number(run.planned, "cost", "usd") for run in left]
    return {
        "states": {state: count for state in STATES if (count := sum(run.state == state for run in every))},
        "spent_s": sum(run.seconds or 0.0 for run in every),
        "left_runs": len(left),
        "left_s": sum(number(run.planned, "cost", "s") or 0.0 for run in left),
        "left_usd": sum(cost for cost in usd if cost is not None) if any(cost is not None for cost in usd) else None,
    }


def totals_words(total: dict[str, Any]) -> str:
    """The totals in one line."""
    counts = ", ".join(f"{count} {state}" for state, count in total["states"].items()) or "none"
    price = f", {show_usd(total['left_usd'])}" if total["left_usd"] else ""
    left = f"left: {plural(total['left_runs'], 'run')}, about {show_duration(total['left_s'])} of training{price}"
    spent = f"spent: {show_duration(total['spent_s'])} of training"
    return f"runs: {counts}; {spent}; {left if total['left_runs'] else 'nothing is left'}"


def _cells(run: Run, beside: tuple[str, ...]) -> tuple[str, ...]:
    bar = bar_of(run.id, run.forecast, run.score)
    outcome = "" if bar is None or bar.measured is None else "hit" if bar.hit else "miss"
    return (
        run.id + (" *" if run.held_out else ""),
        run.state,
        show_count(run.params) if run.params else "?",
        show_count(run.tokens) if run.tokens else "?",
        f"{run.value:.4f}" if run.value is not None else "-",
        *(_reached(run, name) for name in beside),
        interval(bar.low, bar.high, bar.digits) if bar else "-",
        outcome or "-",
        show_duration(run.seconds) if run.seconds is not None else "-",
    )


def _reached(run: Run, name: str) -> str:
    """A bounded measure with its interval: 0.612 (0.58-0.64)."""
    found = next((each for each in run.beside if each.name == name), None)
    return f"{found.value:.3f} ({interval(found.low, found.high, 2)})" if found else "-"


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (text.rjust(width) if rows[0][place] in RIGHT else text.ljust(width)
                 for place, (text, width) in enumerate(zip(row, widths)))  # fmt: skip
        lines.append("  ".join(cells).rstrip())
    return lines


def _record(run: Run) -> dict[str, Any]:
    bar = bar_of(run.id, run.forecast, run.score)
    forecast = None if bar is None else {"value": bar.value, "low": bar.low, "high": bar.high, "level": bar.level}
    return {
        "id": run.id, "state": run.state, "gate": run.gate or None, "held_out": run.held_out, "params": run.params,
        "tokens": run.tokens, "flop": run.flop, "bits_per_byte": run.value, "forecast": forecast,
        "beside": {each.name: each._asdict() for each in run.beside},
        "hit": bar.hit if bar else None, "seal": run.seal if run.forecast else None, "seconds": run.seconds,
    }  # fmt: skip
