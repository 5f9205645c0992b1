"""Two questions of `keel size` beside the triangle: what measured times say of more nodes, what a published run was."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from keel.answer import Answer, Number
from keel.catalog.store import Catalogue, of_study
from keel.errors import Problem, StudyError
from keel.model.shapes.released import RELEASED, Released
from keel.size.hardware import find
from keel.size.machines_show import strong_lines
from keel.size.reported import taken_apart
from keel.size.strong import Strong, strong
from keel.units import parse_duration_s, show_count, show_duration, show_usd

MORE = (2, 4)  # times the most nodes that were timed
WHERE = "--scaling"


def scaling(text: str, hardware: str = "", study: Path = Path("."), region: str = "") -> Answer:
    """Minutes on more nodes from "1=99min,8=13.5min", with what the points cannot tell; money where a node is named.

    Raises:
        StudyError: pieces that are no nodes=time, unknown hardware; all of them.
    """
    points = _points(text)
    found = strong(points)
    more = [times * found.points[-1].nodes for times in MORE]
    node = find(of_study(study), hardware, region) if hardware else None
    price = node.usd_per_hour.value if node and node.usd_per_hour else None
    numbers = _scaled(found, more, price)
    lines = list(strong_lines(found, more, price))
    minutes = {nodes: found.minutes(nodes)._asdict() for nodes in more}
    result = {
        "speed_up": found.speed_up, "efficiency": found.efficiency, "serial_share": found.serial_share._asdict(),
        "minutes": minutes, "cannot": found.cannot, "tells": found.tells._asdict(), "usd_per_hour": price,
    }  # fmt: skip
    return Answer(result=result, text="\n".join(lines), numbers=numbers)


def _points(text: str) -> list[tuple[int, float]]:
    """(nodes, minutes); a time without its unit is refused."""
    found, wrong = list[tuple[int, float]](), list[Problem]()
    for piece in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*[=:]\s*(.+?)\s*", piece)
        try:
            if match is None:
                raise StudyError(f"{piece.strip()!r} is no nodes=time", why="expected nodes and how long they took",
                                 fix="write 1=99min,8=13.5min", where=WHERE)  # fmt: skip
            found.append((int(match[1]), parse_duration_s(match[2], WHERE) / 60))
        except StudyError as error:
            wrong += error.problems
    if wrong:
        raise StudyError.all(wrong)
    return found


def _scaled(found: Strong, more: list[int], price: float | None) -> list[Number]:
    source = "Amdahl 1967; " + found.cannot
    numbers = [
        Number("scaling.serial_share", found.serial_share.value, "", found.serial_share.low, found.serial_share.high,
               "T(n) = T(1) (f + (1 - f) / n)", source=source),
        Number("scaling.efficiency", found.efficiency, "", formula="T(a) a / (T(b) b)", source="your times"),
    ]  # fmt: skip
    for nodes in more:
        time = found.minutes(nodes)
        numbers.append(Number(f"scaling.minutes.{nodes}", time.value, "min", time.low, time.high,
                              "over every explanation that goes through the points", source=source,
                              outside=f"{nodes / found.points[-1].nodes:g}x the most nodes timed"))  # fmt: skip
        if price is not None:
            usd = found.usd(nodes, price)
            numbers.append(Number(f"scaling.usd.{nodes}", usd.value, "usd", usd.low, usd.high, "nodes x hours x price"))
    return numbers


def run_of(model_id: str, hardware: str, study: Path = Path(".")) -> Answer:
    """A published run by its row: devices, time, whole nodes, MFU by its own FLOP and by keel's, and today's price.

    Raises:
        StudyError: unknown model or hardware; a row without devices and hours; no hardware named.
    """
    known = of_study(study)
    if not hardware:
        raise StudyError("on which hardware?", why="a published run is set against a node", where="--hardware",
                         fix="write --hardware aws:p4d.24xlarge")  # fmt: skip
    found = taken_apart(known, model_id, hardware, _released(known, model_id))
    lines = [
        f"{model_id}: {found.devices:,} devices for {show_duration(3600 * found.hours)}: {found.device_hours:,.0f} "
        f"device-hours, {found.nodes:g} x {found.hardware.name}",
        f"  params   {show_count(found.params) if found.params else 'its shape is not one that keel can count'}",
        f"  flop     {_flop(found.flop_stated)} by its row, {_flop(found.flop_counted)} by shape and tokens",
        f"  MFU      {_share(found.mfu_stated)} by its row, {_share(found.mfu_counted)} by shape and tokens",
    ]  # fmt: skip
    if usd := found.usd_today:
        lines.append(f"  today    {show_usd(usd.value)} ({show_usd(usd.low)} to {show_usd(usd.high)}): {usd.source}")
    numbers = [Number(f"run.{name}", value, unit, source=known.models[model_id].train_flop_source)
               for name, value, unit in _values(found._asdict()) if value is not None]  # fmt: skip
    result = {name: value for name, value, _ in _values(found._asdict())} | {
        "id": model_id, "nodes": found.nodes, "hardware": found.hardware.name,
        "usd_today": found.usd_today._asdict() if found.usd_today else None,
    }  # fmt: skip
    problems = [Problem(text, "a fact of the chip", "mind it", hardware) for text in found.warnings]
    return Answer(result=result, text="\n".join(lines), numbers=numbers, problems=problems)


def _values(found: Mapping[str, object]) -> list[tuple[str, float | None, str]]:
    units = {"devices": "", "hours": "h", "device_hours": "h", "params": "params", "flop_stated": "flop",
             "flop_counted": "flop", "mfu_stated": "", "mfu_counted": ""}  # fmt: skip
    return [(name, _number(found[name]), unit) for name, unit in units.items()]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _released(known: Catalogue, model_id: str) -> Released | None:
    """Its layout where keel's shapes hold it: by id, else by the first words of its name."""
    model = known.models.get(model_id)
    name = model.name if model else ""
    return RELEASED.get(model_id) or next(
        (each for key, each in RELEASED.items() if name and key.startswith(name)), None
    )


def _flop(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"
