"""Tokens on disk: little-endian integers in shards with checksums; written once, verified, then memory-mapped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from keel.corpus.measure import Files
from keel.corpus.readers import Document, Source
from keel.corpus.split import is_heldout
from keel.corpus.survey import units_of
from keel.corpus.tokenizer import SEPARATOR_ID, load, pad_first, truncate
from keel.corpus.vocabulary import vocabulary_of
from keel.errors import StudyError
from keel.files import digest, read_json, replacing, sha256_file, write_bytes, write_json, write_text
from keel.progress import Progress

SCHEMA = "keel.shards/1"
BASE_TOKENIZER = "evidence/base-tokenizer.json"  # of a released base, beside the corpus's own
SHARD_BYTES = 64 << 20
BATCH_BYTES = 4 << 20


class Shards:
    """A tokenised corpus, memory-mapped; `window` reads across shard borders."""

    kind: ClassVar[str] = "text"

    def __init__(self, folder: Path, index: Mapping[str, Any]) -> None:
        self.folder = folder
        self.dtype = np.dtype(index["dtype"])
        self.vocabulary, self.separator = int(index["vocabulary"]), int(index.get("separator", SEPARATOR_ID))
        self.parts = [np.memmap(folder / item["name"], dtype=self.dtype, mode="r") for item in index["train"]]
        self.ends = np.cumsum([len(part) for part in self.parts])
        self.num_tokens = int(self.ends[-1])
        self.heldout = np.fromfile(folder / index["heldout"]["name"], dtype=self.dtype).astype(np.int64)
        self.heldout_bytes = int(index["heldout"]["text_bytes"])
        self.heldout_sha256 = str(index["heldout"]["sha256"])
        self.tokenizer_path = folder / "tokenizer.json"

    def window(self, start: int, length: int) -> np.ndarray:
        """Tokens start ... start + length - 1 of the training stream, shape (length,)."""
        assert start in range(self.num_tokens - length + 1), "a window beyond the training stream"
        first = int(np.searchsorted(self.ends, start, side="right"))
        begin = start - (int(self.ends[first - 1]) if first else 0)
        found = self.parts[first][begin : begin + length]
        if len(found) == length:
            return np.asarray(found)
        rest = self.window(start + len(found), length - len(found))
        return np.concatenate([found, rest])

    def heldout_tokens(self) -> np.ndarray:
        """All held-out tokens, separators included."""
        return self.heldout

    def token_counts(self) -> np.ndarray:
        """How often each token stands in the training stream, shape (vocabulary,)."""
        counts = [np.bincount(part, minlength=self.vocabulary) for part in self.parts]
        return np.asarray(np.sum(counts, axis=0))


def open_shards(folder: Path) -> Shards:
    """Open shards after holding every file against its size and checksum.

    Raises:
        StudyError: a shard is missing, truncated or edited; it is named.
    """
    index = read_json(folder / "index.json", SCHEMA)
    for item in [*index["train"], index["heldout"], index["tokenizer"]]:
        path = folder / item["name"]
        if not path.exists() or path.stat().st_size != item["bytes"] or sha256_file(path) != item["sha256"]:
            raise StudyError(
                f"{item['name']} is not what was written", why="it is missing, truncated or edited (sha256 differs)",
                fix=f"delete the folder {folder.name} and run again: it is made anew from the corpus", where=str(path),
            )  # fmt: skip
    return Shards(folder, index)


class Order(NamedTuple):
    """What a run wants tokenised: where to, by which evidence; a tokenizer of keel's own is cut to the vocabulary."""

    folder: Path
    corpus: Mapping[str, Any]
    identity: Mapping[str, Any]
    vocabulary: int
    heldout_max_bytes: int
    tokenizer: Path
    own: bool

    def tokenizer_json(self, source: Files) -> str:
        """The tokenizer at the planned size, once the corpus and it are those that were looked at.

        Raises:
            StudyError: one of them is another.
        """
        _check_files(source, self.corpus)
        path, wanted = self.tokenizer, self.identity["tokenizer_sha256"]
        if not path.exists() or sha256_file(path) != wanted:
            raise StudyError("the tokenizer was edited", why=f"its sha256 is not {wanted[:16]}..., as planned",
                             fix="run `keel look` and `keel plan` again", where=str(path))  # fmt: skip
        text = path.read_text(encoding="utf-8")
        text = truncate(text, self.vocabulary) if self.own else text
        return pad_first(text) if self.identity.get("pad_first") else text


def ordered(study_folder: Path, data: Mapping[str, Any]) -> Order:
    """What a run's `data` wants: its folder is named after the data, the split and the tokenizer."""
    corpus = read_json(study_folder / "evidence" / "corpus.json", "keel.corpus/1")
    vocabulary, most = int(data["vocabulary"]), int(data["heldout_max_bytes"])
    identity = {
        "data_sha256": corpus["data_sha256"], "split": digest(corpus["split"]), "vocabulary": vocabulary,
        "tokenizer_sha256": data["tokenizer_sha256"], "heldout_max_bytes": most,
    }  # fmt: skip
    identity |= {"pad_first": True} if data.get("pad_first") else {}
    folder = study_folder / "runs" / f".shards-{vocabulary}-{digest(identity)[:8]}"
    own = data["tokenizer_sha256"] == corpus["tokenizer"]["sha256"]
    tokenizer = study_folder / (corpus["tokenizer"]["file"] if own else BASE_TOKENIZER)
    return Order(folder, corpus, identity, vocabulary, most, tokenizer, own)


