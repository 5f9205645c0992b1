"""How much of a chip's dense peak pretraining reaches: model FLOP utilisation of published runs, from the catalogue.

MFU = 6 N D / (device-hours x 3600 x dense peak): over the whole run, restarts and evaluation included, so that a
budget needs no second allowance for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from statistics import median
from typing import NamedTuple

from keel.catalog.rows import Accelerator, Model
from keel.catalog.store import Catalogue
from keel.size.time import Estimate

COUNT, SCALE = r"(\d[\d,]*(?:\.\d+)?)([kM]?)", {"": 1.0, "k": 1e3, "M": 1e6}
CHIP = r"(?P<chip>A100|H100|V100|(?:Google )?TPU v\d[a-z]?)"
TOTAL = re.compile(rf"{COUNT} {CHIP}[- ]?(?:\d+GB )?(?:GPU-)?(h\b|hours|days)")
APART = re.compile(rf"{COUNT} {CHIP}[ -]?(?:\d+ ?GB)?(?: \([^)]*\))?, (?:about )?{COUNT} (h\b|days)")
RATE = re.compile(rf"{CHIP}.*?, {COUNT} tokens/s/GPU")
HOURS = {"h": 1.0, "hours": 1.0, "days": 24.0}
CHIPS = {"A100": "a100-sxm-80", "H100": "h100-sxm", "V100": "v100-sxm-32"}


class Run(NamedTuple):
    """A published run: what it took, what it computed by 6ND, what share of the dense peak that was."""

    model_id: str
    chip: Accelerator
    device_hours: float
    params: float
    tokens: float
    flop: float
    mfu: float
    masked: bool
    source: str


def device_hours(said: str, tokens: float | None = None) -> tuple[str, float] | None:
    """The chip and its hours that a row's text names; None where it names none, or only those of a part.

    Where the text names tokens a second of one device, the hours are those of `tokens`.

    Example:
        >>> device_hours("184320 A100-80GB GPU-hours (400 W)"), device_hours("8 H100, about 40 days")
        (('a100-sxm-80', 184320.0), ('h100-sxm', 7680.0))
        >>> device_hours("512 H100 (last phase), 278 h (Epoch)") is None
        True
    """
    if "last phase" in said or "stage 1" in said or " + " in said:
        return None
    if found := TOTAL.search(said):
        return _chip(found["chip"]), _count(found[1], found[2]) * HOURS[found[4]]
    if found := APART.search(said):
        return _chip(found["chip"]), _count(found[1], found[2]) * _count(found[4], found[5]) * HOURS[found[6]]
    if tokens is not None and (found := RATE.search(said)):
        return _chip(found["chip"]), tokens / _count(found[2], found[3]) / 3600
    return None


def published(known: Catalogue) -> tuple[Run, ...]:
    """Every run of the catalogue whose device-hours, parameters and tokens are all published.

    N: all parameters of a decoder; the body of a masked encoder, whose head sees the masked rows alone. Left out:
    encoder-decoders (each token meets half of the parameters), distilled and pruned models.

    Example:
        >>> runs = {run.model_id: run for run in published(Catalogue())}
        >>> round(runs["llama-2-7b"].mfu, 3), round(runs["llama-3-70b"].mfu, 3)
        (0.391, 0.279)
    """
    found = (_run(known, model) for model in known.models.values())
    return tuple(run for run in found if run is not None)


def usual(chip: Accelerator, masked: bool = False) -> Estimate:
    """MFU to expect of the datasheet's dense peak: median and 10-90 % range of published runs.

    Runs on the same architecture where there are three; else of all, each as a share of its chip's measured matmul and
    brought back by this chip's, where both are measured. `masked`: small encoders with a masked loss count too.

    Example:
        >>> chips = Catalogue().accelerators
        >>> [round(usual(chips[name]).value, 2) for name in ("a100-sxm-80", "h100-sxm")]
        [0.39, 0.25]
    """
    return usual_of([run for run in _shipped() if masked or not run.masked], chip)


def usual_of(runs: Sequence[Run], chip: Accelerator) -> Estimate:
    """MFU to expect, from these runs (not empty) alone: a retrodiction leaves out the run that it is to find."""
    same = [run for run in runs if _arch(run.chip) == _arch(chip)]
    if len(same) >= 3:
        return _range([run.mfu for run in same], f"runs on {_names(same)}{_kin(chip, same)}", same)
    if chip.measured_bf16_flop_s and chip.bf16_flop_s:
        reach = chip.measured_bf16_flop_s / chip.bf16_flop_s
        shares = [(run.mfu / share, run) for run in runs if (share := measured_share(run.chip))]
        said = f"share of the measured matmul in runs on {_names(runs)}, x {reach:.2f} of this chip"
        return _range([min(1.0, share * reach) for share, _ in shares], said, [run for _, run in shares])
    return _range([run.mfu for run in runs], f"no published run on this chip; runs on {_names(runs)}", runs)


def measured_share(chip: Accelerator) -> float | None:
    """The best measured bf16 matmul over the dense peak; None where it was not measured."""
    if chip.measured_bf16_flop_s is None or chip.bf16_flop_s is None:
        return None
    return chip.measured_bf16_flop_s / chip.bf16_flop_s


def _run(known: Catalogue, model: Model) -> Run | None:
    own = re.search(r"model: (\d+)B seen", model.seen_unit)
    tokens = float(own[1]) * 1e9 if own else model.seen
    hours = device_hours(model.train_hardware, tokens)
    masked = "MLM" in model.objective
    params = model.params_body if masked else model.params
    distilled = "distil" in f"{model.notes} {model.train_hardware}"
    one_stack = model.layers is None or len(model.layers) == 1
    if hours is None or params is None or tokens is None or distilled or not one_stack:
        return None
    if "tokens" not in model.seen_unit or "encoder-decoder" in model.architecture:
        return None
    chip = known.accelerators[hours[0]]
    peak = chip.bf16_flop_s or chip.fp16_flop_s
    assert peak is not None, f"{chip.id} has no peak"
    flop = 6 * params * tokens
    return Run(model.id, chip, hours[1], params, tokens, flop, flop / (hours[1] * 3600 * peak), masked, model.source)


@cache
def _shipped() -> tuple[Run, ...]:
    return published(Catalogue())


def _range(values: Sequence[float], said: str, runs: Sequence[Run]) -> Estimate:
    """Median and 10-90 % quantiles, linear between ordered values."""
    ordered = sorted(values)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    names = ", ".join(run.model_id for run in runs)
    return Estimate(median(ordered), at(0.1), at(0.9), f"{said}: 6ND over whole runs, 10-90 % of {len(runs)} ({names})")


def _kin(chip: Accelerator, runs: Sequence[Run]) -> str:
    return "" if any(run.chip.name[:4] == chip.name[:4] for run in runs) else ", of the same architecture"


def _arch(chip: Accelerator) -> str:
    """ "Hopper+Grace" computes as Hopper does."""
    return chip.arch.split("+")[0]


def _names(runs: Sequence[Run]) -> str:
    return ", ".join(
        sorted({run.chip.name.split(" ")[0] if "TPU" not in run.chip.name else run.chip.name for run in runs})
    )


def _count(number: str, scale: str) -> float:
    return float(number.replace(",", "")) * SCALE[scale]


def _chip(name: str) -> str:
    return CHIPS.get(name) or name.removeprefix("Google ").lower().replace(" ", "-")
