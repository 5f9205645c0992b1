"""A corpus as runs read it: stored once, verified by checksum, opened by what its index says that it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keel.corpus import instructions, pair_writer, parallel, shards
from keel.corpus.images import prepare as images
from keel.corpus.images import store as image_store
from keel.corpus.images.items import ImageSource
from keel.corpus.images.store import Store, open_store
from keel.corpus.instructions import Instructions, open_instructions
from keel.corpus.pair_source import PairSource
from keel.corpus.pair_writer import Rule
from keel.corpus.parallel import Bitext, open_bitext
from keel.corpus.readers import Source
from keel.corpus.shards import Shards, open_shards, ordered
from keel.corpus.vocabulary import vocabulary_of

AnySource = Source | PairSource | ImageSource
Corpus = Shards | Bitext | Instructions | Store
OPENERS: Mapping[str, Callable[[Path], Corpus]] = {
    shards.SCHEMA: open_shards,
    pair_writer.SCHEMA: open_bitext,
    instructions.SCHEMA: open_instructions,
    image_store.SCHEMA: open_store,
}


def open_corpus(folder: Path) -> Corpus:
    """Open what `prepare` left, each file held against its checksum.

    Raises:
        StudyError: a file is missing, truncated or edited, or another keel wrote it.
    """
    try:
        found = json.loads((folder / "index.json").read_bytes())
    except (ValueError, OSError):
        found = {}
    # What has no schema of ours is refused by name where the index is read.
    return OPENERS.get(str(found.get("schema")), open_shards)(folder)


def tokenizer_of(corpus: Corpus) -> str | None:
    """The tokenizer whose tokens a corpus holds; None where it holds none."""
    return corpus.tokenizer_path.read_text(encoding="utf-8") if corpus.tokenizer_path else None


def heldout_told(corpus: Corpus) -> dict[str, Any]:
    """What is kept from training, as a result names it."""
    if isinstance(corpus, Store):
        return corpus.heldout_told()
    return {"bytes": corpus.heldout_bytes, "tokens": len(corpus.heldout_tokens()), "sha256": corpus.heldout_sha256}


def prepare(study_folder: Path, source: AnySource, data: Mapping[str, Any]) -> Path:
    """The folder of tokens or images that a run's `data` names, made now if it is not there yet.

    Raises:
        StudyError: the corpus or the tokenizer is not the one that was planned with.
    """
    if isinstance(source, ImageSource):
        return images.prepare(study_folder, source, data)
    order = ordered(study_folder, data)
    if (order.folder / "index.json").exists():
        open_corpus(order.folder)
        return order.folder
    text = order.tokenizer_json(source)
    if isinstance(source, Source):
        shards.write(
            order.folder, source, order.corpus, text, order.heldout_max_bytes, order.identity
        )  # fmt: skip
        return order.folder
    rule = Rule(vocabulary_of(text).size, order.corpus["split"], order.heldout_max_bytes)
    if source.kind == "instructions":
        instructions.write_pairs(order.folder, source.pairs(), text, rule, order.identity)
    else:
        languages = source.data.sides
        parallel.write(order.folder, source.pairs(), text, languages, rule=rule, identity=order.identity)
    return order.folder
