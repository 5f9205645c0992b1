"""Which column means what, by its heading and the unit in it; where two could, the user is asked, never guessed for."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any, NamedTuple

from keel.errors import Problem, StudyError, nearest
from keel.laws.read.headings import UNKNOWN_LOG, Heading, heading, unit_factor


def _words(text: str) -> re.Pattern[str]:
    return re.compile("|".join(text.split()))


_EVAL = r"((final|best|last)_)?((val|valid|validation|eval|test|dev|heldout)_)?"
# First choice, then names that mean a rarer thing and count only where no earlier choice is there.
NAMES: dict[str, tuple[re.Pattern[str], ...]] = {
    "params": (
        _words("(n_|num_|model_|total_)?(params|parameters) (params|parameters)_total (n_|num_)(params_)?total n "
               "(num_|n_)(total|trainable)_params trainable_params (total_)?param(eter)?_count nparams"),
        _words("(n_|num_)?(params?|parameters?)_(body|active|active_precise|with_head|non?_?embed(ding)?s?) "
               "((num_|n_)?non?_?embed(ding)?s?|body|active)_(params|parameters) n_(body|active) "
               "n_non?_?emb(ed)?(ding)?s? "
               "body_params_with_head dense_parameter_count model_size"),
    ),
    "tokens": (
        _words("(n_|num_|total_)?(train_|training_|consumed_)?tokens tokens_(seen|trained|processed|consumed|total) d "
               "train_tokens_seen token_count (train_)?num_input_tokens_seen num_tokens_seen"),
        _words("(samples|images|examples|pairs)_seen seen_(samples|images|examples|pairs)"),
    ),
    "loss": (
        _words(_EVAL + r"(loss|bpb|value|cross_entropy|ce_loss|(loss_)?(bits|nats)_per_(byte|token))(_final|_last)?"),
        _words(r"train(ing)?_loss (val_|eval_)?loss_.* .*_loss(_final|_last\d*)?"),
        _words("(.*_)?(ppl|perplexity)(_.*)?"),
        _words(r"(?!.*std)(.*_)?(acc|accuracy|err|error)(_.*)?"),
    ),
    "flop": (
        _words("(total_)?(train_|training_)?(flops?|compute) flops?_total c (train_)?total_flos"),
    ),
    "unique": (
        _words("(n_|num_)?unique_tokens unique u tokens_unique unique_train(ing)?_tokens"),
        _words("(n_|num_|train_)?epochs?"),
    ),
    "lr": (_words("(peak_|max_|base_)?(lr|learning_rate) (lr|learning_rate)_(peak|max)"),),
    "batch": (_words("(global_)?batch_tokens tokens_per_(batch|step) (global_)?batch_size_(in_)?tokens"),),
    "seed": (_words("(random_|train_)?seed"),),
    "schedule": (_words("(lr_)?schedule lr_decay decay (lr_)?scheduler(_type)? decay_schedule"),),
    "step": (_words("steps? (trainer_|train_)?global_step"), _words("(train_|num_|n_)steps? iterations?")),
    "group": (_words("group run run_id run_name hyper_id trial"), _words("name model")),
}  # fmt: skip
REQUIRED = ("params", "tokens", "loss")
FLAGS = ("params", "tokens", "loss", "flop", "unique", "lr", "batch", "group")
COUNTS = ("body", "total", "with-head")
WORDS = ("seed", "schedule", "group")  # roles whose cells need be no numbers
LAST_VALUES = ("metrics", "summary")  # of a run's log; the others hold what it was started with


class Asked(NamedTuple):
    """What the user said about the table: a column (or COL:UNIT) a role, the loss's unit, the count, rows to keep."""

    params: str = ""
    tokens: str = ""
    loss: str = ""
    flop: str = ""
    unique: str = ""
    lr: str = ""
    batch: str = ""
    group: str = ""
    unit: str = ""
    params_count: str = ""
    where: tuple[str, ...] = ()

    @classmethod
    def of(cls, columns: Mapping[str, Any] | None) -> Asked:
        """From keywords; an empty value is none.

        Raises:
            StudyError: a keyword or a count that is not known.

        Example:
            >>> Asked.of({"params": "N", "params_count": "body", "tokens": None}).params
            'N'
        """
        given = {name: value for name, value in (columns or {}).items() if value}
        wrong = [
            Problem(f"{name} is nothing that can be said of a table", nearest(name, cls._fields), "leave it out")
            for name in given if name not in cls._fields
        ]  # fmt: skip
        if given.get("params_count", "total") not in COUNTS:
            text = str(given["params_count"])
            wrong.append(Problem(f"--params-count {text} is no count of parameters", nearest(text, COUNTS),
                                 "one of: " + ", ".join(COUNTS)))  # fmt: skip
        if wrong:
            raise StudyError.all(wrong)
        where = given.pop("where", ())
        return cls(**{k: str(v) for k, v in given.items()}, where=(where,) if isinstance(where, str) else tuple(where))


class Column(NamedTuple):
    """A column and how its cells become numbers: scale * cell, or scale * log**cell where `log` is not 0.

    `unit` as it was written, "" where nothing was; `counted`, which parameters; `words` of the heading.
    """

    name: str
    scale: float = 1.0
    log: float = 0.0
    unit: str = ""
    counted: str = ""
    words: str = ""


