"""A forecast with an interval whose width is explained, or a refusal that names the run that would help.

    log L ~ mixture over laws of posterior draws, plus t_nu (rate^2 max(d, 1/2) + s^2)^(1/2)

with d = log(target FLOP / largest used), s the scatter of single runs about the laws, at least the noise between seeds
(seeds.py), and nu the number of back-tests behind the rate (a rate known from few is known badly: heavier tails),

stretched about its median by `widen`, one factor learnt across public ladders (learnt.py). The three parts of the width
are half-widths at the asked level that each cause would give alone: `parameter` (draws within laws), `law` (laws
against each other), `backtest` (how extrapolation inside the runs has failed, grown with d).
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from keel.errors import Refusal, StudyError
from keel.laws import backtest, refuse, seeds
from keel.laws.ensemble import Ensemble, build, coordinates, far_off
from keel.laws.law import FLOP_PER_PARAM_TOKEN, Floats, Row, Target, epochs_of
from keel.laws.links import link_of
from keel.laws.priors import BITS_PER_BYTE, CERTAIN, CERTAIN_RATE_SD, CERTAIN_RATES
from keel.units import show_count

NUM_NOISE = 32  # strata of the back-test noise added to each draw
WIDE, WIDEST = 0.15, 3.0  # half-width that is warned of; high / low beyond which nothing is said
WIDEST_CERTAIN = 9.0  # of a loss that may vanish the order says something: a factor of three each way
MANY_EPOCHS = 8.0  # public runs beyond it are measured up to 17 % above the law with repeats (decision 0004)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A forecast of one run; fields as in forecast.json (docs/design.md), `flop_from` says how FLOP was counted."""

    params: float
    tokens: float
    epochs: float
    flop: float
    flop_from: str
    unit: str
    value: float
    low: float
    high: float
    level: float
    distance: float
    width_parts: dict[str, float]
    warnings: tuple[str, ...]
    laws: tuple[dict[str, Any], ...]
    runs_seen: tuple[dict[str, Any], ...]
    down_weighted: tuple[dict[str, str], ...]
    naive: dict[str, float]

    def json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        found = asdict(self)
        return found | {k: list(found[k]) for k in ("warnings", "laws", "runs_seen", "down_weighted")}

    def __str__(self) -> str:
        return (
            f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}] {self.unit} at {self.level:.0%} for "
            f"{show_count(self.params)} params, {show_count(self.tokens)} tokens"
        )

    def _repr_html_(self) -> str:
        parts = ", ".join(f"{name} &plusmn;{width:.3g}" for name, width in self.width_parts.items())
        notes = "".join(f"<li>{html.escape(text)}</li>" for text in self.warnings)
        return (
            f"<div><b>{self.value:.4g}</b> {html.escape(self.unit)} ({self.level:.0%}: {self.low:.4g} to "
            f"{self.high:.4g}) for {show_count(self.params)} params, {show_count(self.tokens)} tokens, "
            f"{10**self.distance:.3g} x the largest run's compute<br><small>{parts}</small><ul>{notes}</ul></div>"
        )


def forecast(
    rows: Sequence[Row],
    target: Target | Mapping[str, float],
    level: float = 0.9,
    *,
    unit: str = BITS_PER_BYTE,
    flop_from: str = "flop of the rows",
) -> Forecast | Refusal:
    """Forecast the loss of `target` from finished runs.

    Example:
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> rows = [Row(f"{n:.0e}-{r}", n, r * n, 6 * n * r * n, loss(n, r * n))
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (10, 20, 40)]
        >>> found = forecast(rows, {"params": 1e9, "tokens": 2e10}, unit="nats_per_token")
        >>> found.low < loss(1e9, 2e10) < found.high
        True
    """
    check_level(level)
    aim = target if isinstance(target, Target) else Target(**target)
    refusal = refuse.refuse(rows, aim, unit)
    if refusal is not None:
        return refusal
    return forecast_from(build(rows, unit, aim), aim, level, flop_from)


