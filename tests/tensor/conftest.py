"""Shards of the tiny text, and a spec small enough to train in a moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import study

from keel.corpus.look import source_of
from keel.corpus.shards import Shards, open_shards, write
from keel.corpus.tokenizer import truncate
from keel.plan.spec import Spec, example_spec

SIZE = {"width": 16, "layers": 1, "vocabulary": 300, "context": 32, "head_width": 8}


@pytest.fixture(scope="session")
def shards(_looked: Path, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """The tiny text in tokens of a vocabulary of 300."""
    corpus = json.loads((_looked / "evidence" / "corpus.json").read_text())
    tokenizer_json = truncate((_looked / "evidence" / "tokenizer.json").read_text(), 300)
    folder = tmp_path_factory.mktemp("shards") / "tiny"
    write(folder, source_of(_looked, study()), corpus, tokenizer_json, 5_000, {})
    return open_shards(folder)


@pytest.fixture(scope="session")
def tiny_spec() -> Callable[..., Spec]:
    """A spec of 20 steps of 8 windows; keyword arguments change it."""

    def made(**changes: Any) -> Spec:
        plain: dict[str, Any] = {
            "size": SIZE, "batch_tokens": 256, "steps": 20, "warmup_steps": 3, "decay_start": 15,
        }  # fmt: skip
        return example_spec(**(plain | changes))

    return made
