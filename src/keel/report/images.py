"""What was measured of a study's images, with some of them to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.report.artefacts import Artefacts
from keel.report.class_balance import ClassBalance
from keel.report.markup import code, esc, facts, folded, paragraph, section, table
from keel.report.runs import Tree
from keel.report.sheet import Group, Sheet, Tile
from keel.report.thumbnail import picture
from keel.report.words import number, percent, plural, show
from keel.units import show_bytes

MOST_KINDS, CAPTION = 8, 160


def images(found: Artefacts) -> str:
    """The section; nothing where no images were looked at."""
    tree = found.images
    if tree is None:
        return ""
    classes = ClassBalance.of(tree)
    return section("The images", _sheet(found.sheet), _facts(tree), _left_out(tree), classes.shown() if classes else "")


# ---- the contact sheet ----


def _sheet(sheet: Sheet | None) -> str:
    if sheet is None:
        return ""
    shown = sum(len(group.tiles) for group in sheet.groups)
    lead = f"{plural(shown, 'image')}, evenly chosen, {sheet.source}. " if shown else ""
    notes = paragraph(esc(lead + " ".join(sheet.notes)), "muted")
    return "".join(_group(group) for group in sheet.groups) + notes


def _group(group: Group) -> str:
    """A row of pictures; wide tiles where captions stand below them."""
    kind = "sheet wide" if any(tile.caption for tile in group.tiles) else "sheet"
    head = f'<p><b>{esc(group.label)}</b> <span class="muted">{group.images:,}</span></p>' if group.label else ""
    tiles = "".join(f"<li>{_tile(tile)}</li>" for tile in group.tiles)
    return f'<div class="group">{head}<ul class="{kind}">{tiles}</ul></div>'


def _tile(tile: Tile) -> str:
    said = f"<span>{esc(shortened(tile.caption))}</span>" if tile.caption else ""
    return picture(tile.uri, tile.name) + said


def shortened(caption: str) -> str:
    """A caption as it stands below a picture; one that is cut says how long it is.

    Example:
        >>> shortened("a cat"), shortened("x" * 200)[-22:]
        ('a cat', 'x ... (200 characters)')
    """
    if len(caption) <= CAPTION:
        return caption
    return f"{caption[:CAPTION]} ... ({len(caption):,} characters)"


# ---- what was counted ----


def _facts(tree: Tree) -> str:
    alpha, alike, sides, size = (_tree(tree, name) for name in ("alpha", "duplicates", "split", "size"))
    sampled = tree.get("sampled")
    return facts([
        ("images", f"{_count(tree.get('images'))} in {_count(tree.get('files'))} "
                   f"{esc(_tree(tree, 'data').get('format', ''))} files, {_shown(tree.get('bytes'), 'bytes')}"),
        ("pixels", _pixels(tree)), ("bytes each", _each(_tree(tree, "bytes_each"))),
        ("formats", _counts(_tree(tree, "formats"))), ("modes", _counts(_tree(tree, "modes"))),
        ("transparent", f"{_count(alpha.get('images'))} of {_count(alpha.get('of'))}, laid on "
                        f"{_swatch(alpha.get('background'))}" if alpha else ""),
        ("channels", _channels(_tree(tree, "channels"))), ("said of them", _counts(_tree(tree, "notes"))),
        ("captions", _captions(tree)), ("classes", _classes(tree)), ("repeats", _repeats(alike)),
        ("held out", _split(sides)), ("patches", _patches(size)),
        ("sampled", esc(f"{_count(sampled.get('kept'))} of {_count(sampled.get('of_images'))}: {sampled.get('why')}")
                    if isinstance(sampled, Mapping) else ""),
        ("digest", code(tree.get("data_sha256"))), ("measured", esc(tree.get("made_utc") or "")),
    ])  # fmt: skip


def _tree(tree: Tree, key: str) -> Tree:
    found = tree.get(key)
    return found if isinstance(found, Mapping) else {}


def _count(value: object) -> str:
    """Every digit of a count.

    Example:
        >>> _count(1200), _count(None)
        ('1,200', '?')
    """
    return f"{value:,}" if isinstance(value, int) else _shown(value)


def _shown(value: object, unit: str = "") -> str:
    """A value with its unit, as markup."""
    return esc(show(value, unit))


def _counts(counts: Tree) -> str:
    said = [f"{esc(name)} {_count(count)}" for name, count in list(counts.items())[:MOST_KINDS]]
    more = [f"and {len(counts) - MOST_KINDS} more"] if len(counts) > MOST_KINDS else []
    return ", ".join(said + more)


def _pixels(tree: Tree) -> str:
    sides = [_span(_tree(tree, name)) for name in ("width", "height")]
    return f"{sides[0]} wide, {sides[1]} high" if all(sides) else ""


def _span(quantiles: Tree, unit: str = "") -> str:
    """The least of a few, the middle and the most: 36, or 28-64, half of them under 40, at most 900."""
    low, middle, high, most = (quantiles.get(name) for name in ("p5", "p50", "p95", "max"))
    if middle is None:
        return ""
    if low == most:
        return _shown(middle, unit)
    ends = f"{_shown(low, unit)}\u2013{_shown(high, unit)}"
    return f"{ends}, the middle {_shown(middle, unit)}, the most {_shown(most, unit)}"


def _each(quantiles: Tree) -> str:
    mean = number(quantiles, "mean")
    return _span(quantiles, "bytes") + (f"; {show_bytes(mean)} in the mean" if mean is not None else "")


def _swatch(name: object) -> str:
    """A colour by its name, beside a patch of it."""
    from keel.data import COLOUR

    said = esc(name)
    known = isinstance(name, str) and COLOUR.fullmatch(name)
    return f'{said} <i class="swatch" style="background:{said}"></i>' if known else said


def _channels(tree: Tree) -> str:
    mean, std = tree.get("mean"), tree.get("std")
    if not isinstance(mean, list) or not isinstance(std, list):
        return ""
    said = [
        f"{name} {at:.3f} \u00b1 {by:.3f}" for name, at, by in zip(("red", "green", "blue"), mean, std)
        if isinstance(at, float) and isinstance(by, float)
    ]  # fmt: skip
    return esc(", ".join(said))


def _classes(tree: Tree) -> str:
    found = _tree(tree, "classes")
    if not found:
        return ""
    spread = f"of {_count(found.get('smallest'))} to {_count(found.get('largest'))} images"
    return f"{_count(found.get('count'))}, {spread}; {_count(found.get('unlabelled'))} images without a label"


def _captions(tree: Tree) -> str:
    found = _tree(tree, "captions")
    if not found:
        return ""
    words, letters = _span(_tree(found, "length_words")), _span(_tree(found, "length_characters"))
    shared = [
        f"{percent(number(run, 'share'))} {name} with \u201c{esc(run.get('words'))}\u201d"
        for name in ("begin", "end") if (run := _tree(found, name))
    ]  # fmt: skip
    languages = ", ".join(f"{esc(item.get('code'))} {percent(number(item, 'share'))}"
                          for item in list(found.get("languages") or ())[:3])  # fmt: skip
    without = (number(found, "images_without") or 0) + (number(found, "empty") or 0)
    lone = number(_tree(tree, "captions_without_image"), "count") or 0
    return "<br>".join(part for part in (
        f"{_count(found.get('count'))}, {_count(found.get('distinct'))} distinct",
        f"{_count(found.get('repeated'))} repeat an earlier one",
        f"words: {words}" if words else "", f"characters: {letters}" if letters else "", "; ".join(shared),
        f"reads as {languages}" if languages else "",
        f"{without:,.0f} images without a caption, {lone:,.0f} captions without an image",
    ) if part)  # fmt: skip


def _repeats(alike: Tree) -> str:
    if not alike:
        return ""
    exact, near, clusters, largest, across, two = (
        _count(alike.get(name)) for name in
        ("exact_images", "near_images", "clusters", "largest_cluster", "across_split", "two_labels")
    )  # fmt: skip
    said = f"{exact} exact, {near} near, in {clusters} clusters, the largest of {largest}; "
    moved = f"{across} would have had images on both sides of the split"
    return said + moved + (f"; {two} images under two labels" if alike.get("two_labels") else "")


def _split(sides: Tree) -> str:
    held, train = number(sides, "heldout_images"), number(sides, "train_images")
    if held is None or train is None:
        return ""
    return (
        f"{held:,.0f} ({percent(held / max(1.0, held + train))}), by {esc(sides.get('by'))}; {train:,.0f} to train on"
    )


def _patches(size: Tree) -> str:
    counts = ", ".join(f"{_shown(count)} of {esc(patch)}" for patch, count in _tree(size, "patches").items())
    return f"at {_shown(size.get('side_pixels'))} pixels a side: {counts} pixels" if counts else ""


def _left_out(tree: Tree) -> str:
    """Every reason with its count, and the first files of all."""
    tallies = [_tree(tree, name) for name in ("broken", "refused")]
    kinds: dict[str, float] = {}
    for tally in tallies:
        for what, count in _tree(tally, "kinds").items():
            kinds[what] = kinds.get(what, 0.0) + (float(count) if isinstance(count, (int, float)) else 0.0)
    if not kinds:
        return paragraph("No file is broken or left out.", "muted")
    total = sum(kinds.values())
    rows = [[esc(what), f"{count:,.0f}"] for what, count in sorted(kinds.items(), key=lambda kind: -kind[1])]
    first: list[Any] = [item for tally in tallies for item in tally.get("first") or () if isinstance(item, Mapping)]
    listed = [[code(item.get("where")), esc(item.get("what")), esc(item.get("why"))] for item in first]
    named = folded(f"The first {len(listed)}", table(("file", "what", "why"), listed)) if listed else ""
    return f"<h3>{total:,.0f} left out</h3>" + table(("reason", "files"), rows, frozenset({1})) + named
