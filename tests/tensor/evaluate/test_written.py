"""The judge of captions: bits a byte by hand, what is written, retrieval beside; and runs to their end."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scene_pairs
import torch
from scene_pairs import Made
from torch import nn

from keel import evaluate, objective
from keel.corpus.images.store import Store
from keel.corpus.store import tokenizer_of
from keel.corpus.tokenizer import load
from keel.evaluate import cider, written
from keel.evaluate.exam import Exam
from keel.evaluate.exam import writing as captions
from keel.evaluate.tasks import overlap
from keel.files import read_json
from keel.model import coca
from keel.model.shapes import Size
from keel.objective import cost
from keel.objective.base import Scratch
from keel.run import parts
from keel.units import MEASURES, value_field

pytestmark = pytest.mark.tensor


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene_pairs.write(tmp_path_factory.mktemp("pairs"), scene_pairs.NUMBER)


@pytest.fixture(scope="module")
def store(root: Path) -> Store:
    return scene_pairs.stored(root)


def exam_of(root: Path, store: Store, name: str = "coca", **options: Any) -> Exam:
    """Fresh parts, and the held-out pairs."""
    given = {"text_context": scene_pairs.ROOM, **options}
    spec = scene_pairs.spec_of(root, scene_pairs.PAIRS, objective=name, options=given)
    known = parts.vocabulary_of(spec, store)
    loss = objective.load(name, given, known)
    made = parts.build(loss.parts(spec.family, Size(**spec.size), Scratch()), spec, known)
    held = scene_pairs.questions(loss, store)
    return Exam(made, loss, store, scene_pairs.PATCHES, held)


def texts(store: Store, held: bool) -> list[str]:
    return [store.caption(int(number)) or "" for number in np.flatnonzero(store.heldout() == held)]


def test_a_model_that_knows_nothing_costs_the_log_of_the_vocabulary(root: Path, store: Store) -> None:
    """All weights 0: ln V for every token and every end, over the bytes of the captions; and the bar by hand."""
    exam = exam_of(root, store)
    with torch.no_grad():
        for part in exam.parts.values():
            for weight in part.parameters():
                weight.zero_()
    found = captions(exam)
    rows, held = len(exam.vocabulary.kind), texts(store, True)
    size, tokenizer = sum(len(text.encode()) for text in held), load(tokenizer_of(store) or "")
    number = sum(len(tokenizer.encode(text).ids) + 1 for text in held)
    assert found.bits.tokens == number
    assert found.bits.nats_per_token == pytest.approx(math.log(rows), rel=1e-6)
    assert found.value == pytest.approx(number * math.log2(rows) / size, rel=1e-6)
    counts = Counter(token for text in texts(store, False) for token in [*tokenizer.encode(text).ids, 0])
    total = sum(counts.values()) + rows
    bits = sum(-math.log2((counts[token] + 1) / total) for text in held for token in [*tokenizer.encode(text).ids, 0])
    assert found.bar == pytest.approx(bits / size, rel=1e-9)
    assert found.bar is not None
    assert found.bar < found.value


@pytest.mark.parametrize("name", ["coca", "captioning"])
def test_bits_are_those_of_the_loss(name: str, root: Path, store: Store) -> None:
    """Of held-out pairs as one batch; nothing is left in another mode."""
    exam = exam_of(root, store, name)
    for part in exam.parts.values():
        part.train()
    batch = exam.objective.collate([exam.objective.example(one, np.random.default_rng(0)) for one in exam.heldout],
                                   [one.id for one in exam.heldout])  # fmt: skip
    from keel.objective.base import Key

    sums, *_ = exam.objective.losses(exam.parts, batch, {}, Key(0, 0, batch.ids))
    found = captions(exam)
    assert found.bits.tokens == batch.counts["caption"]
    assert found.bits.nats_per_token * found.bits.tokens == pytest.approx(float(sums["caption"].detach()), rel=1e-5)
    assert all(part.training for part in exam.parts.values())
    assert (found.among is None) == (name == "captioning")
    assert set(found.told()) == set(evaluate.unjudged("caption_bits_per_byte"))


def test_captions_beyond_the_room_count_as_far_as_they_are_read(root: Path, store: Store) -> None:
    exam = exam_of(root, store, "captioning", text_context=6, too_long="shorten")
    tokenizer = load(tokenizer_of(store) or "")
    cut = [tokenizer.encode(text).ids[:4] for text in texts(store, True)]
    found = captions(exam)
    assert found.bits.tokens == sum(len(ids) + 1 for ids in cut)
    assert found.bits.bytes == sum(len(tokenizer.decode(ids).encode()) for ids in cut)


def test_what_is_written_is_compared_as_text(root: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that says the captions of the first half, and of the others that of the first."""
    exam = exam_of(root, store, "captioning")
    held = [one.tokens.tolist() for one in exam.heldout]
    half, said = len(held) // 2, iter(range(10**6))

    def written_(self: Any, parts: Any, images: torch.Tensor, vocabulary: Any) -> list[list[int]]:
        return [held[at] if at < half else held[0] for at in (next(said) for _ in images)]

    monkeypatch.setattr(type(exam.objective.captioner), "written", written_)  # type: ignore[attr-defined]
    found = captions(exam).answers
    wanted = texts(store, True)
    mine = [*wanted[:half], *[wanted[0]] * (len(held) - half)]
    same = float(np.mean([one == other for one, other in zip(mine, wanted)]))
    assert found.images == len(held)
    assert found.exact.value == pytest.approx(same)
    assert 0.4 < same < 0.7
    assert found.cider_d.value == pytest.approx(float(cider.cider_d(mine, wanted).mean()))
    assert found.chrf is not None
    assert found.chrf.value == pytest.approx(float(overlap.chrf(mine, wanted).mean()))


