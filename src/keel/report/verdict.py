"""Which arm wins: each held against its baseline, and the best against all others, with intervals. No torch.

By each number of the baseline's judge, of arms whose judge it is too; and by each of the user's tasks, whatever the
judges. Of K arms K are held against the baseline, and the best of all, and of each swept option, against all others;
each of the m comparisons that this adds up to is made at the level 1 - .05 / m, so that all hold together with 95 %
(Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keel.evaluate.intervals import Interval
from keel.objective.options import OPTIONS
from keel.report.artefacts import Artefacts
from keel.report.contest import Numbers, Rows, Seeds, level_of, measured, seeds_of, spec_of, unlike
from keel.report.runs import Run
from keel.report.task_figures import uses_of
from keel.report.words import clean, decimals, percent, plural

INDEPENDENT = "intervals as if on different samples, from the standard errors of both: as a rule too wide"
ONE_SEED = "one seed each: noise between seeds is in no interval (ladder.replicates measures it)"
PAIRED = "intervals of paired differences on the same rows; one seed each: noise between seeds is in none"


class Against(NamedTuple):
    """An arm held against its baseline: `ahead` > 0 is better."""

    run: str
    name: str
    ahead: Interval

    @property
    def answer(self) -> str:
        """ "better", "worse", or "open" where the interval holds 0."""
        return "better" if self.ahead.low > 0 else "worse" if self.ahead.high < 0 else "open"

    def __str__(self) -> str:
        low, high = sorted((self.ahead.low, self.ahead.high))
        digits = decimals(low, high, 0.0)
        if self.answer == "open":
            found = f"{self.ahead.value:+.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
            return f"{self.name} cannot be told apart from the baseline: ahead by {found}"
        ends = sorted((abs(low), abs(high)))
        found = f"{abs(self.ahead.value):.{digits}f} ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})"
        return f"{self.name} is {self.answer} than the baseline by {found}"


class Best(NamedTuple):
    """Who has the best value of an option's arms, or of all (`among` ""), and whom it cannot be told from."""

    among: str
    run: str
    name: str
    open: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.among}: " if self.among else ""
        if self.open:
            return f"{head}{self.name} has the best value, but cannot be told from {_listed(self.open)}"
        return f"{head}{self.name} is the best: better than each of the others"


class Contest(NamedTuple):
    """All of one comparison. `by`: what it is by, in words; `unlike`: arms that are not in it, each with the reason."""

    by: str
    baseline: str
    arms: tuple[Against, ...]
    best: tuple[Best, ...]
    comparisons: int
    notes: tuple[str, ...]
    unlike: tuple[str, ...]

    @property
    def level(self) -> float:
        """That of each comparison."""
        return level_of(self.comparisons)

    @property
    def head(self) -> str:
        """By what, and how surely."""
        sure = f" ({plural(self.comparisons, 'comparison')}, each at the level {self.level:.3f})" if self.arms else ""
        return f"by {self.by}, against the baseline {self.baseline}{sure}"

    def lines(self) -> list[str]:
        """Sentences: the best, each arm, and those that are not compared."""
        return [*map(str, self.best), *map(str, self.arms), *self.unlike]

    def told(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "by": self.by, "baseline": self.baseline, "comparisons": self.comparisons, "level": self.level,
            "arms": [{"run": each.run, "name": each.name, "answer": each.answer, "ahead": each.ahead._asdict()}
                     for each in self.arms],
            "best": [{"among": each.among, "run": each.run, "name": each.name, "told_from_all": not each.open,
                      "open": list(each.open)} for each in self.best],
            "notes": list(self.notes), "unlike": list(self.unlike),
        }  # fmt: skip


def contests(found: Artefacts) -> tuple[Contest, ...]:
    """By the judge's number first, then by each task; nothing where no arm is done."""
    done = [run for run in found.arms if run.value is not None]
    bases = {str(run.planned.get("baseline")) for run in done}
    runs = {run.id: run for run in found.runs if run.id in bases and run.value is not None}
    made = []
    for base in runs.values():
        arms = [run for run in done if run.planned.get("baseline") == base.id]
        made += [*_by_numbers(base, arms, found), *_by_tasks(base, arms, found)]
    return tuple(made)


