"""What is suspicious about a table that reads without error: asked where a guess would decide, noted where not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keel.errors import Problem, StudyError, nearest
from keel.laws.law import FLOP_PER_PARAM_TOKEN, Floats
from keel.laws.links import LINKS, link_of
from keel.laws.read.cells import MOST_SHOWN, Bad, is_number
from keel.laws.read.columns import NAMES, Column
from keel.laws.read.headings import heading
from keel.laws.read.sheets import Sheet

# Below these a column without a unit is taken for one in M, B, exaflop or log10, and which of them is asked.
LEAST = {"params": 1e4, "tokens": 1e4, "unique": 1e4, "flop": 1e9}
LOG10_BOX = {"params": (4.5, 13.5), "tokens": (5.0, 15.5), "unique": (5.0, 15.5), "flop": (11.0, 30.0)}
SPAN, FLOP_OFF = 1e6, 30.0
HIGH_LOSS = 50.0  # no loss in nats or bits per token starts above log2 of the vocabulary, 18
UNIT_WORDS = (
    ("bits_per_byte", re.compile(r"bits?_(per_)?bytes?|(^|_)bpb(_|$)")),
    ("bits_per_token", re.compile(r"bits?_(per_)?tok")),
    ("nats_per_byte", re.compile(r"nats?_(per_)?bytes?")),
    ("nats_per_token", re.compile(r"nats?_(per_)?tok")),
)
ALIASES = {
    "bpb": "bits_per_byte", "bits/byte": "bits_per_byte", "nats/token": "nats_per_token", "nats/byte": "nats_per_byte",
    "bits/token": "bits_per_token", "ppl": "perplexity", "acc": "accuracy", "acc_percent": "accuracy_percent",
    "err": "error", "err_percent": "error_percent",
}  # fmt: skip
NO_KIND = re.compile(r"(id|name|run|user|tags?|notes|created|updated|runtime|sweep|host(name)?|git|path|url|hash|time)"
                     r"|.*_(id|name|path|url|at|time|hash)")  # fmt: skip


def loss_unit(column: Column, values: Floats, asked: str, where: str) -> str:
    """The loss's unit: as asked, else as the column's name says, else the name itself.

    Raises:
        StudyError: an unknown unit much like a known one, or an accuracy that may be a share or per cent.

    Example:
        >>> loss_unit(Column("val_bpb", words="val_bpb"), np.array([1.0]), "", "")
        'bits_per_byte'
        >>> loss_unit(Column("acc", words="acc"), np.array([31.0, 64.0]), "", "")
        'accuracy_percent'
    """
    if asked:
        unit = ALIASES.get(asked.lower(), asked)
        hint = nearest(unit, LINKS)
        if unit not in LINKS and hint.startswith("did you mean"):
            raise StudyError(f"--unit {asked} is not a known unit", why=hint, where=where,
                             fix="one of: " + ", ".join(LINKS) + "; any other name is a positive loss")  # fmt: skip
        return unit
    for unit, pattern in UNIT_WORDS:
        if pattern.search(column.words):
            return unit
    names = column.words
    if NAMES["loss"][2].fullmatch(names):
        return "perplexity"
    if not NAMES["loss"][3].fullmatch(names) or NAMES["loss"][0].fullmatch(names):
        return heading(column.name).names[-1] if heading(column.name).tracker else column.name
    kind = "accuracy" if re.search(r"(^|_)acc", names) else "error"
    if "%" in column.name or re.search(r"pct|percent", names):
        return f"{kind}_percent"
    good = values[np.isfinite(values)]
    if not len(good) or good.max() <= 1:
        return kind
    if good.min() > 1:
        return f"{kind}_percent"
    raise StudyError(
        f"{column.name}: a share or per cent?", why=f"it goes from {good.min():.4g} to {good.max():.4g}",
        fix=f"say so: --unit {kind} or --unit {kind}_percent", where=where,
    )  # fmt: skip


def bad_losses(column: Column, values: Floats, unit: str) -> list[Bad]:
    """Values that no `unit` can have: an accuracy of 0 or 1.2, a perplexity of .5."""
    link = link_of(unit)
    with np.errstate(all="ignore"):
        losses = link.to_loss(values)
    broken = np.isfinite(values) & ~(np.isfinite(losses) & (losses > 0))
    return [Bad(int(row), column.name, f"{link.valid(float(values[row]))} ({unit})") for row in np.flatnonzero(broken)]


def unclear_sizes(columns: Mapping[str, Column], values: Mapping[str, Floats], where: str) -> list[Problem]:
    """Numbers too small to be params, tokens or FLOP in a column that says no unit."""
    found = []
    for role, least in LEAST.items():
        if role not in columns or columns[role].unit:
            continue
        name, some = columns[role].name, values[role][np.isfinite(values[role])]
        small = some[some < least]
        if not len(small):
            continue
        low, high = LOG10_BOX[role]
        units = (
            "log10"
            if low <= some.min() and some.max() <= high
            else "exaflop or PF-days"
            if role == "flop"
            else "M or B"
        )
        what = f"{name}: {small.min():.4g} {role}?"
        mixed = f", beside up to {some.max():.4g}: two units in one column" if len(small) < len(some) else ""
        found.append(Problem(
            what, f"{len(small)} of {len(some)} cells are below {least:.0e} and no unit is given{mixed}",
            "mend these cells" if mixed else
            f"say the unit: --{role} {name!r}:{units.split()[0]} (in {units}), or --{role} {name!r}:1 as it is", where,
        ))  # fmt: skip
    return found


def doubts(params: Floats, tokens: Floats, flop: Floats, losses: Floats, unit: str, where: str) -> list[Problem]:
    """Notes on columns that read well and look wrong."""
    found = []
    if np.all(params > tokens):
        found.append(Problem("every run has more params than tokens", "the two columns may be swapped",
                             "if they are: --params and --tokens name the right ones", where))  # fmt: skip
    for role, column in (("params", params), ("tokens", tokens)):
        if column.max() > SPAN * column.min():
            found.append(Problem(f"{role} go from {column.min():.3g} to {column.max():.3g}", "two units may be mixed",
                                 "check the smallest and the largest rows", where))  # fmt: skip
    ratio = float(np.median(flop / (FLOP_PER_PARAM_TOKEN * params * tokens)))
    if not 1 / FLOP_OFF <= ratio <= FLOP_OFF:
        found.append(Problem(f"flop is {ratio:.3g} x 6 N D at the median row", "one of the three units may be another",
                             "say the unit: --flop COL:exaflop, --params COL:M ...", where))  # fmt: skip
    if unit not in LINKS and losses.max() > HIGH_LOSS:
        found.append(Problem(f"losses up to {losses.max():.4g}", "no loss per token is that high; a perplexity may be",
                             "if it is one: --unit perplexity", where))  # fmt: skip
    return found


def flipped(bad: Sequence[Bad], cells: Sequence[Any], column: Column, where: str) -> Problem | None:
    """Losses that are all negative; `bad` are the column's cells that are no losses."""
    negative = [one for one in bad if one.why == "not positive" and str(cells[one.row]).strip().startswith("-")]
    if not negative or len(bad) < len(cells) or len(negative) < sum(one.why != "empty" for one in bad):
        return None
    return Problem(
        f"{column.name}: every value is negative", "a log likelihood, it seems: its sign is that of a gain, not a loss",
        f"write a column of -({column.name}) and name it with --loss", where,
    )  # fmt: skip


