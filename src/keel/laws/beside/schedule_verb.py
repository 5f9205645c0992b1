"""`keel fit curves.csv --schedule ...`: loss curves -> the schedule-aware law, a run under another schedule, annealed
losses of checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keel.answer import Answer, Number
from keel.errors import Problem, Refusal, Refused, StudyError
from keel.files import write_json
from keel.laws.beside import show_schedule
from keel.laws.beside.curves import Curve, Schedule, curves_of
from keel.laws.beside.schedule import FORMULA, ScheduleLaw, fit_schedule
from keel.laws.forecast import check_level
from keel.laws.links import LINKS
from keel.laws.read import cells
from keel.laws.read.checks import loss_unit
from keel.laws.read.columns import Asked, Column, find
from keel.laws.read.table import read_sheet
from keel.laws.read.where import choose

SCHEDULE = "keel.schedule/1"
ROLES = ("group", "step", "lr", "loss")
UNFIT = ("params", "tokens", "flop", "unique", "batch", "params_count")
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the steps asked for, where the loss is told
MOST_ANNEALED = 8  # checkpoints of a curve
STILL = 0.999  # of the peak: a checkpoint at a lower rate is annealed in part already
FAR = 1.5  # decades of summed rate beyond the curves: judged up to 1.3 (OLMo's ladder, decision 0005)
SAME_PEAK = 1.01


class Curves(NamedTuple):
    """Curves of one table, the column of each role, the unit of the loss, and notes on what was read."""

    curves: tuple[Curve, ...]
    columns: dict[str, str]
    unit: str
    notes: list[Problem]
    source: str


def fit_curves(
    source: Any, schedule: str | None = None, *, warmup: float | None = None, anneal: float | None = None,
    like: Any = None, level: float = 0.9, columns: Mapping[str, Any] | None = None, out: Path | None = None,
) -> Answer:  # fmt: skip
    """Fit the law to curves (columns run, step, lr, loss) and forecast a run under `schedule`, in words.

    `warmup`: steps over which the curves' rate rose before their first point; `anneal`: the share of steps of a linear
    decay to 0 that checkpoints are corrected for; `like`: a table of another size's curves, which lends its decay.

    Raises:
        StudyError: the table, the schedule or a share cannot be used as it is.
        Refused: no law can be told from these curves, or the run asked for lies too far beyond them.

    Example:
        >>> plans = {f: Schedule.of("cosine", peak_lr=1e-3, total=4000, warmup=100, final_lr=f) for f in (1e-3, 1e-4)}
        >>> def loss(plan, s): return 3 + 0.3 * plan.area(s) ** -0.5 + 100 * plan.at(s)
        >>> steps = np.arange(200.0, 4001.0, 100.0)
        >>> rows = [{"run": f, "step": s, "lr": float(p.at(s)), "loss": float(loss(p, s))}
        ...         for f, p in plans.items() for s in steps]
        >>> found = fit_curves(rows, "linear peak_lr=1e-3 total=4000 warmup=100 stable=3000", warmup=100)
        >>> [end["step"] for end in found.result["forecasts"]]
        [4000.0]
    """
    check_level(level)
    asked = Asked.of(columns)
    _check(asked, schedule, warmup, anneal)
    plan = Schedule.parse(schedule) if schedule else None
    read = read_curves(source, asked, warmup)
    lent = None if like is None else read_curves(like, asked, warmup)
    if lent is not None and lent.unit != read.unit:
        raise StudyError("--like has another loss", why=f"{lent.unit} there, {read.unit} here", where=lent.source,
                         fix="compare like with like: --loss COL, --unit UNIT")  # fmt: skip
    other = None if lent is None else _fitted(lent.curves, None)
    law = _fitted(read.curves, other)
    points = _points(law, plan, read, schedule or "", level) if plan else []
    result: dict[str, Any] = {
        "forecasts": points[-1:],
        "points": points,
        "annealed": _annealed(law, read.curves, anneal, level) if anneal else [],
        "law": {"formula": FORMULA, "constants": _constants(law, level), "miss": law.miss, "folds": law.folds},
        "curves": [_described(law, curve) for curve in read.curves],
        "columns": read.columns | {"unit": read.unit},
        "level": level,
        "like": None if lent is None else lent.source,
        "notes": [*law.notes, *(other.notes if other else ())],
    }
    answer = Answer(
        result=result, text=show_schedule.text(result, read.source), numbers=[_number(p, read) for p in points[-1:]],
        problems=[*read.notes, *(lent.notes if lent else [])], artefact=result,
        reads=[read.source, *([lent.source] if lent else [])],
    )  # fmt: skip
    if out is not None:
        target = out / "schedule.json" if out.is_dir() else out
        write_json(target, SCHEDULE, result)
        answer.writes.append(str(target))
    return answer


def _check(asked: Asked, schedule: str | None, warmup: float | None, anneal: float | None) -> None:
    """All that is wrong with what was asked, before anything is read."""
    problems = [
        Problem(f"--{name.replace('_', '-')} is not for curves", "they have columns run, step, lr and loss",
                "leave it away, or leave --schedule and --anneal away")
        for name in UNFIT if getattr(asked, name)
    ]  # fmt: skip
    if schedule is None and anneal is None:
        way = "write --schedule 'linear peak_lr=3e-4 total=72000 stable=57600', or --anneal .2"
        problems.append(
            Problem("there is nothing to tell of these curves", "no schedule, no share to anneal over", way)
        )
    if anneal is not None and not 0 < anneal < 1:
        problems.append(Problem(f"--anneal {anneal:g} is not in (0, 1)", "it is the share of steps that decay",
                                "write --anneal .2"))  # fmt: skip
    if warmup is not None and not (math.isfinite(warmup) and warmup >= 0):
        problems.append(Problem(f"--warmup {warmup:g} is no number of steps", "the curves' rate rises from 0 over it",
                                "write the steps of the curves' warm-up, 0 if there was none"))  # fmt: skip
    if schedule is not None:
        try:
            Schedule.parse(schedule)
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError.all(problems)


def read_curves(source: Any, asked: Asked, warmup: float | None) -> Curves:
    """Curves of a table; its columns are found by name, or by --group, --lr and --loss.

    Raises:
        StudyError: a column is missing, ambiguous or holds cells that are none; the loss is no loss.
    """
    sheet = read_sheet(source)
    if not sheet.lines:
        raise StudyError(
            "the table is empty", why="no rows", fix="name a table with one point a row", where=sheet.where
        )
    texts = cells.texts(sheet.columns.items())
    found = find(list(sheet.columns), asked, sheet.where, required=("step", "lr", "loss"), texts=texts)
    if found.problems:
        no_flag = "give it the heading step: steps, or tokens, in one steady count"
        raise StudyError.all(p._replace(fix=no_flag) if "--step " in p.fix else p for p in found.problems)
    sheet, notes = choose(sheet, asked.where)
    columns = {role: found.columns[role] for role in ROLES if role in found.columns}
    names = {role: column.name for role, column in columns.items()}
    if "group" in names:
        blank = [i for i, cell in enumerate(sheet.columns[names["group"]]) if cells.is_empty(cell)]
        cells.bad_cells(sheet, [cells.Bad(i, names["group"], "no run is named") for i in blank], "name the row's run")
    unit = _loss_unit(columns["loss"], sheet.columns[names["loss"]], asked, sheet.where)
    picked = [sheet.columns[name] for name in names.values()]
    records = (dict(zip(names, row)) for row in zip(*picked))
    curves = curves_of(records, run="group", warmup=warmup, where=sheet.where, lines=sheet.lines)
    mine = [note for note in found.notes if note.what in {f"no {role} is read" for role in ROLES}]
    return Curves(curves, {"run" if role == "group" else role: name for role, name in names.items()}, unit,
                  [*notes, *mine], sheet.where)  # fmt: skip


def _loss_unit(column: Column, losses: Sequence[Any], asked: Asked, where: str) -> str:
    """The unit of the loss; the law is one of a loss with a floor, not of its exponential or of a share."""
    unit = loss_unit(column, np.array([cells.value(cell) for cell in losses]), asked.unit, where)
    if unit in LINKS and LINKS[unit].equation != f"loss = {unit}":
        raise StudyError(f"{column.name} is {unit}, and the law is one of a loss", why="it adds a floor and two terms",
                         fix="name a column of losses: --loss COL", where=where)  # fmt: skip
    return unit


def _fitted(curves: Sequence[Curve], like: ScheduleLaw | None) -> ScheduleLaw:
    found = fit_schedule(curves, like)
    if isinstance(found, Refusal):
        raise Refused(found)
    return found


def _points(law: ScheduleLaw, plan: Schedule, read: Curves, words: str, level: float) -> list[dict[str, Any]]:
    """The run's loss at quarters of its steps; the last is its end."""
    end = float(plan.step[-1])
    found = law.forecast(plan, [share * end for share in SHARES], level)
    if found[-1].distance > FAR:
        raise Refused(Refusal(
            f"no forecast for {end:g} steps of {words!r}",
            f"its summed learning rate is {10 ** found[-1].distance:.3g} x the largest seen, and the law was judged up "
            f"to 20 x",
            f"add a curve of about {end / 10 ** (found[-1].distance - FAR):.3g} steps",
        ))  # fmt: skip
    warnings = _warnings(plan, read.curves)
    shown = [
        point._asdict() | {"level": level, "unit": read.unit, "schedule": words, "warnings": []} for point in found
    ]
    shown[-1]["warnings"] = warnings
    return shown


