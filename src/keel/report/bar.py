"""A sealed forecast with its interval and its outcome: what the page, the figures and the terminal say about it."""

from __future__ import annotations

from typing import NamedTuple

from keel.report.runs import Run, Tree
from keel.report.words import clean, decimals, interval, number, unit_words
from keel.units import show_count


class Bar(NamedTuple):
    """A forecast with its interval, and what was measured there."""

    run: str
    flop: float
    value: float
    low: float
    high: float
    level: float
    measured: float | None
    hit: bool | None
    unit: str = "bits per byte"

    @property
    def digits(self) -> int:
        """Digits that the interval deserves."""
        return decimals(self.low, self.high, self.measured)

    @property
    def forecast_words(self) -> str:
        """The forecast in words."""
        return f"{self.value:.{self.digits}f} ({interval(self.low, self.high, self.digits)})"

    @property
    def outcome_words(self) -> str:
        """The outcome in words."""
        if self.measured is None:
            return "not measured yet"
        return f"{self.measured:.{self.digits}f}: {'hit' if self.hit else 'miss'}"


def bar_of(run: str, forecast: Tree | None, score: Tree | None) -> Bar | None:
    """A Bar from a forecast and its score; None where the forecast is no number."""
    keys = ("flop", "value", "low", "high", "level")
    flop, value, low, high, level = (number(forecast, key) for key in keys)
    if flop is None or value is None or low is None or high is None:
        return None
    measured = number(score, "measured")
    hit = bool((score or {}).get("hit")) if measured is not None else None
    return Bar(clean(run), flop, value, low, high, level or 0.0, measured, hit, unit_words(forecast))


def label(run: Run) -> str:
    """A run in few characters: width 64, 1.6M tokens."""
    return run.name + (f", {show_count(run.tokens)} tokens" if run.tokens and run.name != clean(run.id) else "")
