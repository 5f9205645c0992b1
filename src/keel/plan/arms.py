"""Arms: each is one change against a named run of the ladder, at the same FLOP; what follows from it is shown apart.

A loss arm changes the loss (its family, special tokens and steps follow), a family arm the architecture, an option arm
one option of the same loss. The arm `continue` changes the start: weights of a released base go on with their own
tokenizer, family and size. All arms have as many FLOP as their baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from keel.errors import Problem, StudyError, nearest
from keel.model.shapes import SHAPES, Size
from keel.objective import cost
from keel.objective.held import facts_of
from keel.objective.options import check
from keel.plan.captions import with_room
from keel.plan.defaults import Defaults, defaults_of, masking_rate
from keel.plan.experiment import Experiment
from keel.plan.family_arms import families_of, size_of
from keel.plan.fed import classes_of, fed_by, with_counts, with_judge
from keel.plan.frame import Inputs
from keel.plan.ladder import Frame
from keel.plan.losses import options_under, with_languages
from keel.plan.option_arms import default_of, sweeps_of
from keel.plan.recipe import Choices
from keel.plan.runs import MIN_STEPS, SCRATCH, Rates, data_of, experiment_of, length_of, own_data, rates_of, spec_of

OPTIONS = "arms.options."


class Arms(NamedTuple):
    """The arms, and what could not be one, with the reason."""

    runs: tuple[Experiment, ...]
    problems: tuple[Problem, ...]


class _Given(NamedTuple):
    """What every arm is made from."""

    inputs: Inputs
    choices: Choices
    frame: Frame
    recipe: Mapping[str, Any]
    baseline: Experiment


def arms_of(
    inputs: Inputs, choices: Choices, frame: Frame, recipe: Mapping[str, Any], ladder: Sequence[Experiment],
    offered: Sequence[str],
) -> Arms:  # fmt: skip
    """An arm for each loss that is offered beside the ladder's, and one that continues the base, where there is one.

    Raises:
        StudyError: [set] arms names a loss or a width that is not there.
    """
    names, families, sweeps = _losses(choices, frame, offered), families_of(choices, frame), sweeps_of(choices, frame)
    if not (names or families or sweeps) and inputs.base is None:
        return Arms((), ())
    given = _Given(inputs, choices, frame, recipe, _baseline(choices, ladder))
    made = [_loss_arm(given, name) for name in names] + [_family_arm(given, name) for name in families]
    made += [_option_arm(given, *each) for each in sweeps]
    if inputs.base is not None:
        made.append(_continued(given, inputs.base, [frame.loss, *names]))
    return Arms(
        tuple(arm for arm in made if isinstance(arm, Experiment)),
        tuple(arm for arm in made if isinstance(arm, Problem)),
    )


def _losses(choices: Choices, frame: Frame, offered: Sequence[str]) -> list[str]:
    others = [name for name in offered if name != frame.loss]
    if not others and "arms.losses" not in choices.overrides:
        return []
    names = choices.pick("arms.losses", others, formula="all that serve a use case, beside the ladder's",
                         source="facts of each loss, cited in plan.json")  # fmt: skip
    wrong = [name for name in names if name not in offered and ":" not in name]
    if wrong:
        raise StudyError.all(
            Problem(f"the loss '{name}' cannot be an arm", "it serves no use case, or the data cannot feed it",
                    nearest(name, offered) if offered else "name the use cases that it is for", "[set] arms.losses")
            for name in wrong
        )  # fmt: skip
    return [name for name in names if name != frame.loss]


def _baseline(choices: Choices, ladder: Sequence[Experiment]) -> Experiment:
    """The longest branch of one size: the largest below the held-out one unless said."""
    ends = [item for item in ladder if item.kind == "branch"]
    widths = sorted({item.spec.size["width"] for item in ends})
    below = [item.spec.size["width"] for item in ends if not item.held_out] or widths
    width = choices.pick("arms.width", max(below), formula="the widest rung below the held-out one",
                         source="1/9 of the top rung's compute: arms are many")  # fmt: skip
    if width not in widths:
        raise StudyError(f"arms.width is {width}", why=f"the ladder has no such width: {widths}", where="[set]",
                         fix="choose one of those")  # fmt: skip
    same = [item for item in ends if item.spec.size["width"] == width and item.spec.seed == ladder[0].spec.seed]
    return max(same, key=lambda item: item.cost.flop)


def _loss_arm(given: _Given, name: str) -> Experiment | Problem:
    """The baseline with another loss; one that wants an option said, or cannot be of this size, is no arm yet."""
    said = options_under(given.choices, f"{OPTIONS}{name}.")
    options: Mapping[str, Any] = said
    frame, base = given.frame, given.baseline
    try:
        options = with_judge(name, options, fed_by(given.inputs.study, given.inputs.corpus))
        facts = facts_of(name, options)
        options = with_languages(options, facts, given.inputs.study)
        options = with_counts(options, facts, given.inputs.corpus)
        if (rate := masking_rate(name, options)) is not None:
            options = {**options, "rate": rate}
        options = with_room(name, options, _row(given.inputs.corpus, frame.tokens))
        added = cost.special_tokens(name, options, frame.context)
    except StudyError as error:
        what, why, fix, _ = error.problems[0]
        return Problem(f"no arm for the loss {name}: {what}", why, fix, f"[set] {OPTIONS}{name}")
    family = base.spec.family if base.spec.family in facts.families else facts.families[0]
    vocabulary = frame.tokens + len(added)
    size = Size(**dict(base.spec.size) | {"vocabulary": vocabulary, "classes": 0})
    if problems := SHAPES[family].problems(size):
        return Problem(f"no arm for the loss {name}", f"{problems[0].what}: {problems[0].why}", problems[0].fix, "arms")
    size = replace(size, classes=classes_of(given.inputs.corpus, name, options, family, size))
    return _at_equal_flop(
        given, (name, options, family), size, own_data(given.inputs.corpus, given.recipe, family, frame.tokens),
        why=f"the loss {name} in place of {base.spec.objective}",
        free=("objective", "options") if said else ("objective",),
    )  # fmt: skip


def _row(corpus: Mapping[str, Any], vocabulary: int) -> Mapping[str, Any] | None:
    """What was measured of captions at this vocabulary; None where there are none."""
    rows = (row for row in corpus.get("tokens", ()) if row["vocabulary"] == vocabulary and "longest" in row)
    return next(rows, None)


def _family_arm(given: _Given, family: str) -> Experiment | Problem:
    """The baseline in another architecture, at its rates: nobody has measured those of every family."""
    frame, base = given.frame, given.baseline.spec
    size = size_of(frame, dict(base.size), family)
    if isinstance(size, Problem):
        return size
    return _at_equal_flop(
        given, (frame.loss, frame.options, family), size, base.data, free=("family",),
        why=f"the family {family} in place of {base.family}", rates=Rates(base.lr_hidden, base.lr_embedding),
    )  # fmt: skip


def _option_arm(given: _Given, name: str, value: Any) -> Experiment | Problem:
    """The baseline with one option of its loss changed."""
    frame, base = given.frame, given.baseline.spec
    options = {**frame.options, name: value}
    check(frame.loss, options, "[set] arms.sweep.")
    return _at_equal_flop(
        given, (frame.loss, options, base.family), Size(**base.size), base.data, free=("options",),
        why=f"{name} {value} in place of {default_of(frame, name)}", rates=Rates(base.lr_hidden, base.lr_embedding),
    )  # fmt: skip


def _continued(given: _Given, base: Mapping[str, Any], losses: Sequence[str]) -> Experiment | Problem:
    """The base goes on with the first loss that its family serves, in its own tokens."""
    serves = [name for name in losses if base["family"] in facts_of(name, {}).families]
    if not serves:
        return Problem("no arm continues the base", f"a {base['family']} serves none of: {', '.join(losses)}",
                       "choose a loss for it: [set] train.loss, or arms.losses", "[start] from")  # fmt: skip
    context, name = min(given.frame.context, base["size"]["context"]), serves[0]
    options = with_languages({}, facts_of(name, {}), given.inputs.study)
    if context < given.frame.context:
        return Problem("no arm continues the base", f"it has {context} positions, the ladder {given.frame.context}",
                       f"set model.context to {context}", "[start] from")  # fmt: skip
    added = [role for role in cost.special_tokens(name, options, context) if role not in base["tokenizer"]["roles"]]
    vocabulary = base["tokenizer"]["vocabulary"]
    size = Size(**dict(base["size"]) | {"context": context, "vocabulary": vocabulary + len(added)})
    data = data_of(given.inputs.corpus, given.recipe, base["tokenizer"]["sha256"], vocabulary)
    start = {"kind": "released", "folder": base["folder"], "sha256": base["sha256"], "only": "all"}
    rate = given.choices.pick(
        "start.lr", 5e-4, formula="constant, all weights",
        source="two own runs from MiniLM, no other rate tried: docs/lab-notebook.md",
        valid="22.7M parameters, 80-160 steps",
    )  # fmt: skip
    why = f"weights of {base['name']} go on, in place of fresh ones"
    return _at_equal_flop(
        given, (name, options, base["family"]), size, data, why=why, start=start, rates=Rates(rate, rate),
        free=("start", "data"),
    )  # fmt: skip


def _at_equal_flop(
    given: _Given, loss: tuple[str, Mapping[str, Any], str], size: Size, data: Mapping[str, Any], *, why: str,
    free: tuple[str, ...], start: Mapping[str, Any] = SCRATCH, rates: Rates | None = None,
) -> Experiment | Problem:  # fmt: skip
    """As many whole steps as the baseline's FLOP buy."""
    name, options, family = loss
    tokens = given.baseline.cost.flop / cost.flop_per_token(name, options, family, size)
    length = length_of(given.recipe, tokens)
    if length.steps < MIN_STEPS:
        return Problem(f"no arm: {why}", f"the FLOP of {given.baseline.id} buy {length.steps} steps of it",
                       f"set arms.width wider: {MIN_STEPS} steps are needed", "arms")  # fmt: skip
    warmup = min(given.recipe["warmup_tokens"], length.decay_start // 2 * given.recipe["batch"])
    recipe = {**given.recipe, "warmup_tokens": warmup, **_peaks(given.frame.defaults, defaults_of(name, options))}
    rates = rates or rates_of(recipe, size.width, tokens)
    spec = spec_of(loss, size, recipe, data, length=length, rates=rates, start=start)
    return experiment_of(given.inputs, spec, "single", why=why, baseline=given.baseline.spec, free=free)


def _peaks(ladder: Defaults, arm: Defaults) -> dict[str, float]:
    """Peak rates of an arm whose kind of loss has others than the ladder's; else nothing: it has the ladder's."""
    if arm is ladder:
        return {}
    return {"lr_scale": arm.lr_scale, "lr_growth": arm.lr_growth, "lr_embedding": arm.lr_embedding}


def total_of(arms: Sequence[Experiment], machine: Mapping[str, Any]) -> dict[str, Any]:
    """What all arms cost together, side by side on the free cores."""
    side = max(1, min(int(machine["cores_free"]), len(arms) or 1))
    return {"flop": sum(item.cost.own_flop for item in arms), "s": sum(item.cost.s for item in arms) / side}
