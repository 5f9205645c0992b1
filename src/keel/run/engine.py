"""One optimiser step's gradient: sums from the objective, divided once by counts over ranks and accumulation.

    g = sum_t (w_t / C_t) dS_t / dtheta,    C_t = count of term t over all micro-batches and ranks

Coupled terms (features of all samples of a step: contrastive losses) take two passes: features without a graph, their
gradient from `batch_losses`, then each micro-batch again with that gradient pulled through it. A rank whose share is
one micro-batch has its graph at hand, and passes once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from keel.errors import Problem, StudyError
from keel.objective.base import Batch, Carry, Features, Key, Objective, Stats, Sums
from keel.run import parallel


class Step(NamedTuple):
    """Each term's unweighted mean, sums worth logging, and (where asked for) the norm of each term's own gradient.

    A norm is None where it is not measured: sharded parts are reduced as one backward pass goes, all terms together.
    """

    terms: dict[str, float]
    stats: Stats
    norms: dict[str, float | None]


def ranks() -> tuple[int, int]:
    """(rank, number of ranks) of this process."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def meet() -> None:
    """Wait for all ranks."""
    if ranks()[1] > 1:
        dist.barrier()


def any_rank(*flags: bool) -> tuple[bool, ...]:
    """Each flag, true on all ranks where it is true on one."""
    if ranks()[1] == 1:
        return flags
    found = torch.tensor(flags, dtype=torch.int32)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return tuple(map(bool, found.tolist()))


def accumulate(
    objective: Objective, parts: Mapping[str, nn.Module], batches: Sequence[Batch], carry: Carry, seed: int, step: int,
    *, norms: bool = False,
) -> Step:  # fmt: skip
    """Fill `.grad` with the gradient of sum_terms w_t S_t / C_t.

    C_t is known before the first backward pass, so the split into micro-batches and ranks does not change the
    gradient. With `norms` each term is differentiated apart: the same gradient, up to the order of its sum.

    A term without a target in the whole step adds nothing and has no mean, where the objective says it is optional.

    Raises:
        StudyError: a term without a single target in the whole step, and not optional.
    """
    counts, weights = _all_counts(batches), objective.weights(step)
    _check(objective, counts, step)
    keys = [Key(seed, step, batch.ids) for batch in batches]
    sums: dict[str, float] = dict.fromkeys(counts, 0.0)
    stats: Stats = {}
    sharded = isinstance(parts, parallel.Sharded)
    grads = _Gradients(parts, weights, counts, apart=norms and not sharded)
    pulls: Sequence[Features | None] = [None] * len(batches)
    # Blocks of sharded parts are freed behind each backward pass, and the coupled terms have one of their own.
    once = _losses(objective, parts, batches[0], carry, keys[0]) if len(batches) == 1 and not sharded else None
    if objective.coupled:
        given = [once[1]] if once else _without_graph(objective, parts, batches, carry, keys)
        pulls = _couple(objective, parts, given, grads, sums)
    for batch, key, pull in zip(batches, keys, pulls):
        terms, features, seen = once or _losses(objective, parts, batch, carry, key)
        grads.add(terms, None if pull is None or features is None else (features, pull))
        for name, term in terms.items():
            sums[name] += float(term.detach())
        stats = {name: stats[name] + value if name in stats else value for name, value in seen.items()}
    found: dict[str, float | None] = {**grads.finish()}
    if norms and sharded:
        found = dict.fromkeys(name for name in sorted(counts) if counts[name])
    means = {name: total / counts[name] for name, total in _all_sums(sums).items() if counts[name]}
    return Step(means, _all_stats(stats, bool(objective.optional)), found)


def _losses(
    objective: Objective, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
) -> tuple[Sums, Features | None, Stats]:
    return parallel.inside(parts, lambda: objective.losses(parts, batch, carry, key))


@torch.no_grad()
def _without_graph(
    objective: Objective, parts: Mapping[str, nn.Module], batches: Sequence[Batch], carry: Carry, keys: Sequence[Key]
) -> list[Features | None]:
    def of(batch: Batch, key: Key) -> Features | None:
        return parallel.inside(parts, lambda: objective.features(parts, batch, carry, key))

    return [of(batch, key) for batch, key in zip(batches, keys)]


