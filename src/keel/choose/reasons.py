"""The fact and the threshold behind each route, each with its reason in words whether it holds or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keel.catalog.rows import Model
from keel.choose.category import UNIT, trains
from keel.choose.holdings import STATED, Holdings
from keel.choose.kind import Category
from keel.choose.kinds import AS_RELEASED
from keel.choose.rank import Ranked, Shortlist
from keel.choose.weights import Weighed
from keel.laws.law import FLOP_PER_PARAM_TOKEN
from keel.units import show_count

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
LEAST_PAIRS = 1000.0
PAIRS_SOURCE = "convention: fewer move a released model little"
LEAST_SCRATCH: Mapping[str, float] = {"tokens": 1e8, "images": 1e6, "pairs": 3e6}
SCRATCH_SOURCE = "convention: less trains no model that is of use by itself"


class Fresh(NamedTuple):
    """What there is to spend on fresh weights: FLOP, the size that they and the data support, and what binds."""

    flop: float | None
    params: float | None
    binds: str


class Known(NamedTuple):
    """What a route is decided from. `name`: the base, which need not be listed where the user names a folder.

    `lost`: why no released model is left, where none is.
    """

    listed: Shortlist
    cases: tuple[Weighed, ...]
    held: Holdings
    category: Category
    fresh: Fresh
    name: str = ""
    lost: str = ""

    @property
    def base(self) -> Ranked | None:
        """The first of the shortlist, where it is the base."""
        first = self.listed.ranked[0] if self.listed.ranked else None
        return first if first is not None and first.candidate.model.id == self.name else None

    @property
    def fits(self) -> bool:
        """Whether the data can train the category."""
        return trains(self.held, self.category)

    @property
    def amount(self) -> str:
        """How much there is, in words."""
        unique = self.held.unique
        if unique is None:
            return f"how many {self.held.unit} there are is unknown"
        return f"{show_count(unique.value)} {self.held.unit}{f' ({STATED})' if self.held.stated else ''}"

    @property
    def unfit(self) -> str:
        """What is said where the data cannot train the category."""
        return f"{self.held.modality} data cannot train a {self.category} model"

    @property
    def examples(self) -> bool:
        """Whether there is enough to fine-tune on."""
        held = self.held
        many = (held.labels or 0) >= LEAST_LABELS or _pairs(held) >= LEAST_PAIRS or bool(_rows(held))
        return self.fits and many

    def enough(self, least: Mapping[str, float]) -> bool:
        """Whether there is as much as `least` of what the category is trained on; unknown is not enough."""
        return self.fits and self.held.unique is not None and self.held.unique.value >= least[self.held.unit]


class Reason(NamedTuple):
    """Whether a route's fact holds, and why or why not."""

    holds: bool
    why: str


def thresholds(held: Holdings) -> tuple[tuple[str, float, str, str], ...]:
    """(route, least, unit, source) of what decides."""
    return (
        ("continue", LEAST[held.unit], held.unit, LEAST_SOURCE[held.unit]),
        ("scratch", LEAST_SCRATCH[held.unit], held.unit, SCRATCH_SOURCE),
        ("fine-tune", LEAST_LABELS, "labels", LABELS_SOURCE),
        ("fine-tune", LEAST_PAIRS, "pairs", PAIRS_SOURCE),
    )


def use(known: Known) -> Reason:
    """A release that meets what is accepted, or that serves as it is where nothing can be trained."""
    if not known.name:
        return Reason(False, known.lost)
    if known.base is not None and known.base.met:
        return Reason(True, f"{known.name} meets what every use case accepts, by your own recorded scores: nothing is "
                            "left to train for")  # fmt: skip
    if known.enough(LEAST) or known.examples or not known.cases:
        return Reason(False, "no recorded score says that a release is enough as it is")
    ready = AS_RELEASED.get(known.base.candidate.kind, frozenset()) if known.base is not None else frozenset()
    if all(item.case.task in ready for item in known.cases):
        return Reason(True, f"{_short_of(known, LEAST)}; {known.name} serves these as it was released")
    return Reason(False, f"{known.name} needs examples of your own before it serves these")


def scratch(known: Known) -> Reason:
    """Fresh weights where nothing released is left, or where the budget is more than went into every rival."""
    flop, params = known.fresh.flop, known.fresh.params
    if not known.enough(LEAST_SCRATCH):
        return Reason(False, _short_of(known, LEAST_SCRATCH))
    if not known.name:
        return Reason(True, f"{known.lost}, and {known.amount} can train a new one")
    if flop is None or params is None:
        return Reason(False, "a released model starts ahead, and no budget is known to set against it")
    if known.fresh.binds == "data":
        return Reason(False, "the data end before the budget does, and a released model starts ahead")
    rivals = [item.candidate.model for item in known.listed.ranked] + [item.model for item in known.listed.grown]
    return _outspent([model for model in rivals if (model.params or 0) <= params], flop, params)


