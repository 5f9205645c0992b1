"""A size for people: the answer in one line, then each law, then what it costs and what to copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keel.size.budget import Reserve
from keel.units import show_count, show_duration, show_usd

MOST_NOTE = 78


def text(result: Mapping[str, Any], reserves: Sequence[Reserve] = ()) -> str:
    """The whole printout."""
    parts = [_headline(result)]
    if result["triangle"]["laws"]:
        parts.append(_corners(result))
    if result["size"] and result["size"]["laws"]:
        parts.append(_laws(result["size"]["laws"]))
    parts.append(_costs(result, reserves))
    if result["machines"]:
        parts.append("\n".join(result["machines"]))
    if result["advice"]:
        parts.append(_advice(result["advice"]))
    if result["proven"]:
        parts.append(
            "A proven way (copy it, then compare)\n" + "\n".join(f"  {each['text']}" for each in result["proven"])
        )
    return "\n\n".join(part for part in parts if part)


def _headline(result: Mapping[str, Any]) -> str:
    size, run, kind = result["size"], result["run"], _kind(result)
    if result["triangle"]["follows"] or (run["params"] and run["tokens"] and run["follows"] != "band"):
        said = f"{_count(run['params'])} parameters on {_count(run['tokens'])} tokens are {run['flop']:.3g} flop"
        return f"{said} ({run['tokens'] / run['params']:.3g} tokens a parameter; {kind})"
    if size is None:
        return f"One corner is given: each law says the other two ({kind})"
    if size["params_low"] is None and size["params_high"] is None:
        return f"No law sizes this kind of model ({kind}): follow a released one, or run a ladder"
    band = f"{_count(size['params_low'])} to {_count(size['params_high'])} parameters"
    point = ""
    if size["params"] and size["tokens"]:
        point = f"; {_count(size['params'])} on {_count(size['tokens'])} tokens by {size['point_law']}"
    ends = f"  lower end: {size['low_set_by']}\n  upper end: {size['high_set_by']}"
    return f"{kind.capitalize()}: {band}{point}. {_binds(result)}\n{ends}"


def _kind(result: Mapping[str, Any]) -> str:
    return str(result["category"]) + ("" if result["category_said"] else ", assumed: --category says otherwise")


def _binds(result: Mapping[str, Any]) -> str:
    size, binds = result["size"], result["binds"]
    if binds == "data" and size["unspent_flop"] and result["budget_flop"]:
        share = size["unspent_flop"] / result["budget_flop"]["value"]
        return f"Data binds, not money: {share:.0%} of the compute stays unspent"
    return {"nothing": "Nothing binds that was said"}.get(binds, f"{binds.capitalize()} binds")


def _laws(laws: Sequence[Mapping[str, Any]]) -> str:
    rows = [("law", "N", "N low-high", "D", "epochs", "loss", "in range", "match")]
    for law in laws:
        rows.append((
            law["law"] + ("" if law["in_band"] else " *"), _count(law["params"]),
            _ends(law),
            _count(law["tokens"]), f"{law['epochs']:.3g}" if law["epochs"] else "-",
            f"{law['loss']:.3f}" if law["loss"] else "-", "yes" if not law["outside"] else f"no: {law['outside']}",
            "yes" if law["modality_match"] else "no",
        ))  # fmt: skip
    notes = dict.fromkeys(f"  * {law['law']}: {law['why_not']}" for law in laws if not law["in_band"])
    return "\n".join(["Law by law, never averaged", table(rows), *notes])


def _ends(law: Mapping[str, Any]) -> str:
    low, high = _count(law["params_low"]), _count(law["params_high"])
    return "-" if low == high else f"{low}-{high}"


def _corners(result: Mapping[str, Any]) -> str:
    rows = [("law", "N", "D", "D/N", "flop", "loss", "flop / least for the loss")]
    for each in result["triangle"]["laws"]:
        rows.append((
            each["law"], _count(each["params"]), _count(each["tokens"]), f"{each['tokens'] / each['params']:.3g}",
            f"{each['flop']:.3g}", f"{each['loss']:.3f}" if each["loss"] else "-",
            f"{each['excess']:.2f}" if each["excess"] else "-",
        ))  # fmt: skip
    return "Law by law, what was given and what follows\n" + table(rows)


def _costs(result: Mapping[str, Any], reserves: Sequence[Reserve]) -> str:
    lines = []
    if result["budget_flop"]:
        budget = result["budget_flop"]
        lines.append(
            f"budget  {budget['value']:.3g} flop ({budget['low']:.2g} to {budget['high']:.2g}): {budget['source']}"
        )
    lines += [f"        reserve {each.name} {each.share:.0%}: {each.why}" for each in reserves]
    if result["unique"]:
        unique = result["unique"]
        lines.append(f"data    {_count(unique['value'])} {result['unit']} ({_count(unique['low'])} to "
                     f"{_count(unique['high'])}): {unique['source']}")  # fmt: skip
    if cost := result["cost"]:
        hours, usd = cost["device_hours"], cost["usd"]
        money = (
            f", {show_usd(usd['value'])} ({show_usd(usd['low'])} to {show_usd(usd['high'])})" if usd else ", no price"
        )
        lines.append(f"run     {cost['flop']:.3g} flop, {hours['value']:,.0f} device-hours ({hours['low']:,.0f} to "
                     f"{hours['high']:,.0f}){money}")  # fmt: skip
        if cost["hours"]:
            lines.append(
                f"time    {show_duration(3600 * cost['hours']['value'])} on {cost['nodes']} x {result['hardware']}"
            )
    return "\n".join(lines)


def _advice(advice: Sequence[Mapping[str, Any]]) -> str:
    rows = [("setting", "value", "low-high", "unit", "outside by")]
    for each in advice:
        ends = f"{each['low']:.3g}-{each['high']:.3g}" if each["low"] is not None else "no band"
        rows.append((each["name"].removeprefix("advice."), f"{each['value']:.3g}", ends, each["unit"],
                     each["outside"] or "-"))  # fmt: skip
    return "Settings to start from\n" + table(rows)


def _count(value: float | None) -> str:
    return "unknown" if value is None else show_count(value)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell.

    Example:
        >>> print(table([("a", "bb"), ("ccc", "d")]))
          a    bb
          ccc  d
    """
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
