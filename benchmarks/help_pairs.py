"""Pairs of lines from the help pages of LibreOffice in two languages: the same file, the same number of segments.

    apt-get download libreoffice-help-en-us libreoffice-help-de
    for each in libreoffice-help-*.deb; do dpkg -x "$each" help; done

Licence of the pages: MPL-2.0, parts LGPL-3+; nothing of them is kept here.
"""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

PLACE = Path("usr/share/libreoffice/help")
COMMANDS = __doc__.split("\n\n")[1] if __doc__ else ""
SEGMENTS = frozenset({"p", "li", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6"})
SILENT = frozenset({"script", "style", "head", "header", "footer", "aside"})
# Characters of the longer side over those of the shorter.
RATIO = 2.5


class Found(NamedTuple):
    """Pairs (source, target), and what was left out on the way."""

    pairs: list[tuple[str, str]]
    files: int
    unequal: int
    identical: int
    repeated: int
    ratio: int

    def __str__(self) -> str:
        return (
            f"{len(self.pairs):,} pairs of {self.files:,} files; left out: {self.unequal} files of unequal numbers of "
            f"segments, {self.identical:,} pairs alike on both sides, {self.repeated:,} repeated, {self.ratio:,} with "
            f"a side over {RATIO:g} times as long as the other"
        )


class Segments(HTMLParser):
    """Text between one border of a paragraph, heading, item or cell and the next, white space squeezed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found, self.text, self.silent = list[str](), list[str](), 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in SILENT
        self.border(tag)

    def handle_endtag(self, tag: str) -> None:
        self.border(tag)
        self.silent -= tag in SILENT

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.text.append(data)

    def border(self, tag: str) -> None:
        """End the segment that is open, if it says anything."""
        if tag in SEGMENTS:
            text = " ".join("".join(self.text).split())
            self.found += [text] if text else []
            self.text = []


def segments(path: Path) -> list[str]:
    """The segments of a page, in order."""
    parser = Segments()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    return parser.found


def pairs_of(folder: Path, source: str = "en-US", target: str = "de") -> Found:
    """All pairs that are told once and differ.

    Raises:
        SystemExit: the pages are not there; says the commands that fetch them.
    """
    root = folder / PLACE
    if not (root / source).is_dir() or not (root / target).is_dir():
        raise SystemExit(f"no help pages below {root}; fetch them with\n\n{COMMANDS}\n\nand say --data help")
    seen: dict[tuple[str, str], None] = {}
    files = unequal = identical = repeated = ratio = 0
    for path in sorted((root / source / "text").rglob("*.html")):
        other = root / target / path.relative_to(root / source)
        if not other.is_file():
            continue
        files += 1
        left, right = segments(path), segments(other)
        if len(left) != len(right):
            unequal += 1
            continue
        for pair in zip(left, right):
            long, short = max(map(len, pair)), min(map(len, pair))
            if pair[0] == pair[1]:
                identical += 1
            elif pair in seen:
                repeated += 1
            elif long > RATIO * short:
                ratio += 1
            else:
                seen[pair] = None
    return Found(list(seen), files, unequal, identical, repeated, ratio)
