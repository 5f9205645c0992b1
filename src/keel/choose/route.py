"""Whether to train at all: use a released model, fine-tune it, continue its pretraining, start from scratch, or collect.

Each rule is a fact with its threshold; the first that holds decides, and every other route says why it was not taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from keel.catalog.rows import Model
from keel.choose.candidates import Candidate
from keel.choose.holdings import Holdings
from keel.choose.rank import Ranked, Shortlist
from keel.choose.weights import Weighed
from keel.units import show_count

Value = Literal["use", "fine-tune", "continue", "scratch", "collect"]
ROUTES: tuple[Value, ...] = ("use", "fine-tune", "continue", "scratch", "collect")
DAPT = "Gururangan et al. 2020, arXiv:2004.10964: gains from continued pretraining on 2-12 B tokens of a domain"
# The least that is worth going on with, by unit: conventions, below anything that was published to gain.
LEAST: Mapping[str, float] = {"tokens": 1e7, "images": 3e5, "pairs": 1e6}
LEAST_SOURCE: Mapping[str, str] = {
    "tokens": f"convention, below what was shown ({DAPT})",
    "images": "convention: a quarter of ImageNet-1k; below it self-supervision is an arm, not the route",
    "pairs": "convention, a third of CC3M, the smallest usual set; fewer are for fine-tuning",
}
LEAST_LABELS = 64.0
LABELS_SOURCE = "convention: 8 examples of each of a few classes (Tunstall et al. 2022, arXiv:2209.11055)"
LEAST_PAIRS = 1000.0  # a convention: fewer move a released model of pairs little
LEAST_SCRATCH: Mapping[str, float] = {"tokens": 1e8, "images": 1e6, "pairs": 3e6}
SCRATCH_SOURCE = "convention: less trains no model that is of use by itself"
# Uses that a released model serves without having been trained for them by the user.
AS_RELEASED: Mapping[str, frozenset[str]] = {
    "next-token": frozenset({"text-generation", "summarization", "question-answering", "zero-shot-classification"}),
    "instructed": frozenset({"summarization", "translation", "question-answering", "zero-shot-classification",
                             "text-generation"}),
    "translated": frozenset({"translation"}),
    "masked": frozenset({"fill-mask"}),
    "contrastive": frozenset({"image-text-retrieval", "zero-shot-image-classification", "image-feature-extraction"}),
    "contrastive-captioning": frozenset({"image-text-retrieval", "zero-shot-image-classification", "image-to-text"}),
    "matched": frozenset({"image-to-text", "image-text-retrieval"}),
    "bridged": frozenset({"image-to-text", "visual-question-answering", "image-text-to-text"}),
    "interleaved": frozenset({"image-to-text", "image-text-to-text", "visual-question-answering"}),
    "self-distilled": frozenset({"image-feature-extraction"}), "supervised": frozenset({"image-feature-extraction"}),
    "diffusion": frozenset({"text-to-image"}),
}  # fmt: skip


class Means(NamedTuple):
    """What there is to spend on fresh weights: FLOP, the size that they and the data support, and what binds."""

    flop: float | None
    params: float | None
    binds: str


class Route(NamedTuple):
    """`others`: each other route with why it was not taken."""

    value: Value
    why: str
    others: Mapping[str, str]


def decide(listed: Shortlist, cases: Sequence[Weighed], held: Holdings, means: Means, asked: str = "auto") -> Route:
    """The route; `asked` is [start] from: "scratch" or a named base is the user's choice."""
    facts = _facts(listed, cases, held, means)
    value = next(name for name in ("use", "scratch", "continue", "fine-tune", "collect") if facts[name][0])
    if asked == "scratch":
        why = f"yours ([start] from); keel would {value}: {facts[value][1]}"
        return Route("scratch", why, _others("scratch", facts))
    if asked != "auto":
        return Route("continue", f"yours ([start] from = {asked!r})", _others("continue", facts))
    return Route(value, facts[value][1], _others(value, facts))  # type: ignore[arg-type]


def thresholds(held: Holdings) -> tuple[tuple[str, float, str, str], ...]:
    """(route, least, unit, source) of what decides."""
    return (
        ("continue", LEAST[held.unit], held.unit, LEAST_SOURCE[held.unit]),
        ("scratch", LEAST_SCRATCH[held.unit], held.unit, SCRATCH_SOURCE),
        ("fine-tune", LEAST_LABELS, "labels", LABELS_SOURCE),
        ("fine-tune", LEAST_PAIRS, "pairs", "convention: fewer move a released model little"),
    )


def _others(value: str, facts: Mapping[str, tuple[bool, str]]) -> dict[str, str]:
    return {name: why for name, (_, why) in facts.items() if name != value}


def _facts(listed: Shortlist, cases: Sequence[Weighed], held: Holdings, means: Means) -> dict[str, tuple[bool, str]]:
    """By route: whether it holds, and why or why not."""
    base = listed.ranked[0] if listed.ranked else None
    enough, amount = _enough(held, LEAST), _amount(held)
    least = f"{show_count(LEAST[held.unit])} {held.unit}"
    name = base.candidate.model.id if base else ""
    return {
        "use": _use(base, cases, held, enough),
        "scratch": _scratch(listed, held, means),
        "continue": (
            base is not None and enough and not held.supervised,
            "no released model is left to go on from" if base is None
            else f"{amount} in pairs of input and output: they are examples to fine-tune on" if held.supervised
            else f"{amount} are enough to go on from {name}, which starts ahead of fresh weights" if enough
            else f"{amount}: too small to pretrain, {least} are wanted",
        ),
        "fine-tune": _fine_tune(base, cases, held, enough),
        "collect": (True, _collect(base, cases, held)),
    }  # fmt: skip


