"""SimCLR against its formula by hand: what is compared with what, cuts of a step, what it costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import view_cases
from helpers import study_error
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.flop_counter import FlopCounterMode
from view_cases import IMAGES, SIZE, loss, modules

from keel.model.shapes import SHAPES, Size
from keel.objective import cost
from keel.objective.base import Features, Scratch
from keel.objective.simclr import SimCLR
from keel.run import batch_norms, engine, parts

pytestmark = pytest.mark.tensor


def features(number: int, width: int = 4, seed: int = 0) -> Features:
    rng = torch.Generator().manual_seed(seed)
    return {
        view: normalize(torch.randn(number, width, generator=rng, dtype=torch.float64), dim=-1)
        for view in ("one", "two")
    }


def by_hand(points: Features, temperature: float, mine: range, own: bool = False) -> float:
    """View by view: the other one of the same image among all but itself."""
    rows = torch.cat([points["one"], points["two"]]).numpy()
    n, total = len(points["one"]), 0.0
    for image in mine:
        for view in (0, 1):
            me, other = image + view * n, image + (1 - view) * n
            scores = [rows[me] @ row / temperature for place, row in enumerate(rows) if own or place != me]
            total += math.log(sum(math.exp(score) for score in scores)) - rows[me] @ rows[other] / temperature
    return float(total)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("mine", [range(5), range(1, 3), range(4, 5)])
def test_the_loss_is_the_formula(temperature: float, mine: range) -> None:
    points = features(5)
    found = loss("simclr", temperature=temperature).batch_losses({}, points, slice(mine.start, mine.stop))
    assert float(found["simclr"]) == pytest.approx(by_hand(points, temperature, mine), rel=1e-12)


def test_known_answers() -> None:
    one = torch.zeros(6, 3, dtype=torch.float64)
    one[:, 0] = 1.0
    alike = loss("simclr").batch_losses({}, {"one": one, "two": one}, slice(0, 6))["simclr"]
    assert float(alike) == pytest.approx(12 * math.log(11))
    eye = torch.eye(4, dtype=torch.float64)
    apart = loss("simclr", temperature=0.5).batch_losses({}, {"one": eye, "two": eye}, slice(0, 4))["simclr"]
    assert float(apart) == pytest.approx(8 * math.log(1 + 6 * math.exp(-2)))


def test_a_view_that_meets_itself_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product without its mask: it would be told from itself, which no model can do."""
    monkeypatch.setattr(Tensor, "masked_fill", lambda self, *_: self)
    points = features(5)
    found = float(loss("simclr").batch_losses({}, points, slice(0, 5))["simclr"])
    assert found == pytest.approx(by_hand(points, 0.5, range(5), own=True), rel=1e-12)
    assert found > by_hand(points, 0.5, range(5)) + 1


def test_a_step_of_one_image_is_refused() -> None:
    of = loss("simclr")
    with study_error("a step has one image", "tells its views from those of the step's others"):
        engine.accumulate(of, modules(of), view_cases.batches(of, [1]), {}, 0, 0)


@pytest.mark.parametrize("cut", [[8], [4, 4], [1, 5, 2], [1] * 8])
def test_cuts_change_no_gradient(cut: list[int]) -> None:
    (whole, _, step), (made, _, again) = view_cases.stepped("simclr", [8]), view_cases.stepped("simclr", cut)
    assert float((view_cases.flat(made) - view_cases.flat(whole)).abs().max()) < 1e-12
    assert again.terms["simclr"] == pytest.approx(step.terms["simclr"], rel=1e-12)


def test_images_of_a_micro_batch_alone_would_have_another_gradient() -> None:
    """What a loop does that knows nothing of coupled terms: each piece by itself."""
    of = loss("simclr")
    whole = engine.accumulate(of, modules(of), view_cases.batches(of, [8]), {}, 0, 0).terms["simclr"]
    pieces = [
        engine.accumulate(of, modules(of), [batch], {}, 0, 0).terms["simclr"]
        for batch in view_cases.batches(of, [2] * 4)
    ]
    assert np.mean(pieces) < whole - 0.5


def test_a_run_gives_the_model_alone_and_costs_what_torch_counts() -> None:
    of = loss("simclr")
    made: Any = modules(of)
    assert cost.params("simclr", of.options, "vit", SIZE).total == sum(w.numel() for w in made["model"].parameters())
    head = of.parts("vit", SIZE, Scratch())["projector"]
    found = SHAPES["projector"].params(SHAPES["projector"].shape(head.size), head.head)
    assert found.total == sum(w.numel() for w in made["projector"].parameters())
    made["model"].library.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        _, points, _ = of.losses(made, view_cases.batches(of, [IMAGES])[0], {}, view_cases.key())
        assert points is not None
        torch.stack([each.sum() for each in points.values()]).sum().backward()  # type: ignore[no-untyped-call]
    said = cost.flop_per_token("simclr", of.options, "vit", SIZE) * SIZE.context * IMAGES
    assert said == pytest.approx(counter.get_total_flops(), rel=1e-6)


def test_batch_norms_are_refused() -> None:
    """Two passes would count each image twice in the norm's moments."""
    of = loss("simclr")
    size = Size(width=16, layers=4, vocabulary=0, context=4, head_width=0, patch=32)
    made = parts.build(of.parts("resnet-basic", size, Scratch()), view_cases.spec("resnet-basic", size))
    with study_error("model has batch norms", "two passes", where=False):
        batch_norms.check(made, of, 8, 8)


def test_what_is_logged_tells_points_that_are_one() -> None:
    of = loss("simclr")
    made: Any = modules(of)
    batch = view_cases.batches(of, [IMAGES])[0]
    spread = of.told(of.losses(made, batch, {}, view_cases.key())[2])["spread"]
    assert 0.05 < spread < 1
    last = made["projector"].layers[-1]
    last.weight.data.zero_()
    last.bias.data.fill_(1.0)
    assert of.told(of.losses(made, batch, {}, view_cases.key())[2])["spread"] == pytest.approx(0.0, abs=1e-12)


def test_both_views_are_drawn_alike() -> None:
    first, second = SimCLR({}).views(32, "white", 4)
    assert first == second
    assert (first.size, first.least_area, first.jitter, first.hue, first.grey, first.blur) == (
        32,
        0.08,
        0.8,
        0.2,
        0.2,
        0.5,
    )
