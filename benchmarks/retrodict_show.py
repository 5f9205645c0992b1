"""The retrodiction for people: a table, the misses with why, the summary with what was asked for beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keel.units import show_count

HEAD = ("model", "year", "N", "shape", "hours", "-itself", "-dev", "FLOP/6ND", "budget", "band", "decades", "D/N", "in")


def text(rows: Sequence[Mapping[str, Any]], total: Mapping[str, Any]) -> str:
    """The whole printout."""
    cells = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(HEAD))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    misses = [f"  {row['id']}: {'; '.join(row['why'])}" for row in rows if row["why"]]
    return "\n".join([*table, "", "Misses and why", *misses, "", *summary(total)])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    band = f"{_big(row['band_low'])}-{_big(row['band_high'])}" if row["band_low"] else "no law"
    return (
        row["id"], str(row["year"]), _big(row["params"]), _percent(row["params_error"]), _big(row["hours"]),
        _over(row["hours_itself_out"], row["hours"]), _over(row["hours_developer_out"], row["hours"]),
        _plain(row["flop_ratio"], ".2f"), row["budget_from"], band, _plain(row["decades"], ".2f"),
        _plain(row["tokens_per_param"], ".3g"), {True: "yes", False: "NO", None: "-"}[row["inside"]],
    )  # fmt: skip


def summary(total: Mapping[str, Any]) -> list[str]:
    """The summary in sentences."""
    lines = [
        f"{total['models']} models with published compute, hardware or data",
        f"parameters from shape: {total['shapes_within_2_percent']} of {total['shapes']} within 2 % (asked: all), "
        f"the worst {100 * total['shapes_worst']:.1f} %",
        *(_hours(total[f"hours_{name}_out"], what) for name, what in (("itself", "the model itself"),
                                                                     ("developer", "its developer"))),
        f"device-hours published and not predicted: {', '.join(total['hours_left_out'])}",
        f"FLOP: {total['flop_beyond_1.5x']} of {total['flop']} published counts lie beyond 1.5x of 6ND from shape",
    ]  # fmt: skip
    for name, each in total["bands"].items():
        if each["models"]:
            lines.append(f"size in the band, {name}: {each['inside']} of {each['models']} ({each['below']} below, "
                         f"{each['above']} above), median width {each['median_decades']:.2f} decades")  # fmt: skip
    return lines


def _hours(each: Mapping[str, Any], what: str) -> str:
    middle = "unknown" if each["median_error"] is None else f"{100 * each['median_error']:.1f} %"
    return (f"device-hours, {what} left out: median error {middle} (asked: 25 %), {each['within_25_percent']} of "
            f"{each['models']} within 25 %")  # fmt: skip


def _big(value: float | None) -> str:
    return "-" if value is None else show_count(value)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f} %"


def _over(value: float | None, published: float | None) -> str:
    return "-" if not value or not published else _percent(value / published - 1)


def _plain(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
