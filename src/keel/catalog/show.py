"""One row of the catalogue for people: every field with its unit, "unknown" where it is empty, and its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keel.catalog import behind, results
from keel.catalog.licence import HINT, basis
from keel.catalog.rows import SHIPPED, Accelerator, Corpus, Model, Offer, Result
from keel.catalog.shape_check import check
from keel.catalog.store import Catalogue
from keel.units import show_bytes, show_count

UNKNOWN = "unknown"
# Units by the end of a field's name, the longest first.
UNITS: Mapping[str, str] = {"_bytes_s": "B/s", "_flop_s": "FLOP/s", "_op_s": "op/s", "_flop": "FLOP", "_w": "W"}
HIDDEN = frozenset({
    "id", "name", "kept", "source", "as_of", "evidence", "notes", "licence", "licence_class", "licence_basis",
    "context_said", "vocabulary_said", "best_adapted_mteb", "best_adapted_model", "used_by",
    "seen_unit", "data_unit",
})  # fmt: skip


def cell(field: str, value: Any) -> str:
    """A value with its unit; unknown is said.

    Example:
        >>> cell("bf16_flop_s", 3.12e14), cell("memory_bytes", 4e10), cell("usd_per_hour", None)
        ('312 TFLOP/s', '40 GB', 'unknown')
    """
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " + ".join(map(str, value)) or UNKNOWN
    if isinstance(value, str):
        return value
    if "usd" in field:
        return f"${value:,.2f}" if value >= 10 else f"${value:.3f}"
    if field.endswith("bytes"):
        return show_bytes(value)
    for end, unit in UNITS.items():
        if field.endswith(end):
            return f"{value:g} W" if unit == "W" else _rate(value, unit)
    return str(value) if isinstance(value, int) else show_count(value)


def _rate(value: float, unit: str) -> str:
    for scale, letter in ((1e24, "Y"), (1e21, "Z"), (1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= scale * 0.9995:
            return f"{value / scale:.4g} {letter}{unit}"
    return f"{value:.4g} {unit}"


def clip(text: str, width: int) -> str:
    """A cell of a table, cut with dots where it is too long; unknown is said.

    Example:
        >>> clip("512 (relative positions)", 12), clip("", 12)
        ('512 (rela...', 'unknown')
    """
    return (text if len(text) <= width else f"{text[: width - 3]}...") or UNKNOWN


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns aligned to the left."""
    lines = [list(heading), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heading))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines]


def where(row: Any) -> list[str]:
    """Source, date, evidence, notes, and whether the row is the user's own."""
    evidence = {"A": "A, read in a primary repository or card", "B": "B, through a mirror"}
    of = {"source": "source", "as of": "as_of", "notes": "notes"}
    found = [(said, getattr(row, name, "")) for said, name in of.items()]
    found.insert(2, ("evidence", evidence.get(getattr(row, "evidence", ""), "")))
    lines = [f"  {name:<22}{text or UNKNOWN}" for name, text in found if text or name in ("source", "as of")]
    return lines if row.kept == SHIPPED else [*lines, f"  {'from your overlay':<22}{row.kept}"]


def fields(row: Any) -> list[str]:
    """Every field that is not shown elsewhere."""
    shown = [(name, value) for name, value in row._asdict().items() if name not in HIDDEN]
    return [f"  {name.replace('_', ' '):<22}{_said(row, name, value)}" for name, value in shown]


def _said(row: Any, name: str, value: Any) -> str:
    """A number with the unit that its row names, or the words that stand in its place ("250K (approx.)")."""
    if name in ("seen", "data_size") and value is not None:
        unit = getattr(row, "seen_unit" if name == "seen" else "data_unit")
        return f"{show_count(value)} {unit.removeprefix('B ')}" if name == "seen" else f"{value:g} {unit}"
    return cell(name, value if value is not None else getattr(row, f"{name}_said", None))


