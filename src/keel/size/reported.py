"""A published run taken apart: devices, time, whole nodes, parameters, FLOP, MFU, and what it would cost today."""

from __future__ import annotations

import re
from typing import NamedTuple

from keel.catalog.store import Catalogue
from keel.errors import StudyError, nearest
from keel.model.shapes import SHAPES, Use
from keel.model.shapes.released import Released
from keel.size.hardware import Hardware, find
from keel.size.speed import speed
from keel.size.time import Estimate

ALONE = re.compile(r"(\d[\d,]*) [^,]*, (?:about )?(\d[\d,]*(?:\.\d+)?) (h|days)\b")
HOURS = {"h": 1.0, "days": 24.0}


class Reported(NamedTuple):
    """What a row says and what follows from it. `mfu_stated`: from the row's own FLOP; `mfu_counted`: from keel's
    arithmetic of the shape and the tokens seen (None: shape or tokens unknown).
    """

    model_id: str
    devices: int
    hours: float
    hardware: Hardware
    nodes: float
    device_hours: float
    params: int | None
    flop_stated: float | None
    flop_counted: float | None
    mfu_stated: float | None
    mfu_counted: float | None
    usd_today: Estimate | None
    warnings: tuple[str, ...]


def taken_apart(
    known: Catalogue, model_id: str, hardware: str, released: Released | None = None, use: Use | None = None
) -> Reported:
    """The run of a catalogue row on nodes of `hardware`, with `released` as its shape.

    `use`: tokens of a sample through each stack (default: the whole context); the row's tokens are those of the last.

    Raises:
        StudyError: no such model; a row that does not say devices and hours.

    Example:
        >>> from keel.model.shapes.released import RELEASED
        >>> shape = RELEASED["AlexaTM 20B, as the paper lays it out"]
        >>> alexa = taken_apart(Catalogue(), "alexatm-20b", "aws:p4d.24xlarge", shape)
        >>> alexa.devices, alexa.hours / 24, alexa.nodes, round(alexa.params / 1e9, 2), round(alexa.mfu_stated, 3)
        (128, 120.0, 16.0, 19.71, 0.493)
    """
    model = known.models.get(model_id)
    if model is None:
        raise StudyError(f"unknown model '{model_id}'", why="the catalogue has no such row",
                         fix=nearest(model_id, known.models), where="models")  # fmt: skip
    said = ALONE.search(model.train_hardware)
    if said is None:
        raise StudyError(f"how long {model_id} took is not told apart", why=f"its row says '{model.train_hardware}'",
                         fix="write devices and hours in catalog/models.csv, as '128 A100, 2880 h'",
                         where="models: train_hardware")  # fmt: skip
    node = find(known, hardware)
    devices, hours = int(said[1].replace(",", "")), float(said[2].replace(",", "")) * HOURS[said[3]]
    nodes, fast = devices / node.devices, speed(node)
    params, counted = None, None
    if released is not None:
        shapes = SHAPES[released.family]
        shape = shapes.shape(released.size)
        params = shapes.params(shape, released.head).total
        use = use or shapes.full_use(shape)
        each = shapes.flop(shape, use, released.head) / (use.decoder or use.encoder)
        counted = None if model.seen is None else each * model.seen
    most = devices * hours * 3600 * fast.peak_flop_s
    cost, node_hours = node.usd_per_hour, nodes * hours
    usd = None
    if cost is not None:
        usd = Estimate(node_hours * cost.value, node_hours * cost.low, node_hours * cost.high, cost.source)
    return Reported(model_id, devices, hours, node, nodes, devices * hours, params, model.train_flop, counted,
                    None if model.train_flop is None else model.train_flop / most,
                    None if counted is None else counted / most, usd, fast.warnings)  # fmt: skip
