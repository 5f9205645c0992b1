"""Learning rate, batch, warm-up, decay, context and depth by size: each a formula with its source and valid range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keel.answer import Number
from keel.errors import Problem, StudyError, nearest
from keel.plan.defaults import OWN, PLAIN, Defaults

SETTABLE = (
    "tokenizer.vocabulary", "model.family", "model.layers", "model.context", "model.image", "model.patch",
    "ladder.widths", "ladder.top_tokens", "ladder.tokens", "ladder.factor", "ladder.replicates", "ladder.time_s",
    "ladder.level", "train.batch_tokens", "train.lr_scale", "train.lr_embedding", "train.warmup_tokens",
    "train.decay_fraction", "train.weight_decay", "train.seed", "train.precision", "train.loss", "target.compute",
    "heldout.max_bytes", "arms.losses", "arms.families", "arms.width", "start.lr", "category", "route",
)  # fmt: skip
WHOLE = frozenset({
    "tokenizer.vocabulary", "model.layers", "model.context", "model.image", "model.patch", "ladder.replicates",
    "train.batch_tokens", "train.seed", "heldout.max_bytes", "arms.width",
})  # fmt: skip
MOST_SEEDS = 1 << 32
SHARES = frozenset({"ladder.level", "train.decay_fraction"})
TEXTS = frozenset({"model.family", "train.precision", "train.loss", "category", "route"})
OPEN = ("ladder.tokens.", "train.options.", "arms.options.", "arms.sweep.")  # the rest: a width, an option of a loss
READ_ELSEWHERE = frozenset({"category", "route"})  # plan/wishes.py
WARMUP_STEPS = 100
ZERO_IS_FINE = frozenset({"train.seed", "train.weight_decay", "train.warmup_tokens"})


@dataclass
class Choices:
    """Inferred values, each recorded as a Number; a value under [set] wins and is recorded as "yours"."""

    overrides: Mapping[str, Any]
    numbers: list[Number] = field(default_factory=list)

    def __post_init__(self) -> None:
        problems = [problem for name, value in self.overrides.items() if (problem := _wrong(name, value))]
        if problems:
            raise StudyError.all(problems)
        self.overrides = {name: int(value) if name in WHOLE else value for name, value in self.overrides.items()}

    def pick(self, name: str, value: Any, **facts: Any) -> Any:
        """The user's value if set, else `value`; recorded either way."""
        yours = name in self.overrides
        chosen = self.overrides[name] if yours else value
        if yours:
            facts |= {"source": "yours", "formula": "", "outside": ""}
        self.numbers.append(Number(name=name, value=_plain(chosen), yours=yours, **facts))
        return chosen

    def unread(self) -> list[Problem]:
        """Settings that no number of the plan came from, told when all are made."""
        read = {number.name for number in self.numbers} | READ_ELSEWHERE
        left = [name for name in self.overrides if name not in read and not name.startswith(OPEN)]
        return [Problem(f"{name} changes nothing here", "no part of this plan asks for it", "remove it", "[set]")
                for name in left]  # fmt: skip


def _plain(value: Any) -> float | int | str:
    return value if isinstance(value, (int, float, str)) else str(value)


def _wrong(name: str, value: Any) -> Problem | None:
    """What is wrong with a setting: its name, or a value that could not be one."""
    if name not in SETTABLE and not name.startswith(OPEN):
        return Problem(f"[set] has no '{name}'", "it is not an inferred field", nearest(name, SETTABLE), "study.toml")
    fix = _remedy(name, value)
    return Problem(f"'{name}' is wrong", f"found {value!r}", fix, "[set]") if fix else None


