"""Learning-rate schedules and the loss curves trained under them: what the schedule-aware law reads.

Steps may be any steady count of progress (optimiser steps or tokens); learning rates any one unit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keel.errors import Problem, StudyError
from keel.laws.law import Floats

SHAPES = ("linear", "cosine", "exponential")
KEYS = ("peak_lr", "total", "warmup", "stable", "final_lr")
NUM_PIECES, NUM_RISE = 48, 32  # a decay, and a warm-up, is walked in at least so many changes
SAME_LR = 1e-6  # float noise in a logged learning rate, relative to the peak
MOST_SHOWN = 20


class Schedule(NamedTuple):
    """Learning rate as straight lines between knots (`step`, `lr`), both [k]; two knots at one step are a jump.

    Example:
        >>> plan = Schedule.of("cosine", peak_lr=3e-4, total=1000, warmup=100, final_lr=3e-5)
        >>> round(float(plan.at(np.array([550.0]))[0]), 6)
        0.000165
        >>> round(float(plan.area(np.array([100.0]))[0]), 4)
        0.015
    """

    step: Floats
    lr: Floats

    @classmethod
    def of(
        cls, shape: str, *, peak_lr: float, total: float, warmup: float = 0.0, stable: float = 0.0,
        final_lr: float = 0.0,
    ) -> Schedule:  # fmt: skip
        """Linear warm-up to `peak_lr`, constant until step `stable`, then `shape` down to `final_lr` at `total`.

        `final_lr = peak_lr` is a constant rate. An exponential decay needs a final rate above 0.
        """
        start = max(warmup, stable)
        if not (0 <= warmup <= total and start <= total and 0 <= final_lr <= peak_lr and peak_lr > 0):
            raise StudyError(
                f"no such schedule: warm-up {warmup:g}, constant until {stable:g}, ends at {total:g}",
                why="they must follow each other, and the rate may not rise again",
                fix="give 0 <= warm-up <= stable <= total and 0 <= final rate <= peak rate",
            )
        if shape not in SHAPES:
            raise StudyError(
                f"no schedule {shape!r}", why="it is none of the shapes", fix=f"one of {', '.join(SHAPES)}"
            )
        share = np.linspace(0.0, 1.0, 4 * NUM_PIECES + 1 if start < total and final_lr < peak_lr else 2)
        if shape == "exponential" and final_lr < peak_lr:
            if final_lr == 0:
                raise StudyError(
                    "an exponential decay to 0", why="it never gets there", fix="give a final rate above 0"
                )
            fall = peak_lr * (final_lr / peak_lr) ** share
        else:
            fall = peak_lr + (final_lr - peak_lr) * (share if shape == "linear" else (1 - np.cos(np.pi * share)) / 2)
        head = [(0.0, 0.0), (warmup, peak_lr)] if warmup > 0 else [(0.0, peak_lr)]
        steps = np.concatenate([[s for s, _ in head], start + share * (total - start)])
        return cls(steps, np.concatenate([[r for _, r in head], fall]))

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """A schedule in words: a shape and the arguments of `of`.

        Example:
            >>> Schedule.parse("linear peak_lr=3e-4 total=1000 stable=800").at(np.array([900.0]))
            array([0.00015])
        """
        shape, *pairs = text.replace(",", " ").replace(":", " ").split() or [""]
        try:
            numbers = {key: float(value) for key, _, value in (pair.partition("=") for pair in pairs)}
        except ValueError:
            numbers = {"": math.nan}
        told = len(numbers) == len(pairs) and all(map(math.isfinite, numbers.values()))
        if shape not in SHAPES or not told or not {"peak_lr", "total"} <= set(numbers) <= {*KEYS}:
            raise StudyError(f"no schedule: {text!r}", why="it is a shape and numbers, peak_lr and total among them",
                             fix=f"write one of {', '.join(SHAPES)}, then {'=... '.join(KEYS)}=...")  # fmt: skip
        return cls.of(shape, **numbers)

    def at(self, step: Floats) -> Floats:
        """Learning rate at each step; the last one is kept beyond the end."""
        return np.interp(step, self.step, self.lr)

    def area(self, step: Floats) -> Floats:
        """Sum of the learning rate from step 0 to each step."""
        whole = np.concatenate([[0.0], np.cumsum(np.diff(self.step) * (self.lr[1:] + self.lr[:-1]) / 2)])
        left = np.clip(np.searchsorted(self.step, step, side="right") - 1, 0, len(self.step) - 1)
        return np.asarray(whole[left] + (step - self.step[left]) * (self.lr[left] + self.at(step)) / 2)

    def drops(self, step: Floats) -> tuple[Floats, Floats, Floats]:
        """Where the rate changes up to max(step): place, fall (rises are negative), rate after it; each [k].

        Before step 0 the rate is 0. Ramps are cut at each of `step`, so that a drop lies wholly before or wholly
        after it. A change between two flat stretches is a jump in the middle of its interval: logs seldom have the
        step itself.
        """
        change = np.diff(self.lr)
        moves = np.abs(change) > SAME_LR * self.lr.max()
        still = np.concatenate([[False], ~moves, [False]])
        jump = moves & ((still[:-2] & still[2:]) | (np.diff(self.step) == 0))
        places, falls = [np.zeros(1), (self.step[:-1] + self.step[1:])[jump] / 2], [-self.lr[:1], -change[jump]]
        after = [self.lr[:1], self.lr[1:][jump]]
        for first, last in _stretches(moves & ~jump):
            begin, end = self.step[first], self.step[last]
            pieces = NUM_PIECES if self.lr[last] < self.lr[first] else NUM_RISE
            within = step[(step > begin) & (step < end)]
            cuts = np.unique(np.concatenate([np.linspace(begin, end, pieces + 1), within]))
            places.append((cuts[1:] + cuts[:-1]) / 2)
            falls.append(-np.diff(self.at(cuts)))
            after.append(self.at(places[-1]))
        place, fall, rate = (np.concatenate(part) for part in (places, falls, after))
        return place[place <= step.max()], fall[place <= step.max()], rate[place <= step.max()]


def _stretches(marks: Any) -> list[tuple[int, int]]:
    """First and last knot of each unbroken run of marked intervals."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marks.astype(int), [0]])))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2])]