def licence_lines(row: Model | Corpus) -> list[str]:
    """The licence with its class, basis and date."""
    return [f"  {'licence':<22}{row.licence or UNKNOWN} ({row.licence_class}); {basis(row)}", f"  {'':<22}{HINT}"]


def model(known: Catalogue, row: Model) -> list[str]:
    """A model, its shape's count beside the published one, its results, the corpora behind it."""
    found = check(row)
    lines = [f"{row.id}: {row.name}", *fields(row), *licence_lines(row)]
    if found.computed:
        ratio = f", {found.ratio - 1:+.1%} of the published" if found.ratio else ""
        lines.append(f"  {'from its shape':<22}{show_count(found.computed.params)} parameters{ratio}"
                     + (f": {found.why}" if found.why else ""))  # fmt: skip
    else:
        lines.append(f"  {'from its shape':<22}{UNKNOWN}: {found.why}")
    scores = results.of(known, row.id)
    lines += [f"  {'results':<22}{line}" for line in _scores(known, scores)] or [f"  {'results':<22}{UNKNOWN}"]
    if adapted := results.best_adaptation(row):
        lines.append(f"  {'adapted':<22}{adapted}")
    lines += [f"  {'trained on':<22}{line}" for line in behind.describe(behind.corpora_of(known, row))]
    return [*lines, *where(row)]


def _scores(known: Catalogue, scores: Sequence[Result]) -> list[str]:
    """Each score with its place among those of the same data set, metric and setting."""
    lines = []
    for score in scores:
        group = results.ranked(known, *score.group)
        place = 1 + [other.model_id for other in group].index(score.model_id)
        lines.append(f"{score.dataset} {score.value:g} ({score.metric}, {score.setting}; {place} of {len(group)})")
    return lines


def corpus(row: Corpus) -> list[str]:
    """A corpus and the models behind which it stands."""
    used = ", ".join(row.used_by) or UNKNOWN
    return [f"{row.id}: {row.name}", *fields(row), *licence_lines(row), f"  {'used by':<22}{used}", *where(row)]


def accelerator(known: Catalogue, row: Accelerator) -> list[str]:
    """A chip and the span of its prices."""
    offers = [offer for offer in known.offers if offer.accelerator_id == row.id and offer.usd_per_accelerator_hour]
    prices = [offer.usd_per_accelerator_hour or 0.0 for offer in offers]
    span = (f"{cell('usd', min(prices))} to {cell('usd', max(prices))} an hour each, {len(prices)} offers; "
            "every kind of price counted") if prices else UNKNOWN  # fmt: skip
    return [f"{row.id}: {row.name}", *fields(row), f"  {'prices':<22}{span}", *where(row)]


def offers(rows: Sequence[Offer]) -> list[str]:
    """An instance type: what it is, and its price in each region."""
    first = rows[0]
    about = ("accelerator_id", "accelerators", "memory_bytes", "vcpus", "host_memory_bytes", "interconnect")
    lines = [first.type, *(f"  {name.replace('_', ' '):<22}{cell(name, getattr(first, name))}" for name in about)]
    priced = sorted(rows, key=lambda row: (row.usd_per_hour is None, row.usd_per_hour or 0.0))
    body = table(("region", "an hour", "each", "kind", "as of"),
                 [(row.region or "-", cell("usd", row.usd_per_hour), cell("usd", row.usd_per_accelerator_hour),
                   row.price_kind, row.as_of or UNKNOWN) for row in priced])  # fmt: skip
    sources = dict.fromkeys(f"  {'source':<22}{row.source}" for row in priced)
    own = dict.fromkeys(f"  {'from your overlay':<22}{row.kept}" for row in priced if row.kept != SHIPPED)
    notes = dict.fromkeys(f"  {'notes':<22}{row.notes}" for row in priced if row.notes)
    return [*lines, *(f"  {line}" for line in body), *sources, *notes, *own]
