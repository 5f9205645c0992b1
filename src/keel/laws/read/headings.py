"""What a column's heading says: a plain name, a unit, a logarithm, and which count of parameters it is.

"Params (M)", "tokens_b", "log10 C", "train_gflops", "compute (PF-days)", "config.n_params", "val/loss" are one idea
written seven ways. A heading that says nothing of a unit is read as ones, and that is shown.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

SCALES = {
    "k": 1e3, "thousand": 1e3, "thousands": 1e3, "m": 1e6, "mm": 1e6, "mio": 1e6, "million": 1e6, "millions": 1e6,
    "b": 1e9, "g": 1e9, "bn": 1e9, "billion": 1e9, "billions": 1e9, "t": 1e12, "trillion": 1e12, "trillions": 1e12,
}  # fmt: skip
FLOP_PREFIX = {
    "g": 1e9, "giga": 1e9, "t": 1e12, "tera": 1e12, "p": 1e15, "peta": 1e15, "e": 1e18, "exa": 1e18, "z": 1e21,
    "zetta": 1e21, "y": 1e24, "yotta": 1e24,
}  # fmt: skip
PF_DAY_FLOP = 1e15 * 86400.0
LOGS = {"log10": 10.0, "lg": 10.0, "log2": 2.0, "ln": math.e}
UNKNOWN_LOG = -1.0  # "log N" does not say of which base
TRACKERS = ("config", "params", "metrics", "summary", "tags")
FLOP_WORD = re.compile(r"(g|giga|t|tera|p|peta|e|exa|z|zetta|y|yotta)flops?")
PF_DAYS = re.compile(r"_?(?:pf|pflops?|petaflops?|petaflop_s|petaflops?_per_s)_?days?")
# A last letter is a unit only behind a quantity: "params_m", not "loss_m".
QUANTITY = re.compile(
    r"(^|_)(n|d|c|u|params?|parameters?|tokens?|compute|flops?|unique|size|images|samples|examples)(_|$)"
)
COUNTS = (
    ("with-head", re.compile(r"(with|incl\w*|and|plus)_(the_)?head")),
    ("body", re.compile(r"non?_?emb|without_emb|excl\w*_emb|(^|_)body(_|$)")),
    ("total", re.compile(r"(^|_)(total|all)(_|$)")),
)


class Heading(NamedTuple):
    """A heading taken apart.

    `names`: plain names it may go by, the fullest first. `scale`, `log`: number = scale * (cell, or log**cell).
    `unit`: as it was written, "" when not at all. `counted`: which parameters, "" when not said. `words`: all of it in
    lower case, joined by "_". `tracker`: "config", "params", "metrics", "summary", "tags" or "".
    """

    names: tuple[str, ...]
    scale: float = 1.0
    log: float = 0.0
    unit: str = ""
    counted: str = ""
    words: str = ""
    tracker: str = ""


def heading(name: str) -> Heading:
    """Take a heading apart.

    Example:
        >>> heading("Params (M)")[:4], heading("log10 C")[:4]
        ((('params',), 1000000.0, 0.0, 'M'), (('c',), 1.0, 10.0, 'log10'))
        >>> heading("config.n_params").names, heading("n_params (non-embedding, B)").counted
        (('config_n_params', 'n_params'), 'body')
        >>> heading("compute (PF-days)").scale, heading("train_gflops")[:2]
        (8.64e+19, (('train_flops',), 1000000000.0))
    """
    tracker = name.partition(".")[0].strip().lower()
    full = _part(name)
    if tracker not in TRACKERS or not name.partition(".")[2]:
        return full
    short = _part(name.partition(".")[2])
    return short._replace(names=(*full.names, *short.names), words=full.words, tracker=tracker)


def unit_factor(text: str) -> tuple[float, float] | None:
    """Scale and logarithm of a unit given by hand ("M", "1e9", "log10", "exaflop", 524288 tokens a step), or None.

    Example:
        >>> unit_factor("M"), unit_factor("log10"), unit_factor("524288"), unit_factor("parsec")
        ((1000000.0, 0.0), (1.0, 10.0), (524288.0, 0.0), None)
    """
    if re.fullmatch(r"\d+(\.\d+)?(e\d+)?", text.strip().lower()) and 0 < float(text) < math.inf:
        return float(text), 0.0
    found = _part(f"x ({text})")
    return (found.scale, found.log) if found.unit else None


def _part(name: str) -> Heading:
    text = re.sub(r"^(log_?10|log2|lg|ln|log)\s*\(([^()]*)\)$", r"\1 \2", name.strip().lower())
    inside = "_".join(_join(part) for part in re.findall(r"[(\[]([^)\]]*)[)\]]", text))
    outside = _join(re.sub(r"[(\[][^)\]]*[)\]]", " ", text))
    words = "_".join(part for part in (outside, inside) if part)
    count = next((kind for kind, pattern in COUNTS if pattern.search(words)), "")
    scale, log, unit, rest = _bracketed(inside)
    if not unit:
        scale, log, unit, outside = _written_out(outside)
    if "per" in rest.split("_"):  # "tokens (per step)" are no tokens
        outside = f"{outside}_{rest}"
    # As the heading has it, since "m" and "M" are one unit here but people look for what they wrote.
    start = name.lower().rfind(unit) if unit else -1
    return Heading((outside or words,), scale, log, name[start : start + len(unit)] if start >= 0 else unit,
                   count, words)  # fmt: skip


def _join(text: str) -> str:
    return "_".join(re.findall(r"[a-z0-9^+]+", re.sub(r"/s(?![a-z])", "_per_s", text)))


def _bracketed(inside: str) -> tuple[float, float, str, str]:
    """Scale, log, unit and the rest of what stands in brackets."""
    if PF_DAYS.fullmatch(inside):
        return PF_DAY_FLOP, 0.0, "PF-days", ""
    scale, log, unit, rest = 1.0, 0.0, "", []
    for word in inside.split("_") if inside else []:
        power = re.fullmatch(r"x?(?:10\^(\d+)|(1(?:e\+?\d+)?))", word)
        flop = FLOP_WORD.fullmatch(word)
        if unit:
            rest.append(word)
        elif word in SCALES:
            scale, unit = SCALES[word], word
        elif word in LOGS or word == "log":
            log, unit = LOGS.get(word, UNKNOWN_LOG), word
        elif flop:
            scale, unit = FLOP_PREFIX[flop[1]], word
        elif power:
            scale, unit = 10.0 ** int(power[1]) if power[1] else float(power[2]), word
        elif re.fullmatch(r"[pezgty]f", word):
            scale, unit = FLOP_PREFIX[word[0]], word
        else:
            rest.append(word)
    return scale, log, unit, "_".join(rest)


def _written_out(text: str) -> tuple[float, float, str, str]:
    """Scale, log, unit and the name left, where the unit is a word of the name itself."""
    days = PF_DAYS.search(text)
    if days:
        return PF_DAY_FLOP, 0.0, "PF-days", (text[: days.start()] + text[days.end() :]).strip("_") or "flops"
    words = text.replace("log_10_", "log10_", 1).split("_")
    for at in (0, len(words) - 1):
        rest = "_".join(words[:at] + words[at + 1 :])
        if rest and (words[at] in LOGS or (words[at] == "log" and QUANTITY.search(rest))):  # a log loss is a loss
            return 1.0, LOGS.get(words[at], UNKNOWN_LOG), words[at], rest
    for at, word in enumerate(words):
        flop = FLOP_WORD.fullmatch(word)
        if flop:
            return FLOP_PREFIX[flop[1]], 0.0, word, "_".join([*words[:at], "flops", *words[at + 1 :]])
    head = "_".join(words[:-1]).removesuffix("_in")
    if words[-1] in SCALES and QUANTITY.search(head):
        return SCALES[words[-1]], 0.0, words[-1], head
    return 1.0, 0.0, "", text
