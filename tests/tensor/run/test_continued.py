"""The arm that goes on from a released base: its own tokens, its own special tokens, exported as it came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SMALL_STUDY, keel, looked_and_planned, planned_study, wordpiece
from transformers import AutoTokenizer, BertConfig, BertModel

from keel.corpus.look import source_of
from keel.corpus.store import open_corpus, prepare
from keel.files import read_json
from keel.objective.base import Around
from keel.plan.spec import from_json
from keel.run.finish import library_tokenizer
from keel.run.parts import vocabulary_of
from keel.study import load

USE = '\n[[use_case]]\nname = "kind"\ntask = "text-classification"\n[start]\nfrom = "release"\n'


def release(study: Path) -> None:
    """A tiny BERT without a head on tokens, and a WordPiece that cuts every text to 16 tokens."""
    texts = [path.read_text() for path in sorted((study / "text").glob("*"))]
    words = wordpiece(texts)
    torch.manual_seed(0)
    made = BertModel(BertConfig(vocab_size=words.get_vocab_size(), hidden_size=16, num_hidden_layers=1,
                                num_attention_heads=2, intermediate_size=64, max_position_embeddings=64))  # fmt: skip
    made.save_pretrained(study / "release")
    words.save(str(study / "release" / "tokenizer.json"))


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose arm `continue` was run."""
    head, _, settings = SMALL_STUDY.partition("[set]")
    toml = f'{head}{USE}[set]{settings}arms.losses = ["mlm"]\narms.width = 24\ntrain.loss = "clm"\n'
    study = planned_study(tmp_path_factory.mktemp("continued"), SMALL_STUDY)
    (study / "study.toml").write_text(toml)
    release(study)
    looked_and_planned(study)
    keel("run", "--dry", cwd=study)
    keel("run", arm(study)["id"], cwd=study, code=None)
    return study


def arm(study: Path) -> dict[str, Any]:
    plan = read_json(study / "plan.json", "keel.plan/1")
    found: dict[str, Any] = next(item for item in plan["arms"]["runs"] if "start" in item["factors"])
    return found


def test_it_is_trained_in_the_tokens_of_the_base(continued: Path) -> None:
    found = arm(continued)
    spec = read_json(continued / "runs" / str(found["id"]) / "spec.json", "keel.spec/1")
    base = read_json(continued / "evidence" / "base.json", "keel.base/1")
    assert spec["data"]["tokenizer_sha256"] == base["tokenizer"]["sha256"]
    shards = next(
        path.parent for path in (continued / "runs").glob(".shards-*/index.json")
        if json.loads(path.read_text())["identity"]["tokenizer_sha256"] == base["tokenizer"]["sha256"]
    )  # fmt: skip
    index = json.loads((shards / "index.json").read_text())
    assert index["separator"] == 3, "[SEP] parts documents, not id 0, which is padding here"
    assert sum(item["tokens"] for item in index["train"]) == pytest.approx(base["train_tokens"], rel=0.05)


def test_what_was_taken_and_what_is_fresh_is_said(continued: Path) -> None:
    began = read_json(continued / "runs" / str(arm(continued)["id"]) / "execution.json", "keel.execution/1")["began"]
    assert any("cls.predictions" in name for name in began["model"]["missing"])
    assert not any("cls.predictions" in name for name in began["model"]["taken"])


def test_the_exported_tokenizer_is_the_bases_own(continued: Path) -> None:
    found = from_json(arm(continued)["spec"])
    corpus = open_corpus(prepare(continued, source_of(continued, load(continued)), found.data))
    here = library_tokenizer(
        corpus.tokenizer_path.read_text(), vocabulary_of(found, corpus), Around(found.size["context"])
    )
    there = AutoTokenizer.from_pretrained(continued / "release")
    assert len(here) == found.size["vocabulary"], "no token is spelled anew"
    assert here.get_vocab() == there.get_vocab()
    assert (here.mask_token, here.sep_token, here.cls_token, here.pad_token) == ("[MASK]", "[SEP]", "[CLS]", "[PAD]")