class _Gradients:
    """Gradients of a step's terms: into `.grad` at once, or each term `apart` first, so that its norm is known."""

    def __init__(
        self, parts: Mapping[str, nn.Module], weights: Mapping[str, float], counts: Mapping[str, int], apart: bool
    ) -> None:
        moving = (weight for part in parts.values() for weight in part.parameters() if weight.requires_grad)
        # A weight that parts share has one gradient. What is sharded is reduced by its own backward pass.
        self.sharded = isinstance(parts, parallel.Sharded)
        self.params = [] if self.sharded else list(dict.fromkeys(moving))
        self.weights, self.counts = weights, counts
        self.apart: dict[str, list[Tensor | None]] | None = {} if apart else None
        self.coupled = COUPLED

    def add(self, terms: Sums, pulled: tuple[Features, Features] | None = None) -> None:
        """Add a micro-batch's sums, and the gradient that coupled terms have by its features."""
        assert terms or pulled is not None, "an objective without a term"
        loss = {name: term / self.counts[name] for name, term in terms.items() if self.counts[name]}
        if pulled is not None:
            features, pull = pulled
            loss[self.coupled] = torch.stack([(features[name] * pull[name]).sum() for name in pull]).sum()
        if not any(value.requires_grad for value in loss.values()):
            if self.sharded:
                raise StudyError("a micro-batch has no gradient", why="sharded ranks go back together, and the others "
                                 "would wait for this one", fix="leave --sharded out")  # fmt: skip
            return
        if self.apart is None:
            total = torch.stack([self._weight(name) * value for name, value in loss.items()]).sum()
            total.backward()  # type: ignore[no-untyped-call]
            return
        for name, value in loss.items():
            if value.requires_grad:
                self._add(name, torch.autograd.grad(value, self.params, retain_graph=True, allow_unused=True))

    def couple(self, terms: Sums, everyone: Features) -> Features:
        """Gradient of the coupled terms by all features; what they have by weights (a temperature) is added here.

        Kept apart, one that is alone has its name, and its weight later, as every other term; several are one sum.
        """
        if self.apart is not None and len(terms) == 1:
            (self.coupled,) = terms
            terms = {COUPLED: terms[self.coupled] / self.counts[self.coupled]}
        loss = torch.stack([self._weight(name) / self.counts.get(name, 1) * term for name, term in terms.items()]).sum()
        pulled = {name: of for name, of in everyone.items() if of.requires_grad}
        if self.apart is None:
            loss.backward()  # type: ignore[no-untyped-call]
            found: Sequence[Tensor | None] = [of.grad for of in pulled.values()]
        else:
            found = torch.autograd.grad(loss, [*pulled.values(), *self.params], allow_unused=True)
            self._add(self.coupled, found[len(pulled) :])
        return {name: torch.zeros_like(of) if grad is None else grad for (name, of), grad in zip(pulled.items(), found)}

    def _weight(self, name: str) -> float:
        return 1.0 if name == COUPLED else self.weights.get(name, 1.0)

    def _add(self, name: str, found: Sequence[Tensor | None]) -> None:
        assert self.apart is not None
        dense = [grad.to_dense() if grad is not None and grad.is_sparse else grad for grad in found]
        held = self.apart.setdefault(name, [None] * len(dense))
        self.apart[name] = [a if b is None else b if a is None else a + b for a, b in zip(held, dense)]

    def finish(self) -> dict[str, float]:
        """Sum over ranks; the norm of each term's gradient where they were kept apart."""
        if self.apart is None:
            for weight, grad in zip(self.params, _reduce([weight.grad for weight in self.params], self.params)):
                weight.grad = grad
            return {}
        norms = {}
        for name in sorted({*self.counts, COUPLED}):  # every rank the same ones, whatever its own samples hold
            grads = _reduce(self.apart.get(name, [None] * len(self.params)), self.params)
            there = [grad.norm() for grad in grads if grad is not None]
            if there:
                norms[name] = float(torch.stack(there).norm())
            for weight, grad in zip(self.params, grads):
                if grad is not None:
                    share = self._weight(name) * grad
                    weight.grad = share if weight.grad is None else weight.grad + share
        return norms


COUPLED = "coupled"


