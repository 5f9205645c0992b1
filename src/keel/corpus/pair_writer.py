"""Pairs -> arrays of tokens on disk, some of them held out; what has an empty side is left out and named.

No source (or prompt) is on both sides: a held-out pair whose source is also trained on, in another group, is left out.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from keel.corpus.readers import Document
from keel.corpus.split import SALT, is_heldout, key_hash
from keel.errors import Problem, StudyError
from keel.files import sha256_file, write_bytes, write_json

SCHEMA = "keel.parallel/2"
PARTS, SIDES = ("train", "heldout"), ("source", "target")
END = np.dtype("<i8")
FLUSH_BYTES = 1 << 20
SHOWN = 5


class Pair(NamedTuple):
    """A line and its translation, or a prompt and its answer; `number` is that of the line or record, from 1.

    Pairs of one `key`, of one source where there is none, are all trained on or all held out. `task` of instructions.
    """

    number: int
    source: str
    target: str
    key: str = ""
    task: str = ""

    @property
    def unit(self) -> Document:
        """What the split sees."""
        return Document(self.key or self.source, self.source, None, None)


class Rule(NamedTuple):
    """Which pairs are held out, as `corpus.split` has it, and how many bytes of them are kept, whole pairs only.

    `vocabulary`: the tokenizer's ids.
    """

    vocabulary: int
    split: Mapping[str, Any]
    most_bytes: float = math.inf


def by_share(share: float) -> dict[str, Any]:
    """A split that holds out this share of the keys."""
    return {"by": "pair", "threshold": share, "salt": SALT, "moved": {}}


class Kept:
    """What all writers of one corpus share: held-out bytes so far, and the hashes of sources that are trained on."""

    def __init__(self) -> None:
        self.bytes, self.hashes = 0, array("Q")

    @cached_property
    def trained(self) -> np.ndarray:
        """Hashes of all sources that are trained on, sorted; asked for when the last pair is written."""
        return np.unique(np.asarray(self.hashes))


class Writer:
    """One folder of pairs; `close` writes its index, last."""

    def __init__(self, folder: Path, tokenizer: Tokenizer, languages: Sequence[str], rule: Rule, kept: Kept) -> None:
        self.folder, self.tokenizer, self.languages, self.rule, self.kept = folder, tokenizer, languages, rule, kept
        self.dtype = np.dtype("<u2") if rule.vocabulary <= 1 << 16 else np.dtype("<u4")
        self.empty, self.num_empty = list[int](), 0
        self.ends = {side: array("q") for side in SIDES}
        self.waiting = {side: bytearray() for side in SIDES}
        self.heldout = list[tuple[Pair, tuple[list[int], ...]]]()
        folder.mkdir(parents=True, exist_ok=True)
        for side in SIDES:
            write_bytes(self._path("train", side), b"")

    def _path(self, part: str, side: str, ending: str = "bin") -> Path:
        return self.folder / f"{part}.{side}.{ending}"

    def add(self, pairs: Sequence[Pair]) -> None:
        """Tokenise pairs, in order."""
        whole = [pair for pair in pairs if self._has_both(pair)]
        found = [self.tokenizer.encode_batch_fast([getattr(pair, side) for pair in whole], add_special_tokens=False)
                 for side in SIDES]  # fmt: skip
        for pair, *sides in zip(whole, *found):
            ids = tuple(side.ids for side in sides)
            if is_heldout(self.rule.split, pair.unit):
                self._hold(pair, ids)
            else:
                self.kept.hashes.append(source_hash(pair))
                self._train(ids)

    def _has_both(self, pair: Pair) -> bool:
        whole = bool(pair.source.strip() and pair.target.strip())
        if not whole:
            self.num_empty += 1
            self.empty += [pair.number] if len(self.empty) < SHOWN else []
        return whole

    def _hold(self, pair: Pair, ids: tuple[list[int], ...]) -> None:
        if self.kept.bytes < self.rule.most_bytes:
            self.heldout.append((pair, ids))
            self.kept.bytes += bytes_of(pair)

    def _train(self, ids: tuple[list[int], ...]) -> None:
        for side, tokens in zip(SIDES, ids):
            known, waiting = self.ends[side], self.waiting[side]
            known.append((known[-1] if known else 0) + len(tokens))
            waiting += np.asarray(tokens, self.dtype).tobytes()
            if len(waiting) >= FLUSH_BYTES:
                self._flush(side)

    def _flush(self, side: str) -> None:
        with self._path("train", side).open("ab") as file:
            file.write(self.waiting[side])
        self.waiting[side].clear()

    def close(self, identity: Mapping[str, Any] | None = None, more: Sequence[str] = ()) -> dict[str, int]:
        """Pairs in either part; `more` names files of the folder that belong to it."""
        held = [item for item in self.heldout if not self._is_trained(item[0])]
        for place, side in enumerate(SIDES):
            self._flush(side)
            lines = [ids[place] for _, ids in held]
            write_bytes(self._path("heldout", side), b"".join(np.asarray(line, self.dtype).tobytes() for line in lines))
            write_bytes(self._path("train", side, "ends"), np.array(self.ends[side], END).tobytes())
            ends = np.cumsum([len(line) for line in lines], dtype=END)
            write_bytes(self._path("heldout", side, "ends"), ends.tobytes())
        counts = {"train": len(self.ends["source"]), "heldout": len(held)}
        names = [self._path(part, side, end).name for part in PARTS for side in SIDES for end in ("bin", "ends")]
        write_json(self.folder / "index.json", SCHEMA, {
            "identity": dict(identity or {}), "languages": list(self.languages), "dtype": self.dtype.str,
            "vocabulary": self.rule.vocabulary, "pairs": counts,
            "heldout_bytes": sum(bytes_of(pair) for pair, _ in held),
            "empty": self.empty, "num_empty": self.num_empty, "num_trained": len(self.heldout) - len(held),
            "files": {name: sha256_file(self.folder / name) for name in [*names, *more]},
        })  # fmt: skip
        return counts

    def _is_trained(self, pair: Pair) -> bool:
        trained, hashed = self.kept.trained, np.uint64(source_hash(pair))
        place = int(np.searchsorted(trained, hashed))
        return place < len(trained) and bool(trained[place] == hashed)


def source_hash(pair: Pair) -> int:
    """A short stable name of a pair's source."""
    return int(key_hash(pair.source), 16)


def bytes_of(pair: Pair) -> int:
    """Bytes of both sides as text."""
    return len(pair.source.encode()) + len(pair.target.encode())


def check_parts(counts: Mapping[str, int], folder: Path) -> None:
    """Both parts hold something.

    Raises:
        StudyError: nothing is left to train on, or nothing is held out.
    """
    problems = {"train": "no pair is left to train on", "heldout": "no pair is held out"}
    why = f"{sum(counts.values())} pairs have text on both sides"
    found = [Problem(problems[part], why, "bring more pairs", str(folder)) for part in PARTS if not counts[part]]
    if found:
        raise StudyError.all(found)
