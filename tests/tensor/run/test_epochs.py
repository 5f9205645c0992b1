"""A loss that chooses what an epoch sees: asked in time, resumed in the same bits, shared out among ranks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import digits
import numpy as np
import pytest
import reordering
import torch
from helpers import study_error

from keel import objective
from keel.corpus.images.augment import augment, evaluation
from keel.corpus.images.store import Store
from keel.objective.base import Sample
from keel.plan.spec import Spec
from keel.run import checkpoint, epochs, optimiser
from keel.run.batches import Batches
from keel.run.orders import Orders
from keel.run.pictures import Pictures, Want
from keel.run.train import ORDER, Loop, Place

pytestmark = pytest.mark.tensor
IMAGES = 8


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 digits."""
    return digits.write(tmp_path_factory.mktemp("digits"), 60)


@pytest.fixture(scope="module")
def store(root: Path) -> Store:
    return digits.stored(root)


@pytest.fixture(scope="module")
def spec(root: Path) -> Spec:
    return reordering.spec_of(root)


def go(spec: Spec, folder: Path, store: Store, until: int, **place: Any) -> tuple[Loop, list[float]]:
    """Up to a step, from what the folder holds, and saved there."""
    loop, losses = Loop(spec, Place(folder=folder, **place), store), []
    while loop.step < until:
        losses.append(loop.one_step().loss)
    loop.save()
    return loop, losses


def state(loop: Loop) -> dict[str, torch.Tensor]:
    newest = loop.batches.orders.newest
    assert newest is not None
    return {
        **checkpoint.part_state(loop.parts), **optimiser.state(loop.optimisers), **loop.carry,
        ORDER: torch.from_numpy(newest),
    }  # fmt: skip


