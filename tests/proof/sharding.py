"""Runs of one process and of two ranks, sharded or not, to be compared; as a program one of the ranks: FOLDER CASE ...

Everything is in fp64, so that what is left between two ways of execution is the order of their sums.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from keel import model
from keel.errors import StudyError
from keel.model.shapes import FEATURES, Size
from keel.objective import OBJECTIVES
from keel.objective.alexatm import AlexaTM
from keel.objective.base import Batch, Carry, Features, Key, Part, Start, Stats, Sums
from keel.objective.clm import CLM
from keel.objective.held import facts_of
from keel.plan.spec import Spec
from keel.prove import world
from keel.prove.bench import Bench, build
from keel.prove.wide import Wide
from keel.run import checkpoint, engine, optimiser, parallel
from keel.run.finish import finish
from keel.run.train import Loop, Place, Trained, train

THAW, STEPS, MIDDLE = 3, 6, 4


class Case(NamedTuple):
    """A loss on a family, its first where none is named."""

    loss: str
    options: Mapping[str, Any] = {}
    family: str | None = None


# One loss for each kind of architecture; RoBERTa's positions ask for another vocabulary, and its layers are BERT's.
KINDS = {"encoder": "mlm", "decoder": "clm", "encoder-decoder": "span_corruption"}
SINGLE = {name: Case(name, world.EXAMPLES.get(name, {})) for name in OBJECTIVES if name != "mixture"}
SEEN = {facts_of(case.loss, case.options).families[0] for case in SINGLE.values()} | {"roberta", "xlm-roberta"}
CASES: Mapping[str, Case] = {
    **SINGLE,
    **{f"on {family}": Case(KINDS[FEATURES[family].kind], {}, family) for family in FEATURES if family not in SEEN},
    "mlm, bernoulli": Case("mlm", {"count": "bernoulli"}),
    "coupled": Case("sharding:Halves"),
    "thawed": Case("sharding:Late"),
}
# One for each sort of trouble: counts that differ, shared tables, frozen parts, means, clusters, coupled terms.
HARD = ("clm", "rtd", "span_corruption", "translation", "instruct", "distil", "mlm, bernoulli", "coupled", "thawed",
        "coca", "dino", "deepcluster")  # fmt: skip
RUNS: Mapping[str, Case] = {"late": Case("sharding:Late"), "within": Case("sharding:Within", {"thaw_step": THAW})}


def _pads(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    return ("pad", "start")


class Late(CLM):
    """A decoder beside an encoder, a part that thaws as a whole with an optimiser of its own; a mean of the decoder."""

    facts = CLM.facts._replace(roles=_pads)

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        common = {"family": family, "size": size, "start": start}
        late = Part(family="bert", size=size, start=start, head="body", thaw_step=THAW, optimiser="reader")
        return {"model": Part(**common), "reader": late, "mean": Part(**common, role="ema", ema_of="model")}

    def losses(self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key) -> tuple[Sums, None, Stats]:
        model: Any = parts["model"]
        inputs = batch.tensors["inputs"]
        with torch.no_grad():
            behind = parts["mean"](input_ids=inputs)
        hidden = model(input_ids=inputs) + parts["reader"](input_ids=inputs.roll(1, 0)) + behind
        return {"clm": model.nll(hidden, batch.tensors["targets"])}, None, {}


class Within(AlexaTM):
    """An encoder-decoder whose encoder thaws, and a mean that follows it and is used by nothing."""

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        plain = super().parts(family, size, start)
        return {**plain, "mean": replace(plain["model"], role="ema", ema_of="model", thaw_step=0)}


class Halves(CLM):
    """Next-token loss, and each window's first half must find its second half among those of all samples."""

    coupled = True

    def collate(self, examples: Any, ids: Any) -> Batch:
        made = super().collate(examples, ids)
        return Batch(made.tensors, {**made.counts, "match": len(ids)}, made.ids)

    def losses(self, parts: Any, batch: Batch, carry: Carry, key: Key) -> tuple[Sums, Features | None, Stats]:
        sums, _, stats = super().losses(parts, batch, carry, key)
        hidden = parts["model"](input_ids=batch.tensors["inputs"])
        return sums, {"first": hidden[:, :9].mean(1), "second": hidden[:, 9:].mean(1)}, stats

    def batch_losses(self, parts: Any, everyone: Features, mine: slice) -> Sums:
        # A weight of the model scales the scores: it has a gradient by the coupled term itself.
        scores = everyone["first"] @ everyone["second"].T * parts["model"].library.base_model.norm.weight.mean()
        targets = torch.arange(len(scores))[mine]
        return {"match": torch.nn.functional.cross_entropy(scores[mine], targets, reduction="sum")}


