"""The plan as text for people: the answer first, then the runs, then the numbers of a topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.plan.losses import show as show_losses
from keel.plan.losses import show_added
from keel.plan.show_decision import plain, show_decision
from keel.plan.show_runs import show_arms, show_runs
from keel.units import show_bytes, show_count

TOPICS = {
    "route": ("route", "category"), "base": ("start",), "loss": ("train.loss", "train.options"),
    "size": ("size", "cost", "budget", "price", "speed", "advice", "ladder.widths", "model", "data"),
    "ladder": ("ladder", "train", "target", "tokenizer", "heldout", "arms", "start"),
}  # fmt: skip
# What is shown of the numbers where no topic is asked for: the decision says its own in words.
LADDER = ("ladder", "train", "target", "tokenizer", "heldout", "arms", "start", "model", "data")


def show(made: Mapping[str, Any], why: str | None = None) -> str:
    """The plan as a table for people; `why` adds the reasons and numbers of one topic, with formula and source."""
    lines = [*show_decision(made["decision"], why), ""] if "decision" in made else []
    if made["experiments"]:
        lines += _ladder(made, why)
    wanted = TOPICS[why] if why else LADDER
    return "\n".join(plain(line) for line in lines + _numbers(made["numbers"], wanted))


def _ladder(made: Mapping[str, Any], why: str | None) -> list[str]:
    lines = [
        f"ladder  {made['family']} from fresh weights, loss {made['objective']}" + _of_tokens(made["tokenizer"]),
        *_added(made),
        *show_losses(made["losses"], made["objective"], why == "loss"),
        f"total   {made['totals']['text']} ({show_count(made['totals']['flop'])} FLOP, "
        f"memory {show_bytes(made['totals']['memory_bytes'])}; money: {made['totals']['usd_why']})",
    ]  # fmt: skip
    if why not in (None, "ladder"):
        return [*lines, ""]
    lines += ["", *show_runs(made["experiments"]), *show_arms(made.get("arms", {}), made["experiments"])]
    target = made["targets"][0]
    warning = f"; {target['warning']}" if target["warning"] else ""
    aim = f"{show_count(target['params'])} params on {show_count(target['tokens'])} tokens ({target['flop']:.2g} FLOP)"
    return [*lines, "", f"then    forecast {aim}{warning}", ""]


def _of_tokens(tokenizer: Mapping[str, Any] | None) -> str:
    return f", vocabulary {tokenizer['vocabulary']}" if tokenizer else ""


def _added(made: Mapping[str, Any]) -> list[str]:
    spec = made["experiments"][0]["spec"]
    return show_added(spec["objective"], spec["options"], spec["size"]["context"])


def _numbers(numbers: list[dict[str, Any]], prefixes: tuple[str, ...]) -> list[str]:
    lines = []
    for number in numbers:
        if not number["name"].startswith(prefixes):
            continue
        inputs = ", ".join(f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}"
                           for name, value in number["inputs"].items())  # fmt: skip
        value = f"{number['value']:.4g}" if isinstance(number["value"], float) else number["value"]
        head = f"{number['name']} = {value}{' ' + number['unit'] if number['unit'] else ''}"
        if number["yours"]:
            lines.append(f"{head}  (yours)")
            continue
        if number["low"] is not None and number["high"] is not None:
            head += f"  ({number['low']:.4g} to {number['high']:.4g})"
        lines.append(head)
        for label, text in (("formula", number["formula"]), ("inputs", inputs), ("source", number["source"]),
                            ("valid", number["valid"]), ("outside", number["outside"])):  # fmt: skip
            if text:
                lines.append(f"    {label:<8}{text}")
    return lines
