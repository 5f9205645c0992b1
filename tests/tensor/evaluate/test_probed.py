"""The probe of frozen states: its numbers by hand, what it never sees, fresh weights, neighbours, refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import study_error
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from keel import model
from keel.evaluate import FIELDS, probed
from keel.evaluate.probed import States
from keel.model.shapes import Size
from keel.objective.base import Sample

pytestmark = pytest.mark.tensor
SIZE = Size(width=16, layers=1, vocabulary=0, context=4, head_width=8, patch=4)
FP32 = {"body": "fp32", "head": "fp32"}


def trunk(seed: int = 3) -> Any:
    kind = model.load("vit")
    return kind.build(kind.shape(SIZE), FP32, seed, {}, "body")


def images(number: int, first: int = 0, classes: int = 3) -> list[Sample]:
    """Noise, brighter in one colour for each class."""
    rng = np.random.default_rng(first)
    made = []
    for place in range(number):
        image = rng.normal(size=(3, 8, 8)).astype(np.float32)
        label = place % classes
        image[label] += 0.7
        made.append(Sample(first + place, np.empty(0, np.int64), image=image, label=label))
    return made


def test_its_value_is_that_of_a_classifier_by_hand() -> None:
    made = trunk()
    found = probed.judge(made, images(120), images(60, 1000), 3)
    train, test = probed.states(made, images(120)), probed.states(made, images(60, 1000))
    scaler = StandardScaler().fit(train.rows)
    by_hand = LogisticRegression(C=found.told_by.penalty, max_iter=1000).fit(scaler.transform(train.rows), train.labels)
    p = 0.999 * by_hand.predict_proba(scaler.transform(test.rows)) + 0.001 / 3
    assert found.value == pytest.approx(float(-np.log(p[np.arange(60), test.labels]).mean()), abs=1e-9)
    assert found.bar == pytest.approx(math.log(3), abs=1e-3)
    assert found.value < found.bar / 2
    told = found.told()
    assert tuple(told) == FIELDS["probe_nats"]
    assert told["accuracy"]["low"] < told["accuracy"]["value"] <= told["accuracy"]["high"]
    assert (told["accuracy"]["images"], told["probe"]["training_images"]) == (60, 120)
    again = probed.judge(trunk(), images(120), images(60, 1000), 3)
    assert again.told() == told


def test_states_are_both_and_once_where_they_are_one() -> None:
    made = trunk()
    found = probed.states(made, images(5))
    shown = made.eval()(torch.from_numpy(np.stack([each.image for each in images(5)])))
    both = torch.cat([shown.pooled, shown.patches.mean(1)], 1)
    np.testing.assert_allclose(found.rows, both.detach().double().numpy(), rtol=1e-6)
    kind = model.load("resnet-basic")
    size = Size(width=8, layers=4, vocabulary=0, context=1, head_width=0, patch=8)
    stages = kind.build(kind.shape(size), FP32, 0, {}, "body")
    assert probed.states(stages, images(5)).rows.shape == (5, 64)


def test_the_model_is_left_as_it_was() -> None:
    made = trunk().train()
    before = {name: weight.clone() for name, weight in made.state_dict().items()}
    probed.judge(made, images(30), images(12, 1000), 3)
    assert made.training
    assert all(torch.equal(weight, before[name]) for name, weight in made.state_dict().items())


def test_fresh_weights_know_nothing_of_those_that_learnt() -> None:
    one, two = trunk(3), trunk(4)
    for name, weight in probed.fresh(one).state_dict().items():
        torch.testing.assert_close(weight, probed.fresh(two).state_dict()[name])
    fixed = one.library.embeddings.position_embeddings
    fixed.data.fill_(2.0)
    assert not (probed.fresh(one).library.embeddings.position_embeddings == 2).any()
    fixed.requires_grad_(False)  # what never moves is no part of what was learnt
    assert (probed.fresh(one).library.embeddings.position_embeddings == 2).all()
    kind = model.load("resnet-basic")
    size = Size(width=8, layers=4, vocabulary=0, context=1, head_width=0, patch=8)
    stages = kind.build(kind.shape(size), FP32, 0, {}, "body").train()
    stages(torch.randn(4, 3, 8, 8))
    means = [value for name, value in probed.fresh(stages).state_dict().items() if name.endswith("running_mean")]
    assert means
    assert not any(mean.any() for mean in means)


def test_a_label_that_was_never_learnt_costs_what_the_uniform_share_leaves() -> None:
    train, test = images(40, classes=2), [images(1)[0]._replace(label=2)]
    found = probed.judge(trunk(), train, test, 3)
    assert found.value == pytest.approx(math.log(3000))
    assert not found.told_by.right.any()


def test_neighbours_by_hand() -> None:
    train = States(np.array([[1.0, 0], [0.9, 0.1], [-1, 0.2], [-0.9, -0.3]]), np.array([0, 0, 1, 1]))
    assert probed.nearest(train, np.array([[2.0, 0.1], [-3.0, 0.0]]), 3, 2).tolist() == [0, 1]
    # One that is much nearer outweighs two that are far.
    lone = States(np.array([[1.0, 0.0], [-1, 1.0], [-1, -1.0], [1.0, 0.1]]), np.array([0, 1, 1, 1]))
    assert probed.nearest(lone, np.array([[1.0, -0.1]]), 3, 2).tolist() == [0]


def test_the_penalty_is_chosen_on_training_rows_alone() -> None:
    one = probed.judge(trunk(), images(60), images(12, 1000), 3)
    two = probed.judge(trunk(), images(60), [each._replace(label=0) for each in images(12, 1000)], 3)
    assert one.told_by.penalty == two.told_by.penalty
    assert one.value != two.value


def test_what_cannot_be_probed() -> None:
    with study_error("fewer than two classes to learn from"):
        probed.judge(trunk(), images(4, classes=1), images(4), 3)
    with study_error("no held-out image with a label"):
        probed.judge(trunk(), images(4), [each._replace(label=None) for each in images(4)], 3)


def test_without_scikit_learn_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with study_error("scikit-learn is not installed", "keel[eval]"):
        probed.judge(trunk(), images(4), images(4), 3)
