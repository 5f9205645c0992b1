"""The forecast benchmark in words: a table a split, a summary a split, and the targets with met or NOT MET."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from forecast_keel import KEEL
from forecast_peers import PEERS, WITH_INTERVAL
from forecast_score import Score, Summary, by_family, coverage_by_family, median_ratio, pooled, summarise
from forecast_task import LEVEL

SHORT = {
    KEEL: "keel",
    PEERS[0]: "chinchilla",
    PEERS[1]: "ssl separable",
    PEERS[2]: "ssl coupled",
    "Chinchilla, log-Huber": "log-Huber",
    "nearest run": "nearest",
}
FIVE = "MARE % / coverage / Winkler / half-width % / CPU s"


class Target(NamedTuple):
    """A claim of the benchmark, its bound in words, the measured number, and whether it holds."""

    what: str
    bound: str
    measured: str
    met: bool | None


def number(value: float) -> str:
    """Three digits; "-" where there is none."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown with aligned columns."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths)) + " |" for line in lines)


def five(one: Score | None) -> str:
    """A cell: the five numbers, two where a method has no interval, or what went wrong."""
    if one is None:
        return ""
    if not one.ok:
        return one.status
    if not one.hits:
        return f"{number(one.mare)} / {number(one.cpu_s)} s"
    middle = (number(one.coverage()), number(one.winkler), number(one.half_width))
    return " / ".join((number(one.mare), *middle, number(one.cpu_s)))


def split_table(split: str, scores: Sequence[Score], methods: Sequence[str]) -> str:
    """A row a set, then a row a family (the mean over its sets of those answered)."""
    here = [one for one in scores if one.split == split]
    at = {(one.name, one.method): one for one in here}
    names = {one.name: f"{one.num_seen} + {one.num_held}" for one in here}
    rows = [[name, runs, *(five(at.get((name, method))) for method in methods)] for name, runs in names.items()]
    families = list(dict.fromkeys(one.family for one in here))
    for family in families:
        cells = [_family_cell([s for s in here if s.family == family and s.method == m]) for m in methods]
        rows.append([f"family {family}", "", *cells])
    return table(["set", "fit + held out", *(SHORT[method] for method in methods)], rows)


def _family_cell(scores: Sequence[Score]) -> str:
    good = [one for one in scores if one.ok]
    if not good:
        return "none"
    means = [next(iter(by_family(good, part).values())) for part in (
        lambda s: s.mare, lambda s: s.winkler, lambda s: s.half_width, lambda s: s.cpu_s)]  # fmt: skip
    few = "" if len(good) == len(scores) else f" ({len(good)} of {len(scores)} sets)"
    if not good[0].hits:
        return f"{number(means[0])} / {number(means[3])} s{few}"
    cover = next(iter(coverage_by_family(good).values()))
    return " / ".join(map(number, (means[0], cover, *means[1:]))) + few


def summary_table(scores: Sequence[Score], methods: Sequence[str]) -> str:
    """A row a method."""
    head = ("method", "sets", "MARE % median / mean over sets", "over families", "coverage of runs / mean over sets",
            "least family", "Winkler, median", "half-width %", "CPU s median / most")  # fmt: skip
    found = [summarise(method, scores) for method in methods]
    return table(head, [_summary_row(one) for one in found if one is not None])


def _summary_row(one: Summary) -> list[str]:
    least, family = one.coverage_least
    return [
        one.method, f"{one.num_sets} of {one.num_asked}", f"{number(one.mare_median)} / {number(one.mare_mean)}",
        f"{number(one.mare_family_median)} / {number(one.mare_family_mean)}",
        f"{number(one.coverage_runs)} / {number(one.coverage_sets)}", f"{number(least)} {family}".strip(),
        number(one.winkler_median), number(one.half_median), f"{number(one.cpu_median)} / {number(one.cpu_most)}",
    ]  # fmt: skip


def targets(scores: Sequence[Score], times: dict[int, list[float]], peers: bool) -> list[Target]:
    """Every target of the benchmark. None where it could not be measured."""
    gap = [one for one in scores if one.split == "gap10"]
    ours = summarise(KEEL, gap)
    if ours is None:
        return [Target("gap10", "any set answered", "none", False)]
    found = [
        Target("gap10 MARE, median over sets", "<= 1.3 %", f"{ours.mare_median:.2f} %", ours.mare_median <= 1.3),
        Target("gap10 MARE, mean over sets", "<= 2.5 %", f"{ours.mare_mean:.2f} %", ours.mare_mean <= 2.5),
    ]
    for split in dict.fromkeys(one.split for one in scores):
        found += _coverage([one for one in scores if one.split == split and one.method == KEEL], split)
    found += _coverage([one for one in scores if one.method == KEEL], "all splits")
    return [*found, _ratio(gap, peers), *_failures(scores), *_times(times)]


def _coverage(scores: Sequence[Score], where: str) -> list[Target]:
    share, runs = pooled(scores), sum(len((one.hits or {}).get(LEVEL, ())) for one in scores)
    least, family = min((value, name) for name, value in coverage_by_family(scores).items())
    met = 0.85 <= share <= 0.95
    return [
        Target(f"{where}: 90 % coverage over all held-out runs", ".85 to .95", f"{share:.3f} of {runs} runs", met),
        Target(f"{where}: least coverage of a family", ">= .6", f"{least:.3f} ({family})", least >= 0.6),
    ]


def _ratio(gap: Sequence[Score], peers: bool) -> Target:
    what, bound = "gap10 Winkler score against the better peer, medians over common sets", "<= .5"
    both = [(*median_ratio(gap, KEEL, peer), peer) for peer in WITH_INTERVAL]
    known = [one for one in both if one[3]]
    if not peers or not known:
        return Target(what, bound, "no peer rows", None)
    mine, theirs, ratio, sets, peer = min(known, key=lambda one: one[1])
    said = f"{ratio:.3f} ({mine:.2f} against {theirs:.2f} of {SHORT[peer]}, {sets} sets)"
    return Target(what, bound, said, ratio <= 0.5)


def _failures(scores: Sequence[Score]) -> list[Target]:
    ours = [one for one in scores if one.method == KEEL]
    good = sum(one.ok for one in ours)
    return [Target("keel answers every task", "all", f"{good} of {len(ours)}", good == len(ours))]


def _times(times: dict[int, list[float]]) -> list[Target]:
    medians = {num: statistics.median(spent) for num, spent in times.items()}
    found = []
    if 100 in medians:
        found.append(Target("fit and forecast with interval, 100 rows", "< .3 CPU s", f"{medians[100]:.3f} s",
                            medians[100] < 0.3))  # fmt: skip
    for few, many in zip(sorted(medians), sorted(medians)[1:]):
        growth = medians[many] / medians[few]
        said = f"{growth:.1f} x ({medians[few]:.3f} s to {medians[many]:.3f} s)"
        found.append(Target(f"cost from {few} to {many} rows", f"<= {many / few:g} x", said, growth <= many / few))
    return found


def target_table(found: Sequence[Target]) -> str:
    """A row a target; a miss is said as one."""
    word = {True: "met", False: "NOT MET", None: "not measured"}
    return table(("target", "bound", "measured", "met"), [(t.what, t.bound, t.measured, word[t.met]) for t in found])
