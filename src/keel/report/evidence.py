"""How we know, and what would change our mind: the seal, the interval's parts, everything that speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from keel.report.artefacts import Artefacts
from keel.report.bar import Bar, bar_of
from keel.report.figures import LossCompute, Record
from keel.report.markup import bullets, code, esc, facts, folded, linked, paragraph, section, table, tag
from keel.report.runs import Run
from keel.report.show import shown
from keel.report.words import number, percent, plural, show, show_flop, show_named, unit_words
from keel.study import flatten
from keel.units import show_count

PARTS = {
    "parameter": ("the law's parameters", "more runs, or runs nearer to the target, would narrow it"),
    "law": ("the choice of law", "the laws disagree there; a run between the largest used and the target would decide"),
    "backtest": ("past misses", "the ladder missed its own larger runs by this much; a longer ladder would tell"),
}


def how_we_know(found: Artefacts) -> str:
    """The figure, the seal, the runs that the forecast saw, the interval's three parts."""
    figure = LossCompute.from_(found)
    target = found.target
    caption = (
        "Loss falls from upper left to lower right. Thin lines join runs of one size. "
        "The forecast was written down before the run started; the marker shows what came out."
        if target
        else "Every finished run. Thin lines join runs of one size."
    )
    if figure and figure.further:
        caption += " The thin bar forecasts the target, which is not run."
    inner = shown(figure, "loss", caption)
    if target and target.forecast:
        inner += seal(target, target.forecast) + parts(target.forecast)
    return section("How we know", inner)


def seal(run: Run, forecast: Mapping[str, Any]) -> str:
    """When it was sealed, under which digest, and what it saw."""
    seen = [item for item in forecast.get("runs_seen") or () if isinstance(item, Mapping)]
    laws = [item for item in forecast.get("laws") or () if isinstance(item, Mapping)]
    weights = ", ".join(
        f"{esc(law.get('name'))} {percent(number(law, 'weight'))}".replace(" %", "&nbsp;%") for law in laws
    )
    naive = forecast.get("naive")
    simple = _words(naive) if isinstance(naive, Mapping) else ""
    started = (run.execution or {}).get("started_utc")
    distance = number(forecast, "distance")
    largest = max((number(item, "flop") or 0.0 for item in seen), default=None)
    listed = facts(
        [
            ("run", code(run.id)),
            ("sealed", f"{esc(forecast.get('sealed_utc'))}{_order(forecast.get('sealed_utc'), started)}"),
            ("digest", f"{code(run.forecast_sha256)} {_seal_words(run)}"),
            ("saw", f"{plural(len(seen), 'run')}, up to {show_flop(largest)}"),
            ("runs' digest", code(forecast["runs_sha256"]) if forecast.get("runs_sha256") else ""),
            ("reach", f"{10 ** min(distance, 99.0):.3g} times the largest run it saw" if distance is not None else ""),
            ("laws", weights),
            ("for comparison", simple),
        ]
    )
    rows = [
        [code(item.get("id")), *(show_count(number(item, key) or 0) for key in ("params", "tokens")),
         show_flop(number(item, "flop")), show(number(item, "value"))]
        for item in seen
    ]  # fmt: skip
    seen_table = table(("run", "params", "tokens", "compute", unit_words(forecast)), rows, frozenset({1, 2, 3, 4}))
    return "<h3>The seal</h3>" + listed + (folded("The runs that it saw", seen_table) if rows else "")


def _seal_words(run: Run) -> str:
    words = {
        "kept": tag("stands in the first line of the run's log", "hit"),
        "broken": tag("is not the digest in the run's log or score: the seal is broken", "bad"),
        "open": '<span class="muted">the run has no log yet</span>',
    }
    return words[run.seal]


def _order(sealed: Any, started: Any) -> str:
    """Whether the seal came before the run, where both times are known."""
    if not isinstance(sealed, str) or not isinstance(started, str):
        return ""
    try:
        before = datetime.fromisoformat(sealed) <= datetime.fromisoformat(started)
    except (ValueError, TypeError):
        return f", run started {esc(started)}"
    return f", run started {esc(started)}" + ("" if before else " " + tag("sealed after the start", "bad"))


def parts(forecast: Mapping[str, Any]) -> str:
    """The width of the interval, split; the widest first."""
    split = width_parts(forecast)
    if not split:
        return ""
    total = sum(value for _, value in split) or 1.0
    rows = [
        [esc(PARTS.get(name, (name, ""))[0]), f"{value:.4f}", percent(value / total),
         f'<span class="track"><i style="width:{100 * value / total:.1f}%"></i></span>']
        for name, value in split
    ]  # fmt: skip
    return "<h3>Where the interval's width comes from</h3>" + table(
        ("part", unit_words(forecast), "share", ""), rows, frozenset({1, 2})
    )


def width_parts(forecast: Mapping[str, Any] | None) -> list[tuple[str, float]]:
    """The interval's parts, widest first."""
    tree = (forecast or {}).get("width_parts")
    found = [(str(name), number(tree, name)) for name in tree] if isinstance(tree, Mapping) else []
    return sorted(((name, value) for name, value in found if value is not None), key=lambda part: -part[1])


