"""Whether a run that was stopped ends in the same bits: the real loop, the real checkpoint."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from keel.objective.held import facts_of
from keel.plan.spec import Spec
from keel.prove.result import Verdict, broken
from keel.prove.world import corpus_of
from keel.run import checkpoint, optimiser
from keel.run.train import Loop, Place


def resume(spec: Spec, folder: Path, scratch: Path) -> Verdict:
    """All steps at once against half of them, a checkpoint, a new loop and the rest: all losses and state, bitwise."""
    half = spec.steps // 2
    whole = _loop(spec, folder, scratch / "whole")
    losses = [_step(whole) for _ in range(spec.steps)]
    first = _loop(spec, folder, scratch / "broken")
    again = [_step(first) for _ in range(half)]
    first.save()
    second = _loop(spec, folder, scratch / "broken")
    assert second.step == half, "the loop did not find its checkpoint"
    again += [_step(second) for _ in range(spec.steps - half)]
    one, two = _state(whole), _state(second)
    problems = [f"loss of step {at + 1}" for at, pair in enumerate(zip(losses, again)) if pair[0] != pair[1]]
    problems += sorted(one.keys() ^ two.keys())
    problems += [name for name in one if name in two and not _equal(one[name], two[name])]
    told = [f"{len(problems)} differ: {', '.join(problems[:5])}"] if problems else []
    return broken(told, f"{spec.steps} steps against {half} + {spec.steps - half}: {len(one)} tensors, every bit")


def _loop(spec: Spec, folder: Path, place: Path) -> Loop:
    corpus = corpus_of(facts_of(spec.objective, spec.options).reads, folder)
    return Loop(spec, Place(folder=place, micro_samples=_micro(spec)), corpus)


def _micro(spec: Spec) -> int:
    """A quarter of a step."""
    return int(spec.batch_tokens // spec.size["context"] // 4)


def _step(loop: Loop) -> tuple[float, ...]:
    """One step, every second one with its terms' gradients apart, as the loop does where it logs."""
    made = loop.one_step(norms=loop.step % 2 == 1)
    return (made.loss, made.grad_norm, *made.terms.values())


def _state(loop: Loop) -> dict[str, Tensor]:
    return {
        **{f"weight {name}": value for name, value in checkpoint.part_state(loop.parts).items()},
        **{f"moment {name}": value for name, value in optimiser.state(loop.optimisers).items()},
        **{f"carry {name}": value for name, value in loop.carry.items()},
    }


def _equal(one: Tensor, two: Tensor) -> bool:
    return one.shape == two.shape and one.dtype == two.dtype and bool((one == two).all())
