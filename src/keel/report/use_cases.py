"""The user's tasks on the page: for each use case who scored what, against which baseline, and which model will do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.report.artefacts import Artefacts
from keel.report.markup import code, esc, facts, folded, paragraph, section, table, tag, unbroken
from keel.report.runs import Tree
from keel.report.task_figures import TaskScores, uses_of
from keel.report.words import clean, interval, number, percent
from keel.units import show_count

HEADER = ("model", "params", "tokens", "score", "against the best larger one", "bar")
GOOD, BAD = frozenset({"not worse", "met"}), frozenset({"worse", "missed"})


def said(uses: Tree | None) -> list[str]:
    """One sentence a use case."""
    return [clean(use["said"]) for use in uses_of(uses) if use.get("said")]


def tasks(found: Artefacts) -> str:
    """The section; nothing where no use case was judged."""
    figure = TaskScores.of(found.uses)
    drawn = figure.shown() if figure else ""
    return section("The tasks", drawn, *(_use(use) for use in uses_of(found.uses)))


def _use(use: Tree) -> str:
    models = [row for row in use.get("models") or () if isinstance(row, Mapping)]
    scored = [row for row in models if row.get("score")]
    standing, short = ([row for row in scored if bool(row.get("stands")) is stands] for stands in (True, False))
    beside = use.get("baseline")
    learnt = number(use, "train")
    test = number(use, "test")
    sha256 = str(use.get("eval_sha256") or "")[:16]
    pairs = [
        ("file", esc(f"{use['eval']}, sha256 {sha256}") if use.get("eval") else ""),
        ("judged by", esc(f"{use.get('how')}, {use.get('metric')}")),
        ("rows", f"{f'{learnt:,.0f} to learn from, ' if learnt else ''}{test:,.0f} to be judged by" if test else ""),
        ("baseline", unbroken(f"{beside.get('name')}: {_score(beside)}") if isinstance(beside, Mapping) else ""),
        ("still as good", esc(f"worse by {number(use, 'margin')}: {use.get('margin_source')}")),
        ("rule", esc(_rule(use))),
    ]
    body = _table(use, standing) + "".join(paragraph(words, "muted") for words in _not_judged(models))
    body += folded("Models trained for less, which are not compared", _table(use, short)) if short else ""
    return f"<h3>{esc(use.get('name'))}</h3>" + paragraph(unbroken(f"{use.get('said', '')}.")) + facts(pairs) + body


def _rule(use: Tree) -> str:
    each, comparisons = number(use, "level_each"), number(use, "comparisons")
    if not each or not comparisons:
        return ""
    return (
        f"{use.get('rule')}; {comparisons:.0f} comparisons, each at the one-sided level {each:.3f}, "
        f"so that all hold together with {percent(number(use, 'level'))}"
    )


def _table(use: Tree, rows: list[Mapping[str, Any]]) -> str:
    """Scores of models; the last column only where the study sets a bar."""
    columns = len(HEADER) - (use.get("accept") is None)
    return table(HEADER[:columns], [_row(row)[:columns] for row in rows], frozenset({1, 2, 3})) if rows else ""


def _not_judged(models: list[Mapping[str, Any]]) -> list[str]:
    """Each reason once, with the models that it holds for."""
    whys: dict[str, list[str]] = {}
    for row in models:
        if row.get("why_not"):
            whys.setdefault(str(row["why_not"]), []).append(code(row.get("run")))
    return [f"Not judged: {esc(why)} ({', '.join(runs)})." for why, runs in whys.items()]


def _row(row: Mapping[str, Any]) -> list[str]:
    counts = [show_count(value) if value else "" for value in (number(row, "params"), number(row, "tokens"))]
    compared = row.get("compared")
    return [
        code(row.get("run")), *counts, f'<span class="nb">{unbroken(_score(row.get("score")))}</span>',
        _compared(compared) if isinstance(compared, Mapping) else "", _word(row.get("accept")),
    ]  # fmt: skip


def _compared(compared: Mapping[str, Any]) -> str:
    value = number(compared, "difference", "value")
    ends = interval(number(compared, "difference", "low"), number(compared, "difference", "high"), 3, " to ")
    more = number(compared, "more")
    words = f"{value:+.3f} ({ends})" if value is not None else ends
    wanted = f'<span class="note muted">{more:,.0f} more rows would tell</span>' if more else ""
    return f'{_word(compared.get("answer"))} <span class="nb">{esc(words)}</span>{wanted}'


def _word(answer: object) -> str:
    """A verdict; what speaks against a model stands out."""
    if answer in BAD:
        return tag(str(answer), "bad")
    return esc(answer) if answer else ""


def _score(score: object) -> str:
    """0.612 (0.580-0.641)."""
    tree = score if isinstance(score, Mapping) else {}
    value = number(tree, "value")
    return f"{value:.3f} ({interval(number(tree, 'low'), number(tree, 'high'))})" if value is not None else ""
