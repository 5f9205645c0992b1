"""A run on the machines one has in mind: does it fit, how long, how many nodes, for how much, and the best balance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keel.answer import Number
from keel.catalog.store import Catalogue
from keel.errors import Problem, StudyError
from keel.laws.published import PUBLISHED
from keel.size.fit import ORDER, Fit, Fix, first_fix, fits
from keel.size.hardware import Hardware, find
from keel.size.machines_show import Shown, lines
from keel.size.memory import KORTHIKANTI, ZERO, Setup, guessed, serve
from keel.size.scale import (
    MCCANDLISH,
    Deadline,
    Point,
    Run,
    balance,
    experiments_a_week,
    front,
    points,
    untimed,
    within,
)
from keel.size.speed import Speed, speed
from keel.size.time import Estimate

MOST_NODES = 1024
MOST_SEQUENCES = 64


class Holding(NamedTuple):
    """One type and the run's memory: on one node as asked, the first change that helps, the fewest nodes that hold it
    with everything shared (None: not even `MOST_NODES`, or unknown).
    """

    hardware: Hardware
    speed: Speed
    fit: Fit
    fix: Fix
    least_nodes: int | None


class Machines(NamedTuple):
    """`lines` for people, `numbers` for programs; `front`: worth a look in nodes, hours and USD; `problems`."""

    lines: tuple[str, ...]
    numbers: tuple[Number, ...]
    front: tuple[Point, ...]
    problems: tuple[Problem, ...]
    holdings: tuple[Holding, ...]
    best: Point | None
    deadline: Deadline | None


def machines(
    known: Catalogue, hardware_names: Sequence[str], *, params: float, flop: float, tokens: float,
    batch_tokens: float | None = None, deadline_s: float | None = None, layers: int | None = None,
    width: int | None = None, context: int = 2048, vocabulary: int = 32000, mfu: Estimate | None = None,
    region: str = "", category: str = "decoder",
) -> Machines:  # fmt: skip
    """The run on each type of node, alone and on many.

    Without `batch_tokens`, that of the Step Law (.58 D^.571); the critical batch is Kaplan's at the loss of
    Besiroglu's law, for decoders alone. Without layers and width, 12 L h^2 = N with h = 128 L.

    Raises:
        StudyError: unknown names or regions, a count that is not above zero; all of them.

    Example:
        >>> found = machines(Catalogue(), ["aws:p4d.24xlarge"], params=7e9, flop=6 * 7e9 * 1e12, tokens=1e12)
        >>> found.holdings[0].least_nodes, found.best.hardware
        (1, 'aws:p4d.24xlarge')
    """
    types = _types(known, hardware_names, region, mfu, category, {"params": params, "flop": flop, "tokens": tokens})
    setup = guessed(params, context, vocabulary)
    setup = setup._replace(layers=layers or setup.layers, width=width or setup.width)
    holdings = tuple(_holding(hardware, fast, setup) for hardware, fast in types)
    decoder = category == "decoder"
    batch = batch_tokens or float(PUBLISHED["step-batch"].at(tokens=tokens))
    critical = _critical_tokens(params, tokens) if decoder else None
    run = Run(flop, tokens, batch, params, context, setup.layers, critical_tokens=critical)
    held = [each for each in holdings if each.least_nodes is not None]
    doublings = [point for each in held for nodes in _counts(each) if (point := _fastest(run, each, setup, nodes))]
    best, chosen = balance(doublings), front(doublings)
    due = None
    if deadline_s is not None:
        exact = [point for each in held if (point := _fewest(run, each, setup, deadline_s / 3600))]
        due = within(exact or doublings, deadline_s / 3600)
    problems = (*_problems(holdings, due), *_batch_problem(batch_tokens, batch, decoder))
    shown = Shown(
        params, tokens, flop, batch, critical,
        tuple((each.hardware, each.speed, each.fit, each.fix, each.least_nodes) for each in holdings), chosen, best,
        due, serve(params, setup.layers, setup.width, context).total.value,
    )  # fmt: skip
    numbers = _numbers(setup, run, holdings, best[0] if best else None, due)
    return Machines(lines(shown), numbers, chosen, problems, holdings, best[0] if best else None, due)


def _types(
    known: Catalogue, names: Sequence[str], region: str, mfu: Estimate | None, category: str, counts: dict[str, float]
) -> list[tuple[Hardware, Speed]]:
    problems = [
        Problem(f"{name} is {value:g}", "a count above zero", f"write {name} above zero", name)
        for name, value in counts.items() if not 0 < value < float("inf")
    ]  # fmt: skip
    found = []
    for name in dict.fromkeys(names):
        try:
            hardware = find(known, name, region)
            found.append((hardware, speed(hardware, mfu, masked=category == "encoder")))
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError.all(problems)
    return found


def _holding(hardware: Hardware, fast: Speed, setup: Setup) -> Holding:
    chip = hardware.accelerator
    alone = setup._replace(devices=hardware.devices, precision="fp32" if fast.precision == "fp32" else "bf16")
    fix = first_fix(alone, chip, most_devices=MOST_NODES * hardware.devices, whole_nodes=hardware.devices)
    shared = alone._replace(kept="recompute", sharding="zero3")

    def holds(nodes: int) -> bool:
        return bool(fits(shared._replace(devices=nodes * hardware.devices), chip).fits)

    least = None
    if holds(MOST_NODES):
        least = next(nodes for nodes in range(1, MOST_NODES + 1) if holds(nodes))
    return Holding(hardware, fast, fits(alone, chip), fix, least)


def _counts(holding: Holding) -> list[int]:
    """The fewest nodes that hold the run, and every power of two above."""
    least = holding.least_nodes or 1
    return [least, *(2**power for power in range(11) if least < 2**power <= MOST_NODES)]


def _fastest(run: Run, holding: Holding, setup: Setup, nodes: int) -> Point | None:
    """The fastest way of keeping and spreading that the memory of this many nodes allows; None where it has no time.

    Where the critical batch is unknown, a count that would need a larger batch is left out.
    """
    found: list[Point] = []
    for way in _ways(setup._replace(devices=nodes * holding.hardware.devices), holding.hardware):
        own = run._replace(sharding=way.sharding, micro_batch=way.micro_batch, recompute=way.kept == "recompute")
        found += points(own, [(holding.hardware, holding.speed)], (nodes,))
    if run.critical_tokens is None:
        found = [point for point in found if point.batch_tokens <= run.batch_tokens or nodes == holding.least_nodes]
    return min(found, key=lambda point: point.quality_hours.value, default=None)


def _ways(setup: Setup, hardware: Hardware) -> list[Setup]:
    """The ways that fit, each with the largest micro-batch; recomputation only where nothing else fits."""
    chip = hardware.accelerator
    found: list[Setup] = []
    for kept, sharding in (("flash", "ddp"), ("flash", "zero1"), ("flash", "zero3"), ("recompute", "zero3")):
        tried = setup._replace(kept=kept, sharding=sharding)
        if (kept == "recompute" and found) or not fits(tried, chip).fits:
            continue
        while tried.micro_batch < MOST_SEQUENCES and fits(more := _doubled(tried), chip).fits:
            tried = more
        found.append(tried)
    return found


def _doubled(setup: Setup) -> Setup:
    return setup._replace(micro_batch=2 * setup.micro_batch)


def _fewest(run: Run, holding: Holding, setup: Setup, deadline_h: float) -> Point | None:
    """The fewest nodes that meet a deadline, by halving: time falls with nodes but for rounding."""
    low, high = holding.least_nodes or 1, MOST_NODES
    best = None
    while low <= high:
        middle = (low + high) // 2
        point = _fastest(run, holding, setup, middle)
        if point is not None and point.quality_hours.value <= deadline_h:
            best, high = point, middle - 1
        elif point is None:
            high = middle - 1
        else:
            low = middle + 1
    return best


def _critical_tokens(params: float, tokens: float) -> float:
    loss = float(PUBLISHED["chinchilla-besiroglu"].at(params=params, tokens=tokens))
    return float(PUBLISHED["kaplan-critical-batch"].at(loss=loss))


def _problems(holdings: Sequence[Holding], due: Deadline | None) -> tuple[Problem, ...]:
    found = []
    for each in holdings:
        name = each.hardware.name
        found += [
            Problem(warning, "a fact of the chip", "mind it when you plan", name) for warning in each.speed.warnings
        ]
        if each.hardware.usd_per_hour is None:
            floor = each.hardware.floor_usd_per_hour
            least = "" if floor is None else f"; at least ${floor:,.2f} an hour"
            found.append(Problem(f"no price of {name}{least}", "; ".join(each.hardware.notes[:1]),
                                 "add your price to catalog/instances.csv", name))  # fmt: skip
        if each.least_nodes is None:
            what = "is unknown" if each.fit.fits is None else f"does not hold the model on {MOST_NODES:,} nodes"
            found.append(Problem(f"the memory of {name} {what}", f"{each.fit.note}; tried: {ORDER}",
                                 f"take {each.fix.what}" if each.fix.fit.fits else "another chip", name))  # fmt: skip
    found += [Problem(note, "the catalogue has no rate", "add its interconnect to catalog/instances.csv")
              for note in untimed([(each.hardware, each.speed) for each in holdings])]  # fmt: skip
    if due is not None and due.point is None:
        found.append(Problem("the deadline cannot be met", due.line, "a later deadline, a smaller run, a faster type",
                             "deadline"))  # fmt: skip
    return tuple(found)


def _batch_problem(given: float | None, batch: float, decoder: bool) -> tuple[Problem, ...]:
    found = []
    if given is None:
        found.append(Problem(f"no batch was said: {batch:,.0f} tokens a step by the Step Law",
                             "measured on decoders only", "say yours", "batch"))  # fmt: skip
    if not decoder:
        found.append(Problem("the critical batch is unknown for this loss", "it was measured for decoders",
                             "measure it; until then nodes stop at the batch's sequences", "batch"))  # fmt: skip
    return tuple(found)


def _numbers(
    setup: Setup, run: Run, holdings: Sequence[Holding], best: Point | None, due: Deadline | None
) -> tuple[Number, ...]:
    inputs: dict[str, float | int | str] = {"params": run.params, "flop": run.flop, "tokens": run.tokens,
                                            "batch_tokens": run.batch_tokens}  # fmt: skip
    found = []
    for each in holdings:
        name, rate = each.hardware.name, each.speed.flop_s
        found.append(Number(f"machine.flop_per_s {name}", rate.value, "flop/s of a device", rate.low, rate.high,
                            "dense peak x MFU", {"peak": each.speed.peak_flop_s, "mfu": each.speed.mfu.value},
                            rate.source))  # fmt: skip
        shape: dict[str, float | int | str] = {"params": setup.params, "layers": setup.layers, "width": setup.width,
                                               "context": setup.context, "devices": each.hardware.devices}  # fmt: skip
        found.append(Number(f"machine.memory {name}", each.fit.need_bytes, "bytes of a device, whole", inputs=shape,
                            formula="16 N + 34 s b h L + 8 s b V", source=f"{ZERO}; {KORTHIKANTI}"))  # fmt: skip
        if each.least_nodes is not None:
            found.append(Number(f"machine.least_nodes {name}", each.least_nodes, "nodes", inputs=shape, source=ZERO,
                                formula="16 N / p + a layer + 2 s b h L within 92 % of the memory"))  # fmt: skip
    for what, point in (("best", best), ("deadline", due.point if due else None)):
        if point is not None:
            found += _of_point(what, point, inputs)
    return tuple(found)


def _of_point(what: str, point: Point, inputs: dict[str, float | int | str]) -> list[Number]:
    hours, own = point.quality_hours, inputs | {"hardware": point.hardware, "nodes": point.nodes}
    found = [
        Number(f"machine.{what}.nodes", point.nodes, "nodes", inputs=own, source=MCCANDLISH, formula="see hours"),
        Number(f"machine.{what}.hours", hours.value, "h", hours.low, hours.high,
               "steps x (products + exposed all-reduce + optimiser + waiting), x tokens of a larger batch", own,
               hours.source),
        Number(f"machine.{what}.experiments", experiments_a_week(hours.value), "runs a week", inputs=own,
               formula="168 h / hours, whole", source="arithmetic"),
    ]  # fmt: skip
    if point.usd is not None:
        found.append(Number(f"machine.{what}.usd", point.usd.value, "usd", point.usd.low, point.usd.high,
                            "nodes x hours x price", own, point.usd.source))  # fmt: skip
    return found
