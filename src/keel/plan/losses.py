"""Which losses the use cases allow, with what each unlocks and precludes; and the one the ladder is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keel.choose.kinds import KINDS
from keel.choose.weights import weigh
from keel.errors import StudyError, nearest
from keel.objective.cost import special_tokens
from keel.objective.facts import FACTS, Cite, Facts
from keel.objective.held import facts_of
from keel.objective.options import check
from keel.plan.defaults import defaults_of, masking_rate
from keel.plan.fed import LABELS, WHY_LABELS, asks, fed_by, with_counts, with_judge
from keel.plan.recipe import Choices
from keel.study import Study

OPTIONS = "train.options."
# By kind of data: the losses where no use case asks for one, the first that can be fed; how a study says its kind.
DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "text": ("clm",),
    "parallel": ("translation",),
    "instructions": ("instruct",),
    "images": ("classify", "mae"),
    "image-text": ("clip",),
}
SAID: Mapping[str, str] = {
    "text": "name plain text: [data] train = ...",
    "parallel": "name pairs of lines: [data] parallel = { en = ..., de = ... }",
    "instructions": "name instructions: [data] train, prompt and answer",
    "images": "name images: [data] image",
    LABELS: "name labels for some images, which the loss itself need not see: [data] label",
    "image-text": "name images with captions: [data] image and text",
}


class Loss(NamedTuple):
    """A loss, its options and the family that serves it."""

    name: str
    options: Mapping[str, Any]
    family: str


def loss_of(
    study: Study, choices: Choices, category: str = "", corpus: Mapping[str, Any] | None = None
) -> Loss:  # fmt: skip
    """The ladder's loss: the user's, else of the category the one that unlocks most weight, the first of equals.

    `corpus` is what was measured of the data.

    Raises:
        StudyError: an unknown loss; one that the data cannot feed; a family that cannot serve it; options that a run
            would refuse.
    """
    offered, fed = proposals(study, category, corpus), fed_by(study, corpus)
    fitting = [name for name in DEFAULTS.get(study.data.kind, ()) if asks(FACTS[name]) <= fed]
    name = str(choices.pick(
        "train.loss", next((item["loss"] for item in offered), next(iter(fitting), "")),
        formula="of the category, unlocks the most weight of use cases",
        inputs={item["loss"]: item["weight"] for item in offered}, source="facts of each loss, cited in plan.json",
    ))  # fmt: skip
    if name not in FACTS and ":" not in name:
        raise StudyError("unknown loss", why=f"found {name!r}", fix=nearest(name, FACTS), where="[set] train.loss")
    said = options_under(choices, OPTIONS)
    options = with_judge(name, said, fed)
    if options is not said:
        choices.pick(OPTIONS + "judged", options["judged"], formula="by labels where there are some", source=WHY_LABELS)
    facts = facts_of(name, options)
    _check_fed(name, facts, fed, study)
    families = facts.families
    family = str(choices.pick("model.family", families[0], formula="the first that serves the loss", source="default"))
    if family not in families:
        raise StudyError(
            f"the family '{family}' cannot serve the loss '{name}'", why=f"it needs one of: {', '.join(families)}",
            fix=nearest(family, families), where="[set] model.family",
        )  # fmt: skip
    settled = with_languages(options, facts, study)
    if settled is not options:
        choices.pick(OPTIONS + "languages", settled["languages"], formula="source, target", source="[data] parallel")
    counted = with_counts(settled, facts, corpus)
    for option, rule in facts.counted.items():
        if counted.get(option) != settled.get(option):
            choices.pick(OPTIONS + option, counted[option], formula=rule.formula, source=rule.source)
    settled = counted
    if (rate := masking_rate(name, settled)) is not None:
        choices.pick(OPTIONS + "rate", rate, formula="share of tokens to predict", valid="width 16-64",
                     source=defaults_of(name, settled).masking_source)  # fmt: skip
        settled = {**settled, "rate": rate}
    check(name, settled, f"[set] {OPTIONS}")
    return Loss(name, settled, family)


def _check_fed(name: str, facts: Facts, fed: frozenset[str], study: Study) -> None:
    lacking, kind = sorted(asks(facts) - fed), study.data.kind
    if not lacking:
        return
    reads = [need for need in lacking if need != LABELS]
    why = [f"it reads {' and '.join(reads)}, and [data] is {kind}"] if reads else []
    if LABELS in lacking:
        why.append(f"{WHY_LABELS}, and [data] has no two classes")
    raise StudyError(
        f"the data cannot feed the loss '{name}'", why="; ".join(why),
        fix="; ".join(SAID.get(need, f"bring {need}") for need in lacking) + "; or choose another loss",
        where="[set] train.loss",
    )  # fmt: skip


def options_under(choices: Choices, lead: str) -> dict[str, Any]:
    """Options that [set] gives under `lead`, each recorded as yours; dotted names are tables within tables.

    Example:
        >>> options_under(Choices({"train.options.of.loss": "clm", "train.options.alpha": 0.5}), OPTIONS)
        {'of': {'loss': 'clm'}, 'alpha': 0.5}
    """
    found: dict[str, Any] = {}
    for name, value in choices.overrides.items():
        if not name.startswith(lead):
            continue
        *tables, last = name[len(lead) :].split(".")
        table = found
        for each in tables:
            table = table.setdefault(each, {})
            if not isinstance(table, dict):
                raise StudyError(f"'{name}' is within an option that has a value", why=f"'{each}' is {table!r}",
                                 fix="give it once, as a table or as a value", where="[set]")  # fmt: skip
        table[last] = choices.pick(name, value)
    return found


def with_languages(options: Mapping[str, Any], facts: Facts, study: Study) -> Mapping[str, Any]:
    """Options of a loss on pairs of lines: the languages of [data], unless they are said."""
    if facts.reads != "parallel" or "languages" in options:
        return options
    return {**options, "languages": list(study.data.sides)}


def proposals(
    study: Study, category: str = "", corpus: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:  # fmt: skip
    """Every loss that unlocks a use case and can be trained on this data: the category's first, then by weight.

    Equals stand in table order.
    """
    fed = fed_by(study, corpus)
    able = {name: facts_of(name, with_judge(name, {}, fed)) if facts.needs <= fed else facts
            for name, facts in FACTS.items()}  # fmt: skip
    found = [_proposal(name, facts, study) for name, facts in able.items() if asks(facts) <= fed]
    own = {name for kind in KINDS.values() if kind.category == category for name in kind.losses}
    return sorted((item for item in found if item["unlocks"]),
                  key=lambda item: (item["loss"] not in own, -item["weight"]))  # fmt: skip


def _proposal(name: str, facts: Facts, study: Study) -> dict[str, Any]:
    def cited(cites: Mapping[str, Cite]) -> list[dict[str, str]]:
        return [
            {"use_case": case.name, "task": case.task, **cites[case.task]._asdict()}
            for case in study.use_case if case.task in cites
        ]  # fmt: skip

    return {
        "loss": name, "families": list(facts.families), "judge": facts.judge,
        "weight": sum(item.weight for item in weigh(study.use_case) if item.case.task in facts.unlocks),
        "unlocks": cited(facts.unlocks), "precludes": cited(facts.precludes),
    }  # fmt: skip


def show_added(loss: str, options: Mapping[str, Any], context: int) -> list[str]:
    """What a loss adds to the tokenizer, as a line; numbered tokens as a range.

    Example:
        >>> show_added("mlm", {}, 128)
        ['adds    3 special tokens to the tokenizer, each a fresh row of the model: mask, pad, start']
    """
    roles = special_tokens(loss, options, context)
    if not roles:
        return []
    kinds: dict[str, list[str]] = {}
    for role in roles:
        kinds.setdefault(role.rstrip("0123456789"), []).append(role)
    names = [names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}" for names in kinds.values()]
    number = "1 special token" if len(roles) == 1 else f"{len(roles)} special tokens"
    return [f"adds    {number} to the tokenizer, each a fresh row of the model: {', '.join(names)}"]


def show(losses: Sequence[Mapping[str, Any]], chosen: str, cited: bool) -> list[str]:
    """A line a proposed loss; with `cited` what it unlocks and precludes, why, and who says so."""
    lines = []
    for item in losses:
        mark = "->" if item["loss"] == chosen else "  "
        uses = ", ".join(cite["use_case"] for cite in item["unlocks"])
        against = ", ".join(cite["use_case"] for cite in item["precludes"])
        lines.append(f"loss {mark} {item['loss']:<16} serves {uses}" + (f"; precludes {against}" if against else ""))
        if cited:
            for word, cites in (("unlocks", item["unlocks"]), ("precludes", item["precludes"])):
                lines += [f"        {word} {cite['task']}: {cite['why']} ({cite['source']})" for cite in cites]
    return lines
