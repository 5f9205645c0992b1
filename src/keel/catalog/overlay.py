"""What is wrong with the user's own rows: all of it at once, over every table."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from keel.catalog.age import day
from keel.catalog.rows import Accelerator, Corpus, Model, Offer, Result
from keel.catalog.tables import TABLES, Table
from keel.errors import Problem, nearest

DATED = re.compile(r"\.\d{4}-\d{2}-\d{2}\.[a-z0-9-]+\.csv$")  # models.2026-11-28.hugging-face.csv
Names = Mapping[str, frozenset[str]]  # "models", "accelerators": the ids that a row may point to


def is_dated(table: Table, name: str) -> bool:
    """Whether a file is one that a refresh wrote for this table."""
    stem = table.file.removesuffix(".csv")
    return name.startswith(stem) and DATED.fullmatch(name[len(stem) :]) is not None


def strays(folder: Path) -> list[Problem]:
    """CSV files in the folder that are read for no table, so that a misspelt name is not passed over."""
    names = [table.file for table in TABLES.values()]
    return [
        Problem(f"{path.name} is read for no table", "the folder catalog/ holds files named as the shipped tables",
                f"{nearest(path.name, names)}; or move it elsewhere", f"{folder.name}/{path.name}")
        for path in sorted(folder.glob("*.csv"))
        if path.name not in names and not any(is_dated(table, path.name) for table in TABLES.values())
    ]  # fmt: skip


def problems(table: Table, rows: list[Any], path: Path, names: Names) -> list[Problem]:
    """Empty or repeated keys, prices without a date or a sense, ids that lead nowhere; the columns were read before."""
    found, seen = [], set()
    for row in rows:
        key = tuple(getattr(row, field) for field in table.key)
        if not str(key[0]):
            found.append(Problem(f"a row of {path.name} has no {table.key[0]}", "it could not be found again",
                                 "name it", str(path)))  # fmt: skip
        elif key in seen:
            found.append(Problem(f"'{' '.join(filter(None, map(str, key)))}' is there twice",
                                 "the later would hide the earlier", "leave one out", str(path)))  # fmt: skip
        seen.add(key)
        found += [Problem(what, why, fix, str(path)) for what, why, fix in wrong(row, names)]
    return found


def wrong(row: Model | Result | Corpus | Accelerator | Offer, names: Names) -> list[tuple[str, str, str]]:
    """What one row says that cannot be: (what, why, fix)."""
    if isinstance(row, Offer):
        return _offer(row, names["accelerators"])
    if isinstance(row, Result) and row.model_id not in names["models"]:
        return [(f"'{row.model_id}' is no model of the catalogue", f"a result on {row.dataset} belongs to it",
                 f"{near(row.model_id, names['models'])}; or add it in catalog/models.csv")]  # fmt: skip
    if isinstance(row, Result) and not math.isfinite(row.value):
        return [(f"the result of '{row.model_id}' on {row.dataset} is {row.value}", "it is no number", "write one")]
    if isinstance(row, Model | Corpus) and row.as_of and day(row.as_of) is None:
        return [(f"'{row.as_of}' is no date", f"it is the as_of of '{row.id}'", "write YYYY-MM-DD")]
    return []


def _offer(row: Offer, accelerators: frozenset[str]) -> list[tuple[str, str, str]]:
    found = []
    if row.accelerator_id and row.accelerator_id not in accelerators:
        found.append((f"'{row.accelerator_id}' is no accelerator of the catalogue", f"{row.type} names it",
                      f"{near(row.accelerator_id, accelerators)}; or add it in catalog/accelerators.csv"))  # fmt: skip
    price = row.usd_per_hour
    if price is not None and not (math.isfinite(price) and price > 0):
        found.append(
            (f"the price of {row.type} is {price:g}", "a price is more than 0", "leave it empty where it is unknown")
        )
    if price is not None and day(row.as_of) is None:
        found.append((f"the price of {row.type} has no date", f"as_of is {row.as_of!r}; prices change",
                      "write the day you read it in the column as_of: YYYY-MM-DD"))  # fmt: skip
    one, count = row.usd_per_accelerator_hour, row.accelerators
    if price and one and count and abs(one * count / price - 1) > 0.01:
        found.append((f"{row.type}: {count} x {one:g} is not {price:g}", "the price of one and of all must agree",
                      "mend one of them, or leave price_per_accelerator_hour empty"))  # fmt: skip
    return found


def near(name: str, known: Collection[str]) -> str:
    """The nearest names; the list of all would bury them.

    Example:
        >>> near("bert-bas", ["bert-base", "gpt2"]), near("zzz", ["bert-base"])
        ("did you mean 'bert-base'?", 'nothing like it among 1 names: `keel catalog models` lists them')
    """
    lower = {one.lower(): one for one in sorted(known, reverse=True)}
    found = [lower[one] for one in get_close_matches(name.lower(), lower, n=3, cutoff=0.6)]
    if found:
        return "did you mean " + " or ".join(f"'{one}'" for one in found) + "?"
    return f"nothing like it among {len(known)} names: `keel catalog models` lists them"