def _outspent(rivals: Sequence[Model], flop: float, params: float) -> Reason:
    """Whether the budget is more than what went into each rival; a rival of unknown cost is not outspent."""
    spent = {model.id: trained_flop(model) for model in rivals}
    if unknown := [name for name, each in spent.items() if each is None]:
        return Reason(False, f"what {', '.join(unknown[:3])} cost to train is unknown, and so whether this budget is "
                             "more")  # fmt: skip
    if not spent:
        return Reason(False, f"every released candidate is larger than the {show_count(params)} that you could train")
    name, most = max(((name, each) for name, each in spent.items() if each is not None), key=lambda pair: pair[1])
    if flop > most:
        return Reason(True, f"{flop:.2g} FLOP are more than went into any candidate of that size ({name}: {most:.2g})")
    return Reason(False, f"{name} was trained with {most:.2g} FLOP, and this budget buys {flop:.2g}")


def trained_flop(model: Model) -> float | None:
    """Training FLOP: published, else 6 x parameters x tokens seen; None where neither is known."""
    if model.train_flop:
        return model.train_flop
    if model.params and model.seen and model.seen_unit.startswith("B tokens"):
        return FLOP_PER_PARAM_TOKEN * model.params * model.seen
    return None


def go_on(known: Known) -> Reason:
    """Enough unlabelled data to go on with the pretraining of a release."""
    if not known.name:
        return Reason(False, known.lost)
    if not known.enough(LEAST):
        return Reason(False, _short_of(known, LEAST))
    if known.held.supervised:
        return Reason(False, f"{known.amount} in pairs of input and output: they are examples to fine-tune on")
    return Reason(True, f"{known.amount} are enough to go on from {known.name}, which starts ahead of fresh weights")


def fine_tune(known: Known) -> Reason:
    """Examples of the use itself: labels, pairs, or rows of the eval files that are learnt from."""
    held = known.held
    if not known.name:
        return Reason(False, known.lost)
    if not known.fits:
        return Reason(False, known.unfit)
    less = "" if known.enough(LEAST) else f"; {_short_of(known, LEAST)}"
    if (held.labels or 0) >= LEAST_LABELS:
        return Reason(True, f"{show_count(held.labels or 0)} labels are enough to fine-tune {known.name}{less}")
    if _pairs(held) >= LEAST_PAIRS:
        what = "pairs of input and output, examples of the use itself," if held.supervised else "pairs"
        return Reason(True, f"{show_count(_pairs(held))} {what} are enough to fine-tune {known.name}{less}")
    if rows := _rows(held):
        return Reason(True, f"{rows} can fine-tune {known.name}{less}")
    labels = "how many labels there are is not said" if held.labels is None else f"{show_count(held.labels)} labels"
    pairs = f", {show_count(_pairs(held))} pairs" if _pairs(held) else ""
    return Reason(False, f"{labels}{pairs}; {LEAST_LABELS:.0f} labels or {show_count(LEAST_PAIRS)} pairs are wanted")


def collect(known: Known) -> Reason:
    """Nothing else holds: what to do. It always holds, as the last."""
    if known.name and (known.enough(LEAST) or known.examples):
        return Reason(True, f"{known.amount} are at hand already")
    label = "label about 100 examples of each use case, half of them to judge by"
    todo = [label if known.cases else "say the use cases"]
    if known.name:
        todo.append(f"try {known.name} on them first: it costs nothing to train")
    unit, least = UNIT[known.category], LEAST if known.name else LEAST_SCRATCH
    todo.append(f"gather {show_count(least[unit])} {unit} before pretraining is weighed again")
    lost = "" if known.name else f"{known.lost}; "
    return Reason(True, f"{lost}{_short_of(known, least)}. What to do: {'; '.join(todo)}")


def _short_of(known: Known, least: Mapping[str, float]) -> str:
    """What is wanting of the data for a route that pretrains."""
    if not known.fits:
        return known.unfit
    wanted = f"{show_count(least[known.held.unit])} {known.held.unit}"
    if known.held.unique is None:
        return f"{known.amount}, and {wanted} are wanted to pretrain"
    return f"{known.amount}: too small to pretrain, {wanted} are wanted"


def _pairs(held: Holdings) -> float:
    return held.pairs or (held.unique.value if held.unit == "pairs" and held.unique else 0.0)


def _rows(held: Holdings) -> str:
    """Eval files with enough rows to learn from, in words; one that is not counted yet is large."""
    found = {name: number for name, number in held.rows.items() if number is None or number >= LEAST_LABELS}
    return " and ".join(f"the rows of '{name}', not counted yet," if number is None
                        else f"{show_count(number)} rows of '{name}'" for name, number in found.items())  # fmt: skip
