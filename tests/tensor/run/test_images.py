"""Runs on images: resumed bitwise, made ahead by workers with the same bits, judged, exported, refused where cut."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import digits
import numpy as np
import pytest
import torch
from helpers import study_error
from PIL import Image

from keel import objective
from keel.corpus.images.augment import augment, evaluation
from keel.corpus.images.store import Store
from keel.corpus.shards import Shards
from keel.errors import Preempted
from keel.evaluate import classes
from keel.model.shapes import VISION, Size
from keel.objective.base import Sample
from keel.plan.spec import Spec
from keel.run import batch_norms, checkpoint, dry, heldout
from keel.run.batches import Batches
from keel.run.finish import finish
from keel.run.pictures import Pictures, Want, want_of
from keel.run.samples import samples_of
from keel.run.train import Loop, Place, Trained, train

pytestmark = pytest.mark.tensor
IMAGES, STEPS = 8, 6
DRAWN = {"crop": "random", "least_area": 0.5, "jitter": 0.2}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 120 digits."""
    return digits.write(tmp_path_factory.mktemp("digits"), 120)


@pytest.fixture(scope="module")
def store(root: Path) -> Store:
    return digits.stored(root)


def spec_of(root: Path, family: str = "vit", **changes: Any) -> Spec:
    plain = {"steps": STEPS, "warmup_steps": 1, "decay_start": 4, "options": DRAWN}
    return digits.spec_of(family, root, IMAGES, **(plain | changes))


def after(steps: int) -> Callable[[], bool]:
    left = iter(range(1, steps))
    return lambda: next(left, None) is None


def go(spec: Spec, folder: Path, store: Any, **place: Any) -> Trained:
    stop = place.pop("stop", lambda: False)
    return train(spec, Place(folder=folder, **place), store, spec.steps, set(), lambda _: None, stop)


def state(trained: Trained) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in checkpoint.part_state(trained.parts).items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()[1:]]


@pytest.mark.parametrize("family", ["vit", "resnet-basic"])
def test_a_resumed_run_is_the_uninterrupted_one(family: str, root: Path, store: Store, tmp_path: Path) -> None:
    """What batch norms have gathered included; the one made ahead by two workers, the other by none."""
    spec = spec_of(root, family)
    whole = go(spec, tmp_path / "whole", store, workers=2)
    with pytest.raises(Preempted):
        go(spec, tmp_path / "cut", store, stop=after(3))
    assert checkpoint.steps(tmp_path / "cut") == [3]
    assert same(state(whole), state(go(spec, tmp_path / "cut", store)))
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")
    gathered = [name for name in state(whole) if name.endswith("running_mean")]
    assert bool(gathered) == (family == "resnet-basic")


