"""Captions with the images that the largest run finds for them, the smallest beside it: what scale buys, to look at."""

from __future__ import annotations

from itertools import zip_longest
from typing import NamedTuple

from keel.report.artefacts import Artefacts
from keel.report.images import shortened
from keel.report.markup import code, esc, paragraph, section
from keel.report.retrieved import Hit, Query, Retrieved
from keel.report.runs import Run
from keel.report.thumbnail import picture
from keel.units import show_count

MOST, CHARACTERS, SIDE_PX = 12, 300_000, 56


class Shown(NamedTuple):
    """A run with what it retrieved."""

    run: Run
    found: Retrieved


def retrieved(found: Artefacts) -> str:
    """The section; nothing where no run retrieved anything."""
    runs = [Shown(run, run.retrieved) for run in found.runs if run.retrieved and run.retrieved.queries]
    if not runs:
        return ""
    ordered = sorted(runs, key=lambda shown: (shown.run.params or 0.0, shown.run.flop or 0.0))
    both = [ordered[-1], ordered[0]] if len(ordered) > 1 else ordered
    queries = _bounded(both)
    items = "".join(f"<li>{_asked(both, each)}</li>" for each in queries)
    return section("What it finds", paragraph(_lead(both), ""), f'<ol class="asked">{items}</ol>', _more(both, queries))


def _lead(both: list[Shown]) -> str:
    """What is seen, whose it is, and among how many."""
    largest = both[0]
    said = (
        f"For captions that were held out, the images nearest to each among {largest.found.candidates:,} held out, "
        f"found by the largest run, {code(largest.run.id)} ({_size(largest.run)})"
    )
    if len(both) > 1:
        said += f", and beside it by the smallest, {code(both[1].run.id)} ({_size(both[1].run)})"
    return f"{said}. Images of that very caption have a frame and a mark; rank 1 means that one of them came first."


def _size(run: Run) -> str:
    parts = [
        f"{show_count(run.params)} params" if run.params else "",
        f"{show_count(run.tokens)} tokens" if run.tokens else "",
    ]
    return esc(", ".join(part for part in parts if part))


def _bounded(both: list[Shown]) -> list[tuple[Query | None, ...]]:
    """Queries side by side, as far as their pictures fit a page."""
    rows, room = list[tuple[Query | None, ...]](), CHARACTERS
    for row in zip_longest(*(shown.found.queries for shown in both)):
        room -= sum(len(hit.uri) for query in row if query for hit in query.found)
        if rows and (room < 0 or len(rows) == MOST):
            break
        rows.append(row)
    return rows


def _more(both: list[Shown], shown: list[tuple[Query | None, ...]]) -> str:
    every = max(len(each.found.queries) for each in both)
    left = every - len(shown)
    return paragraph(f"and {left} more in retrieved.json of each run", "muted") if left else ""


def _asked(both: list[Shown], queries: tuple[Query | None, ...]) -> str:
    """A caption, said anew only where the runs were asked different ones."""
    answers = [(shown.run, query) for shown, query in zip(both, queries) if query]
    captions = list(dict.fromkeys(query.caption for _, query in answers))
    strips = "".join(
        _strip(run, query, "" if len(captions) == 1 else shortened(query.caption)) for run, query in answers
    )
    head = f"<p>{esc(shortened(captions[0]))}</p>" if len(captions) == 1 else ""
    return f'{head}<div class="strips">{strips}</div>'


def _strip(run: Run, query: Query, caption: str) -> str:
    """One run's answer: the caption where the other run had another, the rank in words, the pictures."""
    away = "" if any(hit.right for hit in query.found) else ": not among these"
    who = f'<span class="who"><b>{esc(run.name)}</b> rank {query.rank:g}{away}</span>'
    row = "".join(map(_hit, query.found))
    return f'<div class="strip">{paragraph(esc(caption))}{who}<span class="row">{row}</span></div>'


def _hit(hit: Hit) -> str:
    """A picture; the right one framed and marked, so that no colour is needed to see it."""
    if not hit.right:
        return f'<span class="found">{picture(hit.uri, f"image {hit.image}", SIDE_PX)}</span>'
    drawn = picture(hit.uri, f"image {hit.image}, the right one", SIDE_PX)
    return f'<span class="found right">{drawn}<b>&#10003;</b></span>'