def change_our_mind(found: Artefacts) -> str:
    """Everything that speaks against the answer, the strongest first, and what to do about it."""
    items = [*_broken(found), *_refused(found), *_gates(found), *_warnings(found), *_outside(found), *_weights(found)]
    if split := width_parts(found.target.forecast if found.target else None):
        name, value = split[0]
        share = percent(value / (sum(part for _, part in split) or 1.0))
        what, advice = PARTS.get(name, (name, ""))
        items.append(f"The widest part of the interval is {esc(what)} ({share}): {esc(advice)}.")
    step = (found.fit or {}).get("next")
    if isinstance(step, Mapping):
        items.append(f"The next most useful run: {_words(step)}.")
    items += [f"{esc(missing.what[0].upper() + missing.what[1:])}: {code(missing.verb)}." for missing in found.missing]
    return section("What would change our mind", bullets(items))


def _words(tree: Mapping[str, Any]) -> str:
    """A tree as a list of names and values; a reason comes last, as it is."""
    flat = flatten(dict(tree))
    why = f": {esc(flat.pop('why'))}" if flat.get("why") else ""
    return (
        ", ".join(f"{esc(name.replace('_', ' '))} {esc(show_named(name, value))}" for name, value in flat.items()) + why
    )


def _broken(found: Artefacts) -> list[str]:
    said = [
        f"{tag('seal broken', 'bad')} {code(run.id)}: its forecast is not the one that its log or score names."
        for run in found.sealed
        if run.seal == "broken"
    ]
    said += [
        f"{tag('miss', 'bad')} {code(run.id)}: {_missed(bar)}."
        for run in found.scored
        if (bar := bar_of(run.id, run.forecast, run.score)) and not bar.hit
    ]
    said += [
        f"{tag('changed', 'bad')} {code(name)} is not what the plan read: {code('keel plan')} makes it follow again."
        for name in found.changed
    ]
    return said


def _missed(bar: Bar) -> str:
    return f"measured {esc(bar.outcome_words.removesuffix(': miss'))}, forecast {esc(bar.forecast_words)}"


def _refused(found: Artefacts) -> list[str]:
    return [
        f"{tag('refused', 'bad')} {esc(item.get('what', '?'))}: {esc(item.get('why', ''))}. {esc(item.get('fix', ''))}"
        for item in found.refusals
    ]


def _gates(found: Artefacts) -> list[str]:
    said = []
    for run in found.runs:
        if run.state in ("failed gate", "failed"):
            said.append(f"{tag(run.state, 'bad')} {code(run.id)}: {esc(run.gate or 'the run gives no reason')}.")
        if run.log and run.log.unreadable:
            said.append(f"{code(run.id)}: {plural(run.log.unreadable, 'line')} of its log cannot be read.")
        if run.log and run.log.not_finite:
            said.append(f"{code(run.id)}: {plural(run.log.not_finite, 'logged step')} without a finite loss.")
    return said


def _warnings(found: Artefacts) -> list[str]:
    forecast = (found.target.forecast if found.target else None) or {}
    said = [f"{tag('warning', 'bad')} {esc(warning)}" for warning in forecast.get("warnings") or ()]
    for tree, where in ((found.corpus, "corpus"), (found.images, "images"), (found.plan, "plan"), (found.fit, "fit")):
        for problem in (tree or {}).get("problems") or ():
            if isinstance(problem, Mapping):
                words = [esc(problem[key]) for key in ("what", "why", "fix") if problem.get(key)]
                said.append(f"{esc(where)}: {'; '.join(words)}.")
    return said


def _outside(found: Artefacts) -> list[str]:
    said = []
    for item in found.numbers:
        if item.get("outside"):
            value = esc(show(item.get("value"), str(item.get("unit") or "")))
            covers = f"its source covers {linked(item['valid'])}" if item.get("valid") else "no range is stated"
            named = f"{tag('outside', 'bad')} {esc(item.get('name'))} = {value}"
            said.append(f"{named}: {esc(item['outside'])} ({covers}).")
    return said


def _weights(found: Artefacts) -> list[str]:
    return [
        f"The fit gives {code(item.get('id'))} less weight: {esc(item.get('why'))}."
        for item in (found.fit or {}).get("down_weighted") or ()
        if isinstance(item, Mapping)
    ]


def record(found: Artefacts) -> str:
    """Every scored forecast, where there are several."""
    figure = Record.from_(found)
    if figure is None:
        return ""
    height = 60 + 46 * len(figure.bars)
    caption = (
        "Each bar is an interval that was sealed before its run; the line is the forecast, the marker what came out."
    )
    said = paragraph(f"<strong>{esc(figure.words)}</strong> sealed forecasts held.")
    data = figure.table()
    cells = [
        [
            esc(row[0]),
            f'<span class="{row[1]}">{row[1]}</span>',
            *(f'<span class="nb">{esc(cell)}</span>' for cell in row[2:]),
        ]
        for row in data.rows
    ]
    return section(
        "The record",
        said,
        shown(figure, "record", caption, height, height, data=False),
        table(data.header, cells, frozenset({2, 3, 4, 5})),
    )
