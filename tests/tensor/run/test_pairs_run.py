"""A run on pairs to its end: judged among fixed candidates, shown, exported, and the library finds the same."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scene_pairs
import torch
from PIL import Image
from scene_pairs import Made
from torch import Tensor

from keel import objective
from keel.corpus.images.store import Store
from keel.evaluate import batched, retrieved
from keel.evaluate.retrieved import Retrieved
from keel.files import read_json
from keel.model import pair
from keel.model.shapes import SHAPES, Size
from keel.objective import cost
from keel.objective.base import Sample
from keel.plan.spec import Spec
from keel.plan.verb import plan
from keel.run import shown
from keel.run.dry import dry
from keel.run.parts import vocabulary_of
from keel.run.train import Trained
from keel.study import load

pytestmark = pytest.mark.tensor


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene_pairs.write(tmp_path_factory.mktemp("pairs"), scene_pairs.NUMBER)


@pytest.fixture(scope="module")
def store(root: Path) -> Store:
    return scene_pairs.stored(root)


@pytest.fixture(scope="module", params=["clip", "siglip"])
def finished(
    request: pytest.FixtureRequest, root: Path, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Made:
    return scene_pairs.finished(root, store, request.param, tmp_path_factory.mktemp("finished") / "runs" / "one")


def questions(spec: Spec, store: Store, most: int = 0) -> list[Sample]:
    loss = objective.load(spec.objective, spec.options, vocabulary_of(spec, store))
    return scene_pairs.questions(loss, store, most)


def test_a_result_has_nats_recall_and_the_size_of_the_set(finished: Made, store: Store) -> None:
    spec, folder, _, result = finished
    held = int(store.heldout().sum())
    assert (result["judge"], result["candidates"], result["ok"]) == ("retrieval_nats", held, True)
    assert 0 < result["retrieval_nats"] < np.log(held)
    for way in ("caption_of_image", "image_of_caption"):
        for found in (result["recall"][way]["R@1"], result["recall"][way]["R@10"]):
            assert found["low"] <= found["value"] <= found["high"]
    assert "png" not in (folder / "result.json").read_text()
    image, text = (SHAPES[name] for name in ("clip-vision", "clip-text"))
    size = Size(**spec.size)
    beside = cost.given(spec.objective, spec.options, spec.family, size)[1].size
    numbers = {"clip": 1, "siglip": 2}[spec.objective]
    both = image.params(image.shape(size), "joint").total + text.params(text.shape(beside), "joint").total
    assert result["params"]["total"] == both + numbers
    assert (beside.vocabulary, beside.context) == (spec.size["vocabulary"], scene_pairs.ROOM)


def test_what_was_found_is_shown_in_the_form_that_pages_read(finished: Made, store: Store) -> None:
    made = json.loads((finished[1] / "retrieved.json").read_text())
    assert (made["schema"], made["candidates"]) == ("keel.retrieved/1", finished[3]["candidates"])
    assert len(made["rows"]) == retrieved.EXAMPLES
    captions = {store[int(number)].caption for number in np.flatnonzero(store.heldout())}
    for row in made["rows"]:
        assert set(row) == {"caption", "rank", "found"}
        assert row["caption"] in captions
        assert (row["rank"] == 1.0) == row["found"][0]["right"] or row["rank"] % 1
        for each in row["found"]:
            assert set(each) == {"image", "right", "png"}
            assert each["right"] == (store[each["image"]].caption == row["caption"])
            lead, _, data = each["png"].partition(",")
            assert lead == "data:image/png;base64"
            picture = Image.open(io.BytesIO(base64.b64decode(data)))
            assert np.array_equal(np.asarray(picture), np.asarray(Image.open(io.BytesIO(store.data(each["image"])))))


def test_a_large_image_is_shown_small(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (500, 200), (9, 9, 9)).save(buffer, "PNG")
    monkeypatch.setattr(store, "data", lambda number: buffer.getvalue())
    data = base64.b64decode(shown.thumbnail(store, 0).partition(",")[2])
    assert Image.open(io.BytesIO(data)).size == (96, 38)


def library(folder: Path, captions: list[str], pixels: Tensor) -> Tensor:
    """Logits (images, captions) as a user of the library finds them."""
    from transformers import AutoTokenizer, CLIPModel

    tokens = AutoTokenizer.from_pretrained(folder)(captions, padding=True, return_tensors="pt")
    ids = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        if (folder / pair.SHARED).exists():
            both = pair.Pair(folder)
            return both.logits(both.image(pixels), both.text(**ids))
        found: Tensor = CLIPModel.from_pretrained(folder)(pixel_values=pixels, **ids).logits_per_image
        return found


def test_the_library_finds_what_the_judge_found(finished: Made, store: Store) -> None:
    """The whole export, tokenizer and processor included: pictures and captions as they lie in the user's folder."""
    from transformers import AutoImageProcessor

    spec, folder, _, result = finished
    samples = questions(spec, store)
    pictures = [Image.open(io.BytesIO(store.data(sample.id))) for sample in samples]
    processor: Any = AutoImageProcessor.from_pretrained(folder / "model")
    pixels = torch.from_numpy(np.stack(processor(pictures)["pixel_values"]))
    captions = [store[sample.id].caption or "" for sample in samples]
    logits = library(folder / "model", captions, pixels).double().numpy()
    names = sorted(set(captions))
    numbers = np.array([names.index(each) for each in captions])
    theirs = retrieved.found(logits / np.abs(logits).max(), logits, numbers, tuple(sample.id for sample in samples))
    assert theirs.own_nats == pytest.approx(result["own_temperature_nats"], abs=2e-5)
    told = theirs.told()["recall"]
    for way in ("caption_of_image", "image_of_caption"):
        assert told[way]["R@1"]["value"] == pytest.approx(result["recall"][way]["R@1"]["value"], abs=1e-9)


