"""How long a training step takes on many nodes, and a job of many steps.

step = max(products, reading of weights) + exposed communication + optimiser + waiting for the slowest
all-reduce of G bytes over p = 2 (p - 1) / p G / rate + latency a bucket; in the node first, then between nodes.
exposed = max(0, communication - overlap x backward pass)
"""

from __future__ import annotations

import math
from typing import NamedTuple

from keel.size.hardware import Hardware
from keel.size.memory import PRECISIONS, SHARDINGS, states_bytes
from keel.size.memory import Setup as MemorySetup
from keel.size.speed import Speed
from keel.size.time import Estimate

# Share of a link's nominal rate that collectives reach, and seconds a hop. Source: the A100 system of Calculon
# (calculon-ai/calculon systems/a100_80g.json: .65 and 10 us in the node, .9 and 20 us between nodes).
LINK_SHARE, LINK_HOP_S = 0.65, 10e-6
NETWORK_SHARE, NETWORK_HOP_S = 0.9, 20e-6
BUCKET_BYTES = 25e6  # PyTorch DDP's bucket_cap_mb
OVERLAP = (0.5, 0.7, 0.9)  # share of the backward pass that hides communication, least to most: judged
STRAGGLER = (0.0, 0.01, 0.02)  # spread of a device's step time, as a share of it: judged
FORWARD = 1 / 3  # of the products; the backward pass has the rest
# Unexpected interruptions: 419 in 54 days on 16,384 H100. Source: Llama 3, arXiv:2407.21783, section 3.3.4.
DEVICE_MTBF_S = 54 * 86400 * 16384 / 419


class Work(NamedTuple):
    """What a step does: its FLOP over all devices, its parameters, how they are kept and spread.

    `accumulation`: micro-batches a step on each device. `layers`: gathered one by one where all is sharded.
    """

    flop: float
    params: float
    layers: int = 32
    sharding: str = "ddp"
    precision: str = "bf16"
    optimiser: str = "adamw"
    accumulation: int = 1


class Step(NamedTuple):
    """Seconds of one step by part; `total_s` None where the links are unknown (see `note`)."""

    nodes: int
    compute_s: float
    communication_s: float
    exposed_s: float
    optimiser_s: float
    waiting_s: float
    total_s: Estimate | None
    note: str


class Job(NamedTuple):
    """Seconds of a whole job and the shares of it that are no training; `interval_s`: between checkpoints."""

    total_s: Estimate
    training_s: float
    startup_s: float
    checkpoint_s: float
    lost_s: float
    interval_s: float | None


def all_reduce_s(size_bytes: float, ranks: int, rate_bytes_s: float, hop_s: float, buckets: int = 1) -> float:
    """2 (p - 1) / p G / rate + hops x latency x buckets; a ring has 2 (p - 1) hops, a tree 2 log2 p: the fewer.

    Source: ring, Patarasuk and Yuan 2009, doi:10.1016/j.jpdc.2008.09.002; tree, NCCL 2.4.

    Example:
        >>> all_reduce_s(1e9, 8, 1e9, 0.0), all_reduce_s(1e9, 1, 1e9, 1.0)
        (1.75, 0.0)
    """
    if ranks == 1:
        return 0.0
    hops = min(2 * (ranks - 1), 2 * math.ceil(math.log2(ranks)))
    return 2 * (ranks - 1) / ranks * size_bytes / rate_bytes_s + hops * hop_s * buckets


def step(hardware: Hardware, speed: Speed, work: Work, nodes: int = 1) -> Step:
    """Seconds of a step on `nodes`. Low and high: the MFU's, the overlap's and the stragglers' together.

    An MFU of whole published runs has the communication of their fast networks in it already, so that a fast network
    is charged a little twice; one measured on a single device has not.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> from keel.size.hardware import find
        >>> from keel.size.speed import speed
        >>> node = find(Catalogue(), "aws:p4d.24xlarge")
        >>> work = Work(flop=6 * 7e9 * 4e6, params=7e9, sharding="zero3")
        >>> one, eight = step(node, speed(node), work), step(node, speed(node), work, nodes=8)
        >>> 7 < one.total_s.value / eight.total_s.value < 8
        True
    """
    devices = nodes * hardware.devices
    missing = _missing(hardware, nodes)
    communication = 0.0 if missing else _communication_s(hardware, work, nodes)
    reading = _reading_s(hardware, work)
    optimiser = _optimiser_s(hardware, work, devices)
    slowest = math.sqrt(2 * math.log(devices)) if devices > 1 else 0.0
    whole = SHARDINGS[work.sharding][0]
    totals, parts = [], []
    for rate, overlap, spread in zip(
        (speed.flop_s.high, speed.flop_s.value, speed.flop_s.low), OVERLAP[::-1], STRAGGLER
    ):
        compute = max(work.flop / devices / rate, reading)
        # Sharded weights are gathered behind every pass; whole ones send gradients behind the last backward pass.
        hidden = compute if whole else (1 - FORWARD) * compute / work.accumulation
        exposed = max(0.0, communication - overlap * hidden)
        waiting = spread * slowest * compute
        totals.append(compute + exposed + optimiser + waiting)
        parts.append((compute, exposed, waiting))
    (compute, exposed, waiting), (low, value, high) = parts[1], totals
    total = (
        None if missing else Estimate(value, low, high, "roofline, all-reduce over the links; " + speed.flop_s.source)
    )
    return Step(nodes, compute, communication, exposed, optimiser, waiting, total, missing)


