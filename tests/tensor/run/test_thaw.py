"""An encoder stands still to the bit until its step, moves from it on, and a resumed run is the uninterrupted one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import thawing
import torch
from thawing import THAW, encoder_of

from keel.corpus.shards import Shards
from keel.objective.base import Objective
from keel.plan.spec import Spec
from keel.run import checkpoint, optimiser, parts
from keel.run.train import Loop, Place

pytestmark = pytest.mark.tensor
Make = Callable[..., Spec]
STEPS = 9
KINDS = ["TwoParts", "OneModel"]


@pytest.fixture(autouse=True)
def _roles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both need the ids that encoders ask for."""
    facts = thawing.CLM.facts._replace(roles=lambda options, context: ("pad", "start"))
    for kind in KINDS:
        monkeypatch.setattr(getattr(thawing, kind), "facts", facts)


def spec_of(kind: str, make: Make) -> Spec:
    size = {"width": 16, "layers": 1, "vocabulary": 302, "context": 32, "head_width": 8}
    return make(objective=f"thawing:{kind}", size=size, steps=STEPS, warmup_steps=2, decay_start=7)


def go(spec: Spec, folder: Path, shards: Shards, until: int) -> Loop:
    """Up to a step, and saved there; it goes on from what the folder holds."""
    loop = Loop(spec, Place(folder=folder), shards)
    while loop.step < until:
        loop.one_step()
    loop.save()
    return loop


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_moves_from_its_step_on_and_not_before(
    kind: str, tiny_spec: Make, shards: Shards, tmp_path: Path
) -> None:
    loop = Loop(spec_of(kind, tiny_spec), Place(folder=tmp_path), shards)
    first, moved = encoder_of(loop.parts), []
    for _ in range(STEPS):
        before, model = encoder_of(loop.parts), checkpoint.part_state(loop.parts)
        others = {name: weight.detach().clone() for name, weight in model.items() if not weight_of_encoder(name, kind)}
        loop.one_step()
        moved.append(not torch.equal(encoder_of(loop.parts), before))
        assert any(not torch.equal(weight, model[name]) for name, weight in others.items())
        if loop.step <= THAW:
            assert torch.equal(encoder_of(loop.parts), first)
    assert moved == [False] * THAW + [True] * (STEPS - THAW)


def weight_of_encoder(name: str, kind: str) -> bool:
    return name.startswith("encoder.") if kind == "TwoParts" else ".encoder." in name or "shared" in name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stops", [(THAW - 2,), (THAW,), (THAW + 1,), (2, THAW - 1, THAW + 2)])
def test_a_run_stopped_around_the_thaw_is_the_uninterrupted_one(
    stops: tuple[int, ...], kind: str, tiny_spec: Make, shards: Shards, tmp_path: Path
) -> None:
    spec = spec_of(kind, tiny_spec)
    whole = go(spec, tmp_path / "whole", shards, STEPS)
    for stop in (*stops, STEPS):
        cut = go(spec, tmp_path / "cut", shards, stop)
    left, right = checkpoint.part_state(whole.parts), checkpoint.part_state(cut.parts)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    moments, again = optimiser.state(whole.optimisers), optimiser.state(cut.optimisers)
    assert moments.keys() == again.keys()
    assert all(torch.equal(moments[name], again[name]) for name in moments)


def test_an_encoder_that_thaws_at_every_resume_is_caught(
    monkeypatch: pytest.MonkeyPatch, tiny_spec: Make, shards: Shards, tmp_path: Path
) -> None:
    """The usual mistake, put into the product: what stands still is forgotten when a run goes on."""
    spec = spec_of("OneModel", tiny_spec)
    whole = go(spec, tmp_path / "whole", shards, STEPS)
    go(spec, tmp_path / "cut", shards, 3)
    monkeypatch.setattr(parts, "_held", lambda *_: set())
    cut = go(spec, tmp_path / "cut", shards, STEPS)
    assert not torch.equal(encoder_of(whole.parts), encoder_of(cut.parts))


def test_a_mean_of_weights_goes_on_where_it_was(
    tiny_spec: Make, shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_mean(self: Objective, family: str, size: object, start: object) -> object:
        plain = thawing.CLM.parts(self, family, size, start)  # type: ignore[arg-type]
        mean = plain["model"].__class__(family=family, size=size, start=start, role="ema", ema_of="model")  # type: ignore[arg-type]
        return {**plain, "mean": mean}

    monkeypatch.setattr(thawing.OneModel, "parts", with_mean)
    monkeypatch.setattr(thawing.OneModel, "losses", thawing.CLM.losses)
    spec = spec_of("OneModel", tiny_spec)
    whole = go(spec, tmp_path / "whole", shards, STEPS)
    for stop in (4, STEPS):
        cut = go(spec, tmp_path / "cut", shards, stop)
    left, right = checkpoint.part_state(whole.parts), checkpoint.part_state(cut.parts)
    assert all(torch.equal(left[name], right[name]) for name in left)
    means = {name: weight for name, weight in left.items() if name.startswith("mean.")}
    assert means
    assert all(not torch.equal(weight, left["model" + name[4:]]) for name, weight in means.items())
    assert all(weight.grad is None for weight in whole.parts["mean"].parameters())
