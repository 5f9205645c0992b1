"""plan.json = f(study, evidence, as-of date): pure arithmetic, no torch, under a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.errors import Refusal, Refused, StudyError, nearest
from keel.objective.held import facts_of
from keel.plan import image_frame, pair_frame, recipe
from keel.plan.arms import arms_of, total_of
from keel.plan.experiment import Experiment
from keel.plan.frame import Inputs, frame_of, tokens_of
from keel.plan.ladder import Frame, Rung, short_runs
from keel.plan.losses import proposals
from keel.plan.recipe import Choices, outside
from keel.plan.runs import MIN_STEPS, SCRATCH, Length, experiment_of, length_of, own_data, rates_of, spec_of
from keel.plan.spec import Spec
from keel.size.time import precision_at
from keel.units import show_count, show_duration

MAX_EPOCHS_TOLD = 1.0
FRAMES = {"images": image_frame.frame_of, "image-text": pair_frame.frame_of}  # of other data, that of text


def build(inputs: Inputs, as_of: str) -> dict[str, Any]:
    """The plan as plain values.

    Raises:
        StudyError: an unknown or wrong [set] field.
        Refused: the corpus is too small for a ladder.
    """
    choices = Choices(inputs.study.overrides)
    frame, unique = FRAMES.get(inputs.study.data.kind, frame_of)(inputs, choices)
    batch, rungs = tokens_of(inputs, choices, frame, unique)
    _check_size(rungs, batch, inputs.corpus)
    recipe_ = _recipe(choices, frame, rungs, batch, inputs)
    experiments = [
        item for seed_shift, rung in _with_replicates(choices, rungs)
        for item in _experiments(inputs, frame, rung, recipe_, seed_shift)
    ]  # fmt: skip
    offered = proposals(inputs.study, inputs.category, inputs.corpus)
    found = arms_of(inputs, choices, frame, recipe_, experiments, [item["loss"] for item in offered])
    return {
        "as_of": as_of,
        "study": inputs.study.model_dump(mode="json", by_alias=True), "study_sha256": inputs.study.digest(),
        "family": frame.family, "objective": frame.loss, "losses": offered,
        "judge": facts_of(frame.loss, frame.options).judge,
        "tokenizer": {"vocabulary": frame.tokens} if frame.tokens else None,
        "level": choices.pick("ladder.level", 0.9, formula="", source="convention: a 90 % interval"),
        "heldout_max_bytes": recipe_["heldout_max_bytes"],
        "unique_tokens": unique, "experiments": [item.json() for item in experiments],
        "arms": {"runs": [arm.json() for arm in found.runs], "totals": total_of(found.runs, inputs.machine),
                 "problems": [problem._asdict() for problem in found.problems]},
        "targets": [_target(choices, frame, rungs, unique)],
        "totals": _totals(experiments, inputs.machine),
        "problems": [problem._asdict() for problem in [*short_runs(frame, rungs, batch), *choices.unread()]],
        "numbers": [number._asdict() | {"inputs": dict(number.inputs)} for number in choices.numbers],
    }  # fmt: skip


def _check_size(rungs: list[Rung], batch: int, corpus: Mapping[str, Any]) -> None:
    least = min(rung.tokens[0] for rung in rungs)
    if least < MIN_STEPS * batch:
        have = rungs[-1].tokens[-1]
        need = have * MIN_STEPS * batch / least
        raise Refused(Refusal(
            "the corpus is too small for a ladder",
            f"its shortest run would take {least // batch} steps of {batch} tokens, and {MIN_STEPS} are needed",
            f"bring about {_amount(corpus['split'], need / have)}, "
            "or set ladder.top_tokens and train.batch_tokens yourself",
        ))  # fmt: skip


def _amount(sides: Mapping[str, Any], times: float) -> str:
    """So many times the training data, in what it is counted in."""
    if "train_images" in sides:
        return f"{show_count(times * sides['train_images'])} images to train on"
    return f"{show_count(times * sides['train_bytes'], 'bytes')} of training text"


def _recipe(choices: Choices, frame: Frame, rungs: list[Rung], batch: int, inputs: Inputs) -> dict[str, Any]:
    """Everything about training that all rungs share."""
    precision = precision_at(inputs.machine, max(frame.widths))
    chosen = choices.pick(
        "train.precision", f"body {precision['body']}, head {precision['head']}",
        formula="the faster steps nearest to the top width",
        source=f"evidence/machine.json: {precision.get('why', '')}",
    )  # fmt: skip
    decay = float(choices.pick(
        "train.decay_fraction", 0.2, formula="share of a branch's tokens over which the rate falls to 0",
        source="Hu et al. 2024, arXiv:2404.06395: 10 % suffices; own ladders: 20 % better",
    ))  # fmt: skip
    warmup = recipe.warmup_of(choices, min(rung.tokens[0] for rung in rungs), decay, batch)
    row = frame.defaults
    valid = "width {}-{}".format(*row.lr_widths)
    beyond = outside(max(frame.widths), *row.lr_widths)
    return {
        "precision": _precision(str(chosen)),
        "batch": batch,
        "lr_scale": choices.pick(
            "train.lr_scale", row.lr_scale, formula=row.lr_formula, source=row.lr_source, valid=valid, outside=beyond),
        "lr_growth": row.lr_growth,
        "lr_embedding": choices.pick("train.lr_embedding", row.lr_embedding, formula="constant",
                                     source=row.embedding_source, valid=valid, outside=beyond),
        "warmup_tokens": warmup, "decay": decay,
        "weight_decay": choices.pick("train.weight_decay", 0.1, formula="constant, matrices only",
                                     source="Brown et al. 2020, arXiv:2005.14165, appendix B"),
        "seed": choices.pick("train.seed", 0, source="default"),
        "heldout_max_bytes": None if frame.sizes[0].patch else choices.pick(
            "heldout.max_bytes", 1_000_000, unit="bytes", formula="held-out text that is judged",
            source="sampling error below .3 %"),
    }  # fmt: skip


def _precision(text: str) -> dict[str, str]:
    known = {
        "fp32": ("fp32", "fp32"), "bf16": ("bf16", "bf16"), "bf16-head": ("fp32", "bf16"),
        "body fp32, head fp32": ("fp32", "fp32"), "body bf16, head bf16": ("bf16", "bf16"),
        "body fp32, head bf16": ("fp32", "bf16"), "body bf16, head fp32": ("bf16", "fp32"),
    }  # fmt: skip
    if text not in known:
        raise StudyError("'train.precision' is wrong", why=f"found {text!r}", fix=nearest(text, known), where="[set]")
    return dict(zip(("body", "head"), known[text]))


def _with_replicates(choices: Choices, rungs: list[Rung]) -> list[tuple[int, Rung]]:
    """The ladder, with every rung below the top run `replicates` times with other seeds, smallest first."""
    number = int(choices.pick("ladder.replicates", 1, formula="seeds of every rung below the top", source="default"))
    return [(shift, rung) for rung in rungs for shift in range(1 if rung.held_out else number)]


def _experiments(
    inputs: Inputs, frame: Frame, rung: Rung, recipe_: Mapping[str, Any], seed_shift: int
) -> list[Experiment]:
    """One trunk and its decay branches."""
    lengths = [length_of(recipe_, tokens) for tokens in rung.tokens]
    trunk_steps = max(length.decay_start for length in lengths)
    data = own_data(inputs.corpus, recipe_, frame.family, frame.tokens)

    def spec(length: Length, start: Mapping[str, Any] = SCRATCH) -> Spec:
        return spec_of((frame.loss, frame.options, frame.family), rung.size, recipe_, data, length=length, start=start,
                       rates=rates_of(recipe_, rung.size.width, max(rung.tokens)), seed_shift=seed_shift)  # fmt: skip

    trunk = spec(Length(trunk_steps, trunk_steps))
    made = [experiment_of(inputs, trunk, "trunk", why=_why("trunk", rung), held_out=rung.held_out, baseline=None)]
    for length in lengths:
        branch = spec(length, {"kind": "branch", "run": trunk.run_id, "step": length.decay_start})
        made.append(experiment_of(inputs, branch, "branch", why=_why("branch", rung), held_out=rung.held_out,
                                  trunk=trunk, baseline=trunk, skipped_steps=length.decay_start))  # fmt: skip
    return made


def _why(kind: str, rung: Rung) -> str:
    if kind == "trunk":
        return "constant learning rate; its branches share these steps"
    return "forecast first, then measured: scores the law" if rung.held_out else "one (N, D) point of the law"


def _target(choices: Choices, frame: Frame, rungs: list[Rung], unique: float) -> dict[str, Any]:
    """The bigger run the study is about: 10x the top rung's compute unless said, N and D grown alike."""
    top = rungs[-1]
    top_flop = frame.flop_per_token(top.size) * top.tokens[-1]
    flop = float(choices.pick("target.compute", 10 * top_flop, unit="flop", formula="10 x the top rung",
                              source="one decade beyond what was run", outside="10x above"))  # fmt: skip
    row = frame.defaults
    if row.wants_source:
        choices.pick("target.tokens_per_param", "unknown", formula="this ladder's own law: keel run, then keel fit",
                     source=row.wants_source, valid=row.wants_valid)  # fmt: skip
    grow = (flop / top_flop) ** 0.5
    params, tokens = frame.params(top.size) * grow, top.tokens[-1] * grow
    epochs = tokens / unique
    warning = f"needs {epochs:.1f} epochs of this corpus" if epochs > MAX_EPOCHS_TOLD else ""
    return {"name": "next", "params": params, "tokens": tokens, "flop": flop, "warning": warning,
            "why": row.target_why}  # fmt: skip


def _totals(experiments: list[Experiment], machine: Mapping[str, Any]) -> dict[str, Any]:
    side = max(1, int(machine["cores_free"]))
    small = sum(item.cost.s for item in experiments if not item.held_out) / side
    large = sum(item.cost.s for item in experiments if item.held_out)
    ratio = [item.cost.s_high / item.cost.s for item in experiments]
    return {
        "flop": sum(item.cost.own_flop for item in experiments), "s": small + large,
        "s_high": (small + large) * max(ratio), "side_by_side": side,
        "memory_bytes": max(item.cost.memory_bytes for item in experiments) * side,
        "text": f"{len(experiments)} runs, about {show_duration(small + large)} here",
        "usd": None, "usd_why": "this machine has no price",
    }  # fmt: skip
