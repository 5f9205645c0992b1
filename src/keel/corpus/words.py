"""Words of a user's data as study.toml and a terminal can hold them."""

from __future__ import annotations


def quote(text: str) -> str:
    """A TOML basic string; what cannot be seen is escaped.

    Example:
        >>> print(quote('a"b' + chr(10)))
        "a\\"b\\u000A"
    """
    return '"' + "".join(_escape(letter) for letter in text) + '"'


def _escape(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04X}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08X}"


def clean(text: str) -> str:
    """One line that can be shown: what is not printable becomes a space.

    Example:
        >>> clean("a" + chr(10) + chr(27) + "[1m b")
        'a [1m b'
    """
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def writable(text: str) -> bool:
    """Whether TOML can hold the text: a lone surrogate (a file name that is no UTF-8) has no place there."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