def job(
    one: Step, steps: float, devices: int, state_bytes: float = 0.0, write_bytes_s: float | None = None,
    startup_s: float = 600.0, restart_s: float = 600.0, mtbf_s: float | None = None,
) -> Job:  # fmt: skip
    """Seconds of `steps` steps with startup, checkpoints and what crashes cost.

    Checkpoints every sqrt(2 c M) seconds (c seconds each, M the job's mean time between failures): a share c / interval
    of the time is written, and a crash loses half an interval and a restart. `mtbf_s`: of one device; without it no
    crash is charged, as for an MFU of whole runs, which has them in it (`DEVICE_MTBF_S`: what Llama 3 met).

    Source: Young 1974, doi:10.1145/361147.361115.
    """
    assert one.total_s is not None, "a step of unknown time has no job"
    checkpoint = state_bytes / write_bytes_s if write_bytes_s else 0.0
    between = mtbf_s / devices if mtbf_s else None
    interval = None if between is None else max(math.sqrt(2 * checkpoint * between), one.total_s.value)
    written = checkpoint / interval if interval else 0.0
    lost = 0.0 if between is None or interval is None else (interval / 2 + restart_s) / between
    training = [steps * each for each in one.total_s[:3] if isinstance(each, float)]
    total = [startup_s + each * (1 + written) / max(1e-9, 1 - lost) for each in training]
    value = training[0]
    return Job(Estimate(total[0], total[1], total[2], one.total_s.source), value, startup_s, value * written,
               total[0] - startup_s - value * (1 + written), interval)  # fmt: skip


def _communication_s(hardware: Hardware, work: Work, nodes: int) -> float:
    _, gradient, _ = PRECISIONS[work.precision]
    size = gradient * work.params
    buckets = max(1, math.ceil(size / BUCKET_BYTES))
    volume = 1.0
    if SHARDINGS[work.sharding][0]:
        # Weights are gathered twice beside the gradients, in each micro-batch: 1.5 x (ZeRO, section 7.2.2).
        volume, buckets = 1.5 * work.accumulation, work.layers
    inside = all_reduce_s(size, hardware.devices, (hardware.link_bytes_s or 1.0) * LINK_SHARE, LINK_HOP_S, buckets)
    between = all_reduce_s(size, nodes, (hardware.network_bytes_s or 1.0) * NETWORK_SHARE, NETWORK_HOP_S, buckets)
    return volume * (inside + between)


def _missing(hardware: Hardware, nodes: int) -> str:
    if hardware.devices > 1 and hardware.link_bytes_s is None:
        return f"the link between devices of {hardware.name} is unknown"
    if nodes > 1 and hardware.network_bytes_s is None:
        return f"the network of {hardware.name} is unknown: more than one node cannot be timed"
    return ""


def _reading_s(hardware: Hardware, work: Work) -> float:
    """Weights are read once forward and twice backward for every micro-batch."""
    rate = hardware.accelerator.memory_bytes_s
    return 0.0 if rate is None else work.accumulation * 3 * 2 * work.params / rate


def _optimiser_s(hardware: Hardware, work: Work, devices: int) -> float:
    """Every state is read and written once, by the rank that holds it."""
    rate = hardware.accelerator.memory_bytes_s
    if rate is None:
        return 0.0
    setup = MemorySetup(work.params, work.layers, 1, 1, 1, 1, precision=work.precision, optimiser=work.optimiser,
                        sharding=work.sharding, devices=devices)  # fmt: skip
    return 2 * states_bytes(setup) / rate