def _check_files(source: Files, corpus: Mapping[str, Any]) -> None:
    """The corpus must still be the one that was looked at: runs name it by digest."""
    known = {item["path"]: item["sha256"] for item in corpus["files"]}
    found = {source.name(path): sha256_file(path) for path in source.files}
    changed = sorted(name for name in known.keys() | found.keys() if known.get(name) != found.get(name))
    if changed:
        raise StudyError(
            "the corpus has changed since `keel look`", why=f"{len(changed)} files differ: {', '.join(changed[:5])}",
            fix="run `keel look` and `keel plan` again: finished runs keep their identity", where="[data]",
        )  # fmt: skip


def write(
    folder: Path, source: Source, corpus: Mapping[str, Any], tokenizer_json: str, heldout_max_bytes: int,
    identity: Mapping[str, Any],
) -> None:  # fmt: skip
    """Tokenise; the index comes last, so that shards without one are made again."""
    if folder.exists():
        shutil.rmtree(folder)  # shards without an index: another run was killed over them
    tokenizer, known = load(tokenizer_json), vocabulary_of(tokenizer_json)
    writer = _Writer(tokenizer, known.id_of("separator"), np.dtype("<u2") if known.size <= 1 << 16 else np.dtype("<u4"))
    write_text(folder / "tokenizer.json", tokenizer_json)
    heldout: list[Document] = []
    documents = _train_documents(source, corpus["split"], heldout, heldout_max_bytes)
    train = _write_train(folder, documents, writer, float(corpus["split"]["train_bytes"]))
    if not train or not heldout:
        raise StudyError(
            "nothing to train on" if heldout else "nothing is held out", why="all documents are on one side",
            fix="run `keel look` again, or bring more documents", where=str(source.root),
        )  # fmt: skip
    held_tokens = np.concatenate([writer.encode([document.text]) for document in heldout])
    write_bytes(folder / "heldout.bin", held_tokens.tobytes())
    write_json(folder / "index.json", SCHEMA, {
        "identity": dict(identity), "dtype": writer.dtype.str, "vocabulary": known.size, "train": train,
        "separator": writer.separator,
        "heldout": _entry(folder / "heldout.bin") | {
            "tokens": len(held_tokens), "documents": len(heldout),
            "text_bytes": sum(len(document.text.encode()) for document in heldout)},
        "tokenizer": _entry(folder / "tokenizer.json"),
    })  # fmt: skip


def _entry(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _train_documents(
    source: Source, split: Mapping[str, Any], heldout: list[Document], heldout_max_bytes: int
) -> Iterator[Document]:
    """Training documents in order; held-out ones are put aside until there are enough, whole documents only."""
    kept = 0
    for document in units_of(source, split["by"]):
        if not is_heldout(split, document):
            yield document
        elif kept < heldout_max_bytes:
            heldout.append(document)
            kept += len(document.text.encode())


class _Writer(NamedTuple):
    """A tokenizer, what ends a document, and the integers that hold its tokens."""

    tokenizer: Tokenizer
    separator: int
    dtype: np.dtype[Any]

    def encode(self, texts: list[str]) -> np.ndarray:
        """Tokens of several documents, each followed by the separator."""
        encoded = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        tokens = [np.asarray([*item.ids, self.separator], dtype=np.uint32) for item in encoded]
        return np.concatenate(tokens).astype(self.dtype)


def _write_train(
    folder: Path, documents: Iterator[Document], writer: _Writer, total_bytes: float
) -> list[dict[str, Any]]:
    """All training shards; a shard is closed when it passes 64 MiB."""
    entries: list[dict[str, Any]] = []
    batches = _batches(documents)
    progress, done, more = Progress("tokenise", total_bytes), 0.0, next(batches, None)
    while more is not None:
        path, tokens, size = folder / f"train-{len(entries):05d}.bin", 0, 0
        with replacing(path) as file:
            while more is not None and size < SHARD_BYTES:
                data = writer.encode(more).tobytes()
                file.write(data)
                size, tokens = size + len(data), tokens + len(data) // writer.dtype.itemsize
                done += sum(map(len, more))
                progress.update(done)
                more = next(batches, None)
        entries.append(_entry(path) | {"tokens": tokens})
    progress.close(f"{sum(entry['tokens'] for entry in entries):,} tokens")
    return entries


def _batches(documents: Iterator[Document]) -> Iterator[list[str]]:
    """Texts in groups of about 4 MiB."""
    batch: list[str] = []
    size = 0
    for document in documents:
        batch.append(document.text)
        size += len(document.text)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
