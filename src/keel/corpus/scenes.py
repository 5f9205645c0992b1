"""Generated scenes with exact captions: shapes on a ground, in a small grammar whose entropy is known.

A scene is a pure function of (seed, number, what may be drawn); how it is drawn is corpus/scene_pictures.py.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from typing import Literal, NamedTuple

from keel.errors import Problem, StudyError

SIZES, SHAPES, GROUNDS = ("small", "large"), ("circle", "square", "triangle", "cross"), ("white", "black")
COLOURS = ("red", "green", "blue", "yellow", "cyan", "purple", "orange", "pink")
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "middle", "right")
GRID, MOST_OBJECTS = 3, 3
Pair = tuple[str, str]


class Options(NamedTuple):
    """What may be drawn, and how; the scene hangs on the first three alone, so styles can be held side by side.

    `pairs`: of colour and shape; every colour and shape is in "seen" (3 of 4 pairs) and in "unseen" (the others).
    `thin`: captions name colours alone. `outlined`: lines and noise. `weak`: blurred to blocks, much noise.
    `side`: pixels, a multiple of 12 (below 36 shapes look alike).
    """

    least_objects: int = 1
    most_objects: int = MOST_OBJECTS
    pairs: Literal["all", "seen", "unseen"] = "all"
    thin: bool = False
    style: Literal["filled", "outlined"] = "filled"
    weak: bool = False
    side: int = 48


USUAL = Options()


class Thing(NamedTuple):
    """One object and its cell; row 0 is the top one, column 0 the left one."""

    size: str
    colour: str
    shape: str
    row: int
    column: int


class Scene(NamedTuple):
    """The facts: a ground, and things in reading order, none in another's cell."""

    ground: str
    things: tuple[Thing, ...]

    @property
    def combination(self) -> str:
        """Its pairs of colour and shape, whatever their order: the group that no split may cut."""
        return "+".join(sorted(f"{thing.colour}-{thing.shape}" for thing in self.things))


class Truth(NamedTuple):
    """What is known without any model: `alike` is the odds that two captions drawn apart are equal."""

    scenes: int
    captions: int
    caption_bits: float
    caption_bytes: float
    alike: float
    bits_given_image: float | None

    @property
    def bits_per_byte(self) -> float:
        """H(caption) / mean bytes: no model that does not see the image can be better; the end is part of a caption."""
        return self.caption_bits / self.caption_bytes

    def guess(self, candidates: int) -> float:
        """Blind R@1, an equal caption counting as right: (1 + (k - 1) alike) / k; 1 / k where only its own does.

        Example:
            >>> truth(Options(most_objects=1, thin=True)).guess(2)
            0.5625
        """
        return (1.0 + (candidates - 1) * self.alike) / candidates


def check(options: Options) -> None:
    """Raises:
    StudyError: no scene can be drawn so; all that is wrong.
    """
    least, most = options.least_objects, options.most_objects
    right = {
        f"{least} to {most} objects": 1 <= least <= most <= MOST_OBJECTS,
        f"pairs '{options.pairs}'": options.pairs in ("all", "seen", "unseen"),
        f"style '{options.style}'": options.style in ("filled", "outlined"),
        f"a side of {options.side} pixels": 36 <= options.side <= 960 and options.side % 12 == 0,
    }
    fix = "1 to 3 objects; pairs all, seen or unseen; style filled or outlined; a side of 36, 48, 60 ... 960"
    wrong = [Problem(what, "no scene is drawn so", fix, "scenes") for what, fits in right.items() if not fits]
    if wrong:
        raise StudyError.all(wrong)


def pairs_of(which: str) -> tuple[Pair, ...]:
    """Pairs (colour, shape); "unseen" is a diagonal of the table of both: each colour once, each shape twice.

    Example:
        >>> [len(pairs_of(which)) for which in ("all", "seen", "unseen")]
        [32, 24, 8]
    """
    table = itertools.product(enumerate(COLOURS), enumerate(SHAPES))
    return tuple(
        (colour, shape) for (row, colour), (column, shape) in table
        if which == "all" or (which == "unseen") == ((row - column) % len(SHAPES) == 0)
    )  # fmt: skip


