"""The decision as text: one line an answer; with a topic, its reasons, what was not taken, and whose word it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from keel.units import show_count, show_duration, show_usd

SHOWN = 12


def show_decision(made: Mapping[str, Any], why: str | None) -> list[str]:
    """Route, base, size, cost, what binds; then the topic that is asked for."""
    lines = [*_answer(made)]
    topic = {"route": _route, "base": _base, "loss": _losses, "size": _size}.get(why or "")
    return [*lines, "", *topic(made)] if topic else lines


def _answer(made: Mapping[str, Any]) -> list[str]:
    base, size, cost = made["base"], made["size"], made["cost"]
    named = f" {base['id']}" if base and made["route"]["value"] != "scratch" else ""
    lines = [f"route   {made['route']['value']}{named}: {made['route']['why']}",
             f"model   {made['category']['value']}: {made['category']['why']}"]  # fmt: skip
    if base:
        lines.append(f"base    {base['id']} ({_params(base['params'])}, {base['licence'] or 'licence unknown'}: "
                     f"{base['licence_class']}, basis: {base['licence_basis'] or 'unknown'}, read {base['as_of']})"
                     + (f", from your overlay {base['from']}" if base["from"] != "shipped" else ""))  # fmt: skip
    lines.append(f"size    {_range(size['params_low'], size['params_high'])} from fresh weights"
                 + (f"; low: {size['low_set_by']}; high: {size['high_set_by']}" if size["params_high"] else ""))  # fmt: skip
    lines.append(f"cost    {_cost(cost)}")
    fresh = made["from_scratch"]
    if made["route"]["value"] != "scratch" and fresh["flop"]:
        lines.append(f"        from scratch: {_params(fresh['params'])} on {show_count(fresh['tokens'])} tokens "
                     f"({fresh['epochs'] or 1:.3g} epochs), {_cost(fresh)}")  # fmt: skip
    lines.append(f"binds   {made['binds_why']}")
    lines.append(f"invest  {made['investments']['why']}")
    return lines + [f"also    {text}" for text in made["category"]["beside"]]


def _params(params: float | None) -> str:
    return f"{show_count(params)} params" if params else "size unknown"


def _range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "unknown"
    return f"{show_count(low) if low else 'unknown'} to {show_count(high) if high else 'unknown'} params"


def _cost(cost: Mapping[str, Any]) -> str:
    if cost["flop"] == 0:
        return "nothing is trained"
    if cost["flop"] is None:
        return f"unknown: {cost['how']}"
    money = f"{show_usd(cost['usd_low'])} to {show_usd(cost['usd_high'])}, " if cost["usd_low"] is not None else ""
    hours = ""
    if cost["hours"] is not None:
        hours = f"{show_duration(3600 * cost['hours'])} on one {cost['hardware']} ({cost['devices']} devices), "
    return f"{money}{hours}{cost['flop']:.2g} FLOP"


def _route(made: Mapping[str, Any]) -> list[str]:
    lines = ["why this route, and not another:"]
    lines += [f"  not {name}: {text}" for name, text in made["route"]["others"].items()]
    lines += ["", "what decides:"]
    lines += [f"  {item['route']}: at least {show_count(item['least'])} {item['unit']} ({item['source']})"
              for item in made["route"]["thresholds"]]  # fmt: skip
    lines += ["", "what each use case weighs:"]
    lines += [f"  {case['weight']:<6.3g}{case['name']} ({case['task']}): {case['why']}" for case in made["use_cases"]]
    covers = made["category"]["covers"]
    lines += ["", "share of that weight that each category serves: "
              + ", ".join(f"{name} {100 * share:.3g} %" for name, share in covers.items())]  # fmt: skip
    data = made["data"]
    amount = show_count(data["unique"]) if data["unique"] else "unknown"
    lines.append(f"data: {amount} {data['unit']} of {data['modality']}, {_range_of(data)}, languages "
                 f"{', '.join(data['languages']) or 'unknown'}; source: {data['source']}")  # fmt: skip
    if fleet := made["deployed"]:
        lines += ["", f"deployed: {fleet['summary']}"]
        lines += [f"  {row['name']} -> {row['base'] or 'unknown'}: {row['why']}" for row in fleet["rows"]]
    return lines


def _range_of(data: Mapping[str, Any]) -> str:
    if data["low"] is None or data["low"] == data["high"]:
        return "no interval"
    return f"{show_count(data['low'])} to {show_count(data['high'])}"


def _base(made: Mapping[str, Any]) -> list[str]:
    lines = ["shortlist, the smallest that is good enough first:"]
    for place, item in enumerate(made["shortlist"], 1):
        score = (
            f"{item['score']:g} on {item['score_on']} ({item['score_source']})" if item["score"] is not None else "none"
        )
        lines += [f"  {place}. {item['id']} ({_params(item['params'])}, {item['licence_class']}): {item['why']}",
                  f"     score: {score}"]  # fmt: skip
        lines += [
            f"     {cell['serves']:<5}{cell['use_case']}: {cell['why']} ({cell['source']})" for cell in item["matrix"]
        ]
        lines += [f"     but: {text}" for text in item["caveats"]]
        lines += [f"     behind it: {text}" for text in item["corpora"]]
        if item["simpler_than"]:
            lines.append(f"     simpler than {', '.join(item['simpler_than'])} in size, parts, operations and loss")
    if not made["shortlist"]:
        lines.append("  none is left")
    facts = Counter(item["fact"] for item in made["dropped"])
    lines += [
        "",
        "dropped: " + ", ".join(f"{number} by {fact}" for fact, number in facts.most_common()) + " (all in --json)",
    ]
    main, quiet = made["category"]["value"], ("category", "use", "rank", "larger")
    told = [item for item in made["dropped"] if item["fact"] not in quiet and item["category"] == main]
    told.sort(key=lambda item: item["fact"] == "licence")
    lines += [f"  {item['id']}: {item['why']}" for item in told[:SHOWN]]
    if len(told) > SHOWN:
        lines.append(f"  and {len(told) - SHOWN} more of the category {main} for such reasons")
    return [*lines, "licence classes are a hint for a filter, never legal advice"]


def _losses(made: Mapping[str, Any]) -> list[str]:
    lines, told = [f"ways to pretrain that serve these use cases (category {made['category']['value']}):"], set[str]()
    for item in made["losses"]:
        lines.append(f"  {item['id']}: {item['why']}")
        if item["precludes"]:
            lines.append(f"     precludes {', '.join(item['precludes'])}")
        if item["note"] and item["note"] not in told:
            lines.append(f"     {item['note']}")
        told.add(item["note"])
    return lines


def _size(made: Mapping[str, Any]) -> list[str]:
    size = made["size"]
    lines = ["each law by itself, never averaged:",
             f"  {'law':<26}{'params':>8}{'low':>8}{'high':>8}{'tokens':>8}{'loss':>7}  match  outside"]  # fmt: skip
    for law in size["laws"]:
        cells = "".join(f"{show_count(law[name]) if law[name] else '-':>8}"
                        for name in ("params", "params_low", "params_high", "tokens"))  # fmt: skip
        loss = f"{law['loss']:.3f}" if law["loss"] else "-"
        lines.append(
            f"  {law['law']:<26}{cells}{loss:>7}  {'yes' if law['modality_match'] else 'no':<5}  {law['outside'] or 'inside'}"
        )
        for text in (law["why_not"], law["note"]):
            if text:
                lines.append(f"      {text}")
    budget = made["budget"]
    if budget["usd"] and budget["flop"]:
        kept = ", ".join(f"{item['name']} {100 * item['share']:g} %" for item in budget["reserves"])
        lines += ["", f"budget  {show_usd(budget['usd'])}: {budget['flop']:.2g} FLOP ({budget['flop_low']:.2g} to "
                      f"{budget['flop_high']:.2g}) after reserves ({kept})"]  # fmt: skip
    for item in made["smaller"]:
        lines.append(f"  {show_usd(item['usd'])} would buy {_params(item['params'])} on "
                     f"{show_count(item['tokens']) if item['tokens'] else 'unknown'} tokens: binds {item['binds']}")  # fmt: skip
    return lines
