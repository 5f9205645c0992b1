"""DINO against its formula by hand: pairs of views, the centre over cuts and ranks, the teacher, what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
import view_cases
from helpers import study_error
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from view_cases import IMAGES, OPTIONS, PATCH, SIDE, SIZE, key, loss, modules

from keel.model.shapes import SHAPES
from keel.objective import cost
from keel.objective.base import Scratch, Stats
from keel.objective.dino import DINO
from keel.objective.views import DINO as DEFAULTS
from keel.run import engine, parts

pytestmark = pytest.mark.tensor
PROTOTYPES = OPTIONS["dino"]["prototypes"]


def centred(seed: int = 1) -> dict[str, Any]:
    return {"centre": torch.randn(PROTOTYPES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) / 5}


def softmax(values: Any) -> Any:
    odds = np.exp(values - values.max())
    return odds / odds.sum()


@torch.no_grad()
def scores(made: Mapping[str, Any], which: tuple[str, str], images: Any) -> Any:
    """(n, K) of images of one view, by the formula: cosines of a network's points with its prototypes."""
    body, head = (made[name] for name in which)
    state = body(images).pooled
    for layer in head.layers[:-1]:
        state = nn.functional.gelu(layer(state))
    point = head.layers[-1](state)
    lengths = head.prototypes.norm(dim=1)
    return ((point @ head.prototypes.T) / point.norm(dim=1, keepdim=True) / lengths).numpy()


@pytest.mark.parametrize("options", [{}, {"local_views": 0}, {"temperature": 0.3, "teacher_temperature": 0.2}])
def test_the_loss_is_the_formula(options: dict[str, Any]) -> None:
    of = loss("dino", **options)
    made, carry = modules(of), centred()
    for name in ("model", "teacher_head"):  # otherwise they are the student
        for weight in made[name].parameters():
            weight.data *= 1.1
    batch = view_cases.batches(of, [3])[0]
    views = [view for kind in batch.tensors.values() for view in kind]
    student = [scores(made, ("student", "student_head"), view) for view in views]
    teacher = [scores(made, ("model", "teacher_head"), view) for view in views[:2]]
    at, total, pairs = of.options, 0.0, 0
    for image in range(3):
        for one in range(2):
            p = softmax((teacher[one][image] - carry["centre"].numpy()) / at["teacher_temperature"])
            for other in range(len(views)):
                if other != one:
                    total -= float(p @ np.log(softmax(student[other][image] / at["temperature"])))
                    pairs += 1
    assert batch.counts == {"dino": pairs}
    assert float(of.losses(made, batch, carry, key())[0]["dino"].detach()) == pytest.approx(total, rel=1e-10)


def test_no_gradient_reaches_the_teacher_and_prototypes_stay() -> None:
    of = loss("dino")
    made = modules(of)
    engine.accumulate(of, made, view_cases.batches(of, [4, 4]), centred(), 0, 0)
    assert not any(weight.requires_grad or weight.grad is not None
                   for name in ("model", "teacher_head") for weight in made[name].parameters())  # fmt: skip
    still = {name for name, weight in made["student_head"].named_parameters() if weight.grad is None}
    assert still == {"prototypes"}
    assert all(weight.grad is not None for weight in made["student"].parameters())
    learnt = loss("dino", learn=True)
    made = modules(learnt)
    engine.accumulate(learnt, made, view_cases.batches(learnt, [8]), centred(), 0, 0)
    assert all(weight.grad is not None for weight in made["student_head"].parameters())


def test_the_teacher_is_the_mean_of_the_students() -> None:
    of, m = loss("dino"), OPTIONS["dino"]["momentum"]
    made, plan = modules(of), of.parts("vit", SIZE, Scratch())
    begun = {name: [weight.clone() for weight in made[name].parameters()] for name in ("model", "teacher_head")}
    for weight in [*made["student"].parameters(), *made["student_head"].parameters()]:
        weight.data += 1.0
    parts.follow(made, plan, of, 1, 0.0)
    for name, source in (("model", "student"), ("teacher_head", "student_head")):
        for old, new, now in zip(begun[name], made[source].parameters(), made[name].parameters()):
            assert torch.allclose(now, m * old + (1 - m) * new, rtol=1e-12, atol=1e-12)


def test_the_momentum_goes_to_one_over_the_decay() -> None:
    of = DINO({})
    found = [of.momentum(0, decayed) for decayed in (0.0, 0.25, 0.5, 1.0)]
    assert found == pytest.approx([0.996, 1 - 0.002 * (1 + math.sqrt(0.5)), 0.998, 1.0])


def test_the_temperature_warms_up() -> None:
    of = loss("dino", first_temperature=0.04, teacher_temperature=0.07, warm_steps=30)
    assert [of._warmth(step) for step in (0, 15, 30, 99)] == pytest.approx([0.04, 0.055, 0.07, 0.07])


@pytest.mark.parametrize("cut", [[4, 4], [1, 5, 2]])
def test_cuts_change_no_weight_and_no_centre(cut: list[int]) -> None:
    whole, (made, carry, step) = view_cases.stepped("dino", [8]), view_cases.stepped("dino", cut)
    assert float((view_cases.flat(made) - view_cases.flat(whole[0])).abs().max()) < 1e-10
    assert float((carry["centre"] - whole[1]["centre"]).abs().max()) < 1e-12
    assert float(carry["centre"].abs().max()) > 0.1
    assert step.terms["dino"] == pytest.approx(whole[2].terms["dino"], rel=1e-10)


