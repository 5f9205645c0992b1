"""What there is to spend: the nodes that may be used, what a budget buys on each, and what it buys in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keel.answer import Number
from keel.catalog import age
from keel.catalog.store import Catalogue
from keel.errors import Problem, StudyError
from keel.size import hardware
from keel.size.budget import RESERVES, Reserve, flop_of
from keel.size.hardware import HERE, Hardware
from keel.size.speed import Speed, speed
from keel.size.time import Estimate
from keel.study import Study

# What is priced where the study names no hardware: the two node types that most published runs were made on.
ASSUMED = ("aws:p4d.24xlarge", "aws:p5.48xlarge")


class Node(NamedTuple):
    """A node that may be used and how fast one of its devices trains."""

    hardware: Hardware
    speed: Speed

    @property
    def flop_s(self) -> Estimate:
        """FLOP a second of the whole node."""
        one, number = self.speed.flop_s, self.hardware.devices
        return Estimate(one.value * number, one.low * number, one.high * number, one.source)

    @property
    def usd_per_flop(self) -> Estimate | None:
        """(USD an hour) / (FLOP an hour): low is the fastest at the lowest price."""
        price, rate = self.hardware.usd_per_hour, self.flop_s
        if price is None:
            return None
        return Estimate(price.value / rate.value / 3600, price.low / rate.high / 3600, price.high / rate.low / 3600,
                        f"{price.source}; {rate.source}")  # fmt: skip


class Means(NamedTuple):
    """`flop`: training FLOP that the budget buys after reserves, on the node that buys most; None: no budget is said.

    `nodes`: cheapest a FLOP first. `assumed`: the study names none.
    """

    nodes: tuple[Node, ...]
    assumed: bool
    usd: float | None
    reserves: tuple[Reserve, ...]
    flop: Estimate | None
    numbers: tuple[Number, ...]
    problems: tuple[Problem, ...]

    @property
    def node(self) -> Node | None:
        """The node that costs are given for: the first."""
        return self.nodes[0] if self.nodes else None


def means_of(
    known: Catalogue, study: Study, machine: Mapping[str, Any] | None, as_of: str, masked: bool = False
) -> Means:
    """Nodes, price and FLOP of a study.

    Raises:
        StudyError: unknown hardware, a bad price; all of them.
    """
    names = study.limits.hardware or (ASSUMED if study.budget.compute_usd else ())
    nodes = _nodes(known, names, study.limits.region, machine, masked)
    nodes = tuple(sorted(nodes, key=lambda node: node.usd_per_flop.value if node.usd_per_flop else float("inf")))
    usd = study.budget.compute_usd
    flop = _flop(study, nodes, usd)
    problems = [] if study.limits.hardware or not usd else [Problem(
        "no hardware is named", f"costs are those of {' or '.join(ASSUMED)}", 'name yours: [limits] hardware = ["..."]',
        "[limits]")]  # fmt: skip
    problems += _warnings(known, nodes, as_of)
    return Means(nodes, not study.limits.hardware, usd, RESERVES, flop, _numbers(nodes, usd, flop), tuple(problems))


def _nodes(
    known: Catalogue, names: Sequence[str], region: str, machine: Mapping[str, Any] | None, masked: bool
) -> tuple[Node, ...]:
    found, wrong = list[Node](), list[Problem]()
    for name in names:
        try:
            if name == HERE and machine is None:
                raise StudyError(
                    "this machine is not measured", why='[limits] hardware has "here"', fix="run `keel look`"
                )
            node = (
                hardware.here(machine) if name == HERE and machine is not None else hardware.find(known, name, region)
            )
            found.append(Node(node, speed(node, masked=masked)))
        except StudyError as error:
            wrong += [problem._replace(where="[limits] hardware") for problem in error.problems]
    if wrong:
        raise StudyError.all(wrong)
    return tuple(found)


def _flop(study: Study, nodes: Sequence[Node], usd: float | None) -> Estimate | None:
    if study.budget.compute is not None:
        return Estimate(study.budget.compute, study.budget.compute, study.budget.compute, "[budget] compute")
    priced = [node for node in nodes if node.hardware.usd_per_hour is not None]
    if usd is None or not priced:
        return None
    return flop_of(usd, priced[0].hardware, priced[0].speed, RESERVES)


def _warnings(known: Catalogue, nodes: Sequence[Node], as_of: str) -> list[Problem]:
    """A price too old, a chip with a doubt, a node without a price."""
    types = {node.hardware.name: node.hardware.price_as_of for node in nodes}
    rows = [row for row in known.offers if types.get(row.type) == row.as_of]
    found = list(age.warnings(rows, as_of))
    found += [Problem(f"{node.hardware.name}: {text}", "a fact of the chip", "measure it, or name other hardware", "[limits] hardware")
              for node in nodes for text in node.speed.warnings]  # fmt: skip
    found += [Problem(f"{node.hardware.name} has no public price", "; ".join(node.hardware.notes),
                      "add yours to catalog/instances.csv", "[limits] hardware")
              for node in nodes if node.hardware.usd_per_hour is None and node.hardware.name != HERE]  # fmt: skip
    return found


def _numbers(nodes: Sequence[Node], usd: float | None, flop: Estimate | None) -> tuple[Number, ...]:
    numbers = list[Number]()
    for node in nodes:
        price, rate = node.hardware.usd_per_hour, node.speed
        if price is not None:
            numbers.append(Number(f"price.{node.hardware.name}", price.value, "usd an hour", price.low, price.high,
                                  "on demand; low and high over regions", source=price.source))  # fmt: skip
        numbers.append(Number(f"speed.{node.hardware.name}", node.flop_s.value, "flop a second", node.flop_s.low,
                              node.flop_s.high, "devices x dense peak x MFU",
                              {"devices": node.hardware.devices, "peak_flop_s": rate.peak_flop_s, "mfu": rate.mfu.value,
                               "precision": rate.precision}, rate.mfu.source))  # fmt: skip
    if flop is not None and usd is not None:
        kept = ", ".join(f"{item.name} {100 * item.share:g} % ({item.why})" for item in RESERVES)
        numbers.append(Number("budget.flop", flop.value, "flop", flop.low, flop.high,
                              "usd x (1 - reserves) / usd an hour x flop an hour", {"usd": usd, "reserves": kept},
                              flop.source))  # fmt: skip
    return tuple(numbers)