def same(one: Loop, other: Loop) -> bool:
    first, second = state(one), state(other)
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def test_it_is_asked_before_the_first_step_of_an_epoch(spec: Spec, store: Store, tmp_path: Path) -> None:
    loop, begun = Loop(spec, Place(folder=tmp_path), store), []
    made = loop.batches.orders.begin
    number, batch = len(loop.batches.source), loop.batches.batch
    loop.batches.orders.begin = lambda epoch, given: (begun.append((epoch, loop.step)), made(epoch, given))[1]  # type: ignore[method-assign]
    for _ in range(spec.steps):
        loop.one_step()
    first = [epoch * number // batch for epoch in range(len(begun))]
    assert begun == list(enumerate(first))
    assert len(begun) >= 4
    assert any(epoch * number % batch for epoch, _ in begun), "no step straddles two epochs"


def test_only_what_was_chosen_is_seen(spec: Spec, store: Store, tmp_path: Path) -> None:
    loop = Loop(spec, Place(folder=tmp_path), store)
    loop.one_step()
    source, sizes = loop.batches.source, loop.carry["sizes"]
    of = {source[place].id: float(sizes[place]) for place in range(len(source))}
    assert min(of[sample.id] for sample in loop.batches.samples(0)) >= float(sizes.median())


@pytest.mark.parametrize("stop", range(1, 8))
def test_a_resumed_run_is_the_uninterrupted_one(stop: int, spec: Spec, store: Store, tmp_path: Path) -> None:
    """Stopped before, at and behind each step in which an epoch begins; the one half cut, with another's reading."""
    whole, losses = go(spec, tmp_path / "whole", store, spec.steps)
    _, first = go(spec, tmp_path / "cut", store, stop)
    cut, rest = go(spec, tmp_path / "cut", store, spec.steps)
    assert first + rest == losses
    assert same(whole, cut)


def test_an_order_that_is_not_saved_is_caught(
    spec: Spec, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, losses = go(spec, tmp_path / "whole", store, spec.steps)
    go(spec, tmp_path / "cut", store, 3)
    made = Batches.resume
    monkeypatch.setattr(Batches, "resume", lambda self, step, newest: made(self, step, newest[::-1].copy()))
    _, rest = go(spec, tmp_path / "cut", store, spec.steps)
    assert rest[0] != losses[3]


def test_micro_batches_read_the_same_states(spec: Spec, store: Store, tmp_path: Path) -> None:
    one, two = (Loop(spec, Place(folder=tmp_path, micro_samples=micro), store) for micro in (1, None))
    one.begin_epochs(0)
    two.begin_epochs(0)
    assert same(one, two)


def test_states_are_shared_out_in_whole_batches_and_put_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three ranks one after the other: each makes as many passes, of as many samples, whatever is left for it."""

    class Numbers:
        def __len__(self) -> int:
            return 4 * epochs.AT_ONCE + 3

        def undrawn(self, places: Iterable[int]) -> Any:
            return (Sample(place, np.array([place])) for place in places)

    found, passes = [], []
    monkeypatch.setattr(epochs.dist, "all_reduce", lambda tensor: None)
    for rank in range(3):
        sizes: list[int] = []

        def of(some: Any, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(len(some))
            return torch.tensor([[float(sample.id), 1.0] for sample in some])

        monkeypatch.setattr(epochs.engine, "ranks", lambda rank=rank: (rank, 3))
        found.append(epochs.Reading(Numbers(), 0, {}).states(of))  # type: ignore[arg-type]
        passes.append(sizes)
    whole = torch.stack(found).sum(0)
    assert whole[:, 0].tolist() == list(range(len(Numbers())))
    assert bool((whole[:, 1] == 1).all())
    assert [len(sizes) for sizes in passes] == [2, 2, 2]


@pytest.mark.parametrize("given", [np.arange(9), np.arange(10) * 1.0, np.arange(1, 11), np.arange(-1, 9), [1] * 10])
def test_an_order_that_is_none_is_refused(given: Any) -> None:
    with study_error("an order that is none", "10 numbers from 0 to 9"):
        Orders(10, 0, given=True).begin(0, given)


def pictures(store: Store, workers: int = 0) -> Batches:
    loss = objective.load("classify", {"crop": "random", "least_area": 0.5})
    return Batches(Pictures(loss, store, Want(16, 8, 10, 0, workers)), IMAGES, 0, given=True)


def test_images_made_ahead_wait_for_an_order_and_each_time_is_drawn_anew(store: Store) -> None:
    """The same images with workers and without, over the end of epochs; an image that comes twice is cropped twice."""
    one, two = pictures(store), pictures(store, workers=2)
    number = len(one.source)
    orders = [np.repeat(np.arange(number)[::step], 2)[:number] for step in (1, -1)]
    try:
        for step in range(2 * number // IMAGES):
            for batches in (one, two):
                for epoch in batches.unknown(step):
                    batches.orders.begin(epoch, orders[epoch])
            ranks = 2 if step % 5 == 4 else 1
            others = [sample for rank in range(ranks) for sample in two.samples(step, rank, ranks)]
            seen = one.samples(step)
            for sample, other in zip(seen, others, strict=True):
                assert np.array_equal(sample.image, other.image)  # type: ignore[arg-type]
            places = [orders[place // number][place % number] for place in range(step * IMAGES, (step + 1) * IMAGES)]
            assert [sample.id for sample in seen] == [int(one.source.numbers[place]) for place in places]  # type: ignore[attr-defined]
        first = pictures(store)
        first.orders.begin(0, orders[0])
        twice = first.samples(0)[:2]
        assert twice[0].id == twice[1].id
        assert not np.array_equal(twice[0].image, twice[1].image)  # type: ignore[arg-type]
    finally:
        two.close()
        two.source.close()


def test_undrawn_images_are_whole_and_of_training(store: Store) -> None:
    loss = objective.load("classify", {"crop": "random", "least_area": 0.5})
    found = Pictures(loss, store, Want(16, 8, 10, 0, 1))
    settings = evaluation(loss.pixels(8, "white"))
    for sample, place in zip(found.undrawn([3, 1, 3]), (3, 1, 3), strict=True):
        assert sample.id == int(found.numbers[place])
        assert np.array_equal(sample.image, augment(store.data(sample.id), settings, 7, 7, sample.id))  # type: ignore[arg-type]
