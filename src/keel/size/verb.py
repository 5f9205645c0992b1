"""`keel size`: from a budget, a size, data or any two of them to the rest, with each law's answer beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from keel.answer import Answer, Number
from keel.catalog.age import warnings as age_warnings
from keel.catalog.store import Catalogue, of_study
from keel.errors import Problem, StudyError
from keel.size import budget, convert, proven, show
from keel.size.advice import advice
from keel.size.ask import Ask
from keel.size.asked import Asked, read
from keel.size.band import Band, band
from keel.size.cost import Cost, Place, cost_of, feasible
from keel.size.doubts import unsaid
from keel.size.hardware import find
from keel.size.machines import Machines, machines
from keel.size.speed import speed
from keel.size.time import Estimate
from keel.size.triangle import Corner, Triangle, contradiction, corners, triangle


def size(given: Mapping[str, str | None], languages: Sequence[str] = (), reserves: Sequence[str] = (),
         study: Path = Path("."), today: str | None = None) -> Answer:  # fmt: skip
    """The verb.

    Raises:
        StudyError: everything that is wrong with the options.
        Refused: it cannot be done in the money or the time that was given.
    """
    known = of_study(study)
    known.check()
    asked = _asked(given, languages, reserves, known)
    place, held_back = _place(asked, known)
    unique = _unique(asked, known)
    flop = _flop(asked, place, held_back)
    corner = triangle(asked.params, asked.tokens, asked.compute)
    ask = Ask(asked.category, flop or _as_budget(corner), unique, asked.unit, serving_tokens=asked.serve_tokens,
              max_epochs=asked.max_epochs)  # fmt: skip
    found = band(ask) if ask.flop is not None or ask.unique is not None else None
    run = _run(corner, found)
    cost = cost_of(run.flop, place, asked.nodes, asked.deadline_s)
    held = _machines(asked, known, run)
    holding = held.holdings[0] if held else None
    feasible(cost, place, asked.usd, held_back, asked.nodes, asked.deadline_s, holding)
    looked = corners(corner, unique.value if unique else None) if _shows_corners(asked) else ()
    recipe = _recipe(known, asked, ask, run)
    settings = advice(known, asked.category, run.params, run.tokens, _loss(looked, found)) if run.params else ()
    answer = Answer(result=_result(asked, corner, found, run, cost, looked, recipe, settings, flop, unique))
    answer.numbers = _numbers(found, recipe, settings, asked, flop, cost, unique)
    answer.problems = [
        *((*unsaid(ask), *found.problems) if found else ()),
        *_ages(known, place, today),
        *_slow(place),
        *(held.problems if held else ()),
    ]
    answer.numbers += held.numbers if held else ()
    answer.result["machines"] = list(held.lines) if held else []
    answer.text = show.text(answer.result, held_back if asked.usd else ())
    return answer


def _asked(
    given: Mapping[str, str | None], languages: Sequence[str], reserves: Sequence[str], known: Catalogue
) -> Asked:
    """The options as numbers; an unknown machine is said along with everything else that is wrong."""
    try:
        return read(given, languages, reserves)
    except StudyError as error:
        problems = list(error.problems)
    if name := given.get("hardware"):
        try:
            find(known, name)
        except StudyError as error:
            problems += error.problems
    raise StudyError.all(problems)


def _place(asked: Asked, known: Catalogue) -> tuple[Place | None, tuple[budget.Reserve, ...]]:
    """The machine and the reserves; what is wrong with either, together."""
    problems: list[Problem] = contradiction(asked.params, asked.tokens, asked.compute)
    place, held_back = None, budget.RESERVES
    try:
        held_back = budget.reserves(asked.reserves)
    except StudyError as error:
        problems += error.problems
    if asked.hardware:
        try:
            node = find(known, asked.hardware, asked.region)
            place = Place(node, speed(node, asked.mfu, masked=asked.category == "encoder"))
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError.all(problems)
    return place, held_back


def _unique(asked: Asked, known: Catalogue) -> Estimate | None:
    if asked.unique is not None:
        return Estimate(asked.unique, asked.unique, asked.unique, "yours (--unique)")
    if asked.bytes is None:
        return None
    return convert.tokens_of(asked.bytes, convert.bytes_per_token(known, asked.languages))


def _flop(asked: Asked, place: Place | None, held_back: Sequence[budget.Reserve]) -> Estimate | None:
    """The budget in FLOP: said, or what the money or the machine time buys; the smaller where both are given."""
    if asked.compute is not None:
        return Estimate(asked.compute, asked.compute, asked.compute, "yours (--compute)")
    if place is None:
        return None
    bought = []
    if asked.usd is not None:
        bought.append(budget.flop_of(asked.usd, place.hardware, place.speed, held_back))
    if asked.nodes and asked.deadline_s:
        bought.append(budget.flop_in(asked.deadline_s, asked.nodes, place.hardware, place.speed))
    return min(bought, key=lambda one: one.value) if bought else None


def _as_budget(corner: Triangle) -> Estimate | None:
    if corner.flop is None:
        return None
    return Estimate(corner.flop, corner.flop, corner.flop, "6 N D of the run asked for")


def _run(corner: Triangle, found: Band | None) -> Triangle:
    """The run to cost: the one that was asked for, else the band's."""
    if corner.params and corner.tokens:
        return corner
    if corner.params or corner.tokens or found is None:
        return corner
    return Triangle(found.params, found.tokens, found.flop, "band")