def test_moments_that_are_not_saved_are_caught(
    root: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(root, "resnet-basic")
    whole = state(go(spec, tmp_path / "whole", store))
    with monkeypatch.context() as mutant:
        mutant.setattr(checkpoint, "kept_buffers", lambda module: [])
        with pytest.raises(Preempted):
            go(spec, tmp_path / "cut", store, stop=after(3))
        found = go(spec, tmp_path / "cut", store)
    assert not same(whole, state(found))


@pytest.mark.parametrize(("family", "refused"), [("vit", False), ("convnext", False), ("resnet-basic", True),
                                                 ("vit-hybrid", True)])  # fmt: skip
def test_a_step_with_batch_norms_is_not_cut(
    family: str, refused: bool, root: Path, store: Store, tmp_path: Path
) -> None:
    spec = spec_of(root, family, steps=2, decay_start=1)
    Loop(spec, Place(folder=tmp_path / "whole", micro_samples=IMAGES), store)
    place = Place(folder=tmp_path / "cut", micro_samples=IMAGES // 2)
    if not refused:
        Loop(spec, place, store)
        return
    with study_error("batch norms, and the step is cut", "4 of 8 samples"):
        Loop(spec, place, store)


def test_two_passes_of_a_batch_norm_are_refused(root: Path, store: Store, tmp_path: Path) -> None:
    loop = Loop(spec_of(root, "resnet-basic"), Place(folder=tmp_path), store)
    loop.objective.coupled = True  # type: ignore[misc]
    with study_error("count each sample twice"):
        batch_norms.check(loop.parts, loop.objective, IMAGES, IMAGES)


def test_micro_batches_give_nearly_the_same_run(root: Path, store: Store, tmp_path: Path) -> None:
    whole = state(go(spec_of(root), tmp_path / "a", store))
    cut = state(go(spec_of(root), tmp_path / "b", store, micro_samples=2))
    for name, weight in whole.items():
        torch.testing.assert_close(weight, cut[name], rtol=1e-3, atol=2e-4, msg=name)


def batches(store: Store, workers: int = 0, seed: int = 0, **options: Any) -> Batches:
    loss = objective.load("classify", DRAWN | options)
    return Batches(samples_of(loss, store, Want(16, 8, 10, seed, workers)), IMAGES, seed)


def images(samples: list[Sample]) -> np.ndarray:
    return np.stack([sample.image for sample in samples])  # type: ignore[type-var]


def test_images_hang_on_seed_epoch_and_number_alone(store: Store) -> None:
    """In order or not, over ranks or not, with workers or without; as `augment` itself makes them."""
    one, two = batches(store), batches(store, workers=2)
    steps = [images(one.samples(step)) for step in range(3)]
    for step in (2, 0, 1):
        shares = [images(two.samples(step, rank, 2)) for rank in range(2)]
        assert np.array_equal(np.concatenate(shares), steps[step])
    two.close()
    two.source.close()
    a_round = -(-len(one.source) // IMAGES)
    found = {sample.id: sample.image for step in range(a_round + 2) for sample in one.samples(step)[:1]}
    (sample,) = one.samples(a_round + 1)[:1]
    epoch = (a_round + 1) * IMAGES // len(one.source)
    settings = objective.load("classify", DRAWN).pixels(8, "white")
    assert epoch == 1
    assert np.array_equal(sample.image, augment(store.data(sample.id), settings, 0, 1, sample.id))  # type: ignore[arg-type]
    assert not np.array_equal(sample.image, augment(store.data(sample.id), settings, 0, 0, sample.id))  # type: ignore[arg-type]
    assert not np.array_equal(images(batches(store, seed=1).samples(0)), steps[0])
    assert len(found) > 1


def test_held_out_images_are_whole_and_never_trained_on(store: Store) -> None:
    loss = objective.load("classify", DRAWN)
    held = list(heldout.samples_of(loss, store, Want(16, 8, 10)))
    settings = evaluation(loss.pixels(8, "white"))
    assert [sample.id for sample in held] == np.flatnonzero(store.heldout()).tolist()
    for sample in held:
        assert np.array_equal(sample.image, augment(store.data(sample.id), settings, 9, 9, sample.id))  # type: ignore[arg-type]
        assert store.classes[sample.label or 0] == store[sample.id].label
    trained = Pictures(loss, store, Want(16, 8, 10))
    assert not {trained[place].id for place in range(len(trained))} & {sample.id for sample in held}


def test_other_classes_other_data_and_other_losses_are_refused(store: Store, shards: Shards, root: Path) -> None:
    loss = objective.load("classify")
    with study_error("the model tells 7 classes apart", "the images have 10"):
        samples_of(loss, store, Want(16, 8, 7))
    with study_error("this loss reads images", "the corpus is text"):
        samples_of(loss, shards, Want(16, 8, 10))
    with study_error("this loss reads one text", "the corpus is images"):
        samples_of(objective.load("clm"), store, 16)


def test_images_without_a_label_are_left_out_and_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = store.labels().copy()
    train = np.flatnonzero(~store.heldout())
    labels[train[:5]] = -1
    monkeypatch.setattr(store, "labels", lambda: labels)
    found = Pictures(objective.load("classify"), store, Want(16, 8, 10))
    assert found.notes == ("5 images without a label are left out",)
    assert len(found) == len(train) - 5
    labels[:] = -1
    with study_error("there is no image with a label"):
        Pictures(objective.load("classify"), store, Want(16, 8, 10))


@pytest.fixture(scope="module")
def finished(root: Path, store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run of a ViT to its end."""
    folder, spec = tmp_path_factory.mktemp("finished") / "runs" / "one", spec_of(root, lr_hidden=0.002)
    trained = go(spec, folder, store, workers=1)
    return folder, finish(spec, folder, store, trained)


def test_a_result_has_nats_and_accuracy_with_its_interval(
    finished: tuple[Path, dict[str, Any]], store: Store, root: Path
) -> None:
    folder, result = finished
    found, number = result["accuracy"], int(store.heldout().sum())
    assert result["judge"] == "class_nats"
    assert 0 < result["class_nats"] < 4
    assert found["images"] == result["heldout"]["images"] == number
    assert found["low"] <= found["value"] <= found["high"]
    assert "bits_per_byte" not in result
    assert result["tokens"] == STEPS * IMAGES * 16
    assert result["params"]["total"] == VISION["vit"].params(VISION["vit"].shape(Size(**spec_of(root).size))).total
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()[1:]]
    assert all(0 <= line["waited"] <= 1 for line in lines)
    assert lines[0]["loss"] == pytest.approx(np.log(10), abs=1e-6)


def test_the_export_is_read_by_the_library_and_answers_the_same(
    finished: tuple[Path, dict[str, Any]], store: Store
) -> None:
    from transformers import AutoModelForImageClassification

    folder, result = finished
    if not result["ok"]:  # six steps may not beat the classes' frequencies: the export is not gated here
        pytest.fail(str(result["gate"]))
    model = AutoModelForImageClassification.from_pretrained(folder / "model")
    held = list(heldout.samples_of(objective.load("classify", DRAWN), store, Want(16, 8, 10)))
    with torch.inference_mode():
        logits = model(pixel_values=torch.from_numpy(images(held))).logits.double()
    labels = torch.tensor([sample.label for sample in held])
    assert float(torch.nn.functional.cross_entropy(logits, labels)) == pytest.approx(result["class_nats"], rel=1e-9)
    assert float((logits.argmax(-1) == labels).double().mean()) == result["accuracy"]["value"]
    assert [model.config.id2label[number] for number in range(10)] == list(store.classes)
    card = (folder / "model" / "README.md").read_text()
    assert "pipeline_tag: image-classification" in card
    assert f"| held-out accuracy | {result['accuracy']['value']:.4f}" in card


def test_the_librarys_processor_prepares_an_image_as_the_judge_does(
    finished: tuple[Path, dict[str, Any]], store: Store
) -> None:
    from transformers import AutoImageProcessor

    processor: Any = AutoImageProcessor.from_pretrained(finished[0] / "model")
    sample = next(heldout.samples_of(objective.load("classify", DRAWN), store, Want(16, 8, 10)))
    picture = Image.open(io.BytesIO(store.data(sample.id)))
    prepared = np.array(processor(picture)["pixel_values"][0])
    np.testing.assert_allclose(prepared, sample.image, atol=1e-6)  # type: ignore[arg-type]


def test_the_judge_knows_what_frequencies_know() -> None:
    """A model that always says the same: its nats by hand, the classes' shares in training as the bar."""

    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor([2.0, 0.0, 0.0]))

        def forward(self, pixel_values: torch.Tensor) -> Any:
            from transformers.modeling_outputs import ImageClassifierOutput

            assert not self.training
            return ImageClassifierOutput(logits=self.weight.expand(len(pixel_values), -1))

    samples = [
        Sample(place, np.empty(0), image=np.zeros((3, 2, 2), np.float32), label=place % 3) for place in range(99)
    ]
    found = classes.judge(Fixed(), samples, np.array([0] * 6 + [1] * 3))
    lost = np.log(np.exp([2.0, 0, 0]).sum())
    assert found.class_nats == pytest.approx(lost - 2 / 3, rel=1e-6)
    assert found.accuracy.value == pytest.approx(1 / 3)
    assert found.bar == pytest.approx(-np.log(np.array([7, 4, 1]) / 12).mean())
    assert found.standard_error == pytest.approx(np.std([lost - 2, lost, lost] * 33, ddof=1) / np.sqrt(99), rel=1e-6)


def test_a_run_that_is_not_finite_has_a_result_without_a_judge(root: Path, store: Store, tmp_path: Path) -> None:
    spec = spec_of(root, lr_hidden=1e30, lr_embedding=1e30)
    trained = go(spec, tmp_path / "runs" / "one", store)
    result = finish(spec, tmp_path / "runs" / "one", store, trained)
    assert (result["gate"]["name"], result["class_nats"], result["accuracy"]) == ("diverged", None, None)


def test_a_dry_batch_is_counted(root: Path, store: Store) -> None:
    assert dry.one_batch(spec_of(root), store) == {"classify": IMAGES}
    spec = spec_of(root)
    shape = VISION["vit"].shape(Size(**spec.size))
    assert want_of(shape, 3, 2) == Want(16, 8, 10, 3, 2, 2)


def test_the_plan_of_other_images_is_refused(root: Path, store: Store) -> None:
    from keel.corpus.images.items import open_images
    from keel.corpus.images.prepare import prepare
    from keel.study import Study

    source = open_images(root, Study.model_validate(digits.STUDY).data)
    with study_error("the plan is of other images"):
        prepare(root, source, digits.data(root) | {"images_sha256": "0"})
    assert prepare(root, source, replace(spec_of(root)).data) == store.folder
