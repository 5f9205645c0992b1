"""What a node costs an hour: the catalogue's offers of one type over regions, and why some of them are no price."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from keel.catalog.rows import SHIPPED, Offer
from keel.errors import Problem, StudyError
from keel.size.time import Estimate

AWS_HOME = "us-east-1"
# SageMaker over EC2, on demand: 1.15 (p4d, p5) to 1.40 (g5.xlarge, g4dn.xlarge). Source: catalogue rows of both, 2026.
MARK_UP = (1.15, 1.40)
SAGEMAKER, EC2 = "aws-sagemaker", "aws"


class Price(NamedTuple):
    """USD an hour of one node, the region and date it holds for, and what was left out and why."""

    usd_per_hour: Estimate | None
    region: str
    as_of: str
    notes: tuple[str, ...]
    floor_usd_per_hour: float | None = None


def price(rows: Sequence[Offer], known: Sequence[Offer], region: str = "") -> Price:
    """USD an hour of the type that `rows` (not empty) offer; `known`: all offers, for a mark-up over EC2.

    The value is the asked region's, else us-east-1's of AWS, else the median over regions; low and high are over
    regions. The user's own rows go before the shipped ones.

    Raises:
        StudyError: a price of nothing or less, a price without a date, a currency in the place of a price's kind.
    """
    _check(rows)
    notes = [note for kind in sorted({row.price_kind for row in rows}) if (note := _no_price(kind, rows))]
    usable = [row for row in rows if usd(row) is not None and not _no_price(row.price_kind, rows)]
    usable = [row for row in usable if row.kept != SHIPPED] or usable
    floors = [row.usd_per_hour for row in rows if row.price_kind == "GPU part only" and row.usd_per_hour is not None]
    floor = min(floors) if floors and not usable else None
    chosen = next((row for row in usable if region and _in(row, region)), None)
    if rows[0].provider == SAGEMAKER and chosen is None and (region or not usable):
        guess = _marked_up(rows[0].instance, usable, known, region)
        if guess is not None:
            return Price(guess[0], guess[1].region, guess[1].as_of, (*notes, *guess[2]))
    if not usable:
        return Price(None, "", "", (*notes, "no public price"), floor)
    return _over_regions(usable, chosen, region, notes)


def usd(row: Offer) -> float | None:
    """USD an hour of all the accelerators of a row: its price, else that of one times their number.

    A row of one accelerator ("per GPU") is a node of one.
    """
    if row.usd_per_hour is not None:
        return row.usd_per_hour
    if row.usd_per_accelerator_hour is None or row.accelerators is None:
        return None
    return row.usd_per_accelerator_hour * row.accelerators


def _over_regions(usable: list[Offer], chosen: Offer | None, region: str, notes: list[str]) -> Price:
    prices = sorted((found, row) for row in usable if (found := usd(row)) is not None)
    low, high = prices[0][0], prices[-1][0]
    missed = f"no price in {region}: " if region and chosen is None else ""
    if chosen is None and usable[0].provider in (EC2, SAGEMAKER):
        chosen = next((row for row in usable if row.region == AWS_HOME), None)
    if chosen is not None:
        value, where = usd(chosen), chosen.region or "any region"
        assert value is not None, "a row without a price was chosen"
    elif len(prices) == 1:
        chosen, value = prices[0][1], prices[0][0]
        where = chosen.region or "no region said"
    else:
        value = median(found for found, _ in prices)
        chosen = min(prices, key=lambda pair: abs(pair[0] - value))[1]
        where = f"median of {len(prices)} offers"
        chosen = chosen._replace(region="")
    own = "" if chosen.kept == SHIPPED else " (from your overlay)"
    source = f"{missed}{chosen.price_kind}, {where}{own}, {chosen.as_of}: {chosen.source}"
    return Price(Estimate(value, low, high, source), chosen.region, chosen.as_of, tuple(notes))


def _no_price(kind: str, rows: Sequence[Offer]) -> str:
    """Why offers of this kind are no price of a node; "" where they are one."""
    if kind.startswith("superseded"):
        old = ", ".join(f"${row.usd_per_hour:,.2f} in {row.region}" for row in rows
                        if row.price_kind == kind and row.usd_per_hour is not None)  # fmt: skip
        return f"superseded, not used: {old}"
    if kind == "GPU part only":
        parts = [row.usd_per_hour for row in rows if row.price_kind == kind and row.usd_per_hour is not None]
        return f"only the GPU part is listed, ${min(parts):,.2f} an hour and more: a floor, the machine comes on top"
    return "listed without a public price: capacity blocks or a private offer" if kind == "none listed" else ""


def _in(row: Offer, region: str) -> bool:
    return region == row.region or region in re.split(r"[\s,()]+", row.region)


def _marked_up(
    instance: str, usable: Sequence[Offer], known: Sequence[Offer], region: str
) -> tuple[Estimate, Offer, tuple[str, ...]] | None:
    """EC2's price times SageMaker's mark-up: the type's own where both are listed in one region, else 1.15 to 1.40."""
    plain = [row for row in known if row.provider == EC2 and row.instance == instance.removeprefix("ml.") and usd(row)]
    wanted = [row for row in plain if _in(row, region or AWS_HOME)] or [row for row in plain if row.region == AWS_HOME]
    base = usd(wanted[0]) if wanted else None
    if base is None:
        return None
    both = [(a / b) for row in usable for other in plain if row.region == other.region
            and (a := usd(row)) and (b := usd(other))]  # fmt: skip
    low, high = (min(both), max(both)) if both else MARK_UP
    said = f"its own mark-up {low:.3g}" if both else f"a mark-up of {low:g} to {high:g}"
    row = wanted[0]
    source = f"estimate: EC2's ${base:,.2f} in {row.region} x {said}, {row.as_of}: {row.source}"
    note = f"SageMaker's own price in {region or row.region} is not in the catalogue: an estimate from EC2's"
    return Estimate(base * (low * high) ** 0.5, base * low, base * high, source), row, (note,)


def _check(rows: Sequence[Offer]) -> None:
    problems = []
    for row in rows:
        where, found = f"{row.type} in {row.region or 'no region'} ({row.kept})", usd(row)
        if found is not None and not (0 < found < float("inf")):
            problems.append(Problem(f"the price of {row.type} is {found:g}", "a price is above zero and finite",
                                    "write USD an hour, or leave it empty: unknown", where))  # fmt: skip
        if found is not None and not re.search(r"\d{4}", row.as_of):
            problems.append(Problem(f"the price of {row.type} has no date", "prices move: undated is no fact",
                                    'write "as_of", such as 2026-11-01', where))  # fmt: skip
    if problems:
        raise StudyError.all(problems)
