"""`keel catalog refresh PROVIDER`: read downloads, ask the gates, write a dated file; the shipped data stays."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keel.answer import Answer
from keel.catalog import tables
from keel.catalog.overlay import near
from keel.catalog.refresh import aws, azure, fetch, hugging_face, own, vision_results
from keel.catalog.refresh.candidate import Candidate, Row, Verdict
from keel.catalog.refresh.gates import alike, judge
from keel.catalog.store import Catalogue
from keel.catalog.tables import TABLES, Table
from keel.errors import Problem, StudyError, nearest
from keel.files import write_json, write_text

SCHEMA = "keel.refresh/1"
SHOWN = 20
# Provider -> (table, what is downloaded, whether it needs a region or names).
PROVIDERS: Mapping[str, tuple[str, str, str]] = {
    "aws": ("instances", "the offer file AmazonEC2 of a region, index.json", "region"),
    "aws-sagemaker": ("instances", "the offer file AmazonSageMaker of a region, index.json", "region"),
    "azure": ("instances", "pages of the Retail Prices API, JSON", "region"),
    "hugging-face": ("models", "api/models/ID of the hub, JSON", "names"),
    "timm": ("results", "results/results-imagenet.csv", ""),
    "open-clip": ("results", "docs/openclip_results.csv", ""),
    **{name: (name, f"a CSV in the columns of {table.file}", "files") for name, table in TABLES.items()},
}


class Wanted(NamedTuple):
    """What the user asked for: the provider, then hub ids; files or the network; where to; the day."""

    names: tuple[str, ...]
    files: tuple[Path, ...]
    online: bool
    to: Path
    accept_licences: bool
    region: str
    day: str


def refresh(known: Catalogue, wanted: Wanted) -> Answer:
    """Newer rows of one provider, through the gates, into TABLE.DATE.PROVIDER.csv; what is refused is listed with why.

    Raises:
        StudyError: no such provider, nothing to read, payloads of another shape.
    """
    provider = _provider(wanted)
    table = TABLES[PROVIDERS[provider][0]]
    candidates, passed = _candidates(known, provider, table, _payloads(known, provider, wanted), wanted.day)
    verdicts = _judged(known, table, candidates, wanted.accept_licences)
    taken = [verdict for verdict in verdicts if verdict.outcome == "take"]
    writes = _write(table, provider, wanted, taken, verdicts, passed) if verdicts or passed else []
    warned = [verdict for verdict in taken if verdict.why]
    refused = [verdict for verdict in verdicts if verdict.outcome != "take"]
    result = {
        "what": "refresh", "provider": provider, "table": table.file, "taken": len(taken), "passed_over": passed,
        "refused": [_said(verdict) for verdict in refused], "warned": [_said(verdict) for verdict in warned],
    }  # fmt: skip
    return Answer(result=result, text=_text(provider, table, taken, warned, refused, passed),
                  reads=[str(path) for path in wanted.files], writes=writes)  # fmt: skip


def _provider(wanted: Wanted) -> str:
    if not wanted.names or wanted.names[0] not in PROVIDERS:
        given = wanted.names[0] if wanted.names else ""
        listed = "; ".join(f"{name}: {what}" for name, (_, what, _) in PROVIDERS.items())
        raise StudyError(f"'{given}' is no provider" if given else "no provider is named", why=f"known: {listed}",
                         fix=nearest(given, PROVIDERS) if given else "keel catalog refresh aws --from index.json",
                         where="refresh")  # fmt: skip
    return wanted.names[0]


def _payloads(known: Catalogue, provider: str, wanted: Wanted) -> list[tuple[str, bytes]]:
    """What is to be read: files, or with --online the provider's addresses."""
    _, what, needs = PROVIDERS[provider]
    if wanted.files and wanted.online:
        raise StudyError("--from and --online exclude each other", why="one reads files, the other the network",
                         fix="leave one out", where="refresh")  # fmt: skip
    if wanted.files:
        missing = [path for path in wanted.files if not path.is_file()]
        if missing:
            raise StudyError.all(Problem(f"{path} is not there", "--from names files", "give its path", str(path))
                                 for path in missing)  # fmt: skip
        return [(path.name, path.read_bytes()) for path in wanted.files]
    if not wanted.online or needs == "files":
        raise StudyError("nothing to read", why=f"{provider} reads {what}; keel opens no connection by itself",
                         fix=f"download it ({_example(provider)}) and pass --from FILE"
                         + ("" if needs == "files" else ", or say --online"), where="refresh")  # fmt: skip
    return [(url, fetch.get(url)) for url in _urls(known, provider, wanted)] if provider != "azure" else _pages(wanted)


def _example(provider: str) -> str:
    if provider in aws.SHAPES:
        return aws.url(provider, "REGION")
    known = {"azure": azure.url("REGION"), "hugging-face": hugging_face.url("ID"), "timm": vision_results.TIMM,
             "open-clip": vision_results.OPEN_CLIP}  # fmt: skip
    return known.get(provider, "from any source")


