"""How much better one run is than another: by what one judge measured of both, or on the rows of a task. No torch.

Legend: v what was measured, less is better, of an accuracy or a recall its negative; s its standard error over held-out
samples; r scatter of ln |v| between seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from keel.evaluate.intervals import Interval
from keel.evaluate.noninferior import paired, paired_labels
from keel.laws.seeds import pooled
from keel.report.runs import Run, Tree
from keel.report.words import found_at, number

LEVEL = 0.95


def level_of(comparisons: int) -> float:
    """That of each of so many comparisons, so that all hold together with 95 % (Bonferroni).

    Example:
        >>> round(level_of(5), 3), level_of(0) == LEVEL
        (0.99, True)
    """
    return 1 - (1 - LEVEL) / max(1, comparisons)


class Seeds(NamedTuple):
    """r of runs that differ in nothing but their seed, and its degrees of freedom: runs less groups of them."""

    scatter: float
    freedom: int


class Numbers(NamedTuple):
    """One measure, (v, s) by run. How far one is ahead of another: v_other - v_one.

    The runs are treated as judged on different samples, so that the variance is s_one^2 + s_other^2: it is less where
    what is hard for one is hard for the other, as it is for most. With replicates r^2 (v_one^2 + v_other^2) is added,
    and the quantile is Student's with degrees of freedom by Satterthwaite.

    Reference: Satterthwaite 1946, Biometrics Bulletin 2, 110 (the degrees of freedom).

    Example:
        >>> found = Numbers({"one": (1.0, 0.03), "other": (1.2, 0.04)}, None)
        >>> print(found.ahead("one", "other", 0.95))
        0.200 (0.102 to 0.298)
        >>> print(Numbers(found.values, Seeds(0.1, 1)).ahead("one", "other", 0.95))
        0.200 (-1.185 to 1.585)
    """

    values: Mapping[str, tuple[float, float]]
    seeds: Seeds | None

    def ahead(self, one: str, other: str, level: float) -> Interval:
        """The difference and both its ends, in the measure's unit."""
        (mine, error), (theirs, beside) = self.values[one], self.values[other]
        variance, quantile = error**2 + beside**2, NormalDist().inv_cdf((1 + level) / 2)
        if self.seeds is not None and self.seeds.scatter:
            between = self.seeds.scatter**2 * (mine**2 + theirs**2)
            variance += between
            quantile = _student(self.seeds.freedom * (variance / between) ** 2, level)
        gap, reach = theirs - mine, quantile * math.sqrt(variance)
        return Interval(gap, gap - reach, gap + reach)

    def order(self, run: str) -> float:
        """More is better."""
        return -self.values[run][0]


class Rows(NamedTuple):
    """What a task found (`Result.json()`) by run, all on the same rows: differences are paired, groups kept whole."""

    results: Mapping[str, Tree]
    metric: str

    def ahead(self, one: str, other: str, level: float) -> Interval:
        """The difference and both its ends, in the metric's unit."""
        mine, theirs = self.results[one], self.results[other]
        groups = [str(group) for group in mine["groups"]]
        if self.metric in mine["scores"]:
            scores, against = (np.asarray(each["scores"][self.metric], np.float64) for each in (mine, theirs))
            return paired(scores, against, level, groups)
        truth, given, beside = (np.asarray(each) for each in (*mine["labels"], theirs["labels"][1]))
        return paired_labels(truth, given, beside, level, groups)

    def order(self, run: str) -> float:
        """More is better."""
        return float(self.results[run]["measures"][self.metric]["value"])


def _student(freedom: float, level: float) -> float:
    """Half the width of Student's interval, in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def measured(run: Run) -> dict[str, tuple[float, float]]:
    """(v, s) by measure, the judge's own first; one without a standard error is left out.

    s of a bounded measure is half the width of its interval over the normal quantile; of one without, nothing is known.
    """
    error, half = number(run.result, "standard_error"), NormalDist().inv_cdf((1 + LEVEL) / 2)
    own = {run.measure: (run.value, error)} if run.value is not None and error is not None else {}
    known = [each for each in run.bounded if each.high > each.low]
    return own | {each.name: (-each.value, (each.high - each.low) / 2 / half) for each in known}


def seeds_of(runs: Iterable[Run], measure: str) -> Seeds | None:
    """r over the ladder's replicates: r^2 = sum (ln |v| - mean ln |v|)^2 / freedom; None where there are none."""
    groups: dict[str, list[float]] = {}
    for run in runs:
        spec, (value, _) = spec_of(run), measured(run).get(measure, (0.0, 0.0))
        if value and not run.is_trunk and "seed" in spec:
            same = {name: each for name, each in spec.items() if name not in ("seed", "start")}
            groups.setdefault(repr(sorted(same.items())), []).append(math.log(abs(value)))
    square, freedom = pooled(groups.values())
    return Seeds(math.sqrt(square / freedom), freedom) if freedom else None


def spec_of(run: Run) -> Tree:
    """What a run is, as planned or as it was trained; empty where neither is known."""
    found = run.planned.get("spec") or run.spec
    return found if isinstance(found, Mapping) else {}


# By judge: what of two runs must be the same for their values to be one quantity. The others compare all losses.
ASKED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "masked_bits_per_byte": (("objective",),),
    "replaced_bits_per_byte": (("objective",),),
    "masked_caption_bits_per_byte": (("objective",),),
    "target_bits_per_byte": (("objective",), ("options",)),
    "pixel_error": (("objective",), ("options", "rate"), ("options", "norm_pix"), ("size", "patch")),
}
HELD: Sequence[tuple[str, ...]] = (("heldout", "bytes"), ("heldout", "images"), ("candidates",))


def unlike(run: Run, base: Run) -> str:
    """Why the values of two runs are not one quantity; "" where they are."""
    if run.measure != base.measure:
        return f"judged by {run.measure}: another quantity"
    if any(number(run.result, *place) != number(base.result, *place) for place in HELD):
        return "judged on other held-out samples"
    judge = str((run.result or {}).get("judge", ""))
    for place in ASKED.get(judge, ()):
        if found_at(spec_of(run), *place) != found_at(spec_of(base), *place):
            return f"asked another question: {run.measure} hang on {' '.join(place)}"
    return ""
