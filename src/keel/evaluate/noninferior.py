"""Small against big, decided on the user's own items: not worse by more than a margin, worse, or not known yet.

No torch. Scores are those of two models on the same items; a paired difference d = small - big has their common
difficulty taken out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keel.errors import Problem, StudyError
from keel.evaluate.intervals import Interval, mean, of
from keel.evaluate.tasks.classes import macro_f1

POWER = 0.8
MOST = 10**9


class Verdict(NamedTuple):
    """`difference` = small - big, tails of 1 - level on either side; `more` items decide it, where any number does."""

    answer: Literal["not worse", "worse", "unknown"]
    difference: Interval
    margin: float
    level: float
    items: int
    more: int | None = None

    def __str__(self) -> str:
        gap = f"{self.difference.value:+.3f} ({self.difference.low:+.3f} to {self.difference.high:+.3f})"
        found = f"difference {gap} on {self.items} items, one-sided level {self.level:g}"
        if self.answer != "unknown":
            more = "by more than" if self.answer == "worse" else "not worse by more than"
            return f"the smaller is {'worse ' if self.answer == 'worse' else ''}{more} {self.margin:g}: {found}"
        needed = f"about {self.more:,} more items would decide it" if self.more else "no number of items is known to"
        return f"it cannot be said whether the smaller is worse by more than {self.margin:g}: {found}; {needed}"


def noninferior(
    small: Sequence[float] | NDArray[np.float64], big: Sequence[float] | NDArray[np.float64], margin: float,
    level: float = 0.95, groups: Sequence[str] = (),
) -> Verdict:  # fmt: skip
    """Whether the smaller model is not worse than the bigger one by more than `margin`, in the unit of the scores.

    "not worse" where the lower bound of mean(d) is above -margin, "worse" where the upper bound is below it; either is
    wrong in a share 1 - level of cases at most. Else the number of items more that would decide it with probability .8
    if the difference stayed as it is: n = ((z_level + z_.8) sd(d) / (margin + mean d))^2.

    Raises:
        StudyError: unequal numbers of scores, none, scores outside [0, 1], a margin or level that says nothing.

    Example:
        >>> noninferior([1, 1, 0, 1] * 100, [1, 1, 0, 1] * 100, .02).answer
        'not worse'
        >>> found = noninferior([1, 0, 1, 1] * 10, [1, 1, 1, 0] * 10, .02)
        >>> found.answer, found.more
        ('unknown', 7994)
    """
    left, right = np.asarray(small, np.float64), np.asarray(big, np.float64)
    if problems := list(_problems(left, right, margin, level, groups)):
        raise StudyError.all(problems)
    gaps = left - right
    found = paired(left, right, 2 * level - 1, groups)
    return _verdict(found, margin, level, len(gaps), bool((gaps == gaps[0]).all()))


def noninferior_labels(
    truth: NDArray[np.str_], small: NDArray[np.str_], big: NDArray[np.str_], margin: float, level: float = 0.95,
    groups: Sequence[str] = (),
) -> Verdict:  # fmt: skip
    """The same of macro-F1, which is no mean of items: F1(small) - F1(big) over resampled items, labels kept paired.

    Where both gave the same labels to all items nothing can be resampled: the bounds are those of a mean of zeros.

    Raises:
        StudyError: as `noninferior`.

    Example:
        >>> truth = np.array(["a", "b"] * 300)
        >>> noninferior_labels(truth, truth, truth, .02).answer
        'not worse'
    """
    if len(small) != len(big) or (small == big).all():
        return noninferior(np.zeros(len(small)), np.zeros(len(big)), margin, level, groups)
    if problems := list(_problems(np.zeros(len(small)), np.zeros(len(big)), margin, level, groups)):
        raise StudyError.all(problems)
    found = paired_labels(truth, small, big, 2 * level - 1, groups)
    return _verdict(found, margin, level, len(truth), False)


def paired(
    one: NDArray[np.float64], other: NDArray[np.float64], level: float, groups: Sequence[str] = ()
) -> Interval:  # fmt: skip
    """Mean of one - other over the same items (n,), scores in [0, 1]; a share `level` lies between the ends.

    Example:
        >>> print(paired(np.ones(100), np.tile([0.0, 1.0], 50), 0.95))
        0.500 (0.390 to 0.590)
    """
    return mean(one - other, level=level, groups=groups, ends=(-1.0, 1.0))


def paired_labels(
    truth: NDArray[np.str_], one: NDArray[np.str_], other: NDArray[np.str_], level: float, groups: Sequence[str] = ()
) -> Interval:  # fmt: skip
    """The same of macro-F1 from labels (n,): F1(one) - F1(other) over resampled items.

    Example:
        >>> truth = np.array(["a", "b"] * 50)
        >>> paired_labels(truth, truth, truth[::-1], 0.95)
        Interval(value=1.0, low=1.0, high=1.0)
    """
    if (one == other).all():
        return paired(np.zeros(len(one)), np.zeros(len(other)), level, groups)
    known, is_class = np.unique(truth, return_inverse=True)
    given = [_classes(labels, known) for labels in (one, other)]

    def gap(places: NDArray[np.int64]) -> float:
        mine, theirs = (macro_f1(is_class[places], classes[places], len(known)) for classes in given)
        return mine - theirs

    return of(gap, len(truth), level=level, groups=groups)


def _classes(labels: NDArray[np.str_], known: NDArray[np.str_]) -> NDArray[np.int64]:
    """Places of labels among the known ones; their number for one that is not."""
    at = np.searchsorted(known, labels).clip(max=len(known) - 1)
    return np.where(known[at] == labels, at, len(known))


def _verdict(found: Interval, margin: float, level: float, items: int, alike: bool) -> Verdict:
    if found.low > -margin:
        return Verdict("not worse", found, margin, level, items)
    if found.high < -margin:
        return Verdict("worse", found, margin, level, items)
    return Verdict("unknown", found, margin, level, items, _more(items, alike, found, margin, level))


def _more(items: int, alike: bool, found: Interval, margin: float, level: float) -> int | None:
    """Items beside those there are; None where the difference is the margin itself."""
    room = abs(margin + found.value)
    if alike:
        # Nothing is known of the spread but its exact bound: q^n = 1 - level, (1 - q) (distance to the end) = room.
        share = room / (1 + found.value if found.value > -margin else 1 - found.value)
        needed = math.log(1 - level) / math.log1p(-share) if 0 < share < 1 else math.inf
    else:
        tails = NormalDist().inv_cdf(level) + NormalDist().inv_cdf(POWER)
        half = (found.high - found.low) / 2 / NormalDist().inv_cdf(level)  # its standard error, groups and all
        needed = items * (tails * half / room) ** 2 if room else math.inf
    return max(1, math.ceil(needed) - items) if needed < MOST else None


def _problems(
    small: NDArray[np.float64], big: NDArray[np.float64], margin: float, level: float, groups: Sequence[str]
) -> Iterator[Problem]:
    if len(small) != len(big):
        yield Problem("the models were scored on unequal numbers of items", f"{len(small)} and {len(big)}",
                      "score both on the same test rows", "scores")  # fmt: skip
    if not len(small) or not len(big):
        yield Problem("there is no item to compare on", "one list of scores is empty", "score both models first",
                      "scores")  # fmt: skip
    for name, scores in (("small", small), ("big", big)):
        if len(scores) and not ((scores >= 0) & (scores <= 1)).all():
            yield Problem(f"a score of the {name} model is not within 0 and 1", "the margin is in their unit",
                          "give a share for each item: right or wrong, ROUGE-L, reciprocal rank", "scores")  # fmt: skip
    if groups and len(groups) != len(small):
        yield Problem("not every item has a group", f"{len(groups)} groups for {len(small)} items",
                      "name the group of each item, or none", "groups")  # fmt: skip
    if not 0 < margin < 1:
        yield Problem(f"the margin is {margin!r}", "it is how much worse is still as good, a share of the scale",
                      "write .01 for one item in a hundred", "margin")  # fmt: skip
    if not 0.5 < level < 1:
        yield Problem(f"the level is {level!r}", "it is how sure to be, one-sided", "write .95", "level")
