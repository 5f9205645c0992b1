"""Quantities as people write them, both ways: 1.2e19 flop, 350M params, 3 h 20 min, $41."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import getitem
from typing import Any

from keel.errors import StudyError

SCALES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18}
SECONDS = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0,
    "d": 86400.0, "day": 86400.0, "w": 604800.0, "week": 604800.0, "month": 2629800.0, "year": 31557600.0,
}  # fmt: skip
# A comma stands before three digits or nowhere: "1,5" is half of Europe's 1.5, and is refused rather than read as 15.
NUMBER = r"[+-]?(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?"


def parse_count(text: str | float, where: str = "") -> float:
    """A count: "1.2e19", "350M", "7b", "20_000".

    Example:
        >>> parse_count("350M"), parse_count("1.2e19"), parse_count("20_000")
        (350000000.0, 1.2e+19, 20000.0)
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return float(text)
    match = re.fullmatch(rf"({NUMBER})\s*([kmbgtpe]?)", str(text).strip().lower())
    if not match:
        raise StudyError(
            f"{text!r} is not a count", why="expected a number with k, M, B, T or an exponent",
            fix="write 350M, 7e9 or 20_000", where=where,
        )  # fmt: skip
    return float(re.sub("[_,]", "", match[1])) * SCALES[match[2]]


def parse_usd(text: str | float, where: str = "") -> float:
    """US dollars: 20_000, "$20k", "20,000 USD"; another currency is refused, never converted.

    Example:
        >>> parse_usd("$20k"), parse_usd("20,000 USD"), parse_usd(41)
        (20000.0, 20000.0, 41.0)
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return float(text)
    amount = re.sub(r"^(usd|us\$|\$)\s*|\s*(usd|us dollars?|dollars?)$", "", str(text).strip().lower())
    match = re.fullmatch(rf"({NUMBER})\s*([kmb]?)", amount)
    if not match:
        raise StudyError(
            f"{text!r} is not an amount of US dollars", why="prices in the catalogue are USD, and nothing is converted",
            fix="write 20_000 or \"$20k\"", where=where,
        )  # fmt: skip
    return float(re.sub("[_,]", "", match[1])) * SCALES[match[2]]


def parse_duration_s(text: str | float, where: str = "") -> float:
    """A duration in seconds: "6 weeks", "3 h 20 min", "90s".

    Example:
        >>> parse_duration_s("3 h 20 min"), parse_duration_s("6 weeks")
        (12000.0, 3628800.0)
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return float(text)
    parts = re.findall(rf"({NUMBER})\s*([a-z]+)", str(text).strip().lower())
    rest = re.sub(rf"({NUMBER})\s*([a-z]+)", "", str(text).strip().lower()).strip(" ,")
    names = [name if name in SECONDS else name.rstrip("s") for _, name in parts]
    if not parts or rest or any(name not in SECONDS for name in names):
        raise StudyError(
            f"{text!r} is not a duration", why="expected numbers with s, min, h, days, weeks or months",
            fix='write "6 weeks" or "3 h 20 min"', where=where,
        )  # fmt: skip
    return sum(float(re.sub("[_,]", "", number)) * SECONDS[name] for (number, _), name in zip(parts, names))


def show_count(value: float, unit: str = "") -> str:
    """A count for people, three digits: 350M, 1.2e+19.

    Example:
        >>> show_count(350e6, "params"), show_count(1536), show_count(1.2e19, "flop")
        ('350M params', '1.54k', '1.2e+19 flop')
    """
    tail = f" {unit}" if unit else ""
    if abs(value) >= 0.9995e15:
        return f"{value:.3g}{tail}"
    for scale, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale * 0.9995:
            return f"{value / scale:.3g}{letter}{tail}"
    return f"{value:.3g}{tail}"


def show_params(params: float | None) -> str:
    """A model's size in words; None is unknown.

    Example:
        >>> show_params(66e6), show_params(None)
        ('66M params', 'size unknown')
    """
    return f"{show_count(params)} params" if params else "size unknown"


def show_bytes(value: float) -> str:
    """Bytes for people, decimal units.

    Example:
        >>> show_bytes(12_200_000)
        '12.2 MB'
    """
    for scale, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= scale * 0.9995:
            return f"{value / scale:.3g} {name}"
    return f"{value:.0f} B"


def show_duration(seconds: float) -> str:
    """A duration for people, two units at most.

    Example:
        >>> show_duration(12000), show_duration(41.7), show_duration(0.25), show_duration(7200)
        ('3 h 20 min', '42 s', '0.25 s', '2 h')
    """
    if seconds < 10:
        return f"{seconds:.2g} s"
    total = round(seconds)
    for big, small, scale, step in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if total >= scale:
            rest = (total % scale) // step
            return f"{total // scale} {big}" + (f" {rest} {small}" if rest else "")
    return f"{total} s"


def show_usd(value: float) -> str:
    """Money for people.

    Example:
        >>> show_usd(41), show_usd(20_000), show_usd(0.031)
        ('$41', '$20,000', '$0.031')
    """
    return f"${value:,.0f}" if abs(value) >= 10 else f"${value:.2g}"


# Bounded measures that a judge finds beside its value: better when higher, in (0, 1); where they stand in a result.
MEASURES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "class_nats": {"accuracy": ("accuracy", "value")},
    "probe_nats": {"accuracy": ("accuracy", "value")},
    "retrieval_nats": {
        "R@1 of captions": ("recall", "caption_of_image", "R@1", "value"),
        "R@1 of images": ("recall", "image_of_caption", "R@1", "value"),
    },
    "caption_bits_per_byte": {"exact captions": ("captions", "exact", "value")},
}


def value_field(judge: str) -> str:
    """The field of result.json that holds what a judge measured.

    Example:
        >>> value_field("masked_bits_per_byte"), value_field("class_nats")
        ('bits_per_byte', 'class_nats')
    """
    return "bits_per_byte" if judge.endswith("bits_per_byte") else judge


def value_at(result: Mapping[str, Any], place: Sequence[str]) -> float:
    """The number at a place of a result; KeyError, TypeError or ValueError where none stands there.

    Example:
        >>> value_at({"accuracy": {"value": 0.75}}, ("accuracy", "value"))
        0.75
    """
    found: Any = reduce(getitem, place, result)
    return float(found)
