"""Classes of characters that make words, also for bytes that hold only part of a character."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache

WORD = 0  # letters, digits and all else that is not named below
LONE = 1  # punctuation, symbols, and characters of scripts written without spaces
SPACE_CLASS = 2
LINK = 3  # combining marks, joiners, variation selectors: part of the character before

# Written without spaces, so that nothing but the character shows where a word may begin (Unicode UAX 14, classes ID, CJ
# and SA); BERT's own list has the ideographs only, and makes one word of a whole Thai or kana sentence.
SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007), (0x3021, 0x3029),  # ideographic marks and numerals
    (0x3041, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F),  # kana
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),  # ideographs
)  # fmt: skip
# A quarter of a million characters each: emoji and ideographs; nothing; nothing; tags and selectors; private.
FIRST_OF_FOUR = {b"\xf0": LONE, b"\xf1": WORD, b"\xf2": WORD, b"\xf3": LINK, b"\xf4": WORD}
# Unassigned, private, surrogate, control.
NO_TEXT = frozenset({"Cn", "Co", "Cs", "Cc"})


@lru_cache(maxsize=65536)
def class_of(char: str) -> int:
    """The class of one character.

    Example:
        >>> [class_of(char) for char in "a,\\u4e2d \\u0301"] == [WORD, LONE, LONE, SPACE_CLASS, LINK]
        True
    """
    category = unicodedata.category(char)
    if char.isspace() or category[0] == "Z":
        return SPACE_CLASS
    if category[0] == "M" or category == "Cf":
        return LINK
    if category[0] in "PS" or any(low <= ord(char) <= high for low, high in SPACELESS):
        return LONE
    return WORD


def classes(piece: bytes) -> tuple[bool, list[int]]:
    """Whether bytes begin with the rest of a character, and the classes of the characters after it.

    A character that is cut at the end counts by its first bytes: see `class_of_cut`.

    Example:
        >>> classes(b"\\x80a\\xe4\\xb8") == (True, [WORD, LONE])
        True
    """
    rest = _without_rest(piece)
    cut = _cut(rest)
    found = [class_of(char) for char in rest[: len(rest) - len(cut)].decode("utf-8", "replace")]
    return len(rest) < len(piece), found + ([class_of_cut(cut)] if cut else [])


def text_of(piece: bytes) -> str:
    """The whole characters among bytes."""
    return piece.decode("utf-8", "ignore")


def _without_rest(piece: bytes) -> bytes:
    """The bytes from the first one that is no continuation byte."""
    return piece.lstrip(bytes(range(0x80, 0xC0)))


def _length(lead: int) -> int:
    """Bytes of the character that begins with `lead`; 1 for bytes that begin no longer one."""
    return 2 if 0xC2 <= lead <= 0xDF else 3 if 0xE0 <= lead <= 0xEF else 4 if 0xF0 <= lead <= 0xF4 else 1


def _cut(piece: bytes) -> bytes:
    """The bytes of a last character that is not whole."""
    for size in range(1, min(4, len(piece) + 1)):
        if _length(piece[-size]) > size:
            return piece[-size:]
    return b""


@lru_cache(maxsize=4096)
def class_of_cut(first: bytes) -> int:
    """The class that most characters with these first bytes have.

    All agree, or nearly, for the bytes in common use: E4 to E9 begin ideographs, D0 and D1 Cyrillic, E3 kana. The worst
    is EF (full-width punctuation beside Arabic forms): taken for part of a word, which may join words but splits none.
    """
    if first in FIRST_OF_FOUR:
        return FIRST_OF_FOUR[first]
    value = first[0] & (0x7F >> _length(first[0]))
    for byte in first[1:]:
        value = value << 6 | byte & 0x3F
    bits = 6 * (_length(first[0]) - len(first))
    found = [chr(code) for code in range(value << bits, value + 1 << bits)]
    votes = Counter(class_of(char) for char in found if unicodedata.category(char) not in NO_TEXT)
    return votes.most_common(1)[0][0] if votes else WORD
