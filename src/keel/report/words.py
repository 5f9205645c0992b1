"""Numbers and names in words a person reads; the same words on the page, in figures and in the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from keel.units import show_bytes, show_count, show_duration, show_usd

# Controls and lone surrogates (file names that are not UTF-8) are in no valid XML or UTF-8: shown as unknown.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
UNKNOWN = "?"


def clean(value: object) -> str:
    """Text that may stand in XML and UTF-8; what cannot becomes U+FFFD.

    Example:
        >>> clean("a" + chr(27) + "b") == "a" + chr(0xFFFD) + "b"
        True
    """
    return UNPRINTABLE.sub("\ufffd", str(value))


def found_at(tree: Mapping[str, Any] | None, *keys: str) -> Any:
    """What stands at a path of keys, else None.

    Example:
        >>> found_at({"cost": {"s": 3}}, "cost", "s"), found_at({"cost": None}, "cost", "s")
        (3, None)
    """
    found: Any = tree
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def number(tree: Mapping[str, Any] | None, *keys: str) -> float | None:
    """The finite number at a path of keys, else None.

    Example:
        >>> number({"cost": {"s": 3}}, "cost", "s"), number({"cost": None}, "cost", "s")
        (3.0, None)
    """
    found = found_at(tree, *keys)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        return None
    return float(found)


def show_flop(value: float | None) -> str:
    """Training compute: 1.2e14 FLOP.

    Example:
        >>> show_flop(1.2345e14)
        '1.23e14 FLOP'
    """
    return f"{value:.3g}".replace("e+", "e") + " FLOP" if value is not None else UNKNOWN


def show(value: object, unit: str = "") -> str:
    """Any value with its unit, short; None is "?".

    Example:
        >>> show(1234567, "tokens"), show(0.0031), show(None), show(7200, "s"), show(8192)
        ('1.23M tokens', '0.0031', '?', '2 h', '8192')
    """
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return clean(", ".join(map(show, value)) + (f" {unit}" if unit else ""))
    if not isinstance(value, (int, float)):
        return clean(f"{value} {unit}".strip())
    if not math.isfinite(value):
        return clean(f"{value} {unit}".strip())
    if unit in ("bytes", "s", "USD", "usd", "flop", "FLOP"):
        shown = {"bytes": show_bytes, "s": show_duration, "usd": show_usd, "flop": show_flop}[unit.lower()]
        return shown(value)
    if float(value).is_integer() and abs(value) < 1e5:
        return clean(f"{int(value)} {unit}".strip())
    return clean(show_count(value, unit) if abs(value) >= 1e3 else f"{value:.4g} {unit}".strip())


def show_named(name: str, value: object) -> str:
    """A value whose name tells its unit.

    Example:
        >>> show_named("own_flop", 1.2e14), show_named("time_s", 90), show_named("why", "it is")
        ('1.2e14 FLOP', '1 min 30 s', 'it is')
    """
    last = name.split(".")[-1].split("_")[-1]
    return show(value, last if last in ("flop", "bytes", "s", "usd") else "")


def percent(share: float | None) -> str:
    """A share as percent, two digits.

    Example:
        >>> percent(0.0213), percent(0.999)
        ('2.1 %', '100 %')
    """
    return UNKNOWN if share is None else f"{float(f'{100 * share:.2g}'):g} %"


def change(ratio: float | None) -> str:
    """A signed relative error.

    Example:
        >>> change(0.0123), change(-0.2)
        ('+1.2 %', '-20.0 %')
    """
    return UNKNOWN if ratio is None else f"{100 * ratio:+.1f} %"


def decimals(low: float, high: float, measured: float | None = None) -> int:
    """Digits after the point that an interval deserves, and enough that hit or miss can be seen.

    Example:
        >>> decimals(1.52, 1.61), decimals(1.552, 1.558), decimals(1.5212, 1.6112, 1.6149)
        (2, 3, 3)
    """
    width = high - low
    digits = 3 if width <= 0 else min(6, max(2, math.ceil(-math.log10(width / 3))))
    if measured is None:
        return digits
    inside = low <= measured <= high
    while digits < 6 and (round(low, digits) <= round(measured, digits) <= round(high, digits)) != inside:
        digits += 1
    return digits


def interval(low: float | None, high: float | None, digits: int = 3, dash: str = "-") -> str:
    """Two ends, joined by a dash.

    Example:
        >>> interval(1.52, 1.61, 2)
        '1.52-1.61'
    """
    return f"{low:.{digits}f}{dash}{high:.{digits}f}" if low is not None and high is not None else UNKNOWN


def sig_interval(low: float | None, high: float | None, dash: str = "-") -> str:
    """Two ends at four significant digits, for parameters of any size."""
    return f"{_four(low)}{dash}{_four(high)}" if low is not None and high is not None else UNKNOWN


def _four(value: float) -> str:
    """Four digits; counts from 100k on with their letter.

    Example:
        >>> _four(4613250.0), _four(0.29), _four(7480.0)
        ('4.613M', '0.29', '7480')
    """
    for scale, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if 1e5 <= abs(value) < 1e15 and abs(value) >= scale:
            return f"{value / scale:.4g}{letter}"
    return f"{value:.4g}"


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    Example:
        >>> plural(1, "run"), plural(3, "run")
        ('1 run', '3 runs')
    """
    return f"{count} {noun}" + ("" if count == 1 else "s")


def unit_words(tree: Any) -> str:
    """The unit of a forecast or a fit in words; what names none is in bits per byte.

    Example:
        >>> unit_words({"unit": "masked_bits_per_byte"}), unit_words({})
        ('masked bits per byte', 'bits per byte')
    """
    found = tree.get("unit") if isinstance(tree, Mapping) else None
    return clean(found or "bits_per_byte").replace("_", " ")
