"""How fast a model answers on one device: its products, the reading of its weights, the start of its kernels.

prefill = 2 N T / (peak x .3-.6) + weights / (bandwidth x .6-.9) + L x start; a further token reads the weights again.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from keel.catalog.rows import Accelerator
from keel.errors import StudyError
from keel.size.hardware import Hardware
from keel.size.speed import peak
from keel.size.time import Estimate

# Shares of the dense peak and of the memory's rate, least to most.
PEAK_SHARE, BANDWIDTH_SHARE = (0.3, 0.6), (0.6, 0.9)
# Seconds to start a layer's kernels, a compiled engine to a framework's eager mode. Source: BERT-base of 12 layers, one
# sequence of 128: TensorRT on A100 .67 ms, .3 above its roofline; TorchScript 4.1 ms on A10 and 10.5 ms on T4 at any
# length (NVIDIA TensorRT demo/BERT/README.md and FasterTransformer docs/bert_guide.md).
START_S = (0.02e-3, 0.9e-3)
WEIGHT_BYTES = {"bf16": 2, "fp16": 2, "fp32": 4}
YEAR_S = 31557600.0
SOURCE = (
    "roofline: peak x .3-.6, memory x .6-.9, a layer's start .02 ms (compiled) to .9 ms (eager); held against "
    "NVIDIA's BERT tables for T4 and A100"
)


def latency_ms(
    accelerator: Accelerator, params: float, tokens_in: float, tokens_out: float = 0, layers: int | None = None
) -> Estimate:
    """Milliseconds for one request alone on one device, `tokens_out` generated one after the other.

    Low: a compiled engine; high: a framework's eager mode. `params`: those that every token meets (without the token
    table). Attention: 4 L T^2 d FLOP. Without `layers`, depth is that of 12 L d^2 = N with d = 64 L (BERT-base, GPT-2).

    Raises:
        StudyError: the chip's peak or memory bandwidth is unknown.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> t4 = latency_ms(Catalogue().accelerators["t4"], 85e6, tokens_in=128)
        >>> [round(part, 1) for part in (t4.low, t4.value, t4.high)]
        [1.4, 2.5, 10.8]
    """
    chip = _Chip.of(accelerator)
    low, value, high = (_seconds(chip, params, tokens_in, tokens_out, layers, way) for way in WAYS)
    return Estimate(1e3 * value, 1e3 * low, 1e3 * high, f"{accelerator.name}, {chip.precision}; {SOURCE}")


def largest(accelerator: Accelerator, limit_ms: float, tokens_in: float, tokens_out: float = 0) -> Estimate:
    """The most parameters that answer within `limit_ms`: low is safe in eager mode, high only in a compiled engine.

    0 where a thousand parameters take longer.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> most = largest(Catalogue().accelerators["t4"], 40, tokens_in=128)
        >>> 1e9 < most.low < most.value < most.high < 4e9
        True
    """
    chip = _Chip.of(accelerator)
    # The slowest way of running gives the least parameters.
    high, value, low = (_most(chip, tokens_in, tokens_out, way, limit_ms) for way in WAYS)
    return Estimate(value, low, high, f"largest within {limit_ms:g} ms on {accelerator.name}; {SOURCE}")


class Service(NamedTuple):
    """What serving takes: devices at the peak hour, nodes, USD a year (None: no price)."""

    devices: Estimate
    nodes: Estimate
    usd_a_year: Estimate | None


def service(
    hardware: Hardware, params: float, queries_per_day: float, tokens_in: float, tokens_out: float = 0,
    peak_over_mean: float = 3.0,
) -> Service:  # fmt: skip
    """Devices and USD a year for a load: seconds of a device a query x queries a second at the busiest hour.

    A query takes a device for its share of a full batch (2 N tokens / (peak x share), the least) up to its time alone
    (the most); the value is their geometric mean. Whole devices and whole nodes, one at least.
    `peak_over_mean`: the busiest hour over the day's mean.
    """
    chip = _Chip.of(hardware.accelerator)
    alone = latency_ms(hardware.accelerator, params, tokens_in, tokens_out)
    least = 2 * params * (tokens_in + tokens_out) / (chip.flop_s.high * PEAK_SHARE[1])
    rate = queries_per_day / 86400 * peak_over_mean
    seconds = (least, (least * alone.value / 1e3) ** 0.5, alone.high / 1e3)
    low, value, high = (max(1, math.ceil(rate * each - 1e-9)) for each in seconds)
    source = f"{rate:.3g} queries a second at {peak_over_mean:g} x the mean; batched to alone; {SOURCE}"
    each = [math.ceil(count / hardware.devices) for count in (value, low, high)]
    nodes, cost = Estimate(each[0], each[1], each[2], source), hardware.usd_per_hour
    usd = None
    if cost is not None:
        yearly = [count * cost.value * YEAR_S / 3600 for count in each]
        usd = Estimate(yearly[0], yearly[1], yearly[2], cost.source)
    return Service(Estimate(value, low, high, source), nodes, usd)


class _Way(NamedTuple):
    """How well a request is run: shares of the peaks, a layer's start, whether products hide behind the starts."""

    products: float
    reading: float
    start_s: float
    hidden: bool


