"""What a run costs and what it may see: training FLOP, serving FLOP, repeats, money.

    FLOP = f(N) (D + D_serve / 3),   D <= k U        f(N): training FLOP of one token, 6 N where nothing else is known

A served token is a forward pass, a third of training (2 N against 6 N).

Reference: Sardana et al. 2024, arXiv:2401.00448, eq. 2 (serving); Muennighoff et al. 2023, arXiv:2305.16264 (up to
four epochs repeated tokens are worth about as much as fresh ones).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from keel.errors import Problem, StudyError
from keel.laws.law import Floats, Row

SERVED_SHARE = 1.0 / 3.0
FlopPerToken = Callable[[float], float]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The cost of sizes and tokens; `flop_per_token` takes the rows' own count of params.

    Example:
        >>> plain = Budget(flop_per_token=lambda params: 6.0 * params, unique_tokens=1e9, serving_tokens=3e9)
        >>> plain.cap_tokens, float(plain.tokens(1.2e19, np.array([1e8]))[0])
        (4000000000.0, 19000000000.0)
    """

    flop_per_token: FlopPerToken
    unique_tokens: float | None = None
    most_epochs: float = 4.0
    serving_tokens: float = 0.0
    usd_per_flop: float | None = None

    @property
    def cap_tokens(self) -> float:
        """The most tokens that may be trained on: k U, or no limit."""
        return math.inf if self.unique_tokens is None else self.most_epochs * self.unique_tokens

    def rate(self, params: Floats) -> Floats:
        """Training FLOP per token at each size."""
        found = np.array([float(self.flop_per_token(float(n))) for n in params])
        if not bool((np.isfinite(found) & (found > 0)).all()):
            bad = float(params[np.flatnonzero(~(np.isfinite(found) & (found > 0)))[0]])
            raise StudyError(
                f"flop_per_token({bad:.4g}) is {self.flop_per_token(bad)!r}", why="FLOP per token is a positive number",
                fix="give a function of params that is positive and finite at every size",
            )  # fmt: skip
        return found

    def tokens(self, compute: float, params: Floats, rate: Floats | None = None) -> Floats:
        """Training tokens that `compute` FLOP leave at each size; zero or less where serving alone costs more."""
        rate = self.rate(params) if rate is None else rate
        return np.asarray(compute / rate - SERVED_SHARE * self.serving_tokens)

    def flop(self, tokens: Floats, rate: Floats) -> Floats:
        """Training and serving FLOP."""
        return np.asarray(rate * (tokens + SERVED_SHARE * self.serving_tokens))

    def points(self, params: Floats, tokens: Floats, rate: Floats) -> Floats:
        """Coordinates of runs [m, 4]: params, tokens, training flop, epochs."""
        epochs = np.ones(len(params)) if self.unique_tokens is None else np.maximum(1.0, tokens / self.unique_tokens)
        return np.stack([params, tokens, rate * tokens, epochs], 1)


def check(compute: float, level: float, budget: Budget, named: str = "compute") -> None:
    """Every number of a question that is out of its range, at once.

    Raises:
        StudyError: all of them.
    """
    most, unique = budget.most_epochs, budget.unique_tokens
    wrong = [
        (not _positive(compute), f"{named} is {compute!r}", "a positive, finite number is needed"),
        (not 0.0 < level < 1.0, f"level is {level!r}", "a 90 % interval has level 0.9"),
        (unique is not None and not _positive(unique), f"unique_tokens is {unique!r}", "leave it out if all are fresh"),
        (not _positive(most), f"most_epochs is {most!r}", "4 is the usual bound, 16 a hard one"),
        (not (math.isfinite(budget.serving_tokens) and budget.serving_tokens >= 0),
         f"serving_tokens is {budget.serving_tokens!r}", "tokens to be served over the model's life, zero or more"),
        (budget.usd_per_flop is not None and not _positive(budget.usd_per_flop),
         f"usd_per_flop is {budget.usd_per_flop!r}", "price an hour / (FLOP per second x 3600)"),
    ]  # fmt: skip
    problems = [Problem(what, "out of its range", fix, "optimum") for bad, what, fix in wrong if bad]
    if problems:
        raise StudyError.all(problems)


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def rows_flop_per_token(rows: Sequence[Row]) -> FlopPerToken:
    """f(N) read off the rows: flop per param and token against log N, kept beyond the ends; constant where it is.

    Example:
        >>> f = rows_flop_per_token([Row("a", 1e6, 2e7, 1.6e14, 3.0), Row("b", 1e8, 2e9, 1.2e18, 2.5)])
        >>> [round(f(n) / n, 2) for n in (1e5, 1e7, 1e9)]
        [8.0, 6.93, 6.0]
    """
    sizes = np.log([float(row.params) for row in rows])
    rates = np.log([float(row.flop) / (float(row.params) * float(row.tokens)) for row in rows])
    at = np.unique(np.round(sizes, 9))
    mean = np.array([rates[np.isclose(sizes, size, atol=1e-8)].mean() for size in at])
    return lambda params: float(params * math.exp(np.interp(math.log(params), at, mean)))