def test_a_missing_library_is_told(root: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    overlap._chrf.cache_clear()
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.chrf", None)
    told = captions(exam_of(root, store, "captioning")).told()["captions"]
    overlap._chrf.cache_clear()
    assert told["chrF"] is None
    assert told["without"] == "sacrebleu is not installed"


def test_no_more_images_are_captioned_than_is_said(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(written, "WRITTEN", 5)
    assert captions(exam_of(root, store, "captioning")).answers.images == 5


@pytest.fixture(scope="module", params=["coca", "captioning"])
def finished(
    request: pytest.FixtureRequest, root: Path, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Made:
    return scene_pairs.finished(root, store, request.param, tmp_path_factory.mktemp("finished") / "runs" / "one")


def test_a_run_ends_with_bits_captions_and_recall(finished: Made, store: Store) -> None:
    spec, folder, trained, result = finished
    assert result["ok"], result["gate"]
    assert 0 < result[value_field(result["judge"])] < 2
    assert result["captions"]["images"] == int(store.heldout().sum())
    assert [result["captions"][name]["value"] >= 0 for name in ("exact", "CIDEr-D", "chrF")] == [True] * 3
    assert list(MEASURES[result["judge"]].values()) == [("captions", "exact", "value")]
    assert (folder / "retrieved.json").exists() == (spec.objective == "coca") == bool(result["recall"])
    counted = sum(weight.numel() for part in trained.parts.values() for weight in part.parameters())
    assert result["params"]["total"] == counted
    assert result["flop"] == pytest.approx(
        cost.flop_per_token(spec.objective, spec.options, spec.family, Size(**spec.size)) * spec.tokens
    )


def test_what_is_exported_is_opened_as_its_card_says(finished: Made, root: Path, store: Store) -> None:
    _, folder, trained, _ = finished
    card = (folder / "model" / "README.md").read_text()
    assert "keel.model.coca.load(folder)" in card
    assert "library_name: keel" in card
    assert "captions word for word" in card
    assert read_json(folder / "model" / "config.json", coca.SCHEMA)["model_type"] == "keel-coca"
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    loss: Any = trained.objective
    held = scene_pairs.questions(loss, store)[:8]
    images = torch.from_numpy(np.stack([one.image for one in held if one.image is not None]))
    opened = coca.load(folder / "model")
    modules: dict[str, nn.Module] = {name: part.eval() for name, part in trained.parts.items()}
    ours = loss.captioner.written(modules, images, loss.vocabulary)
    ids = tokenizer("a")["input_ids"]
    assert opened.captions(images, ids[0], ids[-1]) == ours