def _couple(
    objective: Objective, parts: Mapping[str, nn.Module], given: Sequence[Features | None], grads: _Gradients,
    sums: dict[str, float],
) -> Sequence[Features | None]:  # fmt: skip
    """The gradient of the coupled terms by each micro-batch's features; their sums are added to `sums`."""
    assert all(given), "a coupled objective gave no features"
    local = [{name: of.detach() for name, of in features.items()} for features in given if features is not None]
    rank, number = ranks()
    sizes = [len(next(iter(features.values()))) for features in local]
    mine = slice(rank * sum(sizes), (rank + 1) * sum(sizes))
    everyone: Features = {}
    for name in local[0]:
        whole = torch.cat([features[name] for features in local])
        if number > 1:
            gathered = [torch.empty_like(whole) for _ in range(number)]
            dist.all_gather(gathered, whole)
            whole = torch.cat(gathered)
        # Whole numbers tell samples from each other, as a caption's digest does; nothing is pulled through them.
        everyone[name] = whole.requires_grad_(whole.is_floating_point())
    terms = parallel.inside(parts, lambda: objective.batch_losses(parts, everyone, mine))
    by_feature = grads.couple(terms, everyone)
    for name, term in terms.items():
        sums[name] += float(term.detach())
    if number > 1:
        for name in sorted(by_feature):
            dist.all_reduce(by_feature[name])
    starts = [mine.start + sum(sizes[:at]) for at in range(len(sizes))]
    return [
        {name: grad[start : start + size] for name, grad in by_feature.items()} for start, size in zip(starts, sizes)
    ]


def _check(objective: Objective, counts: Mapping[str, int], step: int) -> None:
    """Every term has a target somewhere in the step, unless it may do without."""
    empty = [name for name, count in counts.items() if not count and name not in objective.optional]
    if empty:
        raise StudyError.all(
            Problem(f"term '{name}' has no target in step {step}", "not one of the step's samples holds any",
                    "raise train.batch, or the share of tokens that the loss predicts", "train.batch")
            for name in empty
        )  # fmt: skip


def _all_counts(batches: Sequence[Batch]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for batch in batches:
        for name, count in batch.counts.items():
            counts[name] = counts.get(name, 0) + count
    return {name: round(total) for name, total in _all_sums(counts).items()}


def _all_sums(values: Mapping[str, float]) -> dict[str, float]:
    """Sum named numbers over ranks, in fp64."""
    if ranks()[1] == 1:
        return dict(values)
    names = sorted(values)
    total = torch.tensor([values[name] for name in names], dtype=torch.float64)
    dist.all_reduce(total)
    return dict(zip(names, total.tolist()))


def _all_stats(stats: Stats, may_differ: bool) -> Stats:
    """Sum over ranks; where terms are optional, those that only other ranks saw are added as 0 first."""
    if ranks()[1] > 1:
        if may_differ:
            shapes = {name: (value.shape, value.dtype) for name, value in stats.items()}
            everyone: list[dict[str, Any]] = [{}] * ranks()[1]
            dist.all_gather_object(everyone, shapes)
            seen = {name: shape for each in everyone for name, shape in each.items()}
            stats = {name: torch.zeros(shape, dtype=dtype) for name, (shape, dtype) in seen.items()} | stats
        for name in sorted(stats):
            dist.all_reduce(stats[name])
    return stats


def _reduce(grads: Sequence[Tensor | None], weights: Sequence[Tensor]) -> list[Tensor | None]:
    """Sum gradients over ranks in one flat message: they are shares of one sum, so they add.

    A weight that only other ranks' samples used counts as 0 here; one that nobody used stays without a gradient.
    """
    if ranks()[1] == 1 or not weights:
        return list(grads)
    used = torch.tensor([grad is not None for grad in grads], dtype=torch.int32, device=weights[0].device)
    dist.all_reduce(used)
    places = used.nonzero().flatten().tolist()
    mine = [torch.zeros_like(weights[at]) if (grad := grads[at]) is None else grad for at in places]
    reduced: list[Tensor | None] = [None] * len(weights)
    if not places:
        return reduced
    flat = torch.cat([grad.reshape(-1) for grad in mine])
    dist.all_reduce(flat)
    for at, grad, piece in zip(places, mine, flat.split([grad.numel() for grad in mine])):
        reduced[at] = grad.copy_(piece.view_as(grad))
    return reduced
