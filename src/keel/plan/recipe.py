"""Learning rate, batch, warm-up, decay, context and depth by size: each a formula with its source and valid range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keel.answer import Number
from keel.errors import Problem, StudyError, nearest

OWN = "own ladders on 2.6M tokens of speeches: docs/lab-notebook.md"
SETTABLE = (
    "tokenizer.vocabulary", "model.family", "model.layers", "model.context", "ladder.widths", "ladder.top_tokens",
    "ladder.tokens", "ladder.factor", "ladder.replicates", "ladder.time_s", "ladder.level", "train.batch_tokens",
    "train.lr_scale", "train.lr_embedding", "train.warmup_tokens", "train.decay_fraction", "train.weight_decay",
    "train.seed", "train.precision", "target.compute", "heldout.max_bytes",
)  # fmt: skip


@dataclass
class Choices:
    """Inferred values, each recorded as a Number; a value under [set] wins and is recorded as "yours"."""

    overrides: Mapping[str, Any]
    numbers: list[Number] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = [name for name in self.overrides if not any(name == s or name.startswith(s + ".") for s in SETTABLE)]
        if known:
            raise StudyError.all(
                Problem(f"[set] has no '{name}'", "it is not an inferred field", nearest(name, SETTABLE), "study.toml")
                for name in known
            )

    def pick(self, name: str, value: Any, **facts: Any) -> Any:
        """The user's value if set, else `value`; recorded either way."""
        yours = name in self.overrides
        chosen = self.overrides[name] if yours else value
        if yours:
            facts |= {"source": "yours", "formula": "", "outside": ""}
        if yours and isinstance(value, (int, float)):
            _check(name, chosen)
        self.numbers.append(Number(name=name, value=_plain(chosen), yours=yours, **facts))
        return chosen


def _plain(value: Any) -> float | int | str:
    return value if isinstance(value, (int, float, str)) else str(value)


def _check(name: str, value: Any) -> None:
    """A number that the user set must be a positive number (zero where zero means "none")."""
    zero_is_fine = name in ("train.seed", "train.weight_decay", "train.warmup_tokens")
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and (value > 0 or (zero_is_fine and value == 0))
    if not good:
        raise StudyError(f"'{name}' is wrong", why=f"found {value!r}", fix="write a positive number", where="[set]")


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


def batch_tokens_of(top_tokens: float, context: int) -> int:
    """B = 512 (D / 1.6e6)^.571 tokens, in whole windows, at least four; one batch for the whole ladder.

    The anchor is our own best of 512, 1024, 2048 at D = 1.6e6; the exponent is Step Law's (arXiv:2503.04715).
    """
    wanted = 512 * (top_tokens / 1.6e6) ** 0.571
    return context * max(4, round(wanted / context))
