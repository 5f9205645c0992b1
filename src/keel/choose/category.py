"""The one main category: what covers most of the use cases' weight, ties broken by data, latency and size, with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keel.choose.holdings import Holdings
from keel.choose.kind import CATEGORIES, STRONG, Category
from keel.choose.kinds import best_of, cites
from keel.choose.weights import Weighed
from keel.objective.fact import Cite, Use

REDLLM = "Zhang et al. 2025, arXiv:2510.26622"
OF_TEXT: tuple[Category, ...] = ("encoder", "decoder", "encoder-decoder")
# The categories that data of a modality can train; what draws images needs images with text.
TRAINABLE: Mapping[str, tuple[Category, ...]] = {
    "text": OF_TEXT, "vision": ("vision", "diffusion"), "vision-language": ("vision-language", "diffusion", "vision"),
}  # fmt: skip
DEFAULT: Mapping[str, Category] = {"text": "decoder", "vision": "vision", "vision-language": "vision-language"}
CLOSE = 1e-9
# A task whose name covers two things, of which the category does one.
PARTLY: Mapping[tuple[Category, Use], Cite] = {
    ("encoder", "question-answering"): Cite(
        "it finds answers that stand in the text; a written (generative) answer needs a decoder",
        "Devlin et al. 2019, arXiv:1810.04805, section 4.2",
    ),
}


class Chosen(NamedTuple):
    """`covers`: by category, the share of weight that its best kinds serve; `why` a sentence, `beside` what is near.

    `tied`: categories that cover as much, shown beside. `unserved`: use case, task and why the category cannot serve it.
    """

    category: Category
    why: str
    covers: Mapping[Category, float]
    beside: tuple[str, ...] = ()
    tied: tuple[Category, ...] = ()
    unserved: tuple[tuple[str, str, str], ...] = ()


def covers(cases: Sequence[Weighed]) -> dict[Category, float]:
    """sum_i w_i s_i / sum_i w_i, with s_i the most that a kind of the category serves use case i (1, .5 or 0)."""
    total = sum(item.weight for item in cases) or 1.0
    return {
        name: sum(item.weight * best_of(name, item.case.task) for item in cases) / total for name in CATEGORIES
    }  # fmt: skip


def choose(cases: Sequence[Weighed], held: Holdings) -> Chosen:
    """The category of most cover; ties by data, latency and size, never by the order of rules."""
    trainable = TRAINABLE[held.generic]
    if not cases:
        name = DEFAULT[held.generic]
        return Chosen(name, f"no use case is said: {name} is assumed of {held.modality} data", covers(cases))
    found = covers(cases)
    # What the data cannot train can still be used as it was released.
    most = max(found.values())
    near = [name for name in CATEGORIES if found[name] >= most - CLOSE]
    own = [name for name in near if name in trainable]
    if held.generic != "text" and own:
        near = own[:1]  # an image model for images, one of pairs for pairs
    elif own:
        near = own
    if len(near) == 1:
        return Chosen(near[0], _why(near[0], cases, found), found, _beside(near[0], cases, found, trainable))
    name, reason = _tie(near, cases, held)
    also = " and ".join(each for each in near if each != name)
    tied = tuple(each for each in near if each != name)
    return Chosen(name, f"{name} and {also} cover the same {_percent(most)} of the weight: {reason}", found,
                  _beside(name, cases, found, trainable), tied)  # fmt: skip


def _tie(near: Sequence[Category], cases: Sequence[Weighed], held: Holdings) -> tuple[Category, str]:
    """Data first, then latency, then size."""
    if "encoder" in near and _no_generation(cases):
        return "encoder", "nothing is to be written, and an encoder is the smallest that serves"
    if "encoder-decoder" in near:
        if held.modality in ("parallel", "instructions") or held.pairs:
            return "encoder-decoder", "data: pairs of input and output are at hand"
        if any(item.case.serve and item.case.serve.latency_ms for item in cases):
            return "encoder-decoder", f"latency: it reads the input once and is ahead when served ({REDLLM})"
        if "decoder" in near:
            return "decoder", f"size: with text alone a decoder costs less to pretrain for the same loss ({REDLLM})"
    return near[0], "the first of equals: nothing in the study tells them apart"


def _no_generation(cases: Sequence[Weighed]) -> bool:
    return all(best_of("encoder", item.case.task) == STRONG for item in cases)


def _why(name: Category, cases: Sequence[Weighed], found: Mapping[Category, float]) -> str:
    served = [item.case.name for item in cases if best_of(name, item.case.task) > 0]
    second = max((each for each in found if each != name), key=lambda each: found[each])
    return (f"{name} covers {_percent(found[name])} of the weight ({', '.join(served)}); "
            f"next is {second} with {_percent(found[second])}")  # fmt: skip


def _beside(name: Category, cases: Sequence[Weighed], found: Mapping[Category, float],
            trainable: Sequence[Category]) -> tuple[str, ...]:  # fmt: skip
    """Use cases that this category precludes, and others that claim them."""
    lines = []
    for item in cases:
        use, own = item.case.task, best_of(name, item.case.task)
        others = [each for each in CATEGORIES if each != name and best_of(each, use) > own]
        if others:
            against = next((cite.why for _, cite in cites(name, use)), "no source says it serves")
            lines.append(f"'{item.case.name}' ({use}) is served better by {' or '.join(others)}: of {name}, {against}")
        elif claim := [each for each in CATEGORIES if each != name and own and best_of(each, use) == own]:
            lines.append(f"'{item.case.name}' ({use}) is claimed by {' and '.join([name, *claim])}")
    if name not in trainable:
        lines.append(f"this data cannot train a {name} model: it is used as it was released")
    return tuple(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
