"""A whole run whose text tower is a release: from the store's captions to an export that answers the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_bert
import torch
import transformers
from helpers import study_error

from keel import model
from keel.errors import Preempted
from keel.model.pair import Pair
from keel.model.shapes import Size, folder
from keel.objective.released_text import sha256_of
from keel.plan.spec import Spec
from keel.prove import world
from keel.run import checkpoint
from keel.run.pictures import want_of
from keel.run.samples import samples_of
from keel.run.train import Place, Trained, train

pytestmark = pytest.mark.tensor


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def release(root: Path) -> Path:
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    made = tiny_bert.write(root / "release")
    if bars:
        transformers.utils.logging.enable_progress_bar()
    return made


def spec_of(root: Path, release: Path) -> Spec:
    given = {"text_from": str(release), "text_sha256": sha256_of(folder.read(release)), "text_context": 48}
    return world.spec_of("siglip", given, root)


def go(spec: Spec, root: Path, place: Path, stop: Callable[[], bool] = lambda: False) -> tuple[Trained, list[str]]:
    said: list[str] = []
    corpus = world.corpus_of("image-text", root)

    def report(told: dict[str, Any]) -> None:
        said.extend(told.get("began", []))

    return train(spec, Place(folder=place), corpus, spec.steps, set(), report, stop), said


def test_a_run_reads_its_captions_in_the_releases_tokens_and_resumes_bit_for_bit(
    root: Path, release: Path, tmp_path: Path
) -> None:
    spec = spec_of(root, release)
    whole, said = go(spec, root, tmp_path / "whole")
    assert any("does not move" in line for line in said)
    assert any(line.startswith("text starts from bert in") for line in said), said
    left = iter(range(2))
    with pytest.raises(Preempted):
        go(spec, root, tmp_path / "cut", lambda: next(left, None) is None)
    again, _ = go(spec, root, tmp_path / "cut")
    one, other = (checkpoint.part_state(made.parts) for made in (whole, again))
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    corpus = world.corpus_of("image-text", root)
    sample = samples_of(whole.objective, corpus, want_of(model.load(spec.family).shape(Size(**spec.size)), 0))[0]
    tokenizer = transformers.AutoTokenizer.from_pretrained(release)
    caption = corpus[sample.id].caption
    assert sample.tokens.tolist() == tokenizer(caption, add_special_tokens=False, truncation=False).input_ids
    whole.objective.export(whole.parts, spec.family, tmp_path / "model")
    states = Pair(tmp_path / "model").texts.state_dict()
    kept = transformers.BertModel.from_pretrained(release, add_pooling_layer=False).state_dict()
    assert all(torch.equal(weight, states[name]) for name, weight in kept.items())


def test_a_release_that_changed_since_the_plan_is_refused(root: Path, tmp_path: Path) -> None:
    release = tiny_bert.write(tmp_path / "release", seed=3)
    spec = spec_of(root, release)
    tiny_bert.write(release, seed=4)
    with study_error("another than text_sha256 says"):
        go(spec, root, tmp_path / "run")
