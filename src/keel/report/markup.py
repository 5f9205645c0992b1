"""The few pieces of HTML that the page is made of. Every text that comes from outside passes `esc`."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence

from keel.report.words import clean

LINK = re.compile(r"https?://[^\s<>\"'`|\\^{}]+[^\s<>\"'`|\\^{}.,;:!?)\]]|arXiv:\d{4}\.\d{4,5}")


def esc(value: object) -> str:
    """Text, safe between tags and in quoted attributes.

    Example:
        >>> esc('<b title="x">')
        '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(clean(value), quote=True)


def linked(value: object) -> str:
    """Escaped text in which addresses and arXiv numbers can be followed.

    Example:
        >>> linked("Hu et al., arXiv:2404.06395")
        'Hu et al., <a href="https://arxiv.org/abs/2404.06395">arXiv:2404.06395</a>'
    """
    text, parts, at = clean(value), [], 0
    for found in LINK.finditer(text):
        target = found[0] if found[0].startswith("http") else f"https://arxiv.org/abs/{found[0][6:]}"
        parts += [esc(text[at : found.start()]), f'<a href="{esc(target)}">{esc(found[0])}</a>']
        at = found.end()
    return "".join(parts) + esc(text[at:])


def unbroken(text: str) -> str:
    """Escaped words in which no interval or percentage breaks over a line.

    Example:
        >>> unbroken("90 % interval 1.47-1.55")
        '90&nbsp;% interval <span class="nb">1.47&#8211;1.55</span>'
    """
    kept = re.sub(r"(\d) %", r"\1&nbsp;%", esc(text))
    return re.sub(r"(\d\.\d+)-(\d+\.\d+)", r'<span class="nb">\1&#8211;\2</span>', kept)


def code(value: object) -> str:
    """A name or a command, in a fixed-width face."""
    return f"<code>{esc(value)}</code>"


def tag(words: str, css_class: str) -> str:
    """A word in a small frame."""
    return f'<span class="tag {css_class}">{esc(words)}</span>'


def paragraph(inner: str, css_class: str = "") -> str:
    """A paragraph of ready markup; nothing for nothing."""
    kind = f' class="{css_class}"' if css_class else ""
    return f"<p{kind}>{inner}</p>" if inner else ""


def bullets(items: Iterable[str]) -> str:
    """A list of ready markup; nothing for nothing."""
    inner = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{inner}</ul>" if inner else ""


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names (text) and values (ready markup), without those that have no value."""
    inner = "".join(f"<dt>{esc(name)}</dt><dd>{value}</dd>" for name, value in pairs if value)
    return f'<dl class="facts">{inner}</dl>' if inner else ""


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    numeric: frozenset[int] = frozenset(),
    held: Callable[[int], bool] = lambda place: False,
) -> str:
    """A table of ready cells; the columns in `numeric` are set right, and rows that are `held` stand out."""

    def cell(name: str, place: int, inner: str) -> str:
        kind = ' class="n"' if place in numeric else ' class="id"' if place == 0 and name == "td" else ""
        scope = ' scope="col"' if name == "th" else ""
        return f"<{name}{scope}{kind}>{inner}</{name}>"

    head = "".join(cell("th", place, esc(name)) for place, name in enumerate(header))
    body = "".join(
        ('<tr class="held">' if held(row_place) else "<tr>")
        + "".join(cell("td", place, inner) for place, inner in enumerate(row))
        + "</tr>"
        for row_place, row in enumerate(rows)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def folded(summary: str, inner: str, css_class: str = "") -> str:
    """Something that opens on demand."""
    kind = f' class="{css_class}"' if css_class else ""
    return f"<details{kind}><summary>{esc(summary)}</summary>{inner}</details>"


def section(title: str, *inner: str) -> str:
    """A section with its heading; nothing where there is nothing in it."""
    body = "".join(inner)
    return f"<section><h2>{esc(title)}</h2>{body}</section>" if body else ""
