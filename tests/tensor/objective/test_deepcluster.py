"""Clusters as labels: the loss by hand, names of clusters that mean nothing, what is clustered, what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import digits
import numpy as np
import pytest
import torch
from helpers import study_error
from scipy.stats import chisquare
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from keel import model, objective
from keel.corpus.images.store import Store
from keel.model.shapes import VISION, Size
from keel.objective import clusters, deepcluster
from keel.objective.base import Batch, Carry, Key, Objective, Sample, Scratch
from keel.objective.cost import flop_per_token
from keel.plan.spec import Spec, example_spec
from keel.run import checkpoint, optimiser, parts
from keel.run.train import Loop, Place

pytestmark = pytest.mark.tensor
IMAGES, SIDE = 24, 8
SIZE = Size(width=16, layers=1, vocabulary=0, context=4, head_width=8, patch=4)
OPTIONS: dict[str, dict[str, Any]] = {"deepcluster": {"clusters": 6}, "deepercluster": {"clusters": 6}}
OPTIONS["deepercluster"] |= {"super_clusters": 2}


def loss(name: str, **options: Any) -> Any:
    return objective.load(name, OPTIONS[name] | options)


def modules(of: Objective, family: str = "vit", size: Size = SIZE) -> dict[str, nn.Module]:
    spec = example_spec(family=family, size=size.json())
    made = parts.build(of.parts(family, size, Scratch()), spec)
    return {name: module.double() for name, module in made.items()}


def samples(number: int = IMAGES) -> list[Sample]:
    """Noise of unequal contrast; the numbers of the images are not their places."""
    rng = np.random.default_rng(0)
    return [
        Sample(3 * place + 2, np.empty(0, np.int64), image=(1 + place % 4) * rng.normal(size=(3, SIDE, SIDE)))
        for place in range(number)
    ]


class Reading:
    """All samples at once."""

    def __init__(self, given: Sequence[Sample], seed: int = 0) -> None:
        self.given, self.seed, self.number = given, seed, len(given)
        self.ids = np.array([sample.id for sample in given])

    def __call__(self, places: Iterable[int]) -> Iterator[Sample]:
        return (self.given[place] for place in places)

    def states(self, of: Callable[[Sequence[Sample]], Tensor]) -> Tensor:
        with torch.no_grad():
            return of(self.given)


def batch_of(of: Objective, given: Sequence[Sample]) -> Batch:
    made = [of.example(sample, np.random.default_rng(sample.id)) for sample in given]
    return of.collate(made, [sample.id for sample in given])


def begun(of: Objective, made: Mapping[str, nn.Module], epoch: int = 0, carry: Carry | None = None) -> Carry:
    return of.before_epoch(made, Reading(samples()), carry or {}, epoch)[0]


def gradient(of: Objective, made: Mapping[str, nn.Module], carry: Carry) -> tuple[Tensor, float]:
    """That of the body, and the loss."""
    for part in made.values():
        part.zero_grad()
    sums, _, _ = of.losses(made, batch_of(of, samples()), carry, Key(0, 0, ()))
    total = torch.stack(list(sums.values())).sum()
    total.backward()  # type: ignore[no-untyped-call]
    return torch.cat(
        [weight.grad.reshape(-1) for weight in made["model"].parameters() if weight.grad is not None]
    ), total.item()


def test_the_loss_of_clusters_by_hand() -> None:
    of = loss("deepcluster")
    made, carry = modules(of), {}
    carry = begun(of, made)
    batch = batch_of(of, samples())
    sums, _, _ = of.losses(made, batch, carry, Key(0, 0, ()))
    states = made["model"](batch.tensors["pixels"]).pooled
    labels = carry["labels"][[sample.id for sample in samples()]]
    weight: Any = made["cluster"].onto.weight
    expected = -(states @ weight.T).log_softmax(-1)[range(IMAGES), labels].sum()
    torch.testing.assert_close(sums, {"cluster": expected}, rtol=1e-9, atol=0)
    assert batch.counts == {"cluster": IMAGES}


def test_the_loss_of_super_classes_and_of_clusters_within_by_hand() -> None:
    of: Any = loss("deepercluster")
    made = modules(of)
    carry, batch = begun(of, made), batch_of(of, samples())
    sums, _, _ = of.losses(made, batch, carry, Key(0, 0, ()))
    states = made["model"](batch.tensors["pixels"]).pooled
    v, w = (made[name].onto.weight for name in ("super", "cluster"))
    supers = subs = 0.0
    for row, (sample, turns) in enumerate(zip(samples(), batch.tensors["turns"].tolist(), strict=True)):
        label = int(carry["labels"][sample.id])
        one = label // 3 * 4 + turns
        supers += cross_entropy(v @ states[row], torch.tensor(one))
        subs += cross_entropy(w[3 * one : 3 * one + 3] @ states[row], torch.tensor(label % 3))
    torch.testing.assert_close(sums, {"super": supers, "cluster": subs}, rtol=1e-9, atol=0)
    assert of.terms == ("super", "cluster")
    assert batch.counts == {"super": IMAGES, "cluster": IMAGES}
    assert {one for one in batch.tensors["turns"].tolist()} == {0, 1, 2, 3}


def test_the_names_of_clusters_mean_nothing() -> None:
    """Other names and the head's rows with them: the same gradient on the body. Other names alone: another."""
    of = loss("deepcluster")
    made = modules(of)
    carry = begun(of, made)
    expected, total = gradient(of, made, carry)
    names = torch.tensor([4, 2, 0, 5, 1, 3])
    renamed = carry | {"labels": torch.where(carry["labels"] < 0, carry["labels"], names[carry["labels"]])}
    other, _ = gradient(of, made, renamed)
    weight: Any = made["cluster"].onto.weight
    weight.data[names] = weight.data.clone()
    found, again = gradient(of, made, renamed)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert again == pytest.approx(total, rel=1e-12)
    assert (other - expected).abs().max() > 1e-2 * expected.abs().max()