def check_level(level: float) -> None:
    """A level is a share: .9, not 90."""
    if not 0.0 < level < 1.0:
        raise StudyError(f"level {level!r} is not in (0, 1)", why="a 90 % interval has level 0.9", fix="write 0.9")


def flop_of(rows: Sequence[Row], aim: Target) -> float:
    """The target's own FLOP, or its params times tokens at the rate of the run nearest in size (6 where none is)."""
    if aim.flop is not None:
        return float(aim.flop)
    near = min(rows, key=lambda row: (abs(math.log(row.params / aim.params)), -row.flop))
    rate = near.flop / (float(near.params) * float(near.tokens))
    return (FLOP_PER_PARAM_TOKEN if math.isclose(rate, FLOP_PER_PARAM_TOKEN) else rate) * aim.params * aim.tokens


def forecast_from(ensemble: Ensemble, aim: Target, level: float, flop_from: str) -> Forecast | Refusal:
    """As `forecast`, from laws already fitted (many targets, one fit)."""
    rows = ensemble.rows
    flop = flop_of(rows, aim)
    most = max(row.flop for row in rows)
    distance = math.log10(flop / most)
    refusal = refuse.too_far(ensemble, distance, aim)
    if refusal is not None:
        return refusal
    point = np.array([[aim.params, aim.tokens, flop, epochs_of(aim)]], dtype=float)
    values, lows, highs, parts = spread(ensemble, point, level)
    value, low, high = float(values[0]), float(lows[0]), float(highs[0])
    if high > (WIDEST_CERTAIN if ensemble.unit in CERTAIN else WIDEST) * low:
        return refuse.too_wide(ensemble, aim, high / low, level)
    return Forecast(
        params=float(aim.params),
        tokens=float(aim.tokens),
        epochs=epochs_of(aim),
        flop=flop,
        flop_from=flop_from,
        unit=ensemble.unit,
        value=value,
        low=low,
        high=high,
        level=level,
        distance=distance,
        width_parts={name: float(width[0]) for name, width in parts.items()},
        warnings=tuple(_warnings(ensemble, aim, distance, low / value, high / value)),
        laws=tuple({"name": m.law.name, "weight": m.weight} for m in ensemble.members),
        runs_seen=tuple(
            {"id": r.id, "params": r.params, "tokens": r.tokens, "flop": r.flop, "value": r.value} for r in rows
        ),
        down_weighted=tuple(far_off(ensemble)),
        naive={"nearest_run": min(rows, key=lambda row: abs(math.log(row.flop / flop))).value},
    )


def spread(ensemble: Ensemble, points: Floats, level: float) -> tuple[Floats, Floats, Floats, dict[str, Floats]]:
    """Median, low, high and width parts at points [m, 4], in the rows' unit."""
    clouds = np.stack(ensemble.log_values(points, draws_too=True))  # [laws, draws, points]
    share = ensemble.weights[:, None, None]
    ahead = np.log(points[:, 2] / max(row.flop for row in ensemble.rows))
    noise = backtest.grown(ensemble.rate, ahead)
    normal = NormalDist()
    folds = len(ensemble.cut.masks)
    steps = backtest.student(np.array([normal.inv_cdf((i + 0.5) / NUM_NOISE) for i in range(NUM_NOISE)]), folds)
    full = (clouds[..., None, :] + steps[:, None] * np.hypot(noise, ensemble.scatter)).reshape(-1, len(points))
    mass = np.repeat(ensemble.weights / (clouds.shape[1] * NUM_NOISE), clouds.shape[1] * NUM_NOISE)
    tail = (1.0 - level) / 2.0
    middle, low, high = (_quantile(full, mass, q) for q in (0.5, tail, 1.0 - tail))
    ends = [middle + ensemble.known.widen * (end - middle) for end in (low, high)]
    centre = clouds.mean(1)
    mean = (ensemble.weights[:, None] * centre).sum(0)
    within = np.sqrt((share * (clouds - centre[:, None]) ** 2).sum(0).mean(0))
    between = np.sqrt((ensemble.weights[:, None] * (centre - mean) ** 2).sum(0))
    back = link_of(ensemble.unit).from_loss
    value, *ends = (back(np.exp(log)) for log in (middle, *ends))
    reach = float(backtest.student(np.array(normal.inv_cdf(1.0 - tail)), folds)) * ensemble.known.widen
    parts = {
        name: np.abs(back(np.exp(middle + reach * sd)) - back(np.exp(middle - reach * sd))) / 2
        for name, sd in (("parameter", np.hypot(within, ensemble.scatter)), ("law", between), ("backtest", noise))
    }
    return value, np.minimum(*ends), np.maximum(*ends), parts