class NoGradient(CLM):
    """What FSDP cannot do: a micro-batch from which nothing goes back."""

    def losses(self, *given: Any) -> tuple[Sums, Features | None, Stats]:
        sums, features, stats = super().losses(*given)
        return {name: term.detach() for name, term in sums.items()}, features, stats


class WideLoop(Loop):
    """The loop in fp64."""

    def _built(self) -> Any:
        modules, began = super()._built()
        return {name: module.double() for name, module in modules.items()}, began


def spec_of(case: Case, folder: Path) -> Spec:
    """A tiny run in the world that lies in a folder: two layers, six steps."""
    spec = world.spec_of(case.loss, case.options, folder / "world")
    return replace(spec, family=case.family or spec.family, size={**spec.size, "layers": 2}, steps=STEPS)


def gradient(bench: Bench, path: Path, *, sharded: bool) -> engine.Step:
    """The gradient of a step over all ranks, four micro-batches in all, by the names of weights; in a file."""
    parts = parallel.shard(bench.modules, bench.objective) if sharded else bench.modules
    rank, ranks = engine.ranks()
    batches = bench.batches.micro_batches(bench.objective, bench.step, rank, ranks, bench.batches.batch // 4)
    with Wide():
        step = engine.accumulate(bench.objective, parts, batches, bench.carry, 0, bench.step, norms=sharded)
    weights = checkpoint.part_state(parts)
    grads = {name: parallel.whole(weight.grad) for name, weight in weights.items() if weight.grad is not None}
    if not rank:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{name: grad.numpy() for name, grad in grads.items()})
    return step


def bench_of(case: Case, folder: Path) -> Bench:
    """The loss on its tiny run."""
    return build(spec_of(case, folder), folder / "world")


def first(case: Case, folder: Path) -> Mapping[str, np.ndarray]:
    """The weights that every run of a case begins with."""
    return {
        name: weight.detach().numpy() for name, weight in checkpoint.part_state(bench_of(case, folder).modules).items()
    }


def go(case: Case, folder: Path, run: str, until: int, *, sharded: bool) -> list[tuple[float, float]]:
    """Go on with a run up to a step, and save it; loss and norm of the gradient of each step made."""
    spec = spec_of(case, folder)
    corpus = world.corpus_of(facts_of(spec.objective, spec.options).reads, folder / "world")
    quarter = spec.batch_tokens // spec.size["context"] // 4
    loop = WideLoop(spec, Place(folder=folder / "runs" / run, micro_samples=quarter, sharded=sharded), corpus)
    made = []
    while loop.step < until:
        with Wide():
            step = loop.one_step()
        made.append((step.loss, step.grad_norm))
    loop.save()
    return made


def logged(loss: str, folder: Path, run: str, *, sharded: bool) -> Trained:
    """A run as the command makes it, in its own precision: log, checkpoint, result."""
    spec = spec_of(Case(loss), folder)
    corpus = world.corpus_of(facts_of(spec.objective, spec.options).reads, folder / "world")
    place = Place(folder=folder / "runs" / run, sharded=sharded)
    trained = train(spec, place, corpus, STEPS, {STEPS}, lambda said: None, lambda: False)
    if not engine.ranks()[0]:
        finish(spec, place.folder, corpus, trained)
        model.load(spec.family).export(trained.parts["model"], place.folder / "exported")
    return trained


