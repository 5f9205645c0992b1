"""A released base is measured from its folder: its own tokens of this corpus, whole texts, no torch, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import study, study_error, wordpiece
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from keel.choose import base, measure
from keel.corpus.look import source_of
from keel.corpus.split import SALT

CONFIG = {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
          "intermediate_size": 128, "max_position_embeddings": 64, "type_vocab_size": 2, "vocab_size": 300}  # fmt: skip


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A study's folder with text, and a release beside it."""
    (tmp_path / "text").mkdir()
    for number in range(40):
        words = " ".join(f"Word{(number * 7 + place) % 90}" for place in range(400))
        (tmp_path / "text" / f"{number:02d}.txt").write_text(words)
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    save_file({"x": np.zeros(1, np.float32)}, folder / "model.safetensors")
    texts = [path.read_text() for path in sorted((tmp_path / "text").glob("*.txt"))]
    wordpiece(texts).save(str(folder / "tokenizer.json"))
    return folder


def measured(release: Path, corpus: dict[str, Any]) -> tuple[dict[str, Any], str]:
    given = study(start={"from": "release"})
    return measure.measure(release.parent, given, source_of(release.parent, given), corpus)


@pytest.fixture
def corpus() -> dict[str, Any]:
    """What of corpus.json is read: nothing is held out."""
    return {"split": {"by": "document", "threshold": 0.0, "salt": SALT, "moved": {}, "train_bytes": 110_000}}


def test_tokens_are_counted_on_whole_texts_whatever_the_release_cuts(release: Path, corpus: dict[str, Any]) -> None:
    found, tokenizer_json = measured(release, corpus)
    texts = [path.read_text() for path in (release.parent / "text").glob("*.txt")]
    whole = Tokenizer.from_str(tokenizer_json)
    counts = [len(whole.encode(text, add_special_tokens=False).ids) for text in texts]
    assert min(counts) > 300, "the release's own limit of 16 tokens is lifted"
    assert found["bytes_per_token"] == pytest.approx(sum(len(text) for text in texts) / sum(counts))
    assert found["low"] <= found["bytes_per_token"] <= found["high"]


def test_what_its_tokens_lose_is_measured(release: Path, corpus: dict[str, Any]) -> None:
    assert measured(release, corpus)[0]["kept"] == 0.0, "upper case is lost in every text"
    assert "gives back 0 %" in base.show(measured(release, corpus)[0])


def test_family_size_and_special_tokens_are_read_from_the_folder(release: Path, corpus: dict[str, Any]) -> None:
    found, _ = measured(release, corpus)
    assert (found["family"], found["size"]["width"], found["size"]["context"]) == ("bert", 32, 64)
    assert {"mask", "pad", "start", "separator"} <= set(found["tokenizer"]["roles"])
    assert len(found["sha256"]) == 64


def test_a_folder_without_a_tokenizer_or_that_is_not_there_is_refused(release: Path, corpus: dict[str, Any]) -> None:
    (release / "tokenizer.json").unlink()
    with study_error("no tokenizer that can be read", "missing"):
        measured(release, corpus)
    (release / "tokenizer.json").write_text("{}")
    with study_error("no tokenizer that can be read"):
        measured(release, corpus)
    with study_error("is no folder here", "nothing is downloaded"):
        base.check(release.parent, study(start={"from": "some/model"}), {"folder": "/x"})


def test_evidence_of_another_base_is_stale(release: Path, corpus: dict[str, Any]) -> None:
    found, _ = measured(release, corpus)
    base.check(release.parent, study(start={"from": "release"}), found)
    with study_error("of another base", "keel look"):
        base.check(release.parent, study(start={"from": "text"}), found)


def test_pairs_are_counted_side_by_side(release: Path, corpus: dict[str, Any]) -> None:
    rows = [{"prompt": f"say word{number}", "answer": f"word{number} word{number}"} for number in range(50)]
    (release.parent / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = study("tasks.jsonl", data={"prompt": "prompt", "answer": "answer"}, start={"from": "release"})
    found, tokenizer_json = measure.measure(release.parent, given, source_of(release.parent, given), corpus)
    whole = Tokenizer.from_str(tokenizer_json)
    texts = [row[side] for row in rows for side in ("prompt", "answer")]
    counts = [len(whole.encode(text, add_special_tokens=False).ids) for text in texts]
    assert found["sampled_texts"] == 100
    assert found["bytes_per_token"] == pytest.approx(sum(map(len, texts)) / sum(counts))
