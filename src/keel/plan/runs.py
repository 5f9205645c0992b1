"""From a loss, a size and the shared recipe to one run: its spec, its cost, its place in the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from keel.corpus.images.named import named
from keel.data import OF_IMAGES
from keel.files import digest
from keel.model.shapes import FEATURES, Size
from keel.objective import cost
from keel.objective.own import code_sha256
from keel.plan.experiment import Cost, Experiment, Kind
from keel.plan.frame import Inputs, threads_of
from keel.plan.spec import Spec
from keel.size.time import seconds_per_token

GATE = "finite loss, and what is held out judged better than by frequencies or chance alone"
MIN_STEPS = 20  # a shorter run says nothing of its recipe
SCRATCH: Mapping[str, Any] = {"kind": "scratch"}


class Rates(NamedTuple):
    """Peak learning rates of hidden layers and of tables."""

    hidden: float
    embedding: float


class Length(NamedTuple):
    """Steps from step 0, and the step at which the learning rate begins to fall (= steps: it does not)."""

    steps: int
    decay_start: int


def rates_of(recipe: Mapping[str, Any], width: int, longest_tokens: float) -> Rates:
    """Hidden rate = scale / width (D / 4.5e5)^growth, D the longest run of its size; tables have one rate."""
    hidden = recipe["lr_scale"] / width * (longest_tokens / 4.5e5) ** recipe["lr_growth"]
    return Rates(hidden, recipe["lr_embedding"])


def length_of(recipe: Mapping[str, Any], tokens: float) -> Length:
    """Whole steps of so many tokens, the last share of them in decay."""
    steps = max(1, round(tokens / recipe["batch"]))
    return Length(steps, steps - max(1, round(recipe["decay"] * steps)))


def spec_of(
    loss: tuple[str, Mapping[str, Any], str], size: Size, recipe: Mapping[str, Any], data: Mapping[str, Any], *,
    length: Length, rates: Rates, seed_shift: int = 0, start: Mapping[str, Any] = SCRATCH,
) -> Spec:  # fmt: skip
    """The identity of one run; `loss` is its name, options and family."""
    name, options, family = loss
    warmup = max(1, round(recipe["warmup_tokens"] / recipe["batch"]))
    return Spec(
        objective=name, options=dict(options), family=family, size=size.json(), start=start, data=data,
        batch_tokens=recipe["batch"], steps=length.steps, decay_start=length.decay_start, warmup_steps=warmup,
        lr_hidden=rates.hidden, lr_embedding=rates.embedding, beta1=0.9, beta2=0.95, epsilon=1e-8,
        weight_decay=recipe["weight_decay"], clip_norm=1.0, seed=recipe["seed"] + seed_shift,
        precision=recipe["precision"], code_sha256=code_sha256(name, options),
    )  # fmt: skip


def own_data(corpus: Mapping[str, Any], recipe: Mapping[str, Any], family: str, vocabulary: int) -> dict[str, Any]:
    """What a run of this family reads: images as they are, text in tokens of the tokenizer that was trained on it."""
    if corpus.get("kind", "text") in OF_IMAGES:
        text = {"vocabulary": vocabulary, "tokenizer_sha256": corpus["tokenizer"]["sha256"]} if vocabulary else {}
        return named(corpus) | text
    found = data_of(corpus, recipe, corpus["tokenizer"]["sha256"], vocabulary)
    return found | ({"pad_first": True} if FEATURES[family].positions_from_pad else {})


def data_of(
    corpus: Mapping[str, Any], recipe: Mapping[str, Any], tokenizer_sha256: str, vocabulary: int
) -> dict[str, Any]:
    """What a run reads, by digest: the corpus, its split, and the tokenizer that makes tokens of it."""
    return {
        "data_sha256": corpus["data_sha256"], "split_sha256": digest(corpus["split"]),
        "tokenizer_sha256": tokenizer_sha256, "vocabulary": vocabulary,
        "heldout_max_bytes": recipe["heldout_max_bytes"],
    }  # fmt: skip


def experiment_of(
    inputs: Inputs, spec: Spec, kind: Kind, *, why: str, trunk: Spec | None = None, baseline: Spec | None = None,
    skipped_steps: int = 0, held_out: bool = False, free: tuple[str, ...] = (),
) -> Experiment:  # fmt: skip
    """A run with what it costs here; `free` names the fields that are its one change, where that is an arm's."""
    size = Size(**spec.size)
    flop = cost.flop_per_token(spec.objective, spec.options, spec.family, size)
    own = spec.tokens - skipped_steps * spec.batch_tokens
    threads = threads_of(inputs.machine, held_out)
    pace = seconds_per_token(inputs.machine, flop, threads, spec.precision)
    count = cost.params(spec.objective, spec.options, spec.family, size)
    memory = cost.memory_bytes(spec.objective, spec.options, spec.family, size, spec.batch_tokens, spec.precision)
    return Experiment(
        spec=spec, kind=kind, trunk=trunk.run_id if trunk else None, why=why, gate=GATE,
        cost=Cost(flop=flop * spec.tokens, own_flop=flop * own, s=pace.value * own, s_low=pace.low * own,
                  s_high=pace.high * own, memory_bytes=memory),
        held_out=held_out, threads=threads, params=count._asdict() | {"total": count.total}, baseline=baseline,
        free=free,
    )  # fmt: skip
