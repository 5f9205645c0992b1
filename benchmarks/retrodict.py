"""Released models, retrodicted: python benchmarks/retrodict.py [--json FILE] [--all]

keel is given what was known then: tokens, hardware, device-hours or FLOP as a budget; catalogue rows of later years are
hidden from it, and so is the model itself. Asked for are its parameters (from shape), its device-hours, its FLOP and a
band of sizes. The laws are those of today: most of these models were sized without them.

Device-hours = 6 N D / (3600 x peak x MFU), N from shape; MFU of runs up to that year without the model ("-itself", the
usual leave-one-out) and without its developer's ("-dev").
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from functools import cache
from math import log10
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import retrodict_show
from retrodict_why import OVER_TRAINED, why_flop, why_hours, why_size

from keel.catalog.rows import Accelerator, Model
from keel.catalog.shape_check import Count, check
from keel.catalog.store import Catalogue
from keel.size.band import Ask, band
from keel.size.mfu import Run, device_hours, published, usual_of
from keel.size.proven import category_of, scale_of, unique_of
from keel.size.time import Estimate

WARN, WITHIN, ASKED_HOURS = 1.5, 0.02, 0.25
PRUNED = ("pruned", "distil")  # their hours leave out those of the model that they come from
TRANSFORMERS = ("diffusion transformer", "DiT", "rectified-flow transformer")  # the law of diffusion is theirs
WORDS_UNSURE = 1.2  # tokens counted from bytes or words: either way


class Row(NamedTuple):
    """One model: what was published, what keel says, and why they differ. None: cannot be said."""

    id: str
    year: int
    category: str
    params: float | None
    params_shape: float | None
    params_error: float | None
    hours: float | None
    hours_itself_out: float | None
    hours_developer_out: float | None
    flop_published: float | None
    flop_shape: float | None
    flop_ratio: float | None
    budget_from: str
    band_low: float | None
    band_high: float | None
    inside: bool | None
    decades: float | None
    tokens_per_param: float | None
    why: tuple[str, ...]


class Known(NamedTuple):
    """What does not change from model to model."""

    catalogue: Catalogue
    runs: tuple[Run, ...]
    scales: dict[str, float]


def rows(catalogue: Catalogue, whole: bool = True) -> list[Row]:
    """Every model with published compute, hardware or (`whole`) data; in the catalogue's order."""
    known = Known(catalogue, published(catalogue), dict(scale_of(catalogue)))
    return [
        row(known, model, category) for model in catalogue.models.values()
        if (category := category_of(model))
        and any((model.train_flop, model.train_hardware, *((model.seen, model.data_size) if whole else ())))
    ]  # fmt: skip


def row(known: Known, model: Model, category: str) -> Row:
    shape, tokens = check(model), tokens_of(model, known.runs)
    params = shape.computed.params if shape.computed else model.params
    flop = flop_of(model, category, shape.computed, tokens)
    hours = device_hours(model.train_hardware, tokens)
    chip = known.catalogue.accelerators.get(hours[0]) if hours else None
    then, others = without(known, model)
    pruned = any(word in f"{model.notes} {model.train_hardware}" for word in PRUNED)
    itself, developer = (None if pruned else predicted(flop, chip, runs) for runs in (then, others))
    given, source = budget(model, hours, chip, flop, then)
    low, high, inside, decades = sized(known, model, category, given)
    ratio = model.train_flop / flop if model.train_flop and flop else None
    per = tokens / params if tokens and params else None
    why = [] if shape.agrees is not False else [f"params: {shape.why}"]
    if hours and (itself is None or abs(itself / hours[1] - 1) > ASKED_HOURS):
        why.append(why_hours(model, itself / hours[1] if itself else None, pruned, flop is not None))
    if ratio and not 1 / WARN <= ratio <= WARN:
        why.append(why_flop(model, category, ratio))
    if inside is False:
        why.append(why_size(model, category, per, bool(low and model.params and model.params < low)))
    return Row(
        model.id, model.year, category, model.params, shape.computed.params if shape.computed else None,
        shape.ratio - 1 if shape.ratio else None, hours[1] if hours else None, itself, developer, model.train_flop,
        flop, ratio, source, low, high, inside, decades, per, tuple(why),
    )  # fmt: skip


def flop_of(model: Model, category: str, shape: Count | None, tokens: float | None) -> float | None:
    """6 N D with N from shape: the body of a masked encoder (its head sees the masked rows alone), and half of a
    span-corruption encoder-decoder, whose tokens meet one stack each; denoisers rebuild the whole text in the other.
    """
    params = shape.active if shape else model.params
    if category == "encoder" and "MLM" in model.objective and model.params_body:
        params = model.params_body
    if not params or not tokens:
        return None
    half = category == "encoder-decoder" and not model.objective.startswith("denoising")
    return 6 * params * tokens * (0.5 if half else 1.0)


def tokens_of(model: Model, runs: Iterable[Run]) -> float | None:
    """Tokens seen, repeats included; of the run itself where the row's number is of a family."""
    own = next((run.tokens for run in runs if run.model_id == model.id), None)
    return own or (model.seen if model.seen and "tokens" in model.seen_unit else None)


def without(known: Known, model: Model) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """Runs of the time, without the model itself; and without any of its developer."""
    models = known.catalogue.models
    then = [run for run in known.runs if models[run.model_id].year <= model.year and run.model_id != model.id]
    return tuple(then), tuple(run for run in then if models[run.model_id].developer != model.developer)


