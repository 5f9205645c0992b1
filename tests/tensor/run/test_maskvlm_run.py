"""A whole run of MaskVLM on scenes: judged by captions with their images in sight, exported, cut by whole groups."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import study_error

from keel import model
from keel.corpus.store import tokenizer_of
from keel.corpus.tokenizer import load
from keel.evaluate import masked_captions
from keel.evaluate.masked import folds_of
from keel.model.masked_pair import MaskedPair
from keel.model.shapes import Size
from keel.plan.spec import Spec
from keel.prove import world
from keel.run import heldout
from keel.run.finish import finish
from keel.run.pictures import want_of
from keel.run.train import Place, Trained, train

pytestmark = pytest.mark.tensor


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masked")


def spec_of(root: Path, **changes: Any) -> Spec:
    return replace(world.spec_of("maskvlm", {"group": 4}, root), **changes)


def go(spec: Spec, root: Path, place: Path, **more: Any) -> Trained:
    corpus = world.corpus_of("image-text", root)
    return train(spec, Place(folder=place, **more), corpus, spec.steps, set(), lambda _: None, lambda: False)


def test_a_result_is_what_the_export_fills_in(root: Path, tmp_path: Path) -> None:
    """Every word of every held-out caption once, by the formula, from the folder that a user loads."""
    spec, corpus = spec_of(root, steps=12, decay_start=8, lr_hidden=0.02), world.corpus_of("image-text", root)
    trained = go(spec, root, tmp_path)
    result = finish(spec, tmp_path, corpus, trained)
    assert result["judge"] == "masked_caption_bits_per_byte"
    back, of = MaskedPair(tmp_path / "model"), trained.objective
    shape = model.load(spec.family).shape(Size(**spec.size))
    known, nats, size = of.vocabulary, 0.0, 0
    for number, sample in enumerate(heldout.samples_of(of, corpus, want_of(shape, 0))):
        assert sample.image is not None
        tokens = of.example(sample, np.random.default_rng(0))["tokens"]
        folds = folds_of(tokens, known, number)
        for fold in range(int(folds.max()) + 1):
            hidden = np.where(folds == fold, known.id_of("mask"), tokens)
            ids = torch.from_numpy(hidden)[None]
            with torch.no_grad():
                logits = back.filled(torch.from_numpy(sample.image)[None], ids, torch.ones_like(ids))[0]
            chance = logits.log_softmax(-1)[torch.arange(len(tokens)), torch.from_numpy(tokens)]
            nats -= float(chance[torch.from_numpy(folds == fold)].sum())
        size += len(corpus[sample.id].caption.encode())
    assert result["bits_per_byte"] == pytest.approx(nats / math.log(2) / size, rel=1e-4)


def test_the_bar_counts_training_captions_alone(root: Path) -> None:
    corpus = world.corpus_of("image-text", root)
    text = tokenizer_of(corpus)
    assert text is not None
    counts, tokenizer = masked_captions.token_counts(corpus, text, 400), load(text)
    by_hand = np.zeros(400, np.int64)
    for number in np.flatnonzero(~corpus.heldout()):
        for index in tokenizer.encode(corpus[int(number)].caption, add_special_tokens=False).ids:
            by_hand[index] += 1
    assert np.array_equal(counts, by_hand)
    assert corpus.heldout().any()


def test_a_step_that_holds_no_whole_groups_is_refused(root: Path, tmp_path: Path) -> None:
    spec = spec_of(root, batch_tokens=18 * 16)
    with study_error("do not hold whole groups", "4 samples of this loss stay together", "train.batch"):
        go(spec, root, tmp_path / "uneven")
    with study_error("do not hold whole groups"):
        go(spec_of(root), root, tmp_path / "cut", micro_samples=6)