WAYS = (
    _Way(PEAK_SHARE[1], BANDWIDTH_SHARE[1], START_S[0], False),
    _Way(sum(PEAK_SHARE) / 2, sum(BANDWIDTH_SHARE) / 2, (START_S[0] * START_S[1]) ** 0.5 / 1.5, False),
    _Way(PEAK_SHARE[0], BANDWIDTH_SHARE[0], START_S[1], True),
)


class _Chip(NamedTuple):
    precision: str
    flop_s: Estimate
    memory_bytes_s: float

    @classmethod
    def of(cls, chip: Accelerator) -> _Chip:
        found = peak(chip)
        if chip.memory_bytes_s is None:
            raise StudyError(f"how fast the memory of {chip.name} is, is unknown", why="it is not listed",
                             fix="add its mem_bw_gbs to catalog/accelerators.csv", where=chip.id)  # fmt: skip
        return cls(found.precision, found.flop_s, chip.memory_bytes_s)


def _seconds(chip: _Chip, params: float, tokens_in: float, tokens_out: float, layers: int | None, way: _Way) -> float:
    depth = float(layers) if layers else (params / (12 * 64**2)) ** (1 / 3)
    width = (params / (12 * depth)) ** 0.5
    rate = (
        chip.flop_s.high if way is WAYS[0] else chip.flop_s.low if way is WAYS[2] else chip.flop_s.value
    ) * way.products
    flop = 2 * params * tokens_in + 4 * depth * width * tokens_in**2
    size = WEIGHT_BYTES[chip.precision]
    reading = size * params / (chip.memory_bytes_s * way.reading)
    kept = size * 2 * depth * width * (tokens_in + tokens_out / 2) / (chip.memory_bytes_s * way.reading)
    first = _joined(flop / rate + reading, depth * way.start_s, way)
    return first + tokens_out * _joined(2 * params / rate + reading + kept, depth * way.start_s, way)


def _joined(work_s: float, start_s: float, way: _Way) -> float:
    return max(work_s, start_s) if way.hidden else work_s + start_s


def _most(chip: _Chip, tokens_in: float, tokens_out: float, way: _Way, limit_ms: float) -> float:
    low, high = 1e3, 1e15
    if 1e3 * _seconds(chip, low, tokens_in, tokens_out, None, way) > limit_ms:
        return 0.0
    while high / low > 1.0001:
        middle = (low * high) ** 0.5
        fits = 1e3 * _seconds(chip, middle, tokens_in, tokens_out, None, way) <= limit_ms
        low, high = (middle, high) if fits else (low, middle)
    return low
