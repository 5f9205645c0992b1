"""A fit on one page, from fit.json's tree: the forecasts first, then how we know. No script, no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from keel.errors import Problem
from keel.report.drawn import MOST_ROWS
from keel.report.fit_figures import figures
from keel.report.fitted import Tree, items, runs_of, targets_of, unit_of
from keel.report.markup import bullets, code, esc, facts, linked, paragraph, section, table, unbroken
from keel.report.page import POLICY
from keel.report.theme import page_css
from keel.report.words import change, number, percent, plural, show_flop, show_named, sig_interval
from keel.study import flatten
from keel.units import show_count

LEAST_WEIGHT = 0.005  # laws below it are named, without their constants


def document(fitted: Tree, source: str, notes: Sequence[Problem] = ()) -> str:
    """The whole page; `source` says where the runs are from."""
    made = {name: figure.shown() for name, figure in figures(fitted).items()}
    known = section("How we know", made.get("loss", ""), made.get("backtest", ""))
    where = section("Size and tokens", made.get("map", ""), _optimum(fitted))
    laws = section("The laws", _laws(fitted), made.get("residuals", ""), made.get("correlations", ""))
    body = _forecasts(fitted) + known + where + laws + _runs(fitted) + _notes(notes)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{esc(source)}: keel fit</title><style>{page_css()}</style></head>\n"
        f'<body><main><p class="kicker">{esc(source)} &#183; keel fit</p>'
        f'<h1 class="answer">{unbroken(headline(fitted))}</h1>{body}</main></body></html>\n'
    )


def summary(fitted: Tree, notes: Sequence[Problem] = ()) -> str:
    """What a notebook shows of a fit: the runs in a line, the laws, what is doubted."""
    return f"<div><p>{esc(_runs_words(fitted))}</p>{_laws(fitted)}{_doubted(fitted)}{_listed(notes)}</div>"


def headline(fitted: Tree) -> str:
    """The dearest forecast, else what was fitted."""
    targets = targets_of(fitted)
    if not targets:
        return _runs_words(fitted)
    bar, params, tokens = targets[-1]
    said = f"{bar.value:.{bar.digits}f} {unit_of(fitted)}, {percent(bar.level)} interval"
    ends = f"{bar.low:.{bar.digits}f}-{bar.high:.{bar.digits}f}"
    return f"{show_count(params)} params on {show_count(tokens)} tokens: {said} {ends}"


def _runs_words(fitted: Tree) -> str:
    runs = runs_of(fitted)
    used = [run for run in runs if not run.held_out]
    held = f", {len(runs) - len(used)} held out" if len(used) < len(runs) else ""
    return f"{plural(len(used), 'run')} of {plural(len({run.params for run in used}), 'size')}{held}: {unit_of(fitted)}"


def _forecasts(fitted: Tree) -> str:
    rows, warnings = [], []
    for item in items(fitted, "forecasts"):
        ends = sig_interval(number(item, "low"), number(item, "high"), "\u2013")
        value, parts = number(item, "value") or 1.0, item.get("width_parts")
        known = parts if isinstance(parts, Mapping) else {}
        widths = [f"{name} {percent((number(known, name) or 0.0) / value)}" for name in known]
        far = number(item, "distance")
        rows.append([
            *(show_count(number(item, key) or 0.0) for key in ("params", "tokens")), show_flop(number(item, "flop")),
            f"<b>{value:.4g}</b>", ends, unbroken(", ".join(widths)),
            "" if far is None else f"{10 ** min(far, 99):.3g} x",
        ])  # fmt: skip
        warnings += [esc(text) for text in item.get("warnings") or ()]
    if not rows:
        return ""
    level = percent(number(items(fitted, "forecasts")[0], "level"))
    header = (
        "params",
        "tokens",
        "compute",
        unit_of(fitted),
        f"{level} interval",
        "half-widths by cause",
        "compute ahead",
    )
    said = [*dict.fromkeys(warnings), *_leverage(fitted)]
    return section("Forecasts", table(header, rows, frozenset({0, 1, 2, 3, 4, 6})), bullets(said))


def _leverage(fitted: Tree) -> list[str]:
    """Which runs decide the first forecast."""
    top = items(fitted, "leverage")
    share = sum(number(item, "share") or 0.0 for item in top)
    moves = []
    for item in top:
        by = change(math.expm1(number(item, "change") or 0.0)).replace(" ", "&nbsp;")
        moves.append(f"{code(item.get('id'))} (it would move by {by} without it)")
    return [f"{percent(share)} of the first forecast hangs on {', '.join(moves)}"] if top else []


def _laws(fitted: Tree) -> str:
    rows, others = [], []
    for item in items(fitted, "laws"):
        params, weight = item.get("params"), number(item, "weight") or 0.0
        if weight < LEAST_WEIGHT:
            others.append(str(item.get("name")))
            continue
        constants = [
            f"{esc(name)} {number(ends, 'value') or 0.0:.4g} "
            f"({sig_interval(number(ends, 'low'), number(ends, 'high'), chr(0x2013))})"
            for name, ends in (params.items() if isinstance(params, Mapping) else ()) if isinstance(ends, Mapping)
        ]  # fmt: skip
        miss = number(item, "backtest_error")
        rows.append([
            f"{esc(item.get('name'))}<span class=\"note\">{code(item.get('formula'))}</span>",
            percent(weight), percent(miss) if miss is not None else "none",
            "; ".join(f'<span class="nb">{each}</span>' for each in constants), linked(item.get("source") or ""),
        ])  # fmt: skip
    header = ("law", "weight", "back-test miss", f"constants, {percent(number(fitted, 'level'))}", "source")
    small = f"Under {percent(LEAST_WEIGHT)} each: {', '.join(others)}." if others else ""
    return (table(header, rows, frozenset({1, 2})) if rows else "") + paragraph(esc(small), "muted")


def _optimum(fitted: Tree) -> str:
    found = []
    for title, tree in (("The optimum", fitted.get("optimum")), ("The next run", fitted.get("next"))):
        if isinstance(tree, Mapping):
            flat = flatten({name: value for name, value in tree.items() if name != "others"}).items()
            pairs = [
                (name.replace("_", " "), esc(percent(value) if name.startswith("width") else show_named(name, value)))
                for name, value in flat
                if value not in ("", None)
            ]
            found.append(f"<h3>{title}</h3>{facts(pairs)}")
    return "".join(found)


def _runs(fitted: Tree) -> str:
    runs = runs_of(fitted)
    rows = [
        [code(run.run), show_count(run.params), show_count(run.tokens), show_flop(run.flop), f"{run.value:.4g}",
         change(run.error), esc(run.what)]
        for run in runs[:MOST_ROWS]
    ]  # fmt: skip
    header = ("run", "params", "tokens", "compute", unit_of(fitted), "off the laws", "")
    more = paragraph(f"and {len(runs) - MOST_ROWS} more", "muted") if len(runs) > MOST_ROWS else ""
    said = paragraph(esc(f"params: {fitted.get('count', '?')}; compute: {fitted.get('flop_from', '?')}"), "muted")
    return section("The runs", said, _doubted(fitted), table(header, rows, frozenset({1, 2, 3, 4, 5})), more)


def _doubted(fitted: Tree) -> str:
    names = (("down_weighted", "Down-weighted"), ("excluded", "Left out"))
    said = [
        f"{title}: {code(item.get('id'))}: {esc(item.get('why'))}"
        for key, title in names
        for item in items(fitted, key)
    ]
    return bullets([*said[:MOST_ROWS], *([f"and {len(said) - MOST_ROWS} more"] if len(said) > MOST_ROWS else [])])


def _notes(notes: Sequence[Problem]) -> str:
    return section("To know about the table", _listed(notes))


def _listed(notes: Sequence[Problem]) -> str:
    return bullets(f"{esc(note.what)}: {esc(note.why)}. {esc(note.fix)}." for note in notes)