@cache
def mfu_of(chip: Accelerator, runs: tuple[Run, ...]) -> Estimate | None:
    """What keel would have expected of the chip then; None where no run was known."""
    return usual_of(runs, chip) if runs else None


def flop_s(chip: Accelerator | None, runs: tuple[Run, ...]) -> Estimate | None:
    """FLOP a second of a device at the MFU known then."""
    if chip is None or (mfu := mfu_of(chip, runs)) is None or not (peak := chip.bf16_flop_s or chip.fp16_flop_s):
        return None
    return Estimate(peak * mfu.value, peak * mfu.low, peak * mfu.high, mfu.source)


def predicted(flop: float | None, chip: Accelerator | None, runs: tuple[Run, ...]) -> float | None:
    """Device-hours of the run."""
    rate = flop_s(chip, runs)
    return flop / (3600 * rate.value) if flop is not None and rate is not None else None


def budget(
    model: Model, hours: tuple[str, float] | None, chip: Accelerator | None, flop: float | None, runs: tuple[Run, ...]
) -> tuple[Estimate | None, str]:
    """FLOP as a budget and where they come from: device-hours at that time's MFU, published FLOP, else 6 N D."""
    if hours and (rate := flop_s(chip, runs)):
        seconds = 3600 * hours[1]
        return Estimate(seconds * rate.value, seconds * rate.low, seconds * rate.high, "device-hours"), "hours"
    if model.train_flop:
        return Estimate(model.train_flop, model.train_flop, model.train_flop, model.train_flop_source), "FLOP"
    return (Estimate(flop, flop, flop, "6 N D"), "6ND") if flop else (None, "data alone")


def sized(
    known: Known, model: Model, category: str, given: Estimate | None
) -> tuple[float | None, float | None, bool | None, float | None]:
    """keel's band for the budget and the data; whether it holds the released size; its width in decades."""
    size = unique_of(model, "tokens", known.scales) if model.modality == "text" else None
    unsure = 1.0 if "tokens" in model.data_unit else WORDS_UNSURE
    unique = Estimate(size, size / unsure, size * unsure, model.data) if size else None
    lawless = category == "diffusion" and not any(word in model.architecture for word in TRANSFORMERS)
    if model.params is None or lawless or (given is None and unique is None):
        return None, None, None, None
    found = band(Ask(category, given, unique, "images" if category == "diffusion" else "tokens"))
    low, high = found.params_low, found.params_high
    if low is None or high is None:
        return None, None, None, None
    return low, high, low <= model.params <= high, log10(high / low)


def summary(found: Sequence[Row]) -> dict[str, Any]:
    """The numbers that were asked for, from the rows."""
    shapes = [abs(row.params_error) for row in found if row.params_error is not None]
    ratios = [row.flop_ratio for row in found if row.flop_ratio is not None]
    plain = [row for row in found if row.tokens_per_param is not None and row.tokens_per_param <= OVER_TRAINED]
    return {
        "models": len(found),
        "shapes": len(shapes), "shapes_within_2_percent": sum(error <= WITHIN for error in shapes),
        "shapes_worst": max(shapes, default=None),
        "hours_itself_out": errors(found, "hours_itself_out"),
        "hours_developer_out": errors(found, "hours_developer_out"),
        "hours_left_out": [row.id for row in found if row.hours is not None and row.hours_itself_out is None],
        "flop": len(ratios), "flop_beyond_1.5x": sum(not 1 / WARN <= ratio <= WARN for ratio in ratios),
        "bands": {
            "all": bands(found), f"at most {OVER_TRAINED:g} tokens a parameter": bands(plain),
            **{name: bands([row for row in found if row.category == name])
               for name in dict.fromkeys(row.category for row in found)},
            **{f"budget from {name}": bands([row for row in found if row.budget_from == name])
               for name in dict.fromkeys(row.budget_from for row in found)},
        },
    }  # fmt: skip


def errors(found: Sequence[Row], name: str) -> dict[str, Any]:
    """Median relative error of device-hours, how many lie within 25 %, how many were predicted."""
    misses = [abs(getattr(row, name) / row.hours - 1) for row in found if row.hours and getattr(row, name)]
    return {"models": len(misses), "median_error": median(misses) if misses else None,
            "within_25_percent": sum(miss <= ASKED_HOURS for miss in misses)}  # fmt: skip


def bands(found: Sequence[Row]) -> dict[str, Any]:
    """Hit rate and median width of the bands; a wide band hits easily."""
    told = [row for row in found if row.inside is not None]
    widths = [row.decades for row in told if row.decades is not None]
    return {"models": len(told), "inside": sum(bool(row.inside) for row in told),
            "below": sum(bool(row.params and row.band_low and row.params < row.band_low) for row in told),
            "above": sum(bool(row.params and row.band_high and row.params > row.band_high) for row in told),
            "median_decades": median(widths) if widths else None}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, help="write rows and summary there")
    parser.add_argument("--all", action="store_true", help="show models with data alone too")
    options = parser.parse_args()
    found = rows(Catalogue())
    total = summary(found)
    if options.json:
        tree = {"rows": [each._asdict() for each in found], "summary": total}
        options.json.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
    shown = [each for each in found if options.all or each.hours or each.flop_published]
    print(retrodict_show.text([each._asdict() for each in shown], total))


if __name__ == "__main__":
    main()