def scene(seed: int, number: int, options: Options = USUAL) -> Scene:
    """Scene `number`: how many things, ground, cells, and each thing's size and pair, all uniform and independent.

    The draws are SHAKE-256 of (seed, number), 8 bytes each, modulo n: the same in every version of every library.

    Raises:
        StudyError: options that no scene can be drawn with.

    Example:
        >>> caption(scene(0, 3))
        'a large blue square left of a large pink triangle on white'
    """
    check(options)
    digest = hashlib.shake_256(f"scene {seed} {number}".encode()).digest(8 * (2 + 3 * MOST_OBJECTS))
    draws = (int.from_bytes(digest[at : at + 8], "little") for at in range(0, len(digest), 8))
    count = options.least_objects + next(draws) % (options.most_objects - options.least_objects + 1)
    ground = GROUNDS[next(draws) % len(GROUNDS)]
    free, allowed = list(range(GRID * GRID)), pairs_of(options.pairs)
    cells = sorted(free.pop(next(draws) % len(free)) for _ in range(count))
    things = [
        Thing(SIZES[next(draws) % len(SIZES)], *allowed[next(draws) % len(allowed)], *divmod(cell, GRID))
        for cell in cells
    ]
    return Scene(ground, tuple(things))


# ---- captions ----


def caption(of: Scene, thin: bool = False) -> str:
    """What is seen, things in reading order; thin: their colours alone.

    Example:
        >>> one = Scene("black", (Thing("small", "red", "circle", 0, 2),))
        >>> caption(one), caption(one, thin=True)
        ('a small red circle at the top right on black', 'red')
    """
    if thin:
        return " ".join(thing.colour for thing in of.things)
    named = [f"a {thing.size} {thing.colour} {thing.shape}" for thing in of.things]
    between = relations([(thing.row, thing.column) for thing in of.things])
    parts = [part for pair in itertools.zip_longest(named, between) for part in pair if part]
    return " ".join([*parts, "on", of.ground])


def relations(cells: list[tuple[int, int]]) -> list[str]:
    """The words after each thing but the last, of cells in reading order; the place of a thing that is alone.

    Example:
        >>> relations([(0, 2), (1, 0), (1, 1)])
        ['above and right of', 'left of']
    """
    if len(cells) == 1:
        return [f"at the {_place(*cells[0])}"]
    return [_relation(one, other) for one, other in itertools.pairwise(cells)]


def _place(row: int, column: int) -> str:
    words = dict.fromkeys((ROWS[row], COLUMNS[column]))
    return " ".join(word for word in words if word != "middle" or len(words) == 1)


def _relation(one: tuple[int, int], other: tuple[int, int]) -> str:
    if one[0] == other[0]:
        return "left of"
    aside = "" if one[1] == other[1] else " and left of" if one[1] < other[1] else " and right of"
    return f"above{aside}"


# ---- what is known ----


def truth(options: Options = USUAL) -> Truth:
    """Counts and entropies by the grammar: H = log2 |n| + mean_n sum_f H(f), f the independent parts of a caption.

    Given the image nothing is left, for two scenes never look alike; of weak images that is not known.

    Raises:
        StudyError: options that no scene can be drawn with.

    Example:
        >>> found = truth(Options(most_objects=1))
        >>> found.scenes, found.captions, round(found.caption_bits, 3)
        (1152, 1152, 10.17)
    """
    check(options)
    counts = range(options.least_objects, options.most_objects + 1)
    parts = [_parts(count, options) for count in counts]
    looks = len(SIZES) * len(pairs_of(options.pairs))
    return Truth(
        scenes=sum(len(GROUNDS) * looks**count * math.comb(GRID * GRID, count) for count in counts),
        captions=sum(math.prod(len(part) for part in each) for each in parts),
        caption_bits=math.log2(len(counts)) + sum(sum(map(_bits, each)) for each in parts) / len(counts),
        caption_bytes=sum(_bytes(each, count, options.thin) for each, count in zip(parts, counts)) / len(counts),
        alike=sum(math.prod(map(_alike, each)) for each in parts) / len(counts) ** 2,
        bits_given_image=None if options.weak else 0.0,
    )


def _parts(count: int, options: Options) -> list[Counter[str]]:
    """The independent parts of a caption of so many things: how often each wording comes among equal chances."""
    allowed = pairs_of(options.pairs)
    if options.thin:
        return [Counter(colour for colour, _ in allowed)] * count
    cells = [divmod(cell, GRID) for cell in range(GRID * GRID)]
    where = Counter("|".join(relations(list(each))) for each in itertools.combinations(cells, count))
    looks = [Counter(SIZES), Counter(f"{colour} {shape}" for colour, shape in allowed)]
    return looks * count + [where, Counter(GROUNDS)]


def _bits(part: Counter[str]) -> float:
    total = sum(part.values())
    return -sum(times / total * math.log2(times / total) for times in part.values())


def _alike(part: Counter[str]) -> float:
    return sum(times**2 for times in part.values()) / sum(part.values()) ** 2


def _bytes(parts: list[Counter[str]], count: int, thin: bool) -> float:
    """Mean bytes of captions of so many things: the parts and a blank after each but the last, "a " and "on "."""
    words = sum(sum(len(word) * times for word, times in part.items()) / sum(part.values()) for part in parts)
    return words + len(parts) - 1 + (0 if thin else len("a ") * count + len("on "))