def test_the_card_says_what_it_is(finished: Made) -> None:
    spec, folder, _, result = finished
    card = (folder / "model" / "README.md").read_text()
    assert "pipeline_tag: zero-shot-image-classification" in card
    assert (
        f"on {scene_pairs.STEPS * scene_pairs.PAIRS:,} images with their captions, repeats counted, from scratch"
        in card
    )
    assert "clip-vision-shaped encoder of images with a clip-text of" in card
    value = result["recall"]["image_of_caption"]["R@1"]["value"]
    assert f"| R@1, images of a caption, among {result['candidates']} | {value:.4f} (" in card
    assert ("The towers are apart" in card) == (spec.objective == "siglip")


def test_candidates_are_those_of_least_digest_whatever_the_model(root: Path, store: Store) -> None:
    kinds = [
        scene_pairs.spec_of(root, scene_pairs.PAIRS, objective=name, width=width)
        for name, width in (("clip", 16), ("siglip", 24))
    ]
    one, other = ([sample.id for sample in questions(spec, store, 7)] for spec in kinds)
    held = np.flatnonzero(store.heldout()).tolist()
    least = sorted(held, key=lambda number: hashlib.sha256(store[number].key.encode()).hexdigest())[:7]
    assert one == other == sorted(least)
    assert [sample.id for sample in questions(kinds[0], store)] == held


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_what_is_planned_is_what_is_built(loss: str, root: Path) -> None:
    """Both towers, the captions' table and the scale, of every run; and a real batch is formed."""
    few = ("model.patch=12", "train.batch_tokens=144", f"train.loss={loss}", "ladder.top_tokens=50_000")
    study = load(root, few)
    plan(root, study, "2026-01-01")
    answer = dry(root, study)
    runs = read_json(root / "plan.json", "keel.plan/1")["experiments"]
    assert answer.result["counts"] == {loss: 16}
    assert all(f"{item['params']['total']:,} parameters" in answer.text for item in runs)


def judged(spec: Spec, trained: Trained, store: Store) -> Retrieved:
    return retrieved.judge(trained.parts, trained.objective, questions(spec, store))


def test_the_judge_is_the_loss_over_all_candidates_and_cuts_change_nothing(
    finished: Made, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CLIP's loss of one batch of all held-out pairs; SigLIP's is another, and its bias changes nothing."""
    spec, _, trained, result = finished
    loss, samples = trained.objective, questions(spec, store)
    batch = loss.collate([loss.example(each, np.random.default_rng(0)) for each in samples], range(len(samples)))
    with torch.no_grad():
        _, features, _ = loss.losses(trained.parts, batch, {}, None)  # type: ignore[arg-type]
        assert features is not None
        total = loss.batch_losses(trained.parts, features, slice(0, len(samples)))[spec.objective]
    if spec.objective == "clip":
        assert float(total) / len(samples) == pytest.approx(result["own_temperature_nats"], abs=1e-5)
    else:
        scale: Any = trained.parts["scale"]
        before = scale.logit_bias.data.clone()
        scale.logit_bias.data += 3.0
        assert judged(spec, trained, store).value == pytest.approx(result["retrieval_nats"], abs=1e-9)
        scale.logit_bias.data.copy_(before)
    monkeypatch.setattr(batched, "BATCH", 5)
    modes = {name: part.training for name, part in trained.parts.items()}
    found = judged(spec, trained, store)
    assert found.value == pytest.approx(result["retrieval_nats"], abs=1e-5)
    assert found.told()["recall"] == result["recall"]
    assert {name: part.training for name, part in trained.parts.items()} == modes