class Found(NamedTuple):
    """The column of each role met, what is wrong, and what a reader must know."""

    columns: dict[str, Column]
    problems: list[Problem]
    notes: list[Problem]


def find(
    header: Sequence[str], asked: Asked, where: str, required: Sequence[str] = REQUIRED,
    texts: Container[str] = (), ungrouped: Container[str] = (),
) -> Found:  # fmt: skip
    """The column of each role; those of `required` must be there.

    `texts` are columns that hold no numbers, `ungrouped` those that tell no rows of one run from those of another.

    Example:
        >>> find(["N", "D", "val/loss", "train/loss"], Asked(), "runs.csv").columns["loss"].name
        'val/loss'
    """
    found = Found({}, [], [])
    heads = {name: heading(name) for name in header}
    named = {role: _asked_column(role, getattr(asked, role), heads, found, where) for role in FLAGS}
    found.columns.update({role: column for role, column in named.items() if column is not None})
    taken = {column.name for column in found.columns.values()}
    for role in NAMES:
        if role not in found.columns and not getattr(asked, role, ""):
            unfit = ungrouped if role == "group" else ()
            free = {n: h for n, h in heads.items() if n not in taken and n not in unfit}
            fits = _fits(role, {n: h for n, h in free.items() if role in WORDS or n not in texts}) or _fits(role, free)
            _choose(role, fits, heads, found, required, where)
    found.problems.extend(_unclear_units(found.columns, where))
    return found


def _asked_column(
    role: str, text: str, heads: Mapping[str, Heading], found: Found, where: str
) -> Column | None:  # fmt: skip
    """The column that a flag names, with a unit behind a colon if no column has the whole name."""
    if not text:
        return None
    if text in heads:
        return _column(text, heads[text])
    name, colon, unit = text.rpartition(":")
    factor = unit_factor(unit) if colon and name in heads else None
    if factor:
        return Column(name, *factor, unit, heads[name].counted, heads[name].words)
    if colon and name in heads:
        found.problems.append(Problem(f"--{role} {text}: {unit!r} is no unit", "a unit turns cells into ones",
                                      "write a number, K, M, B, T, log10, exaflop or PF-days", where))  # fmt: skip
    else:
        found.problems.append(Problem(f"--{role} {text}: no such column", nearest(text, heads),
                                      f"name one of the columns: --{role} COL", where))  # fmt: skip
    return None


def _column(name: str, head: Heading) -> Column:
    return Column(name, head.scale, head.log, head.unit, head.counted, head.words)


def _fits(role: str, heads: Mapping[str, Heading]) -> dict[str, Heading]:
    """The columns of the first choice of names that is met."""
    fits: dict[str, Heading] = {}
    for pattern in NAMES[role]:
        fits = {n: h for n, h in heads.items() if any(pattern.fullmatch(one) for one in h.names) and not _rate(role, h)}
        if fits:
            break
    if len(fits) > 1 and role not in ("tokens", "flop"):  # those two are logged as often as they are configured
        last = {name: head for name, head in fits.items() if head.tracker in LAST_VALUES}
        kept = last if role == "loss" else {name: head for name, head in fits.items() if name not in last}
        fits = kept or fits
    return fits


def _choose(
    role: str, fits: Mapping[str, Heading], heads: Mapping[str, Heading], found: Found, required: Sequence[str],
    where: str,
) -> None:  # fmt: skip
    """The one column that fits; several are a question."""
    flag = f"say which: --{role} COL" if role in FLAGS else "give the others another name"
    if len(fits) == 1:
        found.columns[role] = _column(*next(iter(fits.items())))
    elif fits and (role in required or role == "flop"):
        found.problems.append(Problem(f"{len(fits)} columns could be the {role}", ", ".join(fits), flag, where))
    elif fits:
        found.notes.append(Problem(f"no {role} is read", f"{len(fits)} columns could be it: {', '.join(fits)}",
                                   flag, where))  # fmt: skip
    elif role in required:
        why = "the columns are: " + ", ".join(heads)
        found.problems.append(Problem(f"no column is known as {role}", why, f"name it: --{role} COL", where))
    elif role == "flop" and (rates := [name for name, head in heads.items() if _rate("flop", head)]):
        found.notes.append(Problem(f"{', '.join(rates)}: not read as training FLOP", "it may be a rate, FLOP a second",
                                   "if it is a total, say so: --flop COL", where))  # fmt: skip


def _rate(role: str, head: Heading) -> bool:
    """A bare "tflops" may be FLOP a second."""
    return role == "flop" and head.names[-1] == "flops" and head.scale in (1e9, 1e12, 1e15)


def _unclear_units(columns: Mapping[str, Column], where: str) -> list[Problem]:
    return [
        Problem(f"{column.name}: a logarithm of which base?", "the heading says log and no base",
                f"say so: --{role} {column.name!r}:log10 (or ln, log2)", where)
        for role, column in columns.items() if column.log == UNKNOWN_LOG and role in FLAGS
    ]  # fmt: skip


def is_epochs(column: Column) -> bool:
    """Whether the column of unique tokens counts passes over the data instead: U = D / epochs."""
    return any(NAMES["unique"][1].fullmatch(name) for name in heading(column.name).names)
