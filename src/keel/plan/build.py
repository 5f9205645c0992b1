"""plan.json = f(study, evidence, as-of date): pure arithmetic, no torch, under a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from keel.errors import Refusal, Refused, StudyError, nearest
from keel.files import digest
from keel.model.shapes import SHAPES, Size
from keel.plan import ladder, recipe
from keel.plan.experiment import Cost, Experiment
from keel.plan.ladder import Frame, Rung
from keel.plan.recipe import OWN, Choices, outside
from keel.plan.spec import Spec
from keel.size.time import seconds_per_token
from keel.study import Study
from keel.units import show_count, show_duration

DEFAULT_TIME_S = 600.0
THUMB = "rule of thumb, not measured"
MIN_STEPS = 20
GATE = "finite loss, and held-out bits per byte below that of token frequencies alone"


class Inputs(NamedTuple):
    """What a plan is a function of."""

    study: Study
    corpus: Mapping[str, Any]
    machine: Mapping[str, Any]


def build(inputs: Inputs, as_of: str) -> dict[str, Any]:
    """The plan as plain values.

    Raises:
        StudyError: an unknown or wrong [set] field.
        Refused: the corpus is too small for a ladder.
    """
    choices = Choices(inputs.study.overrides)
    frame, unique = _frame(inputs, choices)
    batch, rungs = _tokens(inputs, choices, frame, unique)
    _check_size(rungs, batch, inputs.corpus)
    recipe_ = _recipe(choices, frame, rungs, batch, inputs)
    experiments = [
        item for seed_shift, rung in _with_replicates(choices, rungs)
        for item in _experiments(inputs, frame, rung, recipe_, seed_shift)
    ]  # fmt: skip
    return {
        "as_of": as_of,
        "study": inputs.study.model_dump(mode="json", by_alias=True), "study_sha256": inputs.study.digest(),
        "route": {"value": "scratch", "why": "the only route this version can plan; released bases are not weighed"},
        "family": frame.family, "objective": "clm", "tokenizer": {"vocabulary": frame.vocabulary},
        "level": choices.pick("ladder.level", 0.9, formula="", source="convention: a 90 % interval"),
        "heldout_max_bytes": recipe_["heldout_max_bytes"],
        "unique_tokens": unique, "experiments": [item.json() for item in experiments],
        "targets": [_target(choices, frame, rungs, unique)],
        "totals": _totals(experiments, inputs.machine),
        "numbers": [number._asdict() | {"inputs": dict(number.inputs)} for number in choices.numbers],
    }  # fmt: skip


def _frame(inputs: Inputs, choices: Choices) -> tuple[Frame, float]:
    """Widths that fit the time, and the unique training tokens at the chosen vocabulary."""
    vocabulary = _vocabulary(inputs.corpus, choices)
    row = next(row for row in inputs.corpus["tokens"] if row["vocabulary"] == vocabulary)
    unique = float(row["train_tokens"])
    choices.pick(
        "data.unique_tokens", round(unique), unit="tokens", formula="training bytes / bytes per token",
        inputs={"bytes_per_token": round(row["bytes_per_token"], 4)}, source="measured by the tokenizer (keel look)",
        low=row["train_tokens_low"], high=row["train_tokens_high"],
    )  # fmt: skip
    shared = {name: value for name, value in choices.overrides.items() if name.startswith("model.")}
    if str(shared.get("model.family", "llama")) not in SHAPES:
        raise StudyError("unknown family", why=f"found {shared['model.family']!r}",
                         fix=nearest(str(shared["model.family"]), SHAPES), where="[set] model.family")  # fmt: skip
    budget_s = float(inputs.study.budget.time_s or DEFAULT_TIME_S)
    choices.pick("ladder.time_s", budget_s, unit="s", formula="budget.time_s, else 600 s", source="[budget] or default")
    budget_s = float(choices.overrides.get("ladder.time_s", budget_s))
    frame = ladder.frame(shared, ladder.widths_from(ladder.MIN_WIDTH), vocabulary)
    for smallest in range(ladder.MIN_WIDTH + 8, ladder.MAX_WIDTH // 4, 8):
        wider = ladder.frame(shared, ladder.widths_from(smallest), vocabulary)
        if _ladder_s(inputs.machine, wider, unique) > budget_s:
            break
        frame = wider
    widths = choices.pick(
        "ladder.widths", list(frame.widths), formula="w (1, 1.5, 2, 3, 4), the largest w whose ladder fits the time",
        inputs={"time_s": budget_s}, source="log-spaced sizes over 4x of width", valid="width 16-128 measured",
        outside=outside(max(frame.widths), 16, 128),
    )  # fmt: skip
    frame = ladder.frame(shared, widths, vocabulary)
    choices.pick("model.family", frame.family, source="default")
    choices.pick("model.layers", list(frame.layers), formula="2 below width 192, then width / 64", source=THUMB)
    choices.pick("model.context", frame.context, unit="tokens", source=THUMB,
                 formula="128 up to width 96, then doubled with it, at most 1024")  # fmt: skip
    return frame, unique


def _vocabulary(corpus: Mapping[str, Any], choices: Choices) -> int:
    """The vocabulary: the largest measured one up to bytes / 3000, at least the smallest."""
    known = sorted(int(row["vocabulary"]) for row in corpus["tokens"])
    budgeted = corpus["split"]["train_bytes"] / 3000
    default = max([v for v in known if v <= budgeted] or known[:1])
    chosen = choices.pick(
        "tokenizer.vocabulary", default, unit="tokens", formula="largest power of two <= training bytes / 3000",
        inputs={"train_bytes": corpus["split"]["train_bytes"]}, source=OWN, valid="12 MB of English",
    )  # fmt: skip
    if chosen not in known:
        raise StudyError("this vocabulary was not measured", why=f"found {chosen!r}; measured: {known}",
                         where="[set] tokenizer.vocabulary",
                         fix="choose one of those, or run `keel look` again")  # fmt: skip
    return int(chosen)


def _ladder_s(machine: Mapping[str, Any], frame: Frame, unique: float) -> float:
    """Predicted seconds of a default ladder on this machine."""
    top = ladder.top_tokens(frame, unique)
    batch = recipe.batch_tokens_of(top, frame.context)
    total = 0.0
    shapes = SHAPES[frame.family]
    for rung in ladder.rungs(frame, top, 9.0, batch, {}):
        flop = shapes.flop_per_token(shapes.shape(rung.size))
        threads = _threads(machine, rung.held_out)
        own = 0.8 * rung.tokens[-1] + 0.2 * sum(rung.tokens)
        beside = max(1, int(machine["cores_free"])) if not rung.held_out else 1
        total += own * seconds_per_token(machine, flop, threads, machine["precision"]).value / beside
    return total


def _threads(machine: Mapping[str, Any], alone: bool) -> int:
    return max(1, int(machine["cores_free"])) if alone else 1


def _tokens(inputs: Inputs, choices: Choices, frame: Frame, unique: float) -> tuple[int, list[Rung]]:
    total = SHAPES[frame.family].params(SHAPES[frame.family].shape(frame.sizes()[-1])).total
    top = float(choices.pick(
        "ladder.top_tokens", round(ladder.top_tokens(frame, unique)), unit="tokens",
        formula="min(5 N_total, 4 unique_tokens)", inputs={"N_total": total, "unique_tokens": round(unique)},
        source=f"{OWN}; epochs: arXiv:2305.16264 section 6", valid="N .07M-.4M", outside=outside(total, 7e4, 4.2e5),
    ))  # fmt: skip
    factor = float(choices.pick(
        "ladder.factor", 9.0, formula="FLOP of the top rung / largest FLOP below it", source="a forecast worth having",
    ))  # fmt: skip
    batch = ladder.choose_batch(choices, top, frame.context)
    if batch % frame.context:
        raise StudyError("'train.batch_tokens' is wrong", fix="write a multiple of it", where="[set]",
                         why=f"{batch} is not a multiple of the context {frame.context}")  # fmt: skip
    given = {int(name.rsplit(".", 1)[1]): value for name, value in choices.overrides.items()
             if name.startswith("ladder.tokens.")}  # fmt: skip
    for width, tokens in given.items():
        if width not in frame.widths:
            raise StudyError(f"'ladder.tokens.{width}' names no rung", why=f"the widths are {list(frame.widths)}",
                             fix="set ladder.widths too, or name one of those", where="[set]")  # fmt: skip
        choices.pick(f"ladder.tokens.{width}", list(tokens), unit="tokens")
    return batch, ladder.rungs(frame, top, factor, batch, given)


def _check_size(rungs: list[Rung], batch: int, corpus: Mapping[str, Any]) -> None:
    least = min(rung.tokens[0] for rung in rungs)
    if least < MIN_STEPS * batch:
        have = rungs[-1].tokens[-1]
        need = have * MIN_STEPS * batch / least
        raise Refused(Refusal(
            "the corpus is too small for a ladder",
            f"its shortest run would take {least // batch} steps of {batch} tokens, and {MIN_STEPS} are needed",
            f"bring about {show_count(need / have * corpus['split']['train_bytes'], 'bytes')} of training text, "
            "or set ladder.top_tokens and train.batch_tokens yourself",
        ))  # fmt: skip


def _recipe(choices: Choices, frame: Frame, rungs: list[Rung], batch: int, inputs: Inputs) -> dict[str, Any]:
    """Everything about training that all rungs share."""
    precision = dict(inputs.machine["precision"])
    chosen = choices.pick(
        "train.precision", f"body {precision['body']}, head {precision['head']}",
        formula="the faster of the measured steps", source=f"evidence/machine.json: {precision.get('why', '')}",
    )  # fmt: skip
    decay = float(choices.pick(
        "train.decay_fraction", 0.2, formula="share of a branch's tokens over which the rate falls to 0",
        source="Hu et al. 2024, arXiv:2404.06395: 10 % suffices; own ladders: 20 % better",
    ))  # fmt: skip
    warmup = recipe.warmup_of(choices, min(rung.tokens[0] for rung in rungs), decay, batch)
    return {
        "precision": _precision(str(chosen)),
        "batch": batch,
        "lr_scale": choices.pick(
            "train.lr_scale", 0.2, formula="hidden rate = scale / width (D / 4.5e5)^.307, D = the longest of its size",
            source=f"{OWN}; exponent of D: Step Law, arXiv:2503.04715", valid="width 16-128",
            outside=outside(max(frame.widths), 16, 128)),
        "lr_embedding": choices.pick("train.lr_embedding", 0.06, formula="constant", source=OWN, valid="width 16-128",
                                     outside=outside(max(frame.widths), 16, 128)),
        "warmup_tokens": warmup, "decay": decay,
        "weight_decay": choices.pick("train.weight_decay", 0.1, formula="constant, matrices only",
                                     source="Brown et al. 2020, arXiv:2005.14165, appendix B"),
        "seed": choices.pick("train.seed", 0, source="default"),
        "heldout_max_bytes": choices.pick("heldout.max_bytes", 1_000_000, unit="bytes",
                                          formula="held-out text that is judged", source="sampling error below .3 %"),
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
    ends = [round(tokens / recipe_["batch"]) for tokens in rung.tokens]
    decays = [max(1, round(recipe_["decay"] * end)) for end in ends]
    starts = [end - decay for end, decay in zip(ends, decays)]
    data = _data_identity(inputs.corpus, frame, recipe_)
    trunk = _spec(frame, rung, recipe_, seed_shift, data, steps=max(starts), decay_start=max(starts))
    made = [_experiment(inputs, trunk, "trunk", None, recipe_, rung, 0)]
    for end, start in zip(ends, starts):
        branch = _spec(
            frame, rung, recipe_, seed_shift, data, steps=end, decay_start=start,
            start={"kind": "branch", "run": trunk.run_id, "step": start},
        )  # fmt: skip
        made.append(_experiment(inputs, branch, "branch", trunk, recipe_, rung, start))
    return made


def _data_identity(corpus: Mapping[str, Any], frame: Frame, recipe_: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "data_sha256": corpus["data_sha256"], "split_sha256": digest(corpus["split"]),
        "tokenizer_sha256": corpus["tokenizer"]["sha256"], "vocabulary": frame.vocabulary,
        "heldout_max_bytes": recipe_["heldout_max_bytes"],
    }  # fmt: skip


def _spec(
    frame: Frame, rung: Rung, recipe_: Mapping[str, Any], seed_shift: int, data: Mapping[str, Any], *,
    steps: int, decay_start: int, start: Mapping[str, Any] | None = None,
) -> Spec:  # fmt: skip
    size: Size = rung.size
    return Spec(
        objective="clm", options={}, family=frame.family, size=size.json(), start=start or {"kind": "scratch"},
        data=data, batch_tokens=recipe_["batch"], steps=steps, decay_start=decay_start,
        warmup_steps=max(1, round(recipe_["warmup_tokens"] / recipe_["batch"])),
        lr_hidden=recipe_["lr_scale"] / size.width * (max(rung.tokens) / 4.5e5) ** 0.307, lr_embedding=recipe_["lr_embedding"], beta1=0.9, beta2=0.95,
        epsilon=1e-8, weight_decay=recipe_["weight_decay"], clip_norm=1.0, seed=recipe_["seed"] + seed_shift,
        precision=recipe_["precision"],
    )  # fmt: skip


def _experiment(
    inputs: Inputs, spec: Spec, kind: Any, trunk: Spec | None, recipe_: Mapping[str, Any], rung: Rung, skipped: int
) -> Experiment:
    shapes = SHAPES[spec.family]
    shape = shapes.shape(rung.size)
    flop, own = shapes.flop_per_token(shape), spec.tokens - skipped * spec.batch_tokens
    threads = _threads(inputs.machine, rung.held_out)
    pace = seconds_per_token(inputs.machine, flop, threads, spec.precision)
    count = shapes.params(shape)
    return Experiment(
        spec=spec, kind=kind, trunk=trunk.run_id if trunk else None, why=_why(kind, rung), gate=GATE,
        cost=Cost(flop=flop * spec.tokens, own_flop=flop * own, s=pace.value * own, s_low=pace.low * own,
                  s_high=pace.high * own,
                  memory_bytes=shapes.memory_bytes(shape, spec.batch_tokens, spec.precision)),
        held_out=rung.held_out, threads=threads, params=count._asdict() | {"total": count.total},
        baseline=trunk,
    )  # fmt: skip


def _why(kind: str, rung: Rung) -> str:
    if kind == "trunk":
        return "constant learning rate; its branches share these steps"
    return "forecast first, then measured: scores the law" if rung.held_out else "one (N, D) point of the law"


def _target(choices: Choices, frame: Frame, rungs: list[Rung], unique: float) -> dict[str, Any]:
    """The bigger run the study is about: 10x the top rung's compute unless said, N and D grown alike."""
    shapes = SHAPES[frame.family]
    top = rungs[-1]
    shape = shapes.shape(top.size)
    top_flop = shapes.flop_per_token(shape) * top.tokens[-1]
    flop = float(choices.pick("target.compute", 10 * top_flop, unit="flop", formula="10 x the top rung",
                              source="one decade beyond what was run", outside="10x above"))  # fmt: skip
    grow = (flop / top_flop) ** 0.5
    params, tokens = shapes.params(shape).total * grow, top.tokens[-1] * grow
    epochs = tokens / unique
    warning = f"needs {epochs:.1f} epochs of this corpus" if epochs > MAX_EPOCHS_TOLD else ""
    return {"name": "next", "params": params, "tokens": tokens, "flop": flop, "warning": warning,
            "why": "N and D grown alike (Hoffmann et al. 2022, arXiv:2203.15556, table 2: N ~ C^.5)"}  # fmt: skip


MAX_EPOCHS_TOLD = 1.0


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