def test_images_are_turned_by_the_draw_and_no_further() -> None:
    of, sample = loss("deepercluster"), samples()[0]
    image = torch.from_numpy(sample.image)
    drawn = [of.example(sample, np.random.default_rng(seed)) for seed in range(400)]
    for each in drawn[:20]:
        assert torch.equal(torch.from_numpy(each["pixels"]), torch.rot90(image, int(each["turns"]), (1, 2)))
    assert chisquare(np.bincount([int(each["turns"]) for each in drawn], minlength=4)).pvalue > 1e-3
    plain = loss("deepcluster").example(sample, np.random.default_rng(0))
    assert np.array_equal(plain["pixels"], sample.image)  # type: ignore[arg-type]


def test_clusters_are_of_states_and_keep_their_names() -> None:
    """As clusters.py makes them of the model's own states; where nothing has moved, most images stay."""
    of = loss("deepcluster", directions=5)
    made, given = modules(of), samples(200)
    carry, order = of.before_epoch(made, Reading(given), {}, 0)
    labels = carry["labels"].numpy()
    ids = np.array([sample.id for sample in given])
    assert set(labels[ids]) == set(range(6))
    assert (np.delete(labels, ids) == -1).all()
    assert float(carry["largest"]) == pytest.approx(np.bincount(labels[ids]).max() / 200)
    states = made["model"](torch.from_numpy(np.stack([sample.image for sample in given]))).pooled.detach().numpy()  # type: ignore[type-var]
    rng = np.random.Generator(np.random.Philox(key=[0, 0], counter=[0, 0, 0, 1]))
    by_hand = clusters.grouped(clusters.whitened(states, 5), 1, 6, 20, rng)
    assert np.array_equal(by_hand, labels[ids])
    assert np.array_equal(order, clusters.evenly(by_hand, rng))
    again, other = of.before_epoch(made, Reading(given), carry, 1)
    stayed = float((again["labels"] == carry["labels"])[ids].double().mean())
    assert float(again["kept"]) == pytest.approx(stayed)
    assert stayed > 2 / 6
    assert not np.array_equal(order, other)
    assert np.bincount(labels[ids][order]).tolist() == pytest.approx([200 / 6] * 6, abs=1)


def test_it_clusters_every_so_many_epochs_and_draws_every_epoch() -> None:
    of = loss("deepcluster", every=2)
    made = modules(of)
    carry = begun(of, made)
    for part in made.values():
        for weight in part.parameters():
            weight.data += 0.1
    same, first = of.before_epoch(made, Reading(samples()), carry, 1)
    assert same is carry
    anew, second = of.before_epoch(made, Reading(samples()), carry, 2)
    assert not torch.equal(anew["labels"], carry["labels"])
    assert not np.array_equal(first, second)


def test_a_state_that_is_not_finite_is_refused_by_name() -> None:
    of = loss("deepcluster")
    given = samples()
    given[4].image[0, 0, 0] = np.nan  # type: ignore[index]
    with study_error("1 of 24 images have a state that is not finite", "before epoch 7; the first is image 14"):
        of.before_epoch(modules(of), Reading(given), {}, 7)