def take(folder: Path, run: str, of: str, step: int) -> None:
    """Begin a run from a step that another one saved."""
    if not engine.ranks()[0]:
        target = checkpoint.folder_of(folder / "runs" / run, step)
        shutil.copytree(checkpoint.folder_of(folder / "runs" / of, step), target)
    engine.meet()


def gradients(folder: Path) -> Any:
    """Each asked case's gradient, and what was told of it."""
    told = {}
    for name in sys.argv[2:]:
        step = gradient(bench_of(CASES[name], folder), folder / "sharded" / f"{name}.npz", sharded=True)
        told[name] = {"terms": step.terms, "norms": step.norms}
    return told


def means(folder: Path) -> Any:
    """The library's habit, put back into the product: gradients averaged over ranks."""
    kept = FSDPModule.set_gradient_divide_factor
    FSDPModule.set_gradient_divide_factor = lambda self, factor: None  # type: ignore[method-assign]
    gradient(bench_of(CASES["clm"], folder), folder / "averaged" / "clm.npz", sharded=True)
    FSDPModule.set_gradient_divide_factor = kept  # type: ignore[method-assign]
    return None


def shares(folder: Path) -> Any:
    """How many numbers this rank keeps, and how many layers are gathered by themselves."""
    spec = spec_of(CASES["clm"], folder)
    loop = WideLoop(
        spec, Place(folder=folder / "runs" / "none", sharded=True), world.corpus_of("windows", folder / "world")
    )
    loop.one_step()
    kept = {}
    for name, of in (("weights", checkpoint.part_state(loop.parts)), ("moments", optimiser.state(loop.optimisers))):
        split = [value for value in of.values() if isinstance(value, DTensor)]
        kept[name] = (sum(value.to_local().numel() for value in split), sum(value.numel() for value in split))
    units = [module for module in loop.parts["model"].modules() if isinstance(module, FSDPModule)]
    return {**kept, "blocks": len(units), "layers": spec.size["layers"]}


def runs(folder: Path) -> Any:
    """Each run whole and in pieces, and gone on with from where another way of execution left it."""
    told: dict[str, Any] = {}
    for name, case in RUNS.items():
        told[name] = {"whole": go(case, folder, f"{name}-sharded", STEPS, sharded=True)}
        for stop in (THAW - 1, THAW, MIDDLE, STEPS):
            go(case, folder, f"{name}-cut", stop, sharded=True)
        take(folder, f"{name}-replicas", f"{name}-cut", MIDDLE)
        told[name]["replicas"] = go(case, folder, f"{name}-replicas", MIDDLE + 1, sharded=False)
        take(folder, f"{name}-split", f"{name}-one", MIDDLE)
        told[name]["split"] = go(case, folder, f"{name}-split", MIDDLE + 1, sharded=True)
    return told


def logs(folder: Path) -> Any:
    """Two parts that share a table, through the command's own loop; on the first rank they are plain modules again."""
    trained = logged("rtd", folder, "logged-sharded", sharded=True)
    weights = checkpoint.part_state(trained.parts)
    plain = not any(isinstance(weight, DTensor) for weight in weights.values())
    return {"plain": plain, "shapes": {name: list(weight.shape) for name, weight in weights.items()}}


def refusals(folder: Path) -> Any:
    """A micro-batch from which nothing goes back is told, not waited for."""
    try:
        gradient(bench_of(Case("sharding:NoGradient"), folder), folder / "never.npz", sharded=True)
    except StudyError as error:
        return str(error)
    return None


CHECKS: tuple[Callable[[Path], Any], ...] = (gradients, means, shares, runs, logs, refusals)


def main() -> None:
    """All checks in one start; what they tell lies in RANK.json, what went wrong in RANK.error."""
    folder = Path(sys.argv[1])
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    try:
        told = {check.__name__: check(folder) for check in CHECKS}
    except BaseException:
        (folder / f"{rank}.error").write_text(traceback.format_exc())
        os._exit(1)
    (folder / f"{rank}.json").write_text(json.dumps(told))
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)


if __name__ == "__main__":
    main()
