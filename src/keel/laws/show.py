"""A fit for people: what was fitted, the laws, the forecasts, in the manner of lmfit's fit_report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from keel.laws.read.seen import Table, text_of_columns
from keel.units import show_count

MOST_SHOWN = 8
LEAST_SHOWN = 0.05  # laws that weigh less get one line


def text(fitted: Mapping[str, Any], table: Table, level: float) -> str:
    """The whole printout; `fitted` is the content of fit.json."""
    parts = [text_of_columns(table)] if table.columns else []
    parts += [_head(fitted, table), _laws(fitted, level)]
    off = {item["id"] for item in fitted["lr"]["off"]} if fitted["lr"] else set()
    far = [item for item in fitted["down_weighted"] if item["id"] not in off]
    if far:
        parts.append("[[Down-weighted]] named, and kept at a small weight\n" + _named(far))
    if off:
        own = [item for item in fitted["down_weighted"] if item["id"] in off]
        parts.append("[[Off their rate]] a loss that another learning rate or batch would have spared\n" + _named(own))
    if fitted["excluded"]:
        lines = [f"  {item['id']}: {item['why']}" for item in fitted["excluded"]]
        parts.append("[[Left out]]\n" + "\n".join(lines))
    if fitted["optimum"]:
        parts.append(_optimum(fitted["optimum"]))
    parts += [_forecast(found) for found in fitted["forecasts"]]
    if fitted["lr"]:
        parts.append(_rates(fitted["lr"]))
    if fitted["leverage"]:
        parts.append(
            "[[Leverage]] " + _leverage(fitted["leverage"], sum(not row["held_out"] for row in fitted["rows"]))
        )
    if fitted["next"]:
        parts.append(_next(fitted["next"]))
    return "\n\n".join(parts)


def _named(items: Sequence[Mapping[str, str]]) -> str:
    lines = [f"  {item['id']}: {item['why']}" for item in items[:MOST_SHOWN]]
    more = len(items) - MOST_SHOWN
    return "\n".join(lines + ([f"  and {more} more (fit.json and --json name all)"] if more > 0 else []))


def _rates(found: Mapping[str, Any]) -> str:
    """The best rate of each target, a line each."""
    lines = [f"[[Learning rate]] from {found['sweeps']} sweeps, {found['swept']} runs"]
    for best in found["best"]:
        bounds = (
            f"at most {best['high']:.3g}" if best["low"] in (0, None)
            else f"at least {best['low']:.3g}" if best["high"] is None else f"{best['low']:.3g} to {best['high']:.3g}"
        )  # fmt: skip
        batch = f", batch {show_count(best['batch_tokens'])} tokens" if best["batch_tokens"] else ""
        said = "".join(f"; {text}" for text in best["warnings"] if text not in found["notes"])
        lines.append(
            f"  {show_count(best['params'])} params, {show_count(best['tokens'])} tokens: lr {best['lr']:.3g}, "
            f"{100 * found['level']:g} %: {bounds}{batch}; costs about {100 * best['regret']:.2g} % of loss "
            f"({100 * best['regret_high']:.2g} % at most){said}"
        )
    return "\n".join([*lines, *(f"  ! {text}" for text in found["notes"])])


def _leverage(top: Sequence[Mapping[str, Any]], num: int) -> str:
    moves = ", ".join(f"{item['id']} by {100 * math.expm1(item['change']):+.2g} %" for item in top)
    share = 100 * sum(item["share"] for item in top)
    return f"{len(top)} of {num} runs carry {share:.0f} % of the first forecast; it would move without\n  {moves}"


def _next(best: Mapping[str, Any]) -> str:
    """The run to pay for next, and two more."""
    lines = ["[[Next run]] what shrinks the first forecast's interval most per FLOP"]
    for run in (best, *best["others"]):
        lines.append(
            f"  {show_count(run['params'])} params, {show_count(run['tokens'])} tokens, {run['flop']:.3g} flop: "
            f"half-width {100 * run['width_now']:.2g} % -> {100 * run['width_after']:.2g} %"
        )
    return "\n".join([*lines, f"  {best['why']}"])


def _head(fitted: Mapping[str, Any], table: Table) -> str:
    used = [row for row in fitted["rows"] if not row["held_out"]]
    held = len(fitted["rows"]) - len(used)
    sizes = len({row["params"] for row in used})
    spans = ", ".join(
        f"{name} {show_count(min(row[name] for row in used))} to {show_count(max(row[name] for row in used))}"
        for name in ("params", "tokens", "flop")
    )
    return (
        f"[[Runs]] {len(used)} runs of {sizes} sizes{f', {held} held out' if held else ''}\n  {spans}\n"
        f"  params = {table.counted}; flop = {table.flop_from}; loss in {table.unit}"
    )


def _laws(fitted: Mapping[str, Any], level: float) -> str:
    lines = ["[[Laws]] weight by evidence; back-test = RMS miss of hidden larger runs; constants from all runs alike"]
    for law in fitted["laws"]:
        miss = "no back-test" if law["backtest_error"] is None else f"back-test {100 * law['backtest_error']:.2g} %"
        lines.append(f"  {law['name']:<12} {100 * law['weight']:3.0f} %  {miss:<16} {law['formula']}")
        if law["weight"] >= LEAST_SHOWN:
            lines += [
                f"      {name:<2} {p['value']:<10.4g} {100 * level:g} %: {p['low']:.4g} to {p['high']:.4g}"
                for name, p in law["params"].items()
            ]
    return "\n".join(lines)


def _optimum(best: Mapping[str, Any]) -> str:
    lines = [
        f"[[Optimum]] at {best['compute']:.3g} flop: {show_count(best['params'])} params, "
        f"{show_count(best['tokens'])} tokens ({best['tokens_per_param']:.3g} per param)",
        f"  {100 * best['level']:g} %: {show_count(best['params_low'])} to {show_count(best['params_high'])} params, "
        f"{show_count(best['tokens_low'])} to {show_count(best['tokens_high'])} tokens, "
        f"{best['tokens_per_param_low']:.3g} to {best['tokens_per_param_high']:.3g} per param",
        f"  sizes within .2 % of its loss: {show_count(best['same_loss_params_low'])} to "
        f"{show_count(best['same_loss_params_high'])}",
    ]
    if best["unspent_flop"] > 0:
        lines.append(f"  ! {best['unspent_flop']:.3g} flop unspent: the data end first")
    return "\n".join(lines + ([f"  ! {best['valid']}"] if best["valid"] else []))


def _forecast(found: Mapping[str, Any]) -> str:
    low, high, value = found["low"], found["high"], found["value"]
    parts = ", ".join(f"{name} {100 * width / value:.2g} %" for name, width in found["width_parts"].items())
    lines = [
        f"[[Forecast]] {show_count(found['params'])} params, {show_count(found['tokens'])} tokens, "
        f"{found['flop']:.3g} flop",
        f"  {value:.4g} {found['unit']}, {100 * found['level']:g} %: {low:.4g} to {high:.4g}"
        f" (-{100 * (1 - low / value):.2g} %, +{100 * (high / value - 1):.2g} %)",
        f"  half-widths by cause: {parts}",
        f"  {10 ** found['distance']:.3g} x the compute of the largest run used",
    ]
    if "measured" in found:
        lines.append(f"  measured {found['measured']:.4g}: {'hit' if found['hit'] else 'miss'}")
    return "\n".join([*lines, *(f"  ! {text}" for text in found["warnings"])])
