"""Captions, measured: lengths, empties, repeats, shared beginnings and ends, languages."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keel.corpus import languages, measure
from keel.corpus.images.bad import SHOWN
from keel.corpus.split import MOST_UNITS, key_hash
from keel.errors import Problem

MOST_WORDS, LEAST_SHARE, LEAST_CAPTIONS, ALIKE = 6, 0.1, 10, 0.5
SAMPLE = 20_000
MOST_LONGEST = 100


@dataclass
class Captions:
    """What was seen of captions; repeats and lengths rest on the first 5 million, words on a fair sample of images."""

    count: int = 0
    bytes: int = 0
    missing: int = 0
    torn: int = 0
    empty: int = 0
    first_missing: list[str] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    words: array[int] = field(default_factory=lambda: array("q"))
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    sample: list[str] = field(default_factory=list)
    longest: list[tuple[int, int, str]] = field(default_factory=list)  # a heap of (bytes, number, caption)

    def add(self, caption: str | None, where: str) -> bool:
        """Count an image's caption; whether it has one with text."""
        if caption is None or not caption.strip():
            self.empty += caption is not None
            self.missing += caption is None
            if len(self.first_missing) < SHOWN:
                self.first_missing.append(where)
            return False
        self.count += 1
        size = len(caption.encode(errors="surrogatepass"))
        self.bytes, self.torn = self.bytes + size, self.torn + (readable(caption) != caption)
        heapq.heappush(self.longest, (size, self.count, caption))
        if len(self.longest) > MOST_LONGEST:
            heapq.heappop(self.longest)
        if len(self.sizes) < MOST_UNITS:
            self.sizes.append(len(caption))
            self.words.append(len(caption.split()))
            self.hashes.append(int(key_hash(" ".join(caption.casefold().split())), 16))
        return True

    def longest_texts(self) -> list[str]:
        """The captions that are longest in bytes."""
        return [caption for _, _, caption in self.longest]


def readable(caption: str) -> str:
    """The caption with U+FFFD in place of half characters, which a JSON file may hold and a tokenizer cannot read.

    Example:
        >>> readable("a\\ud800b") == "a\\ufffdb", readable("a b")
        (True, 'a b')
    """
    if caption.isascii():
        return caption
    return "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in caption)


def report(seen: Captions) -> dict[str, Any]:
    """The part of images.json about captions."""
    distinct = len(np.unique(np.asarray(seen.hashes)))
    return {
        "count": seen.count, "bytes": seen.bytes, "images_without": seen.missing, "empty": seen.empty,
        "first_without": seen.first_missing, "torn": seen.torn,
        "length_characters": measure.quantiles(seen.sizes) if seen.count else {},
        "length_words": measure.quantiles(seen.words) if seen.count else {},
        "distinct": distinct, "repeated": len(seen.hashes) - distinct,
        "begin": shared(seen.sample), "end": shared(seen.sample, last=True),
        "languages": languages.shares(languages.joined(seen.sample)), "languages_method": languages.METHOD,
        "sampled": len(seen.sample),
    }  # fmt: skip


def shared(texts: Sequence[str], last: bool = False) -> dict[str, Any] | None:
    """The words that most captions begin (or end) with: the longest run that a tenth of them, and 10, share.

    Example:
        >>> shared(["a photo of a cat", "a photo of a dog"] * 10)["words"]
        'a photo of a'
    """
    rows = [text.casefold().split() for text in texts]
    found = None
    for length in range(1, MOST_WORDS + 1):
        runs = Counter(tuple(row[-length:] if last else row[:length]) for row in rows if len(row) > length)
        if not runs:
            break
        words, count = runs.most_common(1)[0]
        if count < max(LEAST_CAPTIONS, LEAST_SHARE * len(rows)):
            break
        found = {"words": " ".join(words), "share": count / len(rows)}
    return found


def problems(found: Mapping[str, Any]) -> list[Problem]:
    """What is said aloud of captions: none, missing ones, all alike, boilerplate."""
    said, where = list[Problem](), "[data] text"
    without = found["images_without"] + found["empty"]
    if without:
        shown = ", ".join(found["first_without"][:5]) + (" ..." if without > 5 else "")
        said.append(Problem(f"{without} images have no caption ({found['empty']} of them an empty one)", shown,
                            "they are left out of the pairs; write captions for them if they should not be",
                            where))  # fmt: skip
    if found["torn"]:
        said.append(Problem(f"{found['torn']} captions hold half characters", "lone surrogates, which are no text",
                            "they are read as U+FFFD; mend them at their source", where))  # fmt: skip
    if found["count"] and found["distinct"] == 1:
        said.append(Problem("all captions are alike", "nothing can be told from them",
                            "check that the right field is named", where))  # fmt: skip
    elif found["count"] and found["repeated"] > ALIKE * found["count"]:
        said.append(Problem(f"{found['repeated']} captions repeat an earlier one",
                            f"{found['distinct']} are distinct: images with one caption are no negatives of each other",
                            "use a loss that knows it, or write what tells the images apart", where))  # fmt: skip
    for name, word in (("begin", "begin"), ("end", "end")):
        run = found[name]
        if run and run["share"] >= ALIKE and found["distinct"] > 1:
            said.append(Problem(f"{100 * run['share']:.0f} % of captions {word} with '{run['words']}'",
                                "shared words tell nothing of an image", "remove them if they are boilerplate",
                                where))  # fmt: skip
    return said
