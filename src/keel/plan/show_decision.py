"""The decision as text: one line an answer; with a topic, its reasons, what was not taken, and whose word it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from keel.units import show_count, show_duration, show_params, show_usd

SHOWN = 12
HERE = "here"
# Facts of dropped models that need no line each: the reason is the same for all of them.
QUIET = ("category", "use", "rank", "larger", "unscored")
Made = Mapping[str, Any]


def show_decision(made: Made, why: str | None) -> list[str]:
    """Route, base, size, cost, what binds; then the topic that is asked for."""
    lines = _answer(made)
    topic = {"route": _route, "base": _base, "loss": _losses, "size": _size}.get(why or "")
    return [*lines, "", *topic(made)] if topic else lines


def plain(text: str) -> str:
    """Printable ASCII: what a name holds beyond it is shown as its escape, so that nothing moves the terminal.

    Example:
        >>> print(plain("caf\\u00e9\\nroute   use"))
        caf\\xe9\\nroute   use
    """
    return "".join(letter if " " <= letter <= "~" else letter.encode("unicode_escape").decode() for letter in text)


def _answer(made: Made) -> list[str]:
    base, size, fresh = made["base"], made["size"], made["from_scratch"]
    named = f" {base['id']}" if base and made["route"]["value"] != "scratch" else ""
    lines = [f"route   {made['route']['value']}{named}: {made['route']['why']}",
             f"model   {made['category']['value']}: {made['category']['why']}"]  # fmt: skip
    lines += [f"base    {_based(base)}"] if base else []
    lines += [f"size    {_range(size)}", f"cost    {_cost(made['cost'])}"]
    if made["route"]["value"] != "scratch" and fresh["flop"]:
        epochs = f" ({fresh['epochs']:.3g} epochs)" if fresh["epochs"] else ""
        run = f"{show_params(fresh['params'])} on {show_count(fresh['tokens'])} tokens{epochs}"
        lines.append(f"        from scratch: {run}, {_cost(fresh)}")
    lines += [f"binds   {made['binds_why']}", f"invest  {made['investments']['why']}"]
    return lines + [f"also    {text}" for text in made["category"]["beside"]]


def _based(base: Made) -> str:
    """The base with its licence, whence that is known, and since when."""
    said = (
        f"{base['id']} ({show_params(base['params'])}, {base['licence'] or 'licence unknown'}: {base['licence_class']}"
    )
    if base["folder"]:
        return f"{said}), your folder {base['folder']}"
    read = f"{said}, basis: {base['licence_basis'] or 'unknown'}, read {base['as_of'] or 'on an unknown day'})"
    return read if base["from"] == "shipped" else f"{read}, from your overlay {base['from']}"


def _range(size: Made) -> str:
    """The size from fresh weights, each end with what sets it."""
    low, high = size["params_low"], size["params_high"]
    if low is None and high is None:
        return "unknown"
    ends = " to ".join(show_count(end) if end else "unknown" for end in (low, high))
    sets = [f"; {name}: {size[f'{name}_set_by']}" for name in ("low", "high") if size[f"{name}_set_by"]]
    return f"{ends} params from fresh weights{''.join(sets)}"


def _cost(cost: Made) -> str:
    """Money, hours and FLOP; what is not known is said."""
    if cost["flop"] == 0:
        return "nothing is trained"
    if cost["flop"] is None:
        return f"unknown: {cost['how']}"
    flop = f"{cost['flop']:.2g} FLOP"
    if cost["hours"] is None:
        return f"{flop}; money and hours unknown: no hardware is named"
    where = "this machine" if cost["hardware"] == HERE else f"{cost['nodes']} x {cost['hardware']}"
    priced = cost["usd"] is not None
    money = f"{show_usd(cost['usd_low'])} to {show_usd(cost['usd_high'])}" if priced else "money unknown"
    ends = " to ".join(show_duration(3600 * cost[f"hours_{end}"]) for end in ("low", "high"))
    return f"{money}, {ends} on {where} ({cost['devices']} {'device' if cost['devices'] == 1 else 'devices'}), {flop}"


def _route(made: Made) -> list[str]:
    lines = ["why this route, and not another:"]
    lines += [f"  not {name}: {text}" for name, text in made["route"]["others"].items()]
    lines += ["", "what decides:"]
    lines += [f"  {item['route']}: at least {show_count(item['least'])} {item['unit']} ({item['source']})"
              for item in made["route"]["thresholds"]]  # fmt: skip
    lines += ["", "what each use case weighs:" if made["use_cases"] else "no use case is said"]
    lines += [f"  {case['weight']:<6.3g}{case['name']} ({case['task']}): {case['why']}" for case in made["use_cases"]]
    shares = ", ".join(f"{name} {100 * share:.3g} %" for name, share in made["category"]["covers"].items())
    lines += ["", f"share of that weight that each category serves: {shares}", *_data(made["data"])]
    if fleet := made["deployed"]:
        lines += ["", f"deployed: {fleet['summary']}"]
        lines += [f"  {row['name']} -> {row['base'] or 'unknown'}: {row['why']}" for row in fleet["rows"]]
    return lines


def _data(data: Made) -> list[str]:
    amount = show_count(data["unique"]) if data["unique"] else "an unknown number of"
    ends = (data["low"], data["high"])
    spread = "" if None in ends or data["low"] == data["high"] else f" ({' to '.join(show_count(end) for end in ends)})"
    lines = [f"data: {amount} {data['unit']}{spread} ({data['modality']}), "
             f"languages {', '.join(data['languages']) or 'unknown'}; source: {data['source']}"]  # fmt: skip
    if data["few"]:
        lines.append(f"  few, and no base has to know them: {', '.join(data['few'])}")
    if data["domain"]:
        lines.append(f"  domain: {data['domain']} (yours; no fact of the catalogue is weighed against it)")
    return lines


def _base(made: Made) -> list[str]:
    lines = [
        f"shortlist, the smallest that is good enough first, ranked by {made['ranked_by'] or 'cover and size alone'}:"
    ]
    for place, item in enumerate(made["shortlist"], 1):
        lines += [f"  {place}. {item['id']} ({show_params(item['params'])}, {item['licence_class']}): {item['why']}",
                  f"     score: {_score(item)}"]  # fmt: skip
        lines += [f"     {cell['serves']:<5}{cell['use_case']}: {cell['why']}{_by(cell['source'])}"
                  for cell in item["matrix"]]  # fmt: skip
        lines += [f"     but: {text}" for text in item["caveats"]]
        lines += [f"     behind it: {text}" for text in item["corpora"]]
        if item["simpler_than"]:
            lines.append(f"     simpler than {', '.join(item['simpler_than'])} in size, parts, operations and loss")
    return [*lines, *([] if made["shortlist"] else ["  none is left"]), *_dropped(made),
            "licence classes are a hint for a filter, never legal advice"]  # fmt: skip


def _score(item: Made) -> str:
    return "none" if item["score"] is None else f"{item['score']:g} on {item['score_on']} ({item['score_source']})"


def _by(source: str) -> str:
    return f" ({source})" if source else ""


def _dropped(made: Made) -> list[str]:
    """How many by which fact, and the reasons that differ from one model to another."""
    facts = Counter(item["fact"] for item in made["dropped"])
    count = ", ".join(f"{number} by {fact}" for fact, number in facts.most_common())
    main = made["category"]["value"]
    told = [item for item in made["dropped"] if item["fact"] not in QUIET and item["category"] == main]
    told.sort(key=lambda item: item["fact"] == "licence")
    lines = ["", f"dropped: {count or 'none'} (all in --json)"]
    lines += [f"  {item['id']}: {item['why']}" for item in told[:SHOWN]]
    if len(told) > SHOWN:
        lines.append(f"  and {len(told) - SHOWN} more of the category {main} for such reasons")
    return lines


def _losses(made: Made) -> list[str]:
    category = made["category"]["value"]
    if not made["losses"]:
        said = "serves one of these use cases" if made["use_cases"] else "can be named before a use case is said"
        return [f"no way to pretrain of the category {category} {said}"]
    lines, told = [f"ways to pretrain that serve these use cases (category {category}):"], set[str]()
    for item in made["losses"]:
        here = "" if item["trains_here"] else " (keel does not train it)"
        lines.append(f"  {item['id']}{here}: {item['why']}")
        if item["precludes"]:
            lines.append(f"     precludes {item['precludes_why']}")
        if item["note"] and item["note"] not in told:
            lines.append(f"     {item['note']}")
        told.add(item["note"])
    return lines + [f"  left out: {item['id']}: {item['why']}" for item in made["losses_left"]]


def _size(made: Made) -> list[str]:
    lines = ["each law by itself, never averaged:",
             f"  {'law':<26}{'params':>8}{'low':>8}{'high':>8}{'tokens':>8}{'loss':>7}  match  outside"]  # fmt: skip
    for law in made["size"]["laws"]:
        cells = "".join(f"{show_count(law[name]) if law[name] else '-':>8}"
                        for name in ("params", "params_low", "params_high", "tokens"))  # fmt: skip
        loss, match = f"{law['loss']:.3f}" if law["loss"] else "-", "yes" if law["modality_match"] else "no"
        lines.append(f"  {law['law']:<26}{cells}{loss:>7}  {match:<5}  {law['outside'] or 'inside'}")
        lines += [f"      {text}" for text in (law["why_not"], law["note"]) if text]
    budget = made["budget"]
    if budget["flop"] and budget["flop_stated"]:
        lines += ["", f"budget  {budget['flop']:.2g} FLOP (yours)"]
    elif budget["usd"] and budget["flop"]:
        kept = ", ".join(f"{item['name']} {100 * item['share']:g} %" for item in budget["reserves"])
        lines += ["", f"budget  {show_usd(budget['usd'])}: {budget['flop']:.2g} FLOP ({budget['flop_low']:.2g} to "
                      f"{budget['flop_high']:.2g}) after reserves ({kept})"]  # fmt: skip
    for item in made["smaller"]:
        tokens = show_count(item["tokens"]) if item["tokens"] else "unknown"
        lines.append(f"  {show_usd(item['usd'])} would buy {show_params(item['params'])} on {tokens} tokens: binds "
                     f"{item['binds']}")  # fmt: skip
    return lines
