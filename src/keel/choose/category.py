"""The one main category: what covers most of the use cases' weight; ties go by data, latency and size, with reasons."""

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
# The categories that data of a modality can train, what it is made for first.
TRAINABLE: Mapping[str, tuple[Category, ...]] = {
    "text": OF_TEXT, "vision": ("vision", "diffusion"), "vision-language": ("vision-language", "diffusion", "vision"),
}  # fmt: skip
DEFAULT: Mapping[str, Category] = {"text": "decoder", "vision": "vision", "vision-language": "vision-language"}
# What a category is trained on.
UNIT: Mapping[Category, str] = dict.fromkeys(OF_TEXT, "tokens") | {
    "vision": "images", "vision-language": "pairs", "diffusion": "pairs",
}  # fmt: skip
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

    `tied`: categories that cover as much and that the data can train too, shown beside.
    """

    category: Category
    why: str
    covers: Mapping[Category, float]
    beside: tuple[str, ...] = ()
    tied: tuple[Category, ...] = ()


def trains(held: Holdings, category: Category) -> bool:
    """Whether the data can train a category; what they cannot train can still be used as it was released."""
    return category in TRAINABLE[held.generic]


def covers(cases: Sequence[Weighed]) -> dict[Category, float]:
    """sum_i w_i s_i / sum_i w_i, with s_i the most that a kind of the category serves use case i (1, .5 or 0).

    Example:
        >>> from keel.choose.weights import weigh
        >>> from keel.study import UseCase
        >>> said = [UseCase(name="find", task="retrieval"), UseCase(name="draft", task="text-generation")]
        >>> found = covers(weigh(said))
        >>> found["encoder"], found["decoder"]  # search weighs 3
        (0.75, 0.625)
    """
    total = sum(item.weight for item in cases) or 1.0
    return {
        name: sum(item.weight * best_of(name, item.case.task) for item in cases) / total for name in CATEGORIES
    }  # fmt: skip


def choose(cases: Sequence[Weighed], held: Holdings) -> Chosen:
    """The category of most cover; ties by data, latency and size, never by the order of rules."""
    found = covers(cases)
    if not cases:
        name = DEFAULT[held.generic]
        return Chosen(name, f"no use case is said: {name} is assumed of {held.modality} data", found)
    most = max(found.values())
    near = [name for name in CATEGORIES if found[name] >= most - CLOSE]
    if len(near) == 1:
        return _chosen(near[0], _most(near[0], cases, found), cases, held)
    own = [name for name in TRAINABLE[held.generic] if name in near]
    name, reason = _tie(own, cases, held) if own else _tie_released(near, cases, held)
    also = " and ".join(each for each in near if each != name)
    tied = tuple(each for each in own or near if each != name) if name in OF_TEXT else ()
    return _chosen(
        name, f"{name} and {also} cover the same {_percent(most)} of the weight: {reason}", cases, held, tied
    )


def forced(found: Chosen, category: Category, whose: str, cases: Sequence[Weighed], held: Holdings) -> Chosen:
    """The category that the user names, with what keel would choose."""
    return _chosen(category, f"yours ({whose}); keel would choose {found.category}: {found.why}", cases, held)


def _chosen(name: Category, why: str, cases: Sequence[Weighed], held: Holdings,
            tied: tuple[Category, ...] = ()) -> Chosen:  # fmt: skip
    return Chosen(name, why, covers(cases), _beside(name, cases, held), tied)


def _tie(own: Sequence[Category], cases: Sequence[Weighed], held: Holdings) -> tuple[Category, str]:
    """Among those that the data can train: data first, then latency, then size."""
    if len(own) == 1 or held.generic != "text":
        return own[0], f"data: {held.modality} is what trains it"
    if "encoder-decoder" in own and not _reads_alone(own, cases) and (held.supervised or held.pairs):
        return "encoder-decoder", "data: pairs of input and output are at hand"
    if found := _served(own, cases):
        return found
    if {"decoder", "encoder-decoder"} <= set(own):
        return "decoder", f"size: with text alone a decoder costs less to pretrain for the same loss ({REDLLM})"
    return own[0], "the first of equals: nothing in the study tells them apart"


def _tie_released(near: Sequence[Category], cases: Sequence[Weighed], held: Holdings) -> tuple[Category, str]:
    """Among those that the data cannot train, and that are used as they were released."""
    return _served(near, cases) or (near[0], f"the first of equals: {held.modality} data train none of them")


def _served(near: Sequence[Category], cases: Sequence[Weighed]) -> tuple[Category, str] | None:
    """What is ahead when it is served; None where that tells nothing."""
    if _reads_alone(near, cases):
        return "encoder", "nothing is to be written, and an encoder is the smallest that serves"
    if "encoder-decoder" in near and any(item.case.serve and item.case.serve.latency_ms for item in cases):
        return "encoder-decoder", f"latency: it reads the input once and is ahead when served ({REDLLM})"
    return None


def _reads_alone(near: Sequence[Category], cases: Sequence[Weighed]) -> bool:
    """Whether an encoder is made for every use case."""
    return "encoder" in near and all(best_of("encoder", item.case.task) == STRONG for item in cases)


def _most(name: Category, cases: Sequence[Weighed], found: Mapping[Category, float]) -> str:
    served = [item.case.name for item in cases if best_of(name, item.case.task) > 0]
    second = max((each for each in found if each != name), key=lambda each: found[each])
    return (f"{name} covers {_percent(found[name])} of the weight ({', '.join(served)}); "
            f"next is {second} with {_percent(found[second])}")  # fmt: skip


def _beside(name: Category, cases: Sequence[Weighed], held: Holdings) -> tuple[str, ...]:
    """Use cases that others serve better, or as well; and whether the data can train it."""
    lines = []
    for item in cases:
        use, own = item.case.task, best_of(name, item.case.task)
        better = [each for each in CATEGORIES if each != name and best_of(each, use) > own]
        equal = [each for each in CATEGORIES if each != name and own and best_of(each, use) == own]
        said = f"'{item.case.name}' ({use})"
        if better:
            against = next((cite.why for _, cite in cites(name, use)), "no source says it serves")
            lines.append(f"{said} is served better by {' or '.join(better)}: of {name}, {against}")
        elif equal:
            lines.append(f"{said} is claimed by {' and '.join([name, *equal])}")
    if not trains(held, name):
        lines.append(f"{held.modality} data cannot train a {name} model: it is used as it was released")
    return tuple(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