def sentences(found: Artefacts, made: Sequence[Contest]) -> list[str]:
    """All contests in lines."""
    lines = [line for each in made for line in (each.head, *(f"  {line}" for line in each.lines()))]
    return [*lines, *notes(made), *advice(found, made)]


def notes(made: Sequence[Contest]) -> list[str]:
    """What the intervals hold, each note once with what it is said of."""
    by: dict[str, list[str]] = {}
    for contest in made:
        for note in contest.notes if contest.arms else ():
            by.setdefault(note, []).append(contest.by)
    return [f"{_listed(whose)}: {note}" for note, whose in by.items()]


def advice(found: Artefacts, made: Sequence[Contest]) -> list[str]:
    """What would compare the arms that no contest compares."""
    done = [run for run in found.arms if run.value is not None]
    if done and not made:
        return ["the arms are held against nothing: their baseline has no good result"]
    compared = {arm.run for each in made for arm in each.arms}
    left = [name_of(run) for run in done if run.id not in compared]
    return [f"a use case whose eval file can rank models would compare {_listed(left)}"] if left else []


def _by_numbers(base: Run, arms: Sequence[Run], found: Artefacts) -> list[Contest]:
    """By the judge's value, whoever can be compared by it, then by each bounded measure beside it."""
    own, numbers = measured(base), {run.id: measured(run) for run in arms}
    whys = {run.id: unlike(run, base) or _unsure(run, base) for run in arms}
    left = [f"not compared: {_listed([name_of(run) for run in arms if whys[run.id] == why])}, {why}"
            for why in dict.fromkeys(whys.values()) if why]  # fmt: skip
    made = []
    for measure in dict.fromkeys([base.measure, *own]):
        fair = [run for run in arms if not whys[run.id] and measure in numbers[run.id]]
        values = {run.id: numbers[run.id][measure] for run in fair} | ({base.id: own[measure]} if fair else {})
        seeds = seeds_of(found.runs, measure)
        if fair or measure == base.measure:
            made.append(_contest(measure, base, fair, Numbers(values, seeds), (INDEPENDENT, _scatter(seeds)),
                                 left if measure == base.measure else ()))  # fmt: skip
    return made


def _scatter(seeds: Seeds | None) -> str:
    if seeds is None:
        return ONE_SEED
    return (
        f"noise between seeds is in the intervals: {percent(seeds.scatter)} of the value, as runs of the ladder "
        f"scatter that differ in the seed alone, {plural(seeds.freedom, 'degree')} of freedom"
    )


def _unsure(arm: Run, base: Run) -> str:
    """Why no interval can be given of two values."""
    for run in (arm, base):
        if run.measure not in measured(run):
            return f"the result of {clean(run.id)} holds no standard error: gain could not be told from chance"
    return ""


def _by_tasks(base: Run, arms: Sequence[Run], found: Artefacts) -> list[Contest]:
    """A contest for each use case that the baseline and an arm were judged on, with the same questions."""
    made = []
    for use in uses_of(found.uses):
        name, own = str(use.get("name")), _entry(base, use)
        results = {run.id: entry["result"] for run in arms if (entry := _entry(run, use)) and _alike(entry, own)}
        fair = [run for run in arms if run.id in results]
        if own is None or not fair:
            continue
        if not own["result"].get("headroom", True):
            beside = own["result"]
            why = f"{clean(beside['baseline'])} is at {beside['beside'][own['metric']]['value']:.3f} already"
            made.append(Contest(_task(name, own), clean(base.id), (), (), 0, (), (f"it cannot rank models: {why}",)))
            continue
        rows = Rows(results | {base.id: own["result"]}, str(own["metric"]))
        out = [name_of(run) for run in arms if run.id not in results]
        left = [f"not compared: {_listed(out)}, not judged on it"] if out else []
        made.append(_contest(_task(name, own), base, fair, rows, (PAIRED,), left))
    return made