def _warnings(plan: Schedule, curves: Sequence[Curve]) -> list[str]:
    """Where the schedule asked for is unlike those seen."""
    peaks, own = [float(c.schedule.lr.max()) for c in curves], float(plan.lr.max())
    found = []
    if own > SAME_PEAK * max(peaks) or own < min(peaks) / SAME_PEAK:
        seen = f"{min(peaks):.3g}" if max(peaks) < SAME_PEAK * min(peaks) else f"{min(peaks):.3g} to {max(peaks):.3g}"
        found.append(f"its peak rate {own:.3g} is outside those of the curves ({seen}): the law was not judged on that")
    rises = [curve.id for curve in curves if curve.schedule.lr[0] == 0]
    if rises and plan.lr[0] > 0:
        found.append("it has no warm-up and the curves have one: add warmup=STEPS to the schedule if the run has it")
    return found


def _annealed(law: ScheduleLaw, curves: Sequence[Curve], share: float, level: float) -> list[dict[str, Any]]:
    """Checkpoints at the peak rate as if their runs had decayed to 0 over the last `share` of their steps."""
    found: list[dict[str, Any]] = []
    for curve in curves:
        peak = curve.schedule.lr.max()
        top = float(curve.schedule.step[np.flatnonzero(curve.schedule.lr >= STILL * peak)[0]])
        later = (curve.step * (1 - share) >= top) & (curve.schedule.at(curve.step) >= STILL * peak)
        fallen = np.flatnonzero(curve.schedule.at(curve.step) < STILL * peak)
        fallen = fallen[curve.step[fallen] > top]
        later[fallen[0] if len(fallen) else len(later) :] = False
        places = np.flatnonzero(later)
        if not len(places):
            continue
        some = places[np.unique(np.linspace(0, len(places) - 1, MOST_ANNEALED).round().astype(int))]
        points = law.annealed(curve, share, level=level, step=curve.step[some].tolist())
        found += [
            {"curve": curve.id, "measured": float(loss), "share": share, "level": level} | point._asdict()
            for loss, point in zip(curve.loss[some], points)
        ]
    return found