def stats(teacher: Any, points: Any) -> Stats:
    from keel.objective import dino, spread

    scored = torch.log(torch.tensor(teacher, dtype=torch.float64))[None]
    return dino._seen(scored, scored.exp()) | spread.seen(torch.tensor(points, dtype=torch.float64))


@pytest.mark.parametrize(
    ("teacher", "points", "expected"),
    [
        ([[0.25] * 4] * 3, [[1.0, 0.0]] * 3, (math.log(4), math.log(4), 0.0)),  # to none
        ([[0.97, 0.01, 0.01, 0.01]] * 3, [[1.0, 0.0]] * 3, (0.1677, 0.1677, 0.0)),  # to one
        ([[1 - 3e-9, 1e-9, 1e-9, 1e-9], [1e-9, 1 - 3e-9, 1e-9, 1e-9]], [[1.0, 0.0], [-1.0, 0.0]],
         (0.0, math.log(2), 1.0)),
    ],
)  # fmt: skip
def test_what_is_logged_tells_both_ways_to_collapse(teacher: Any, points: Any, expected: Any) -> None:
    told = loss("dino").told(stats(teacher, points))
    assert list(told) == ["teacher_entropy", "teacher_mean_entropy", "spread"]
    assert tuple(told.values()) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("family", ["vit", "vit-hybrid"])
def test_small_views_are_seen_with_positions_between_the_learned_ones(family: str) -> None:
    of = loss("dino")
    made: Any = modules(of, family)
    images = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    found = made["student"](images)
    assert found.patches.shape == (2, 9, 16)
    whole = made["student"].library(images, interpolate_pos_encoding=True).last_hidden_state
    assert torch.equal(found.pooled, whole[:, 0])
    # Other positions, another state: they are not the first nine.
    place = made["student"].library.embeddings.position_embeddings
    place.data[:, 10:] += torch.randn_like(place[:, 10:])
    assert not torch.allclose(made["student"](images).pooled, found.pooled)


@pytest.mark.parametrize("options", [{}, {"local_views": 0}, {"local_views": 5, "local_side": 4}, {"learn": True}])
def test_it_costs_what_torch_counts_and_gives_the_teacher(options: dict[str, Any]) -> None:
    of = loss("dino", **options)
    made: Any = modules(of)
    for name in ("model", "student"):
        made[name].library.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        of.losses(made, view_cases.batches(of, [IMAGES])[0], centred(), key())[0]["dino"].backward()
    said = cost.flop_per_token("dino", of.options, "vit", SIZE) * SIZE.context * IMAGES
    assert said == pytest.approx(counter.get_total_flops(), rel=1e-6)
    shape = SHAPES["projector"].shape(of.parts("vit", SIZE, Scratch())["student_head"].size)
    assert cost.params("dino", of.options, "vit", SIZE).total == sum(w.numel() for w in made["model"].parameters())
    head = sum(weight.numel() for weight in made["student_head"].parameters())
    assert SHAPES["projector"].params(shape, "prototypes").total == head


def test_the_run_gives_the_teacher_as_the_librarys_own(tmp_path: Path) -> None:
    of = loss("dino")
    made: Any = modules(of, dtype=torch.float32)
    for weight in made["model"].parameters():
        weight.data *= 1.5
    of.export(made, "vit", tmp_path)
    read = transformers.ViTModel.from_pretrained(tmp_path, add_pooling_layer=False)
    images = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        assert torch.equal(read.eval()(images).last_hidden_state[:, 0], made["model"].eval()(images).pooled)
        assert not torch.allclose(made["student"].eval()(images).pooled, made["model"](images).pooled)


def test_views_are_the_papers_at_224_pixels() -> None:
    first, second, *small = DINO({}).views(224, "white", 16)
    assert (len(small), {each.size for each in small}, len(set(small))) == (8, {96}, 1)
    assert [(each.least_area, each.most_area) for each in (first, second, small[0])] == [
        (0.4, 1),
        (0.4, 1),
        (0.05, 0.4),
    ]
    assert [(each.blur, each.solarise) for each in (first, second, small[0])] == [(1, 0), (0.1, 0.2), (0.5, 0)]
    assert DINO({}).pixels(224, "white") == first


def test_a_small_side_that_patches_do_not_fill_is_refused() -> None:
    for side in (5, 14):
        with study_error(f"local_side is {side}", "write 6, or 0"):
            loss("dino", local_side=side).views(SIDE, "white", PATCH)
        with study_error(f"local_side is {side}"):
            cost.flop_per_token("dino", {"local_side": side}, "vit", SIZE)


@pytest.mark.parametrize("family", ["convnext", "resnet", "resnet-basic"])
def test_networks_of_stages_take_small_views(family: str) -> None:
    of = loss("dino", local_side=32)
    size = replace(SIZE, layers=4, context=4, head_width=0, patch=32)
    plan = of.parts(family, size, Scratch())
    made = parts.build(plan, view_cases.spec(family, size))
    parts.hold(made, plan, 0)
    rng = np.random.default_rng(0)
    drawn = {"large": (2, 3, 64, 64), "small": (2, 3, 32, 32)}
    examples = [{kind: rng.normal(size=shape).astype(np.float32) for kind, shape in drawn.items()} for _ in range(4)]
    found = engine.accumulate(of, made, [of.collate(examples, range(4))], of.init_carry(made), 0, 0)
    assert found.terms["dino"] > 0
    assert cost.flop_per_token("dino", of.options, family, size) > 0


def test_the_papers_numbers_are_the_defaults() -> None:
    names = ("temperature", "teacher_temperature", "centre", "momentum", "local_views", "out")
    assert [DEFAULTS[name] for name in names] == [0.1, 0.04, 0.9, 0.996, 8, 256]
