"""What CLIP and SigLIP refuse: a step of one pair, half a pair, long captions, towers that do not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pair_cases
import pytest
from helpers import study_error
from pair_cases import LOSSES, SIZE, batches, loss, modules, samples

from keel.corpus.vocabulary import Vocabulary
from keel.objective.base import FromRun, Scratch
from keel.run import engine

pytestmark = pytest.mark.tensor


@pytest.mark.parametrize("name", LOSSES)
def test_one_pair_is_refused(name: str) -> None:
    of = loss(name)
    with study_error("a step has one pair", "train.batch"):
        engine.accumulate(of, modules(of), batches(of, [1]), {}, seed=0, step=0)


def test_a_caption_that_is_too_long_is_refused_or_shortened_and_said() -> None:
    rng, long = np.random.default_rng(0), samples(1)[0]._replace(tokens=np.arange(1, 8))
    with study_error("the caption of sample 0 has 7 tokens", "too_long"):
        loss().example(long, rng)
    short = loss(too_long="shorten")
    assert short.example(long, rng)["tokens"].tolist() == [31, 1, 2, 3, 4, 5, 6, 0]
    assert "first 6 are read" in short.notes[1]


def test_a_pair_without_one_of_its_two_is_refused() -> None:
    rng, one = np.random.default_rng(0), samples(1)[0]
    with study_error("sample 0 has no image", "data"):
        loss().example(one._replace(image=None), rng)
    with study_error("sample 0 has no caption", "data"):
        loss().example(one._replace(tokens=np.array([], np.int64)), rng)


def test_a_start_that_has_no_two_towers_is_refused() -> None:
    with study_error("clip cannot start from a run", "start"):
        loss().parts("clip-vision", SIZE, FromRun("another"))


def test_a_shared_space_that_no_text_tower_has_is_refused() -> None:
    with study_error("the text tower's width is not a multiple of head_width", "embedding_width"):
        loss().parts("clip-vision", replace(SIZE, embedding_width=12), Scratch())


def test_an_end_id_that_the_library_misreads_is_refused() -> None:
    known = pair_cases.vocabulary()
    kind = np.roll(known.kind, 2)
    shifted = Vocabulary(known.size, {"separator": 2, "start": 1}, kind, known.ends_sentence)
    of = LOSSES["clip"]({"text_context": 8}, shifted)
    with study_error("the end token's id is 2", "tokenizer.json"):
        modules(of)