def _amount(held: Holdings) -> str:
    if held.unique is None:
        return f"how many {held.unit} there are is unknown"
    mark = " (stated, not measured)" if held.stated else ""
    return f"{show_count(held.unique.value)} {held.unit}{mark}"


def _enough(held: Holdings, least: Mapping[str, float]) -> bool:
    return held.unique is not None and held.unique.value >= least[held.unit]


def _examples(held: Holdings) -> bool:
    """Whether there is enough to fine-tune on."""
    pairs = held.pairs or (held.unique.value if held.unit == "pairs" and held.unique else 0.0)
    return (held.labels or 0) >= LEAST_LABELS or pairs >= LEAST_PAIRS


def _use(base: Ranked | None, cases: Sequence[Weighed], held: Holdings, enough: bool) -> tuple[bool, str]:
    if base is None:
        return False, "no released model is left"
    name = base.candidate.model.id
    if base.met:
        return True, f"{name} meets every acceptance metric that was recorded: nothing is left to train for"
    if enough or _examples(held) or not cases:
        return False, "data to train on is at hand, and no recorded score says that a release is enough as it is"
    ready = AS_RELEASED.get(base.candidate.kind, frozenset())
    if all(item.case.task in ready for item in cases):
        return True, f"{_amount(held)}: too small to pretrain; {name} serves these as it was released"
    return False, f"{name} needs examples of your own before it serves these"


def _scratch(listed: Shortlist, held: Holdings, means: Means) -> tuple[bool, str]:
    """Fresh weights where nothing released is left, or where more is at hand than went into every rival of that size."""
    able = _enough(held, LEAST_SCRATCH)
    if not listed.ranked:
        if able:
            return True, f"no released model is left to start from, and {_amount(held)} can train one"
        return False, f"{_amount(held)}: {show_count(LEAST_SCRATCH[held.unit])} are the least"
    if not able or means.flop is None or means.params is None:
        return False, "a released model starts ahead" + ("" if means.flop else "; no budget is said to set against it")
    if means.binds == "data":
        return False, "the data end before the budget does: fresh weights would not catch up with a released model"
    rivals = [item.candidate.model for item in listed.ranked] + [item.model for item in listed.grown]
    known = {
        model.id: spent for model in rivals if (spent := trained_flop(model)) and (model.params or 0) <= means.params
    }
    if unknown := [model.id for model in rivals if trained_flop(model) is None and (model.params or 0) <= means.params]:
        return False, f"what {', '.join(unknown[:3])} cost to train is unknown, and going on from a release costs less"
    if not known:
        return False, f"every released candidate is larger than the {show_count(means.params)} that you could train"
    most = max(known, key=lambda name: known[name])
    if means.flop > known[most]:
        return (
            True,
            f"{means.flop:.2g} FLOP are more than went into any candidate of that size ({most}: {known[most]:.2g})",
        )
    return False, f"{most} was trained with {known[most]:.2g} FLOP, and this budget buys {means.flop:.2g}"


def trained_flop(model: Model) -> float | None:
    """Training FLOP: published, else 6 x parameters x tokens seen; None where neither is known."""
    if model.train_flop:
        return model.train_flop
    if model.params and model.seen and model.seen_unit.startswith("B tokens"):
        return 6.0 * model.params * model.seen
    return None


def _fine_tune(base: Ranked | None, cases: Sequence[Weighed], held: Holdings, enough: bool) -> tuple[bool, str]:
    if base is None:
        return False, "no released model is left to fine-tune"
    if (held.labels or 0) >= LEAST_LABELS:
        return (
            True,
            f"{show_count(held.labels or 0)} labels, and {_amount(held)}: too small to pretrain on, enough to fine-tune",
        )
    if held.unit == "pairs" and held.unique and held.unique.value >= LEAST_PAIRS and not enough:
        return True, f"{_amount(held)}: enough to fine-tune a released model, too small to pretrain on"
    if held.supervised:
        return True, f"{_amount(held)} in pairs of input and output are examples of the use itself"
    if held.pairs and held.pairs >= LEAST_PAIRS:
        return True, f"{show_count(held.pairs)} pairs to fine-tune on; {_amount(held)} is too small to pretrain on"
    evals = [item.case.name for item in cases if item.case.eval]
    if evals and held.labels is None and not held.stated:
        return (
            True,
            f"{_amount(held)}: too small to pretrain on; the rows of {', '.join(evals)} can fine-tune {base.candidate.model.id}",
        )
    return (
        False,
        f"labels: {'unknown' if held.labels is None else show_count(held.labels)}; {LEAST_LABELS:.0f} are wanted",
    )


def _collect(base: Ranked | None, cases: Sequence[Weighed], held: Holdings) -> str:
    todo = ["label about 100 examples of each use case, half of them to judge by"] if cases else ["say the use cases"]
    if base is not None:
        todo.append(f"try {base.candidate.model.id} on them first: it costs nothing to train")
    todo.append(f"gather {show_count(LEAST[held.unit])} {held.unit} before pretraining is weighed again")
    if _enough(held, LEAST) or (held.labels or 0) >= LEAST_LABELS:
        return f"{_amount(held)} are at hand"
    return f"{_amount(held)}: too small to pretrain, and too few labels to fine-tune. What to do: " + "; ".join(todo)


def needs_growth(listed: Shortlist) -> str:
    """What the user is told of growth: it waits for a recorded metric."""
    base = listed.ranked[0].candidate.model if listed.ranked else None
    if base is None:
        return ""
    larger = ", ".join(_sized(item) for item in listed.grown[:3])
    return f"start with {base.id}; if a recorded score misses what you accept, grow to {larger}" if larger else ""


def _sized(item: Candidate) -> str:
    return f"{item.model.id} ({show_count(item.model.params)})" if item.model.params else item.model.id