def _quantile(values: Floats, mass: Floats, q: float) -> Floats:
    """Weighted quantile of each column."""
    order = np.argsort(values, axis=0, kind="stable")
    below = np.cumsum(mass[order], axis=0)
    at = (below < q).sum(0).clip(max=len(values) - 1)
    columns = np.arange(values.shape[1])
    return np.asarray(values[order[at, columns], columns])


def _warnings(ensemble: Ensemble, aim: Target, distance: float, low: float, high: float) -> list[str]:
    """What a reader of the number must know."""
    points = coordinates(ensemble.rows)
    found = []
    for at, name, wanted in ((0, "params", aim.params), (1, "tokens", aim.tokens)):
        least, most = points[:, at].min(), points[:, at].max()
        if wanted > most * 1.001:
            found.append(f"{name} {wanted / most:.3g} x beyond the largest run's ({show_count(most)})")
        if wanted < least / 1.001:
            found.append(f"{name} below the smallest run's ({show_count(least)})")
    ratio, seen = aim.tokens / aim.params, points[:, 1] / points[:, 0]
    if not seen.min() / 1.05 <= ratio <= seen.max() * 1.05:
        found.append(f"{ratio:.3g} tokens per param: the runs have {seen.min():.3g} to {seen.max():.3g}")
    reach = ensemble.cut.reach
    if distance > 2 * reach:
        found.append(f"{10**distance:.3g} x the compute seen, but back-tests reach only {10**reach:.3g} x")
    if not len(ensemble.cut.masks):
        found.append("too few runs for a back-test: the interval leans on priors")
    if high > 1 + WIDE or low < 1 - WIDE:
        found.append("the interval is wide: more sizes, or a run nearer to the target, would narrow it")
    if ensemble.unit in CERTAIN:
        found += _of_certain(ensemble)
    elif ensemble.unit != BITS_PER_BYTE:
        share = math.exp(ensemble.known.floor_mean)
        found.append(f"unit not bits per byte: the floor is believed near {share:.2g} of the lowest loss seen")
    again = epochs_of(aim)
    if again > MANY_EPOCHS:
        found.append(f"{again:.3g} epochs: loss may rise from learning by heart, which no law here knows")
    return found


def _of_certain(ensemble: Ensemble) -> list[str]:
    """What is believed of answers that may become certain, and of the noise between their seeds."""
    rates = [math.exp(math.log(CERTAIN_RATES["params"]) + way * CERTAIN_RATE_SD) for way in (-2.0, 2.0)]
    floor = f"the floor is believed near 0, and exponents within {rates[0]:.2g} to {rates[1]:.2g}"
    percent, freedom = 100 * seeds.noise(ensemble.rows, ensemble.unit), seeds.replicates(ensemble.rows, ensemble.unit)
    how = f"from {freedom} replicates and a belief" if freedom else "believed: ladder.replicates = 2 would measure it"
    return [f"{floor}: no public ladder stands behind it", f"noise between seeds {percent:.2g} % of the loss, {how}"]
