"""What there is to spend: the nodes that may be used, what a budget buys on each, and what it buys in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keel.answer import Number
from keel.catalog import age
from keel.catalog.store import Catalogue
from keel.errors import Problem, StudyError
from keel.size import budget, hardware
from keel.size.budget import RESERVES, Reserve, flop_of
from keel.size.hardware import HERE, Hardware
from keel.size.speed import Speed, speed
from keel.size.time import Estimate
from keel.study import Study

# What is priced where the study names no hardware: the two node types that most published runs were made on.
ASSUMED = ("aws:p4d.24xlarge", "aws:p5.48xlarge")
WHERE = "[limits] hardware"


class Node(NamedTuple):
    """A node that may be used and how fast one of its devices trains."""

    hardware: Hardware
    speed: Speed

    @property
    def flop_s(self) -> Estimate:
        """FLOP a second of the whole node."""
        return self.speed.flop_s.times(self.hardware.devices)

    @property
    def usd_per_flop(self) -> Estimate | None:
        """(USD an hour) / (FLOP an hour): low is the fastest at the lowest price."""
        price, rate = self.hardware.usd_per_hour, self.flop_s
        if price is None:
            return None
        return Estimate(price.value / rate.value / 3600, price.low / rate.high / 3600, price.high / rate.low / 3600,
                        f"{price.source}; {rate.source}")  # fmt: skip


class Means(NamedTuple):
    """`flop`: training FLOP, as stated or as the budget buys them after reserves; None: unknown.

    `nodes`: cheapest a FLOP first, those without a price last. `assumed`: the study names none. `stated_flop`: the
    budget is given in FLOP.
    """

    nodes: tuple[Node, ...]
    assumed: bool
    usd: float | None
    stated_flop: float | None
    reserves: tuple[Reserve, ...]
    flop: Estimate | None
    numbers: tuple[Number, ...]
    problems: tuple[Problem, ...]

    @property
    def node(self) -> Node | None:
        """The node that costs are given for: the first."""
        return self.nodes[0] if self.nodes else None

    @property
    def training_usd(self) -> float | None:
        """What of the money the run itself may take: all but the reserves."""
        return None if self.usd is None else self.usd * budget.kept(self.reserves)


def means_of(
    known: Catalogue, study: Study, machine: Mapping[str, Any] | None, as_of: str, masked: bool = False
) -> Means:
    """Nodes, price and FLOP of a study. `masked`: the speed is that of a masked model.

    Raises:
        StudyError: unknown hardware, a bad price; all of them.
    """
    named, usd = study.limits.hardware, study.budget.compute_usd
    nodes = _nodes(known, named or (ASSUMED if usd else ()), study.limits.region, machine, masked)
    stated, bought = study.budget.compute, _bought(nodes, usd)
    flop = bought if stated is None else Estimate(stated, stated, stated, "[budget] compute")
    problems = (*_unsaid(study, nodes, flop), *_warnings(known, nodes, as_of))
    return Means(nodes, not named, usd, stated, RESERVES, flop, (*_numbers(nodes), *_budget(usd, stated, bought)),
                 problems)  # fmt: skip


def _nodes(
    known: Catalogue, names: Sequence[str], region: str, machine: Mapping[str, Any] | None, masked: bool
) -> tuple[Node, ...]:
    found, wrong = list[Node](), list[Problem]()
    for name in names:
        try:
            node = _here(machine) if name == HERE else hardware.find(known, name, region)
            found.append(Node(node, speed(node, masked=masked)))
        except StudyError as error:
            wrong += [problem._replace(where=WHERE) for problem in error.problems]
    if wrong:
        raise StudyError.all(wrong)
    return tuple(sorted(found, key=lambda node: node.usd_per_flop.value if node.usd_per_flop else float("inf")))


def _here(machine: Mapping[str, Any] | None) -> Hardware:
    if machine is None:
        raise StudyError("this machine is not measured", why='[limits] hardware has "here"', fix="run `keel look`")
    return hardware.here(machine)


def _bought(nodes: Sequence[Node], usd: float | None) -> Estimate | None:
    """FLOP that the money buys on the node that is cheapest a FLOP; None without money or a price."""
    if usd is None or not nodes or nodes[0].hardware.usd_per_hour is None:
        return None
    return flop_of(usd, nodes[0].hardware, nodes[0].speed, RESERVES)


def _unsaid(study: Study, nodes: Sequence[Node], flop: Estimate | None) -> list[Problem]:
    """A budget that is not said, or that buys an unknown amount; hardware that is not named."""
    usd = study.budget.compute_usd
    if usd is not None and not study.limits.hardware:
        return [Problem("no hardware is named",
                        f"costs are those of {nodes[0].hardware.name}, of {' and '.join(ASSUMED)} the cheaper a FLOP",
                        'name yours: [limits] hardware = ["..."]', "[limits]")]  # fmt: skip
    if flop is not None:
        return []
    if usd is None:
        return [Problem("no budget is given", "money and compute stay unknown; nothing is invented",
                        'compute_usd = 20_000, or compute = "1e21"', "[budget]")]  # fmt: skip
    names = ", ".join(node.hardware.name for node in nodes)
    return [Problem(f"how much compute the budget buys is unknown: {names} has no public price",
                    "money is turned into FLOP by a price",
                    'add yours to catalog/instances.csv, or say compute = "1e21"', "[budget]")]  # fmt: skip


def _warnings(known: Catalogue, nodes: Sequence[Node], as_of: str) -> list[Problem]:
    """A price too old, a chip with a doubt, a node without a price."""
    types = {node.hardware.name: node.hardware.price_as_of for node in nodes}
    rows = [row for row in known.offers if types.get(row.type) == row.as_of]
    found = list(age.warnings(rows, as_of))
    found += [Problem(f"{node.hardware.name}: {text}", "a fact of the chip", "measure it, or name other hardware",
                      WHERE)
              for node in nodes for text in node.speed.warnings]  # fmt: skip
    found += [Problem(f"{node.hardware.name} has no public price", "; ".join(node.hardware.notes),
                      "add yours to catalog/instances.csv", WHERE)
              for node in nodes if node.hardware.usd_per_hour is None and node.hardware.name != HERE]  # fmt: skip
    return found


def _numbers(nodes: Sequence[Node]) -> list[Number]:
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
    return numbers


def _budget(usd: float | None, stated: float | None, bought: Estimate | None) -> list[Number]:
    """The budget in FLOP: the user's, else what the money buys."""
    if stated is not None:
        return [Number("budget.flop", stated, "flop", source="yours", yours=True)]
    if usd is None or bought is None:
        return []
    kept = ", ".join(f"{item.name} {100 * item.share:g} % ({item.why})" for item in RESERVES)
    return [Number("budget.flop", bought.value, "flop", bought.low, bought.high,
                   "usd x (1 - reserves) / usd an hour x flop an hour", {"usd": usd, "reserves": kept},
                   bought.source)]  # fmt: skip