def repeats(sheet: Sheet, params: Floats, tokens: Floats, losses: Floats) -> list[Problem]:
    """Rows alike in every cell are an error; alike in what is fitted only, a note (seeds may agree by rounding).

    Raises:
        StudyError: rows that repeat others.
    """
    order = np.lexsort((losses, tokens, params))
    new = np.ones(len(order), dtype=bool)
    for column in (params, tokens, losses):
        new[1:] &= column[order][1:] == column[order][:-1]
    new[1:] = ~new[1:]
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(order))
    same, alike = [], []
    for start, end in np.stack([starts, ends], 1)[ends - starts > 1]:
        first: dict[tuple[str, ...], int] = {}
        for row in map(int, order[start:end]):
            other = first.setdefault(tuple(repr(cells[row]) for cells in sheet.columns.values()), row)
            if other != row:
                same.append((sheet.lines[row], sheet.lines[other]))
            elif row != order[start]:
                alike.append((sheet.lines[row], sheet.lines[order[start]]))
    if same:
        told = [
            Problem(f"row {row} repeats row {other}", "every cell is the same: one run counted twice",
                    "take one of them out of the table", sheet.where)
            for row, other in sorted(same)[:MOST_SHOWN]
        ]  # fmt: skip
        if len(same) > MOST_SHOWN:
            told.append(
                Problem(
                    f"and {len(same) - MOST_SHOWN} more rows repeat others",
                    "every cell is the same",
                    "take them out likewise",
                    sheet.where,
                )
            )
        raise StudyError.all(told)
    if not alike:
        return []
    some = ", ".join(f"{row} = {other}" for row, other in sorted(alike)[:8])
    return [Problem(f"rows with the params, tokens and loss of another: {len(alike)}", f"rows {some}",
                    "if they are the same run, take one out: each counts fully now", sheet.where)]  # fmt: skip


def mixture(sheet: Sheet, used: Iterable[str]) -> list[Problem]:
    """Columns of words that differ between rows: a law is for one recipe."""
    notes = []
    skip = set(used)
    for name, cells in sheet.columns.items():
        if name in skip or NO_KIND.fullmatch(re.sub(r"\W+", "_", name.strip().lower())):
            continue
        kinds = _kinds(cells)
        if 1 < len(kinds) <= len(cells) // 2 and not any(is_number(kind) for kind in kinds):
            notes.append(f"{name} ({', '.join(sorted(kinds))})")
    if not notes:
        return []
    return [Problem("the rows may not be of one kind", "these columns differ: " + "; ".join(notes),
                    "fit one kind at a time if they change the loss: --where COL=VALUE", sheet.where)]  # fmt: skip


def _kinds(cells: Sequence[Any], most: int = 8) -> set[str]:
    """The words of a column, or none where it has other cells or more than a few words."""
    kinds: set[str] = set()
    for cell in cells:
        if not isinstance(cell, str) or not cell:
            return set()
        kinds.add(cell)
        if len(kinds) > most:
            return set()
    return kinds