def _remedy(name: str, value: Any) -> str:
    """What to write in place of a bad value; empty for a good one."""
    if name.startswith("arms.sweep."):
        good = isinstance(value, list) and len(set(map(str, value))) == len(value)
        return "" if good else "write values to try, each once: arms.sweep.lambda_cap = [0.5, 1.0, 4.0]"
    if name.startswith(("train.options.", "arms.options.")):
        return ""  # the loss itself knows its options
    if name.startswith("ladder.tokens"):
        width = name.removeprefix("ladder.tokens").removeprefix(".")
        some = isinstance(value, list) and len(value) > 0
        good = width.isdecimal() and some and all(_number(n) and n > 0 for n in value)
        return "" if good else "write the tokens of one width: ladder.tokens.64 = [20_480, 40_960]"
    if name == "ladder.widths":
        good = isinstance(value, list) and len(value) > 1 and all(_width(each) for each in value)
        return "" if good and sorted(set(value)) == value else "write two or more multiples of 8, ascending"
    if name in ("arms.losses", "arms.families"):
        good = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return "" if good else 'write names: ["mlm", "rtd"]'
    if name in TEXTS:
        return "" if isinstance(value, str) else "write a name"
    if name in SHARES:
        return "" if _number(value) and 0 < value < 1 else "write a number between 0 and 1"
    if name == "ladder.factor":
        return "" if _number(value) and value > 1 else "write a number above 1"
    good = _number(value) and (value > 0 or (name in ZERO_IS_FINE and value == 0))
    if name == "train.seed" and good and value >= MOST_SEEDS:
        return "write a whole number below 2^32"
    if name in WHOLE:
        return "" if good and value == int(value) else "write a positive whole number"
    return "" if good else "write a positive number"


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _width(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 8 and value % 8 == 0


def outside(value: float, low: float, high: float) -> str:
    """How far `value` lies beyond a valid range, in words; empty inside it.

    Example:
        >>> outside(640, 16, 160), outside(20, 16, 160)
        ('4x above', '')
    """
    if value > high:
        return f"{value / high:.3g}x above"
    return f"{low / value:.3g}x below" if value < low else ""


def layers_of(width: int) -> int:
    """Depth by width: 2 below 192, then one layer for every 64 of width.

    Example:
        >>> layers_of(64), layers_of(512)
        (2, 8)
    """
    return max(2, width // 64) if width >= 192 else 2


def context_of(top_width: int) -> int:
    """Context of a whole ladder by its widest rung: 128 up to 96, then doubling with the width, at most 1024."""
    context = 128
    while context < 1024 and top_width > 0.75 * context:
        context *= 2
    return context


def batch_tokens_of(top_tokens: float, context: int, row: Defaults = PLAIN) -> int:
    """B = 512 (D / 1.6e6)^.571 tokens, in whole windows, at least four; one batch for the whole ladder.

    The anchor is our own best of 512, 1024, 2048 at D = 1.6e6; the exponent is Step Law's (arXiv:2503.04715). `row`
    may say another anchor and exponent, or a number of samples.
    """
    if row.batch_samples:
        return context * row.batch_samples
    wanted = row.batch_tokens * (top_tokens / 1.6e6) ** row.batch_growth
    return context * max(4, int(wanted / context + 0.5))


def warmup_of(choices: Choices, shortest: int, decay: float, batch: int) -> float:
    """Tokens of warm-up; it must end before the shortest run begins to decay, or that run never trains at its peak."""
    end = round(shortest / batch)
    start = (end - max(1, round(decay * end))) * batch
    warmup = choices.pick(
        "train.warmup_tokens", min(WARMUP_STEPS * batch, max(batch, start // 2)), unit="tokens",
        formula=f"{WARMUP_STEPS} batches, at most half of the shortest run before its decay",
        inputs={"batch": batch, "shortest": shortest}, source=OWN,
    )  # fmt: skip
    if max(batch, warmup) > start:
        why = f"{warmup:g}, and the shortest run begins to decay at {start} tokens"
        raise StudyError("'train.warmup_tokens' is wrong", why=why, where="[set]",
                         fix="write fewer, or lower train.decay_fraction")  # fmt: skip
    return float(warmup)