def _urls(known: Catalogue, provider: str, wanted: Wanted) -> list[str]:
    _need_region(provider, wanted)
    if provider in aws.SHAPES:
        return [aws.url(provider, wanted.region)]
    if provider != "hugging-face":
        return [_example(provider)]
    unknown = [name for name in wanted.names[1:] if name not in known.models]
    if unknown or not wanted.names[1:]:
        none = Problem("no model is named", "the hub is asked for one model at a time",
                       "keel catalog refresh hugging-face roberta-base --online", "refresh")  # fmt: skip
        raise StudyError.all([
            Problem(f"'{name}' is no model of the catalogue", "unknown name", near(name, known.models), "refresh")
            for name in unknown
        ] or [none])  # fmt: skip
    return [hugging_face.url(known.models[name].hub_id) for name in wanted.names[1:]]


def _need_region(provider: str, wanted: Wanted) -> None:
    if PROVIDERS[provider][2] == "region" and not wanted.region:
        raise StudyError("no region is named", why=f"{provider} publishes prices by region",
                         fix="say --region us-east-1", where="refresh")  # fmt: skip


def _pages(wanted: Wanted) -> list[tuple[str, bytes]]:
    _need_region("azure", wanted)
    found, url = [], azure.url(wanted.region)
    while url:
        data = fetch.get(url)
        found.append((url, data))
        url = azure.next_page(data, url)
    return found


def _candidates(
    known: Catalogue, provider: str, table: Table, payloads: Sequence[tuple[str, bytes]], day: str
) -> tuple[list[Candidate], list[str]]:
    found: list[Candidate] = []
    passed: list[str] = []
    for name, data in payloads:
        if provider in aws.SHAPES:
            rows, said = aws.parse(provider, data, name, known, day)
        elif provider in TABLES:
            rows, said = own.parse(table, data, name, known, day)
        else:
            parse = {"azure": azure.parse, "hugging-face": hugging_face.parse, "timm": vision_results.timm,
                     "open-clip": vision_results.open_clip}[provider]  # fmt: skip
            rows, said = parse(data, name, known, day)
        found += rows
        passed += [f"{name}: {line}" for line in said]
    return found, passed


def _judged(known: Catalogue, table: Table, candidates: Sequence[Candidate], accepted: bool) -> list[Verdict]:
    """Every candidate as a typed row before the gates; one that cannot be read is refused with the others."""
    text = _csv(table, [candidate.cells for candidate in candidates])
    rows, problems = tables.scan_text(table, text, "the refresh", "refreshed")
    if problems:
        raise StudyError.all(problems)
    old = _grouped([*known.offers, *known.results])
    new = _grouped(rows)
    pairs = zip(candidates, rows, strict=True)
    return [judge(one, row, known, (old.get(alike(row), []), new[alike(row)]), accepted) for one, row in pairs]


def _grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(alike(row), []).append(row)
    return found


def _csv(table: Table, rows: Sequence[Mapping[str, str]]) -> str:
    columns = [*table.columns, *([] if "as_of" in table.columns else ["as_of"])]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: row.get(column, "") for column in columns} for row in rows)
    return out.getvalue()


def _write(
    table: Table,
    provider: str,
    wanted: Wanted,
    taken: Sequence[Verdict],
    verdicts: Sequence[Verdict],
    passed: Sequence[str],
) -> list[str]:
    """The dated file, over what the same provider wrote on the same day; and the whole list of verdicts beside it."""
    stem = f"{table.file.removesuffix('.csv')}.{wanted.day}.{provider}"
    path, log = wanted.to / f"{stem}.csv", wanted.to / f"{stem}.json"
    key = [column for field in table.key for column, (name, _) in table.columns.items() if name == field]
    before = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))) if path.is_file() else []
    rows = {tuple(row.get(column, "") for column in key): row for row in [*before, *(one.cells for one in taken)]}
    if rows:
        write_text(path, _csv(table, list(rows.values())))
    write_json(log, SCHEMA, {"provider": provider, "day": wanted.day, "passed_over": list(passed),
                             "verdicts": [_said(verdict) for verdict in verdicts]})  # fmt: skip
    return [*([str(path)] if rows else []), str(log)]


def _said(verdict: Verdict) -> dict[str, Any]:
    return {"name": verdict.name, "outcome": verdict.outcome, "gate": verdict.gate, "why": verdict.why}


def _text(
    provider: str, table: Table, taken: Sequence[Verdict], warned: Sequence[Verdict], refused: Sequence[Verdict],
    passed: Sequence[str],
) -> str:  # fmt: skip
    lines = [f"{provider}: {len(taken)} rows of {table.file} taken, {len(refused)} refused; shipped tables untouched"]
    counts = Counter(f"gate {verdict.gate}, {verdict.outcome}" for verdict in refused)
    lines += [f"  {count:>5}  {name}" for name, count in counts.items()]
    lines += [f"  {verdict.name}: {verdict.why}" for verdict in [*refused, *warned][:SHOWN]]
    rest = len(refused) + len(warned) - SHOWN
    return "\n".join(
        [*lines, *([f"  and {rest} more: all with --json"] if rest > 0 else []), *(f"  {line}" for line in passed)]
    )