def _machines(asked: Asked, known: Catalogue, run: Triangle) -> Machines | None:
    """Memory, nodes, hours and money on the machine: of text models, whose memory the parameters tell."""
    if not asked.hardware or asked.unit != "tokens" or not (run.params and run.tokens and run.flop):
        return None
    return machines(known, [asked.hardware], params=run.params, flop=run.flop, tokens=run.tokens,
                    deadline_s=asked.deadline_s, mfu=asked.mfu, region=asked.region,
                    category=asked.category)  # fmt: skip


def _shows_corners(asked: Asked) -> bool:
    """Law by law for a given run, size or amount of tokens; a budget alone is the band's table."""
    return asked.category == "decoder" and (asked.params is not None or asked.tokens is not None)


def _recipe(known: Catalogue, asked: Asked, ask: Ask, run: Triangle) -> tuple[proven.Proven, ...]:
    unique = ask.unique.value if ask.unique else run.tokens if asked.unit == "tokens" else None
    flop = run.flop or (ask.flop.value if ask.flop else None)
    return proven.nearest(known, asked.category, asked.unit, unique, flop, limit=asked.licence, params=run.params)


def _loss(looked: Sequence[Corner], found: Band | None) -> float | None:
    if looked:
        return looked[0].loss
    return next((law.loss for law in found.laws if law.in_band and law.loss), None) if found else None


def _ages(known: Catalogue, place: Place | None, today: str | None) -> list[Problem]:
    """Whether the prices used are old."""
    if place is None or place.hardware.usd_per_hour is None:
        return []
    rows = [row for row in known.offers if row.type == place.hardware.name and row.as_of == place.hardware.price_as_of]
    return list(age_warnings(rows, today or date.today().isoformat()))


def _slow(place: Place | None) -> list[Problem]:
    return [] if place is None else [Problem(text, "a fact of the chip", "mind it when you plan", place.hardware.name)
                                     for text in place.speed.warnings]  # fmt: skip


def _result(
    asked: Asked, corner: Triangle, found: Band | None, run: Triangle, cost: Cost | None, looked: Sequence[Corner],
    recipe: Sequence[proven.Proven], settings: Sequence[Number], flop: Estimate | None, unique: Estimate | None,
) -> dict[str, Any]:  # fmt: skip
    """What --json prints as `result`."""
    best = None
    if found is not None:
        best = {name: getattr(found, name) for name in (
            "params_low", "params_high", "low_set_by", "high_set_by", "params", "tokens", "epochs", "flop",
            "unspent_flop", "point_law")}  # fmt: skip
        best["laws"] = [law._asdict() for law in found.laws]
    return {
        "category": asked.category, "category_said": bool(asked.loss) or asked.category != "decoder",
        "unit": asked.unit, "binds": found.binds if found else "nothing", "size": best,
        "triangle": corner._asdict() | {"laws": [each._asdict() for each in looked]},
        "run": run._asdict(), "budget_flop": _plain(flop), "unique": _plain(unique), "hardware": asked.hardware,
        "cost": None if cost is None else {
            "flop": cost.flop, "device_hours": _plain(cost.device_hours), "nodes": cost.nodes,
            "hours": _plain(cost.hours), "usd": _plain(cost.usd),
        },
        "advice": [{"name": each.name, "value": each.value, "low": each.low, "high": each.high, "unit": each.unit,
                    "outside": each.outside} for each in settings],
        "proven": [{"id": each.model.id, "text": each.text, "distance": each.distance, "by": each.by,
                    "source": each.model.source} for each in recipe],
    }  # fmt: skip


def _plain(value: Estimate | None) -> dict[str, Any] | None:
    return None if value is None else value._asdict()


def _numbers(
    found: Band | None, recipe: Sequence[proven.Proven], settings: Sequence[Number], asked: Asked,
    flop: Estimate | None, cost: Cost | None, unique: Estimate | None,
) -> list[Number]:  # fmt: skip
    made = list(found.numbers) if found else []
    for name, unit, value, formula in (
        ("budget.flop", "flop", flop, "usd (1 - reserves) / price x 3600 x devices x FLOP/s"),
        (f"data.unique_{asked.unit}", asked.unit, unique, "bytes / bytes per token"),
        ("cost.device_hours", "h", cost.device_hours if cost else None, "FLOP / (peak x MFU x 3600)"),
        ("cost.usd", "USD", cost.usd if cost else None, "device-hours / devices x price"),
    ):
        if value is not None:
            yours = value.source.startswith("yours")
            made.append(Number(name, value.value, unit, value.low, value.high, "" if yours else formula,
                               source=value.source, yours=yours))  # fmt: skip
    return [*made, *settings, *(proven.number(each, asked.unit) for each in recipe[:1])]