def _task(name: str, entry: Mapping[str, Any]) -> str:
    return f"{clean(name)}, {clean(entry['metric'])}"


def _entry(run: Run, use: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a run was scored with on a use case, of the weights and rows that are there now."""
    entry = ((run.tasks or {}).get("use_cases") or {}).get(use.get("name")) or {}
    same = (run.tasks or {}).get("spec_sha256") == (run.result or {}).get("spec_sha256")
    return entry if entry.get("result") and same and entry.get("eval_sha256") == use.get("eval_sha256") else None


def _alike(one: Mapping[str, Any], other: Mapping[str, Any] | None) -> bool:
    asked = ("task", "how", "fields", "settings", "metric", "eval_sha256")
    return other is not None and all(one.get(name) == other.get(name) for name in asked)


def _contest(
    by: str, base: Run, arms: Sequence[Run], scores: Numbers | Rows, notes: tuple[str, ...], left: Sequence[str]
) -> Contest:  # fmt: skip
    """Everyone against the baseline, and the best of all and of each swept option against the others."""
    groups = {"": list(arms)} if arms else {}
    swept = {name: [arm for arm in arms if _option(arm) == name] for name in dict.fromkeys(map(_option, arms)) if name}
    # What is all there is needs no verdict of its own.
    groups |= {name: some for name, some in swept.items() if len(some) < len(arms)}
    compared = len(arms) + sum(len(some) - 1 for some in groups.values())
    level = level_of(compared)
    against = [Against(arm.id, name_of(arm), scores.ahead(arm.id, base.id, level)) for arm in arms]
    best = [_best(name, base, some, scores, level) for name, some in groups.items()]
    return Contest(by, clean(base.id), tuple(against), tuple(best), compared, notes, tuple(left))


def _best(among: str, base: Run, arms: Sequence[Run], scores: Numbers | Rows, level: float) -> Best:
    # The baseline stands first: of equals it is kept.
    names = {base.id: _own(base, {_option(arm) for arm in arms})} | {arm.id: name_of(arm) for arm in arms}
    first = max(names, key=scores.order)
    rest = [run for run in names if run != first and scores.ahead(first, run, level).low <= 0]
    return Best(among, first, names[first], tuple(names[run] for run in rest))


def name_of(arm: Run) -> str:
    """What an arm has that its baseline has not.

    Example:
        >>> name_of(Run("x", {"factors": {"options": [{"jitter": 0.1}, {"jitter": 0.2}]}}))
        'jitter 0.2'
        >>> name_of(Run("x", {"factors": {"family": ["vit", "convnext"]}}))
        'the family convnext'
    """
    factors = arm.planned.get("factors") or {}
    for factor, words in (("objective", "the loss"), ("family", "the family")):
        if factor in factors:
            return f"{words} {clean(factors[factor][1])}"
    if "start" in factors:
        return "the start from released weights"
    name = _option(arm)
    return f"{clean(name)} {clean(factors['options'][1][name])}" if name else clean(arm.planned.get("why", arm.id))


def _option(arm: Run) -> str:
    """The one option that an arm changes, or ""."""
    factors = arm.planned.get("factors") or {}
    if list(factors) != ["options"]:
        return ""
    before, after = factors["options"]
    changed = [name for name, value in after.items() if name not in before or before[name] != value]
    return changed[0] if len(changed) == 1 else ""


def _own(base: Run, options: set[str]) -> str:
    """The baseline, with its value of an option where all arms change that one."""
    (name, *more), spec = sorted(options), spec_of(base)
    known = OPTIONS.get(str(spec.get("objective")))
    if more or not name or known is None:
        return "the baseline"
    value = (spec.get("options") or {}).get(name, known.defaults.get(name))
    return f"{clean(name)} {clean(value)} (the baseline)"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
