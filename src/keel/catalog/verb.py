"""`keel catalog`: the tables with filters, one row by any of its names, and leaderboards. Nothing is dropped unsaid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from keel.answer import Answer, Number
from keel.catalog import age, show
from keel.catalog.languages import told, told_of_corpus
from keel.catalog.licence import HINT, allowed
from keel.catalog.overlay import near
from keel.catalog.rows import SHIPPED, Accelerator, Corpus, Model, Offer
from keel.catalog.shape_check import check
from keel.catalog.store import Catalogue
from keel.errors import Problem, StudyError, nearest
from keel.units import show_bytes, show_count

SHOWN = 40
# Which filters a table knows; the others would be passed over in silence.
FILTERS: Mapping[str, tuple[str, ...]] = {
    "models": ("task", "licence", "max_params", "modality", "language", "family"),
    "corpora": ("licence", "modality", "language"),
    "accelerators": ("accelerator",),
    "instances": ("accelerator", "provider", "region"),
}


class Filters(NamedTuple):
    """What the user asked for; "" or None asks for nothing. `served`: by model id, how well it serves the task."""

    task: str = ""
    licence: str = ""
    max_params: float | None = None
    modality: str = ""
    language: str = ""
    family: str = ""
    accelerator: str = ""
    provider: str = ""
    region: str = ""
    served: Mapping[str, float] = {}


def tables(known: Catalogue, what: str, ask: Filters, as_of: str) -> Answer:
    """The rows of a table that pass every filter; the others are counted by what dropped them.

    Raises:
        StudyError: a filter that the table does not know, or a value that no row has.
    """
    _check(known, what, ask)
    rows, why, heading, line = _table(known, what)
    reasons = [why(row, ask) for row in rows]
    kept = [row for row, reason in zip(rows, reasons) if not reason]
    dropped = [(age.name_of(row), reason) for row, reason in zip(rows, reasons) if reason]
    text = show.table(heading, [line(row) for row in kept[:SHOWN]]) if kept else [f"no {what} pass"]
    if len(kept) > SHOWN:
        text.append(f"and {len(kept) - SHOWN} more: narrow it with a filter, or read all with --json")
    text += _dropped(dropped, len(rows), what)
    if ask.licence:
        text += ["", HINT]
    own = sum(row.kept != SHIPPED for row in kept)
    if own:
        text.append(f"{own} rows are from your overlay: {', '.join(known.overlays)}")
    result = {"what": what, "rows": [row._asdict() for row in kept],
              "dropped": [{"id": name, "why": reason} for name, reason in dropped]}  # fmt: skip
    return Answer(result=result, text="\n".join(text), problems=list(age.warnings(kept, as_of)),
                  reads=list(known.overlays))  # fmt: skip


def _dropped(dropped: Sequence[tuple[str, str]], total: int, what: str) -> list[str]:
    """How many each fact dropped."""
    if not dropped:
        return []
    counts = Counter(reason.split(";")[0] for _, reason in dropped)
    said = [f"  {count:>5}  {reason}" for reason, count in counts.most_common(12)]
    more = [f"  and {len(counts) - 12} other reasons: all with --json"] if len(counts) > 12 else []
    return ["", f"{len(dropped)} of {total} {what} are left out:", *said, *more]


Why = Callable[[Any, Filters], str]
Line = Callable[[Any], Sequence[str]]


def _table(known: Catalogue, what: str) -> tuple[Sequence[Any], Why, Sequence[str], Line]:
    """Rows in their order, what drops one, the heading, and a row as cells."""
    if what == "models":
        models = sorted(known.models.values(), key=lambda row: (row.params is None, row.params or 0.0))
        return models, _why_model, ("id", "params", "architecture", "licence", "languages", "context", "year"), _model
    if what == "corpora":
        found = sorted(known.corpora.values(), key=lambda row: (row.modality, -(row.bytes or 0.0)))
        return found, _why_corpus, ("id", "modality", "bytes", "tokens", "languages", "licence", "domain"), _corpus
    if what == "accelerators":
        chips = tuple(known.accelerators.values())
        return chips, _why_accelerator, ("id", "memory", "bandwidth", "bf16", "fp16", "measured bf16", "as of"), _chip
    offers = sorted(known.offers, key=lambda row: (
        row.usd_per_accelerator_hour is None, row.usd_per_accelerator_hour or 0.0))  # fmt: skip
    return offers, _why_offer, ("type", "region", "accelerators", "an hour", "each", "kind", "as of"), _offer


def _why_model(row: Model, ask: Filters) -> str:
    if ask.modality and row.modality != ask.modality:
        return f"not {ask.modality}"
    if ask.family and row.family != ask.family:
        return f"not of the family {ask.family}"
    if ask.task and not ask.served.get(row.id):
        return f"its loss and architecture do not serve {ask.task}"
    if ask.licence and (reason := allowed(row, ask.licence)):
        return _short(row, ask.licence, reason)
    if ask.max_params is not None and row.params is None:
        return "its size is unknown"
    if ask.max_params is not None and (row.params or 0.0) > ask.max_params:
        return f"more than {show_count(ask.max_params)} parameters"
    if ask.language and (found := told(row, ask.language)).yes is not True:
        return _language(found.yes, ask.language, found.why)
    return ""


def _why_corpus(row: Corpus, ask: Filters) -> str:
    if ask.modality and row.modality != ask.modality:
        return f"not {ask.modality}"
    if ask.licence and (reason := allowed(row, ask.licence)):
        return _short(row, ask.licence, reason)
    if ask.language and (found := told_of_corpus(row, ask.language)).yes is not True:
        return _language(found.yes, ask.language, found.why)
    return ""


def _short(row: Model | Corpus, limit: str, reason: str) -> str:
    """The class first, so that reasons of a kind are counted together; the whole reason behind it."""
    return f"licence {row.licence_class}, the limit is {limit}; {reason}"


def _language(yes: bool | None, code: str, why: str) -> str:
    return f"not trained on {code}; {why}" if yes is False else f"unknown whether it was trained on {code}; {why}"


def _why_accelerator(row: Accelerator, ask: Filters) -> str:
    return f"not {ask.accelerator}" if ask.accelerator and row.id != ask.accelerator else ""


def _why_offer(row: Offer, ask: Filters) -> str:
    values = {"accelerator": row.accelerator_id, "provider": row.provider, "region": row.region}
    for name, value in values.items():
        if (wanted := getattr(ask, name)) and value != wanted:
            return f"not of the {name} {wanted}"
    return ""


def _model(row: Model) -> Sequence[str]:
    size = show_count(row.params) if row.params else show.UNKNOWN
    return (row.id, size, show.clip(row.architecture, 28), row.licence_class,
            show.clip(row.languages, 20), show.clip(row.context_said, 16), str(row.year))  # fmt: skip


def _corpus(row: Corpus) -> Sequence[str]:
    return (row.id, row.modality, show_bytes(row.bytes) if row.bytes else show.UNKNOWN,
            show_count(row.tokens) if row.tokens else show.UNKNOWN, show.clip(row.languages, 20),
            row.licence_class, show.clip(row.domain, 40))  # fmt: skip


def _chip(row: Accelerator) -> Sequence[str]:
    cells = ("memory_bytes", "memory_bytes_s", "bf16_flop_s", "fp16_flop_s", "measured_bf16_flop_s")
    return (row.id, *(show.cell(name, getattr(row, name)) for name in cells), row.as_of or show.UNKNOWN)


def _offer(row: Offer) -> Sequence[str]:
    count = f"{row.accelerators} x {row.accelerator_id}" if row.accelerators else row.accelerator_id
    return (row.type, row.region or "-", count, show.cell("usd", row.usd_per_hour),
            show.cell("usd", row.usd_per_accelerator_hour), row.price_kind, row.as_of or show.UNKNOWN)  # fmt: skip


def _check(known: Catalogue, what: str, ask: Filters) -> None:
    problems = [
        Problem(f"--{name.replace('_', '-')} is no filter of {what}", "it would be passed over in silence",
                "filters: " + ", ".join(f"--{one.replace('_', '-')}" for one in FILTERS[what]), "the command line")
        for name in Filters._fields
        if name != "served" and getattr(ask, name) and name not in FILTERS[what]
    ]  # fmt: skip
    for name, values in _values(known, what).items():
        if (value := getattr(ask, name)) and name in FILTERS[what] and value not in values:
            problems.append(Problem(f"no {what} have the {name} '{value}'", "unknown name", nearest(value, values),
                                    f"--{name}"))  # fmt: skip
    if problems:
        raise StudyError.all(problems)


def _values(known: Catalogue, what: str) -> Mapping[str, set[str]]:
    """The values that a filter may have: a misspelt one would find nothing and look like an answer."""
    if what == "models":
        rows = known.models.values()
        return {"modality": {row.modality for row in rows}, "family": {row.family for row in rows}}
    if what == "corpora":
        return {"modality": {row.modality for row in known.corpora.values()}}
    if what == "accelerators":
        return {"accelerator": set(known.accelerators)}
    return {"accelerator": set(known.accelerators), "provider": {row.provider for row in known.offers},
            "region": {row.region for row in known.offers if row.region}}  # fmt: skip


def one(known: Catalogue, names: Sequence[str], as_of: str) -> Answer:
    """Everything that is known under each name: a model, a corpus, an accelerator, an instance type.

    Raises:
        StudyError: a name that is in no table, with the nearest that are.
    """
    if not names:
        raise StudyError("no name is given", why="show reads the names that follow it",
                         fix="keel catalog show roberta-base aws:p4d.24xlarge", where="show")  # fmt: skip
    found, problems, text, numbers = [], [], [], []
    for name in names:
        rows = _rows(known, name)
        if not rows:
            problems.append(Problem(f"'{name}' is in no table", "unknown name", near(name, _all(known)), "show"))
            continue
        found.append({"name": name, "rows": [row._asdict() for row in rows]})
        text.append("\n".join(_lines(known, rows)))
        numbers += [number for row in rows if isinstance(row, Model) for number in _numbers(row)]
    if problems:
        raise StudyError.all(problems)
    rows = [row for name in names for row in _rows(known, name)]
    return Answer(result={"what": "show", "found": found}, text="\n\n".join(text), numbers=numbers,
                  problems=list(age.warnings(rows, as_of)), reads=list(known.overlays))  # fmt: skip


def _rows(known: Catalogue, name: str) -> Sequence[Any]:
    """The rows that a name stands for; an instance type has one for each region."""
    for table in (known.models, known.corpora, known.accelerators):
        if name in table:
            return (table[name],)
    hub = [row for row in known.models.values() if row.hub_id and row.hub_id.lower() == name.lower()]
    return hub or [row for row in known.offers if name in (row.type, row.instance)]


def _all(known: Catalogue) -> set[str]:
    hubs = {row.hub_id for row in known.models.values() if row.hub_id}
    return {*known.models, *known.corpora, *known.accelerators, *(row.type for row in known.offers), *hubs}


def _lines(known: Catalogue, rows: Sequence[Any]) -> list[str]:
    first = rows[0]
    if isinstance(first, Model):
        return show.model(known, first)
    if isinstance(first, Corpus):
        return show.corpus(first)
    return show.accelerator(known, first) if isinstance(first, Accelerator) else show.offers(rows)


def _numbers(row: Model) -> list[Number]:
    found = check(row)
    if found.computed is None:
        return []
    said = {"published": row.params} if row.params else {}
    return [Number(f"{row.id}.params", found.computed.params, "parameters", formula="counted from the shape",
                   inputs={"width": row.width or 0, "layers": sum(row.layers or ()), **said},
                   source=found.computed.source, valid="within 2 % of the published count",
                   outside="" if found.agrees is not False else found.why)]  # fmt: skip