def _constants(law: ScheduleLaw, level: float) -> dict[str, dict[str, float]]:
    """The formula's constants with their posterior intervals."""
    tail, point = (1 - level) / 2, law.constants()
    cloud = [law._replace(theta=theta).constants() for theta in law.cloud]
    return {
        name: {"value": value, "low": float(np.quantile([one[name] for one in cloud], tail)),
               "high": float(np.quantile([one[name] for one in cloud], 1 - tail))}
        for name, value in point.items()
    }  # fmt: skip


def _described(law: ScheduleLaw, curve: Curve) -> dict[str, Any]:
    return {
        "id": curve.id, "points": len(curve.step), "first_step": float(curve.step[0]),
        "last_step": float(curve.step[-1]), "peak_lr": float(curve.schedule.lr.max()),
        "last_lr": float(curve.schedule.lr[-1]), "last_loss": float(curve.loss[-1]), "misfit": law.residual[curve.id],
    }  # fmt: skip


def _number(end: Mapping[str, Any], read: Curves) -> Number:
    return Number(
        "loss", end["value"], end["unit"], end["low"], end["high"], formula=FORMULA,
        inputs={"schedule": end["schedule"], "step": end["step"], "level": end["level"]},
        source=f"{len(read.curves)} curves", valid="up to the largest summed learning rate of a curve",
        outside=f"{10 ** end['distance']:.3g} x that" if end["distance"] > 0 else "",
    )  # fmt: skip
