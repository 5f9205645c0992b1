"""How fast one device trains: its dense peak in the precision that it has, times the share that runs reach of it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from keel.catalog.rows import Accelerator
from keel.catalog.store import Catalogue
from keel.errors import StudyError
from keel.size.hardware import HERE, Hardware
from keel.size.mfu import measured_share, usual
from keel.size.time import UTILISATION, Estimate

LOSS_SCALING = "has no bf16: fp16 needs loss scaling, and a run that diverged in bf16 tests may not fit it"


class Peak(NamedTuple):
    """A chip's dense peak in one precision; a range where it is not `known`."""

    precision: str
    flop_s: Estimate
    warnings: tuple[str, ...]
    known: bool


class Speed(NamedTuple):
    """FLOP a second of ONE device. `mfu` is of the datasheet's dense peak; `mfu_of_measured` of the best measured
    matmul (None where nobody measured it): with that as 100 %, 40 % means the same on each chip.

    `measured_flop_s`: the best measured bf16 matmul. `peak_known` False: no datasheet peak is known; it was put between
    two rates.
    """

    precision: str
    peak_flop_s: float
    mfu: Estimate
    flop_s: Estimate
    warnings: tuple[str, ...]
    measured_flop_s: float | None = None
    mfu_of_measured: Estimate | None = None
    peak_known: bool = True


def speed(hardware: Hardware, mfu: Estimate | None = None, masked: bool = False) -> Speed:
    """FLOP/s = dense peak x MFU: bf16 where the chip has it, else fp16 with a warning, else fp32.

    `mfu`: measured or stated by the user; without it, that of published runs (`mfu.usual`; `masked`: small encoders
    too). A chip whose tensor peak is unknown runs between its fp32 rate and the best ratio of its architecture.

    Raises:
        StudyError: no peak of the chip is known.

    Example:
        >>> from keel.size.hardware import find
        >>> fast = speed(find(Catalogue(), "a100-sxm-80"))
        >>> fast.precision, fast.peak_flop_s, round(fast.flop_s.value / 1e12)
        ('bf16', 312000000000000.0, 121)
        >>> speed(find(Catalogue(), "t4")).warnings[0][:14]
        'T4 has no bf16'
    """
    chip = hardware.accelerator
    if mfu is None:
        mfu = usual(chip, masked) if chip.id != HERE else _here()
    top = peak(chip)
    value, low, high = top.flop_s.value * mfu.value, top.flop_s.low * mfu.low, top.flop_s.high * mfu.high
    rate = Estimate(value, low, high, f"{top.flop_s.source} x MFU; {mfu.source}")
    share = measured_share(chip) if top.precision == "bf16" else None
    if share is None:
        return Speed(top.precision, top.flop_s.value, mfu, rate, top.warnings, peak_known=top.known)
    other = Estimate(mfu.value / share, mfu.low / share, min(1.0, mfu.high / share), mfu.source)
    return Speed(top.precision, top.flop_s.value, mfu, rate, top.warnings, chip.measured_bf16_flop_s, other, top.known)


def peak(chip: Accelerator) -> Peak:
    """The dense peak in the precision that the chip trains and serves in.

    Raises:
        StudyError: no peak of the chip is known.
    """
    warnings = [chip.notes] if any(word in chip.notes for word in ("below peak", "training unsupported")) else []
    if chip.bf16_native and chip.bf16_flop_s is not None:
        return _known("bf16", chip.bf16_flop_s, warnings)
    if chip.bf16_native and chip.fp32_flop_s is not None and chip.id != HERE:
        return _between(chip, chip.fp32_flop_s, *_tensor_limit(chip))
    if not chip.bf16_native and chip.fp16_flop_s is not None:
        return _known("fp16", chip.fp16_flop_s, [f"{chip.name} {LOSS_SCALING}", *warnings])
    if chip.fp32_flop_s is not None:
        return _known("fp32", chip.fp32_flop_s, [f"{chip.name}: fp32, no 16-bit rate is known", *warnings])
    raise StudyError(f"how fast {chip.name} is, is unknown", why="the catalogue has no peak of it",
                     fix="measure it with keel look, or add its peak to catalog/accelerators.csv",
                     where=f"accelerators: {chip.id}")  # fmt: skip


def both_lines(speed: Speed) -> str:
    """The two 100 % lines for people: the datasheet's peak and the best measured matmul.

    Example:
        >>> from keel.size.hardware import find
        >>> both_lines(speed(find(Catalogue(), "a100-sxm-80")))
        '312 TFLOP/s bf16 by its datasheet, 271 measured (87 %); runs reach 39 % of the one, 44 % of the other'
    """
    said = (
        f"{_tera(speed.peak_flop_s)} TFLOP/s {speed.precision} {'by its datasheet' if speed.peak_known else 'assumed'}"
    )
    if speed.measured_flop_s is None or speed.mfu_of_measured is None:
        return f"{said}, no measured matmul is known; runs reach {100 * speed.mfu.value:.0f} % of it"
    share = 100 * speed.measured_flop_s / speed.peak_flop_s
    one, other = 100 * speed.mfu.value, 100 * speed.mfu_of_measured.value
    reach = f"runs reach {one:.0f} % of the one, {other:.0f} % of the other"
    return f"{said}, {_tera(speed.measured_flop_s)} measured ({share:.0f} %); {reach}"


def _tera(flop_s: float) -> str:
    return f"{flop_s / 1e12:,.0f}" if flop_s >= 1e14 else f"{flop_s / 1e12:.3g}"


def _known(precision: str, flop_s: float, warnings: list[str]) -> Peak:
    return Peak(precision, Estimate(flop_s, flop_s, flop_s, f"dense {precision} peak"), tuple(warnings), True)


def _between(chip: Accelerator, least: float, most: float, why: str) -> Peak:
    """Peak unknown: between the fp32 rate and `most`; the value is their geometric mean."""
    said = f"the catalogue leaves the tensor peak of {chip.name} empty: between {least / 1e12:.3g} TFLOP/s (fp32) "
    said += f"and {most / 1e12:.3g} ({why}); measure it"
    return Peak("bf16", Estimate((least * most) ** 0.5, least, most, said), (said,), False)


def _tensor_limit(chip: Accelerator) -> tuple[float, str]:
    """The most that a 16-bit tensor peak can be: fp16 where listed, else fp32 x the best ratio of the architecture."""
    assert chip.fp32_flop_s is not None, "the fp32 rate is needed"
    if chip.fp16_flop_s is not None:
        return chip.fp16_flop_s, "fp16 with fp16 sums"
    ratio, name = max((row.bf16_flop_s / row.fp32_flop_s, row.name) for row in _shipped()
                      if row.arch == chip.arch and row.bf16_flop_s and row.fp32_flop_s
                      and not row.memory_kind.startswith("HBM"))  # fmt: skip
    return chip.fp32_flop_s * ratio, f"{ratio:.3g} x fp32, as {name}"


@cache
def _shipped() -> tuple[Accelerator, ...]:
    return tuple(Catalogue().accelerators.values())


def _here() -> Estimate:
    low, middle, high = UTILISATION
    return Estimate(middle, low, high, "share of the measured GEMM peak, benchmarks on 2 cores")
