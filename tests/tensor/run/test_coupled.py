"""Terms that need all samples of a step: the same gradient, however the step is cut; and each term's own norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import engine_ranks
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from keel.objective.base import Batch, Carry, Example, Features, Key, Stats, Sums
from keel.objective.clm import CLM
from keel.run import engine

pytestmark = pytest.mark.tensor
CUTS = ([16], [4] * 4, [8, 8], [1, 9, 6])


class Halves(CLM):
    """Next-token loss, and each window's first half must find its second half among those of all samples."""

    coupled = True

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        made = super().collate(examples, ids)
        return Batch(made.tensors, {**made.counts, "match": len(ids)}, made.ids)

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features, Stats]:
        sums, _, stats = super().losses(parts, batch, carry, key)
        hidden = parts["model"](input_ids=batch.tensors["inputs"])
        return sums, {"first": hidden[:, :6].mean(1), "second": hidden[:, 6:].mean(1)}, stats

    def batch_losses(self, parts: Mapping[str, nn.Module], everyone: Features, mine: slice) -> Sums:
        scores = everyone["first"] @ everyone["second"].T
        return {"match": cross_entropy(scores[mine], torch.arange(len(scores))[mine], reduction="sum")}

    def weights(self, step: int) -> Mapping[str, float]:
        return {"clm": 0.3, "match": 2.0}


def gradient(cut: Sequence[int], norms: bool = False, kind: type[CLM] = Halves) -> tuple[Tensor, engine.Step]:
    parts, objective = engine_ranks.model(), kind()
    batches = engine_ranks.batches(objective, cut)
    step = engine.accumulate(objective, parts, batches, {}, seed=0, step=0, norms=norms)
    return engine_ranks.flat(parts), step


def by_hand() -> tuple[Tensor, dict[str, Tensor]]:
    """One graph over the whole step, no engine: the gradient and each term's mean."""
    parts, objective = engine_ranks.model(), Halves()
    batch = engine_ranks.batches(objective, [16])[0]
    sums, features, _ = objective.losses(parts, batch, {}, Key(0, 0, batch.ids))
    sums |= objective.batch_losses(parts, features, slice(0, 16))
    means = {name: term / batch.counts[name] for name, term in sums.items()}
    (0.3 * means["clm"] + 2.0 * means["match"]).backward()
    return engine_ranks.flat(parts), means


@pytest.mark.parametrize("norms", [False, True])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_negatives_come_from_the_whole_step(cut: list[int], norms: bool) -> None:
    expected, means = by_hand()
    found, step = gradient(cut, norms)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert step.terms == pytest.approx({name: mean.item() for name, mean in means.items()}, rel=1e-12)


def test_negatives_of_a_micro_batch_alone_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake, put into the product: accumulation that couples each micro-batch by itself."""

    def alone(objective: Any, parts: Any, given: Any, grads: Any, sums: Any) -> Any:
        pulls = []
        for features in given:
            whole = {name: 0.0 for name in sums}
            pulls += engine_couple(objective, parts, [features], grads, whole)
            sums["match"] += whole["match"]
        return pulls

    engine_couple = engine._couple
    expected, _ = by_hand()
    monkeypatch.setattr(engine, "_couple", alone)
    found, _ = gradient([4] * 4)
    assert (found - expected).abs().max() > 1e-3 * expected.abs().max()


@pytest.mark.parametrize(("cut", "passes"), [([16], 1), ([8, 8], 4)], ids=str)
def test_a_share_that_is_one_micro_batch_passes_once(cut: list[int], passes: int) -> None:
    """Else each micro-batch passes twice: for its features, and again with their gradient."""
    seen = list[int]()

    class Counted(Halves):
        def losses(self, *given: Any) -> Any:
            seen.append(1)
            return super().losses(*given)

    gradient(cut, kind=Counted)
    assert len(seen) == passes


def test_each_term_has_the_norm_of_its_own_gradient() -> None:
    class Two(CLM):
        """Two terms over the same targets."""

        def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
            made = super().collate(examples, ids)
            return Batch(made.tensors, {"clm": made.counts["clm"], "size": len(ids)}, made.ids)

        def losses(self, parts: Any, batch: Batch, carry: Carry, key: Key) -> tuple[Sums, None, Stats]:
            sums, _, stats = super().losses(parts, batch, carry, key)
            return {**sums, "size": parts["model"](input_ids=batch.tensors["inputs"]).square().sum()}, None, stats

        def weights(self, step: int) -> Mapping[str, float]:
            return {"size": 0.01}

    plain, step = gradient([4, 12], norms=True, kind=Two)
    alone, _ = gradient([16])
    only, single = gradient([16], kind=CLM)
    assert step.norms["clm"] == pytest.approx(float(only.norm()), rel=1e-9)
    joined, nothing = gradient([16], kind=Two)
    assert nothing.norms == {} == single.norms
    torch.testing.assert_close(plain, joined, rtol=1e-9, atol=1e-12)
    assert step.norms["size"] == pytest.approx(float((joined - only).norm()) / 0.01, rel=1e-6)
    assert not torch.allclose(alone, only)
