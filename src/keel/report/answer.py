"""The page's first lines: the answer in words, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping

from keel.report.artefacts import Artefacts
from keel.report.bar import Bar, bar_of
from keel.report.runs import Run
from keel.report.words import clean, number, percent, plural, show_flop
from keel.units import show_count, show_duration


def headline(found: Artefacts) -> str:
    """The study's answer in one sentence, as far as the evidence goes."""
    target = found.target
    bar = bar_of(target.id, target.forecast, target.score) if target else None
    if target and bar:
        return f"{subject(target)}: {bar_words(bar)}."
    if found.further:
        item = found.further[-1]
        far = bar_of("", item, item)
        if far:
            return f"{_place(item)}: {bar_words(far)}."
    if found.refusals:
        return clean(f"No forecast: {found.refusals[0].get('what', '?')}.")
    done = [run for run in found.runs if run.value is not None]
    if done:
        best = min(done, key=lambda run: run.value or 0.0)
        return (
            f"No forecast yet. Best of {plural(len(done), 'run')}: {best.value:.3f} {found.measure} ({clean(best.id)})."
        )
    if found.plan:
        return f"Nothing is measured yet. {plan_words(found)}"
    if found.corpus:
        size = number(found.corpus, "bytes", "value")
        return f"The data is measured{f' ({show_count(size)} bytes)' if size else ''}; there is no plan yet."
    if found.images:
        return f"{number(found.images, 'images') or 0:,.0f} images are measured; there is no plan yet."
    return "Nothing is measured or planned yet."


def subject(run: Run) -> str:
    """What a forecast is about: Width 64 (360k params) on 1.6M tokens."""
    name = run.name[:1].upper() + run.name[1:]
    params = f" ({show_count(run.params)} params)" if run.params else ""
    tokens = f" on {show_count(run.tokens)} tokens" if run.tokens else ""
    return f"{name}{params}{tokens}"


def bar_words(bar: Bar) -> str:
    """1.56 bits per byte, 90 % 1.52-1.61; measured 1.57: hit."""
    ends = f"{bar.low:.{bar.digits}f}-{bar.high:.{bar.digits}f}"
    level = f"{percent(bar.level)} interval " if bar.level else "interval "
    outcome = f"measured {bar.outcome_words}" if bar.measured is not None else bar.outcome_words
    return f"{bar.value:.{bar.digits}f} {bar.unit}, {level}{ends}; {outcome}"


def further_words(found: Artefacts) -> list[str]:
    """One sentence for each forecast that no run of the study answers."""
    said = []
    for item in found.further:
        bar = bar_of("", item, item)
        if bar:
            said.append(f"{_place(item)}: {bar_words(bar)}.")
    return said


def _place(item: Mapping[str, object]) -> str:
    params, tokens, flop = number(item, "params"), number(item, "tokens"), number(item, "flop")
    parts = [show_count(params, "params") if params else "", f"on {show_count(tokens)} tokens" if tokens else ""]
    return " ".join(part for part in parts if part) or f"At {show_flop(flop)}"


def plan_words(found: Artefacts) -> str:
    """The plan in one sentence."""
    runs = [run for run in found.runs if run.planned]
    each = sum(number(run.planned, "cost", "s") or 0.0 for run in runs)
    seconds = number(found.plan, "totals", "s") or each
    largest = max(runs, key=lambda run: number(run.planned, "cost", "flop") or 0.0, default=None)
    time = f" in about {show_duration(seconds)}" if seconds else ""
    top = f", up to {subject(largest)[0].lower()}{subject(largest)[1:]}" if largest else ""
    return f"The plan: {plural(len(runs), 'run')}{time}{top}."


def record_words(found: Artefacts) -> str:
    """How many sealed forecasts held: 4 of 5."""
    if not found.scored:
        return ""
    levels = sorted({percent(number(run.score, "level") or number(run.forecast, "level")) for run in found.scored})
    return f"{found.hits} of {len(found.scored)} sealed forecasts held (intervals at {', '.join(levels)})"
