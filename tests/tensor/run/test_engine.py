"""One gradient, however a step is cut into micro-batches and ranks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import engine_ranks
import numpy as np
import pytest
import torch
from helpers import study_error

from keel.objective.base import Batch, Sample
from keel.objective.clm import CLM
from keel.run import engine

pytestmark = pytest.mark.tensor
CUTS = {"1x16": [16], "4x4": [4] * 4, "2x8": [8, 8], "uneven": [1, 9, 6]}


def gradient(cut: Sequence[int], objective: CLM) -> tuple[torch.Tensor, dict[str, float]]:
    """The gradient of all weights in one row, and the mean of each term."""
    parts = engine_ranks.model()
    batches = engine_ranks.batches(objective, cut)
    terms, *_ = engine.accumulate(objective, parts, batches, {}, seed=0, step=0)
    return engine_ranks.flat(parts), terms


@pytest.mark.parametrize("kind", [CLM, engine_ranks.Uneven])
@pytest.mark.parametrize("cut", list(CUTS)[1:])
def test_micro_batches_do_not_change_the_gradient(kind: type[CLM], cut: str) -> None:
    whole, terms = gradient(CUTS["1x16"], kind())
    other, other_terms = gradient(CUTS[cut], kind())
    assert (whole - other).abs().max() <= 1e-9 * whole.abs().max()
    assert other_terms == pytest.approx(terms, rel=1e-12)
    assert whole.abs().max() > 1e-3


def test_the_gradient_is_that_of_the_mean_over_all_targets() -> None:
    parts, objective = engine_ranks.model(), engine_ranks.Uneven()
    batch = engine_ranks.batches(objective, [16])[0]
    sums, *_ = objective.losses(parts, batch, {}, Any)
    (sums["clm"] / batch.counts["clm"]).backward()
    expected = engine_ranks.flat(parts)
    found, _ = gradient(CUTS["4x4"], engine_ranks.Uneven())
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_a_mean_of_micro_batch_means_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake, put into the product: each micro-batch counts as much as the first."""

    def as_many_as_the_first(batches: Sequence[Batch]) -> Mapping[str, int]:
        return {name: count * len(batches) for name, count in batches[0].counts.items()}

    whole, _ = gradient(CUTS["1x16"], engine_ranks.Uneven())
    monkeypatch.setattr(engine, "_all_counts", as_many_as_the_first)
    other, _ = gradient(CUTS["4x4"], engine_ranks.Uneven())
    assert (whole - other).abs().max() > 1e-3 * whole.abs().max()


def test_two_ranks_have_the_gradient_of_one(tmp_path: Path) -> None:
    """2 ranks x 2 micro-batches x 4 samples with unequal counts, on gloo."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "GLOO_SOCKET_IFNAME": "lo"}
    script = str(Path(engine_ranks.__file__))
    ranks = [
        subprocess.Popen([sys.executable, script, str(rank), str(tmp_path)], env=env, stderr=subprocess.PIPE)
        for rank in (0, 1)
    ]
    errors = [rank.communicate(timeout=100)[1].decode() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    whole, terms = gradient(CUTS["1x16"], engine_ranks.Uneven())
    for rank in (0, 1):
        saved = np.load(tmp_path / f"{rank}.npz")
        np.testing.assert_allclose(saved["gradient"], whole.numpy(), rtol=0, atol=1e-9 * float(whole.abs().max()))
        assert float(saved["mean"]) == pytest.approx(terms["clm"], rel=1e-12)
        for norms in (False, True):
            _hold_halves(np.load(tmp_path / f"lopsided-{norms}-{rank}.npz"), norms)


def _hold_halves(saved: Mapping[str, np.ndarray], norms: bool) -> None:
    """Ranks whose samples use other terms, weights and stats end with one gradient, that of one process."""
    parts, loss = engine_ranks.halves(), engine_ranks.Lopsided()
    made = engine.accumulate(loss, parts, engine_ranks.batches(loss, [8, 8]), {}, seed=0, step=0, norms=norms)
    whole = engine_ranks.flat(parts).numpy()
    np.testing.assert_allclose(saved["gradient"], whole, rtol=0, atol=1e-9 * float(np.abs(whole).max()))
    assert set(made.terms) == {"first", "second"}
    assert "third" not in saved
    for name, mean in made.terms.items():
        assert float(saved[name]) == pytest.approx(mean, rel=1e-12)
        assert saved[f"targets of the {name}"].tolist() == [96.0, 96.0]
        assert not norms or float(saved[f"norm of {name}"]) == pytest.approx(made.norms[name], rel=1e-9)
    assert all(weight.grad is None for weight in parts["third"].parameters())


def test_a_weighted_term_scales_its_gradient_and_not_its_mean() -> None:
    class Half(CLM):
        def weights(self, step: int) -> Mapping[str, float]:
            return {"clm": 0.5}

    whole, terms = gradient([16], CLM())
    half, half_terms = gradient([16], Half())
    torch.testing.assert_close(half, 0.5 * whole)
    assert half_terms == terms


def test_a_step_without_a_target_is_no_silent_zero() -> None:
    class Nothing(CLM):
        def collate(self, examples: Sequence[Any], ids: Sequence[int]) -> Batch:
            made = super().collate(examples, ids)
            return Batch(made.tensors, {"clm": 0}, made.ids)

    with study_error("term 'clm' has no target in step 0"):
        gradient([16], Nothing())


def test_stats_are_summed_over_micro_batches() -> None:
    class Seen(CLM):
        def losses(self, parts: Any, batch: Batch, carry: Any, key: Any) -> Any:
            sums, *_ = super().losses(parts, batch, carry, key)
            return sums, None, {"ids": torch.tensor(float(sum(key.sample_ids)))}

    objective = Seen()
    _, stats, _ = engine.accumulate(
        objective, engine_ranks.model(), engine_ranks.batches(objective, [4, 12]), {}, seed=0, step=0
    )
    assert stats["ids"].item() == sum(range(16))


def test_one_process_is_rank_zero_of_one() -> None:
    assert engine.ranks() == (0, 1)
    assert isinstance(engine_ranks.samples()[0], Sample)
