"""How old a fact is: prices are doubted after 90 days, models, results and corpora after 365, peaks never."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from keel.catalog.rows import Accelerator, Corpus, Model, Offer, Result
from keel.errors import Problem

Row = Model | Result | Corpus | Accelerator | Offer


class Limit(NamedTuple):
    """After how many days a kind of row is doubted; None: never."""

    days: int | None
    many: str
    fix: str


LIMITS: Mapping[type, Limit] = {
    Offer: Limit(
        90, "prices", "`keel catalog refresh aws` (or azure, aws-sagemaker), or write today's in catalog/instances.csv"
    ),
    Model: Limit(365, "models", "`keel catalog refresh hugging-face`, or write newer rows in catalog/models.csv"),
    Result: Limit(
        365, "results", "`keel catalog refresh timm` (or open-clip), or write newer rows in catalog/model_results.csv"
    ),
    Corpus: Limit(365, "corpora", "write newer rows in catalog/corpora.csv"),
    Accelerator: Limit(None, "peaks", ""),
}


def day(said: str) -> date | None:
    """The earliest day that a date may mean: "2026-08" is its first day, "2026" the year's; None where there is none.

    Example:
        >>> day("2026-08"), day("2026-08-19 (file commit)"), day("soon")
        (datetime.date(2026, 8, 1), datetime.date(2026, 8, 19), None)
    """
    found = re.match(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?(?!\d)", said.strip())
    if not found:
        return None
    try:
        return date(int(found[1]), int(found[2] or 1), int(found[3] or 1))
    except ValueError:
        return None


def days_old(row: Row, as_of: str) -> int | None:
    """Days from the row's date to `as_of`; None where either is no date."""
    now, then = day(as_of), day(row.as_of)
    return (now - then).days if now and then else None


def warnings(rows: Iterable[Row], as_of: str) -> tuple[Problem, ...]:
    """One warning for each kind of row of which some are too old, with the oldest.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> known = Catalogue()
        >>> warnings([known.models["gpt2"], known.accelerators["k80"]], "2026-12-01")
        ()
        >>> warnings([known.models["gpt2"]], "2028-01-01")[0].what
        '1 of 1 models are more than 365 days old'
    """
    found: dict[type, list[tuple[int | None, Row]]] = {}
    for row in rows:
        found.setdefault(type(row), []).append((days_old(row, as_of), row))
    made = [_warning(LIMITS[kind], pairs, as_of) for kind, pairs in found.items() if LIMITS[kind].days is not None]
    return tuple(problem for problem in made if problem)


def _warning(limit: Limit, pairs: list[tuple[int | None, Row]], as_of: str) -> Problem | None:
    old = [(days, row) for days, row in pairs if days is not None and days > (limit.days or 0)]
    undated = sum(days is None for days, _ in pairs)
    if not old and not undated:
        return None
    what = f"{len(old)} of {len(pairs)} {limit.many} are more than {limit.days} days old" if old else (
        f"{undated} of {len(pairs)} {limit.many} have no date")  # fmt: skip
    why = f"{undated} have no date" if undated else ""
    if old:
        days, row = max(old, key=lambda pair: pair[0])
        why = f"the oldest, {name_of(row)}, is {days} days old on {as_of}" + (f"; {why}" if why else "")
    return Problem(what, why, limit.fix, "the catalogue")


def name_of(row: Row) -> str:
    """What a row is called: its id, a result's model, an offer's type and region."""
    if isinstance(row, Offer):
        return f"{row.type} in {row.region or 'an unnamed region'}"
    return row.model_id if isinstance(row, Result) else row.id
