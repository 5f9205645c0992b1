"""What was run and what follows: the table of runs, the training curves, the law's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.report.artefacts import Artefacts
from keel.report.bar import Bar, bar_of
from keel.report.figures import TrainingCurves
from keel.report.fit_figures import LossMap, Residuals
from keel.report.law_figures import Backtest, Correlations
from keel.report.markup import bullets, code, esc, facts, folded, linked, paragraph, section, table, tag, unbroken
from keel.report.reached import Reached, forecast_of
from keel.report.runs import Run
from keel.report.show import shown
from keel.report.status import totals, totals_words
from keel.report.verdict import Contest, advice, contests, notes
from keel.report.words import clean, interval, number, percent, show, show_flop, show_named, sig_interval
from keel.study import flatten
from keel.units import show_count, show_duration

# Columns of bounded measures; the figure's numbers hold them all.
MOST_BESIDE = 2


def runs(found: Artefacts) -> str:
    """Every run, planned or done, and how training went."""
    if not found.runs:
        return ""
    beside = list(found.beside[:MOST_BESIDE])
    rows = [_row(run, beside) for run in found.runs]
    header = ("run", "state", found.measure, *beside, "forecast", "params", "tokens", "compute", "time")
    right = frozenset({2, *range(4 + len(beside), len(header))})
    body = (
        f'<div class="{"dense" if beside else "runs"}">'
        + table(header, rows, right, lambda place: found.runs[place].held_out)
        + "</div>"
    )
    reached = Reached.of(found)
    caption = (
        "Training loss in nats a target against training tokens, a panel a size, held-out sizes in the accent colour. "
        "Where a branch leaves its trunk, the learning rate falls. At most 200 points a run, each a mean of neighbours."
    )
    curves = shown(TrainingCurves.from_(found), "curves", caption)
    said = paragraph(esc(totals_words(totals(found))), "muted")
    return section(
        "The runs",
        said,
        body,
        reached.shown() if reached else "",
        "<h3>How training went</h3>" if curves else "",
        curves,
        _taught(found),
    )


def arms(found: Artefacts) -> str:
    """The arms that were begun, each with its one change and what its own judge measured."""
    if not found.arms:
        return ""
    base = found.arms[0].planned.get("baseline")
    said = f"Each has one change against {code(base)} and its compute. Values of other units are other quantities."
    header = ("arm", "state", "measured", "params", "tokens", "time")
    made = contests(found)
    return section(
        "The arms", paragraph(said, "muted"), table(header, list(map(_arm, found.arms)), frozenset({3, 4, 5})),
        *map(_contest, made), *(paragraph(esc(line), "muted") for line in [*notes(made), *advice(found, made)]),
    )  # fmt: skip


def _contest(contest: Contest) -> str:
    """Who wins by one measure, and every arm against the baseline."""
    best = "".join(paragraph(unbroken(f"{str(each)[:1].upper()}{str(each)[1:]}.")) for each in contest.best)
    rest = bullets(unbroken(line) for line in contest.lines()[len(contest.best) :])
    return f"<h3>Which is better by {esc(contest.by)}</h3>" + best + rest + paragraph(esc(contest.head), "muted")


def _arm(run: Run) -> list[str]:
    notes = [str(run.planned.get("why", "")), run.gate]
    name = code(run.id) + "".join(f'<span class="note muted">{esc(note)}</span>' for note in notes if note)
    failed = run.state in ("failed gate", "failed")
    value = f'{run.value:.4f}<span class="note muted">{esc(run.measure)}</span>' if run.value is not None else ""
    return [
        name, tag(run.state, "bad") if failed else esc(run.state), value,
        *(show_count(number) if number else "" for number in (run.params, run.tokens)),
        show_duration(run.seconds) if run.seconds is not None else "",
    ]  # fmt: skip


def _taught(found: Artefacts) -> str:
    """What each run is for; a gate that all share is said once."""
    gates = {str(run.planned["gate"]) for run in found.runs if run.planned.get("gate")}
    shared = paragraph(f"Every run must pass this gate: {esc(next(iter(gates)))}.", "muted") if len(gates) == 1 else ""
    rows = [[code(run.id), esc(run.planned.get("why", "")), esc(run.planned.get("gate", ""))] for run in found.runs]
    if not any(row[1] for row in rows):
        return shared
    some = 2 if shared else 3
    header = ("run", "why it is run", "gate")[:some]
    return shared + folded("What each run is for", table(header, [row[:some] for row in rows]))


def _row(run: Run, beside: list[str]) -> list[str]:
    bar = bar_of(run.id, run.forecast, run.score)
    failed = run.state in ("failed gate", "failed")
    state = tag(run.state, "bad") if failed else esc(run.state)
    state += f'<span class="note">{esc(run.gate)}</span>' if run.gate else ""
    name = code(run.id) + ('<span class="note muted">held out</span>' if run.held_out else "")
    words = bar.forecast_words if bar else ""
    # Beside further columns it may break before its interval, not within.
    forecast = (unbroken(words) if beside else f'<span class="nb">{esc(words)}</span>') + _outcome(bar) if bar else ""
    return [
        name, state, f"{run.value:.4f}" if run.value is not None else "", *(_beside(run, each) for each in beside),
        forecast, *(show_count(value) if value else "" for value in (run.params, run.tokens)),
        show_flop(run.flop).removesuffix(" FLOP") if run.flop else "",
        show_duration(run.seconds) if run.seconds is not None else "",
    ]  # fmt: skip


def _beside(run: Run, name: str) -> str:
    """A bounded measure, its interval below it, and what was sealed of it."""
    reach, bar = next((each for each in run.beside if each.name == name), None), forecast_of(run, name)
    lines = []
    if reach is not None:
        ends = interval(reach.low, reach.high, 2, "\u2013")
        lines = [f'<span class="nb">{reach.value:.3f}</span>', f'<span class="note muted nb">{ends}</span>']
    if bar is not None:
        lines.append(f'<span class="note muted">sealed {interval(bar.low, bar.high, 2, chr(0x2013))}</span>')
        lines.append(_outcome(bar))
    return "".join(lines)


def _outcome(bar: Bar | None) -> str:
    """Hit or miss, where it is known."""
    if bar is None or bar.measured is None:
        return ""
    word = "hit" if bar.hit else "miss"
    return f'<span class="note {word}">{word}</span>'


def law(found: Artefacts) -> str:
    """Each law with its parameters, weight and back-test; how well it fits; the optimum."""
    if not found.fit:
        return ""
    figures = (
        Residuals.of(found.fit, frozenset(clean(run.id) for run in found.runs if run.held_out)), LossMap.of(found.fit),
        Backtest.of(found.fit), Correlations.of(found.fit),
    )  # fmt: skip
    inner = "".join(_law(item) for item in found.laws[:1])
    inner += "".join(folded(_law_name(item), _law(item, headed=False), "law") for item in found.laws[1:])
    inner += "".join(figure.shown() for figure in figures if figure)
    optimum = found.fit.get("optimum")
    if isinstance(optimum, Mapping):
        pairs = [
            (name.replace("_", " "), esc(show_named(name, value))) for name, value in flatten(dict(optimum)).items()
        ]
        inner += "<h3>The optimum</h3>" + facts(pairs)
    return section("The law", inner)


def _law_name(item: Mapping[str, Any]) -> str:
    return f"{item.get('name', 'law')}, weight {percent(number(item, 'weight'))}"


def _law(item: Mapping[str, Any], headed: bool = True) -> str:
    params = item.get("params")
    rows = [
        [esc(name), show(number(value, "value")), sig_interval(number(value, "low"), number(value, "high"), "\u2013")]
        for name, value in (params.items() if isinstance(params, Mapping) else ())
        if isinstance(value, Mapping)
    ]
    coords = item.get("coords")
    where = ", ".join(str(part) for part in coords) if isinstance(coords, (list, tuple)) else coords
    pairs = [
        ("formula", code(item["formula"]) if item.get("formula") else ""),
        ("weight", percent(number(item, "weight"))),
        ("back-test error", percent(number(item, "backtest_error"))),
        ("in terms of", esc(where) if where and not isinstance(where, Mapping) else ""),
        ("source", linked(item.get("source") or "")),
    ]
    shown_params = table(("parameter", "value", "interval"), rows, frozenset({1, 2})) if rows else ""
    return (f"<h3>{esc(item.get('name', 'law'))}</h3>" if headed else "") + facts(pairs) + shown_params