class Curve(NamedTuple):
    """One run's `loss` [n] at each `step` [n], in order, and its `schedule` from step 0 on.

    Example:
        >>> curve = Curve.of("a", step=[200, 300, 400], lr=[1e-3, 1e-3, 5e-4], loss=[4, 3.8, 3.5], warmup=100)
        >>> curve.decays, curve.schedule.at(np.array([50.0, 150.0])).tolist()
        (True, [0.0005, 0.001])
    """

    id: str
    step: Floats
    loss: Floats
    schedule: Schedule

    @classmethod
    def of(cls, id: str, step: Sequence[float], lr: Sequence[float], loss: Sequence[float],
           warmup: float | None = None) -> Curve:  # fmt: skip
        """A curve from what was logged; before the first logged step the rate rises from 0 over `warmup` steps.

        Without `warmup` the whole stretch before the first logged step is taken as warm-up.
        """
        at, rate = np.asarray(step, float), np.asarray(lr, float)
        head_step: list[float] = []
        head_lr: list[float] = []
        if at[0] > 0:
            rise = at[0] if warmup is None else min(float(warmup), float(at[0]))
            head_step = [0.0, float(rise)] if 0 < rise < at[0] else [0.0]
            head_lr = [0.0, rate[0]] if 0 < rise < at[0] else [0.0 if rise > 0 else rate[0]]
        schedule = Schedule(np.concatenate([head_step, at]), np.concatenate([head_lr, rate]))
        return cls(id, at, np.asarray(loss, float), schedule)

    @property
    def decays(self) -> bool:
        """Whether its rate ends at least 5 % below its peak."""
        return bool(self.schedule.lr[-1] < 0.95 * self.schedule.lr.max())


def curves_of(
    records: Iterable[Mapping[str, Any]], *, run: str = "run", step: str = "step", lr: str = "lr", loss: str = "loss",
    warmup: float | None = None, where: str = "", lines: Iterable[int] | None = None,
) -> tuple[Curve, ...]:  # fmt: skip
    """Curves from a table with one logged point a row; a row's `run` says which curve it is of.

    `lines` are the rows' numbers in their source, from 1 on if not given.

    Raises:
        StudyError: a missing column, a bad cell, two points of one run at one step, a run of fewer than 4 points.

    Example:
        >>> rows = [{"run": "a", "step": s, "lr": 1e-3, "loss": 5 - s / 100} for s in (10, 20, 30, 40)]
        >>> [curve.id for curve in curves_of(rows)]
        ['a']
    """
    found: dict[str, list[tuple[float, float, float]]] = {}
    problems: list[Problem] = []
    for line, record in zip(itertools.count(1) if lines is None else lines, records):
        cells = []
        for name in (step, lr, loss):
            try:
                number = float(record[name])
            except (KeyError, TypeError, ValueError):
                number = math.nan
            if not math.isfinite(number) or number < 0 or (name == loss and number == 0):
                problems.append(Problem(f"row {line}, {name}: not a usable number", f"the cell is {record.get(name)!r}",
                                        "mend the cell, or name the right column", where))  # fmt: skip
            cells.append(number)
        found.setdefault(str(record.get(run, "curve")), []).append((cells[0], cells[1], cells[2]))
    problems += [p for name, points in found.items() for p in _bad_curve(name, points, where)] if not problems else []
    if problems or not found:
        more = len(problems) - MOST_SHOWN
        rest = [Problem(f"and {more} more", "", "mend them likewise", where)] if more > 0 else []
        raise StudyError.all([*problems[:MOST_SHOWN], *rest] or [Problem("no curve", "no rows", "name a table", where)])
    parts = {name: np.array(sorted(points)).T for name, points in found.items()}
    return tuple(Curve.of(name, p[0].tolist(), p[1].tolist(), p[2].tolist(), warmup) for name, p in parts.items())


def _bad_curve(name: str, points: list[tuple[float, float, float]], where: str) -> list[Problem]:
    steps = [step for step, _, _ in points]
    problems = []
    if len(set(steps)) < len(steps):
        problems.append(Problem(f"{name} has two points at one step", "a curve has one loss a step",
                                "give each run its own name in the run column", where))  # fmt: skip
    if len(steps) < 4:
        problems.append(Problem(f"{name} has {len(steps)} points", "a curve needs 4 at least",
                                "log more often, or leave it out", where))  # fmt: skip
    if max(lr for _, lr, _ in points) <= 0:
        problems.append(Problem(f"{name} has no learning rate above 0", "the law is one of the learning rate",
                                "name the right lr column", where))  # fmt: skip
    return problems
