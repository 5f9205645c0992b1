"""The tables as files: their columns, and from a line of text to a typed row. One table of columns, nothing guessed."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keel.catalog.rows import SHIPPED, Accelerator, Corpus, Model, Offer, Result
from keel.errors import Problem, StudyError, nearest

FOLDER = Path(__file__).parent / "data"
COLLECTED = "2026-11-24"  # of every row that has no date of its own
GB, GIB, TERA, MILLION, BILLION = 1e9, 2.0**30, 1e12, 1e6, 1e9


class Table(NamedTuple):
    """A file of the catalogue: `columns` maps a column to (field, how its text is read); `key` names a row."""

    file: str
    row: type[tuple[Any, ...]]
    columns: Mapping[str, tuple[str, Callable[[str], Any]]]
    key: tuple[str, ...]


def text(cell: str) -> str:
    return cell.strip()


def flag(cell: str) -> bool:
    return cell.strip() == "y"


def maybe(cell: str) -> bool | None:
    return {"y": True, "n": False, "": None}[cell.strip()]


def times(scale: float) -> Callable[[str], float | None]:
    """A number in a unit, as plain counts; empty is unknown."""

    def read(cell: str) -> float | None:
        return float(cell) * scale if cell.strip() else None

    return read


def whole(cell: str) -> int | None:
    """A whole number; None where the cell is empty or says it with words ("250K (approx.)", "224 px")."""
    found = re.match(r"(\d+)(?: \(relative positions\)| bytes)?$", cell.strip())
    return int(found[1]) if found else None


def stacks(cell: str) -> tuple[int, ...] | None:
    """Layers of each stack: "12", "12+12"; None where it is said otherwise."""
    cell = cell.strip()
    return tuple(int(part) for part in cell.split("+")) if re.fullmatch(r"\d+(\+\d+)*", cell) else None


def several(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";") if part.strip())


def classed(cell: str) -> str:
    """A licence class, "unknown" where the cell is empty."""
    found = cell.strip() or "unknown"
    if found not in ("permissive", "conditional", "non-commercial", "unreleased", "unclear", "unknown"):
        raise ValueError(f"{found!r} is no licence class")
    return found


def counted(cell: str) -> float | None:
    return float(cell) if cell.strip() else None


MODELS = Table("models.csv", Model, {
    "id": ("id", text), "name": ("name", text), "family": ("family", text), "family_base_id": ("family_base_id", text),
    "is_family_base": ("is_family_base", flag), "modality": ("modality", text), "architecture": ("architecture", text),
    "year": ("year", int), "developer": ("developer", text), "hub_id": ("hub_id", text), "license": ("licence", text),
    "license_class": ("licence_class", classed), "license_basis": ("licence_basis", text),
    "params_total_m": ("params", times(MILLION)), "params_nonemb_m": ("params_body", times(MILLION)),
    "params_basis": ("params_basis", text), "layers": ("layers", stacks), "d_model": ("width", whole),
    "heads": ("heads", whole), "kv_heads": ("kv_heads", whole), "d_ff": ("feed_forward", whole),
    "context": ("context", whole), "vocab": ("vocabulary", whole), "objective": ("objective", text),
    "pretrain_data": ("data", text), "data_size": ("data_size", counted), "data_unit": ("data_unit", text),
    "seen_b": ("seen", times(BILLION)), "seen_unit": ("seen_unit", text), "languages": ("languages", text),
    "train_flops": ("train_flop", counted), "train_flops_source": ("train_flop_source", text),
    "train_hardware": ("train_hardware", text), "pretrain_code": ("pretrain_code", text),
    "mteb_eng_v2_best_adapted": ("best_adapted_mteb", counted), "mteb_best_adapted_model": ("best_adapted_model", text),
    "evidence": ("evidence", text), "source": ("source", text), "notes": ("notes", text),
}, ("id",))  # fmt: skip

RESULTS = Table("model_results.csv", Result, {
    "model_id": ("model_id", text), "task": ("task", text), "dataset": ("dataset", text), "metric": ("metric", text),
    "value": ("value", float), "setting": ("setting", text), "source": ("source", text),
}, ("model_id", "task", "dataset", "metric", "setting"))  # fmt: skip

CORPORA = Table("corpora.csv", Corpus, {
    "id": ("id", text), "name": ("name", text), "modality": ("modality", text), "kind": ("kind", text),
    "year": ("year", whole), "developer": ("developer", text), "documents": ("documents", counted),
    "tokens_b": ("tokens", times(BILLION)), "tokenizer_of_count": ("tokenizer_of_count", text),
    "bytes_gb": ("bytes", times(GB)), "images_m": ("images", times(MILLION)), "pairs_m": ("pairs", times(MILLION)),
    "languages": ("languages", text), "domain": ("domain", text), "license": ("licence", text),
    "license_class": ("licence_class", classed), "access": ("access", text), "filters_or_dedup": ("filters", text),
    "used_by": ("used_by", several), "evidence": ("evidence", text), "source": ("source", text),
    "as_of": ("as_of", text), "notes": ("notes", text),
}, ("id",))  # fmt: skip

ACCELERATORS = Table("accelerators.csv", Accelerator, {
    "id": ("id", text), "name": ("name", text), "vendor": ("vendor", text), "arch": ("arch", text),
    "year": ("year", whole), "memory_gb": ("memory_bytes", times(GB)), "memory_type": ("memory_kind", text),
    "mem_bw_gbs": ("memory_bytes_s", times(GB)), "tdp_w": ("power_w", counted),
    "fp64_tflops": ("fp64_flop_s", times(TERA)), "int8_tops": ("int8_op_s", times(TERA)),
    "fp4_tflops": ("fp4_flop_s", times(TERA)), "host_link": ("host_link", text), "cuda_cc": ("cuda", text),
    "peer_topology": ("topology", text), "fp32_tflops": ("fp32_flop_s", times(TERA)),
    "tf32_tflops": ("tf32_flop_s", times(TERA)), "fp16_tflops": ("fp16_flop_s", times(TERA)),
    "bf16_tflops": ("bf16_flop_s", times(TERA)), "fp8_tflops": ("fp8_flop_s", times(TERA)),
    "bf16_native": ("bf16_native", maybe), "measured_bf16_matmul_tflops": ("measured_bf16_flop_s", times(TERA)),
    "scaleup_link": ("scaleup_link", text), "scaleup_gbs_bidir": ("scaleup_bytes_s", times(GB)),
    "source": ("source", text), "as_of": ("as_of", text), "notes": ("notes", text),
}, ("id",))  # fmt: skip

OFFERS = Table("instances.csv", Offer, {
    "provider": ("provider", text), "instance": ("instance", text), "region": ("region", text),
    "accelerator_id": ("accelerator_id", text), "accelerator_count": ("accelerators", whole),
    "accelerator_memory_gb_total": ("memory_bytes", times(GB)), "vcpus": ("vcpus", counted),
    "host_memory_gib": ("host_memory_bytes", times(GIB)), "interconnect": ("interconnect", text),
    "price_usd_per_hour": ("usd_per_hour", counted),
    "price_per_accelerator_hour": ("usd_per_accelerator_hour", counted),
    "price_kind": ("price_kind", text), "source": ("source", text), "as_of": ("as_of", text), "notes": ("notes", text),
}, ("provider", "instance", "region", "price_kind", "accelerator_id"))  # fmt: skip

TABLES: Mapping[str, Table] = {
    "models": MODELS, "results": RESULTS, "corpora": CORPORA, "accelerators": ACCELERATORS, "instances": OFFERS,
}  # fmt: skip
# Fields beside the columns: as they were written, and where the row has no date.
SAID: Mapping[str, Mapping[str, str]] = {"models.csv": {"context": "context_said", "vocab": "vocabulary_said"}}


CURRENCY = re.compile(r"(?:^|_)(eur|gbp|jpy|cny|inr|aud|cad|chf|krw|brl|sek|nok|dkk|pln)(?:_|$)")


def read(table: Table, path: Path, kept: str = SHIPPED) -> list[Any]:
    """Every row of a file, typed.

    Raises:
        StudyError: columns that are not the table's, a cell that cannot be read; all of them.
    """
    rows, problems = scan(table, path, kept)
    if problems:
        raise StudyError.all(problems)
    return rows


def scan(table: Table, path: Path, kept: str = SHIPPED) -> tuple[list[Any], list[Problem]]:
    """The rows that can be read, and all that is wrong with the file."""
    try:
        text_ = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return [], [Problem(f"{path.name} is no CSV in UTF-8", str(error), "save it as CSV, UTF-8", str(path))]
    return scan_text(table, text_, str(path), kept)


def scan_text(table: Table, text_: str, name: str, kept: str = SHIPPED) -> tuple[list[Any], list[Problem]]:
    """The same of a text; `name` says where it is from."""
    lines = csv.DictReader(io.StringIO(text_, newline=""))
    try:
        problems = _columns(table, lines.fieldnames or (), name)
        rows = [] if problems else list(_rows(table, lines, name, kept, problems))
    except csv.Error as error:
        return [], [Problem(f"{name} is no CSV", str(error), "save it as CSV, UTF-8", name)]
    return rows, problems


def required(table: Table) -> tuple[str, ...]:
    """The columns that a file must have: those that name a row, and those that cannot be empty."""
    names = [column for column, (field, _) in table.columns.items() if field in table.key]
    return tuple(dict.fromkeys([*names, *(column for column in table.columns if not _may_be_empty(table, column))]))


def _may_be_empty(table: Table, column: str) -> bool:
    try:
        table.columns[column][1]("")
    except ValueError:
        return False
    return True


def _columns(table: Table, found: Sequence[str], where: str) -> list[Problem]:
    known = {*table.columns, "as_of"}
    wrong = [_unknown_column(table, name, known, where) for name in found if name not in known]
    twice = sorted({name for name in found if found.count(name) > 1})
    wrong += [Problem(f"the column '{name}' is there twice", "one of them would be lost", "leave one out", where)
              for name in twice]  # fmt: skip
    wrong += [Problem(f"the column '{name}' is missing", f"all rows of {table.file} need it", f"add {name}", where)
              for name in required(table) if name not in found]  # fmt: skip
    return wrong


def _unknown_column(table: Table, name: str, known: set[str], where: str) -> Problem:
    if found := CURRENCY.search(name.lower()):
        return Problem(f"the column '{name}' is in {found[1].upper()}", "the catalogue holds prices in USD only",
                       "convert them and name the column price_usd_per_hour", where)  # fmt: skip
    return Problem(f"unknown column '{name}'", f"{table.file} has no such column", nearest(name, known), where)


def _rows(
    table: Table, lines: csv.DictReader[str], name: str, kept: str, problems: list[Problem]
) -> Iterator[tuple[Any, ...]]:
    fields = frozenset(table.row._fields)  # type: ignore[attr-defined]
    for line in lines:
        where = f"{name}, line {lines.line_num}"
        if None in line or None in line.values():
            problems.append(Problem("a line has more or fewer cells than there are columns",
                                    "a comma too many or too few", "quote text with commas", where))  # fmt: skip
            continue
        values: dict[str, Any] = {"kept": kept}
        if "as_of" in fields:
            values["as_of"] = COLLECTED if kept == SHIPPED else ""
        for column, (field, how) in table.columns.items():
            cell = line.get(column) or ""
            try:
                values[field] = how(cell)
            except (ValueError, KeyError) as error:
                problems.append(_wrong_cell(column, cell, error, where))
                continue
            if column in (said := SAID.get(table.file, {})):
                values[said[column]] = cell.strip()
        if "as_of" in fields and line.get("as_of"):
            values["as_of"] = str(line["as_of"]).strip()
        if values.keys() >= fields:
            yield table.row(**values)


def _wrong_cell(column: str, cell: str, error: Exception, where: str) -> Problem:
    fix = "write a plain number in USD" if "price" in column else "mend the cell, or leave it empty where it is unknown"
    why = "it cannot be empty" if not cell.strip() else f"{error} (found {cell!r})"[:200]
    return Problem(f"'{column}' is wrong", why, fix, where)