def test_more_clusters_than_images_and_no_number_are_refused() -> None:
    of = loss("deepcluster", clusters=25)
    with study_error("25 clusters of 24 images", "write 24 or less"):
        of.before_epoch(modules(of), Reading(samples()), {}, 0)
    with study_error("clusters is 0", "keel plan"):
        objective.load("deepcluster")


def test_scikit_learn_is_asked_for_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepcluster, "find_spec", lambda name: None)
    with study_error("scikit-learn is not installed", "keel[eval]"):
        loss("deepcluster")


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("family", ["vit", "resnet-basic"])
def test_flop_of_a_real_image_is_what_torch_counts(family: str, name: str) -> None:
    """Its step, and its share of the pass before the epoch."""
    of = loss(name, every=2)
    size = SIZE if family == "vit" else Size(width=16, layers=4, vocabulary=0, context=4, head_width=0, patch=16)
    made = modules(of, family, size)
    for part in made.values():
        if getattr(getattr(getattr(part, "library", None), "config", None), "_attn_implementation", "") == "sdpa":
            part.library.set_attn_implementation("eager")  # type: ignore[operator,union-attr]
        part.eval()  # a batch norm has no moments of one image
    side = VISION[family].shape(size).image
    given = [Sample(0, np.empty(0, np.int64), image=np.random.default_rng(1).normal(size=(3, side, side)))]
    carry = {"labels": torch.tensor([0]), "kept": torch.tensor(0.0), "largest": torch.tensor(0.0)}
    with FlopCounterMode(display=False) as reading:
        Reading(given).states(lambda some: made["model"](deepcluster._pixels(some, made["model"])).pooled)
    with FlopCounterMode(display=False) as counter:
        sums, _, _ = of.losses(made, batch_of(of, given), carry, Key(0, 0, ()))
        torch.stack(list(sums.values())).sum().backward()  # type: ignore[no-untyped-call]
    said = size.context * flop_per_token(name, of.options, family, size)
    assert said == pytest.approx(counter.get_total_flops() + reading.get_total_flops() / 2, rel=1e-3)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 digits."""
    return digits.write(tmp_path_factory.mktemp("digits"), 60)


@pytest.fixture(scope="module")
def store(root: Path) -> Store:
    return digits.stored(root)


def spec_of(root: Path, **changes: Any) -> Spec:
    """Epochs begin in steps 0, 1, 3, 5 and 6, of which 0, 3 and 6 cluster."""
    plain = {"steps": 8, "warmup_steps": 2, "decay_start": 6, "options": {"clusters": 8, "every": 2}}
    size = {"width": 16, "layers": 1, "head_width": 8, "classes": 0}
    return digits.spec_of("vit", root, 32, objective="deepercluster", size=size, **(plain | changes))


def go(spec: Spec, folder: Path, store: Store, until: int, **place: Any) -> tuple[Loop, list[float]]:
    loop, losses = Loop(spec, Place(folder=folder, **place), store), []
    while loop.step < until:
        losses.append(loop.one_step().loss)
    loop.save()
    return loop, losses


def state(loop: Loop) -> dict[str, Tensor]:
    return {**checkpoint.part_state(loop.parts), **optimiser.state(loop.optimisers), **loop.carry}


@pytest.mark.parametrize("stop", [2, 3, 4, 6])
def test_a_run_stopped_about_a_clustering_is_the_uninterrupted_one(
    stop: int, root: Path, store: Store, tmp_path: Path
) -> None:
    spec = spec_of(root)
    whole, losses = go(spec, tmp_path / "whole", store, spec.steps)
    _, first = go(spec, tmp_path / "cut", store, stop)
    cut, rest = go(spec, tmp_path / "cut", store, spec.steps)
    assert first + rest == losses
    one, two = state(whole), state(cut)
    assert one.keys() == two.keys() >= {"labels"}
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_clustering_is_seen_in_the_log_and_the_body_is_given(root: Path, store: Store, tmp_path: Path) -> None:
    from transformers import AutoModel

    loop = Loop(spec_of(root), Place(folder=tmp_path), store)
    made = [loop.one_step() for _ in range(8)]
    assert made[0].told["kept"] == 0
    assert 0 < made[-1].told["kept"] <= 1
    assert all(1 / 8 <= each.told["largest"] < 1 for each in made)
    loop.objective.export(loop.parts, "vit", tmp_path / "model")
    found = AutoModel.from_pretrained(tmp_path / "model", add_pooling_layer=False).eval()
    images = torch.randn(2, 3, 8, 8)
    for part in loop.parts.values():
        part.eval()
    with torch.inference_mode():
        pooled = loop.parts["model"](images).pooled
        torch.testing.assert_close(found(images).last_hidden_state[:, 0], pooled)
    assert model.load("vit").name == "vit"
