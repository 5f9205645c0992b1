"""Facts of instruction mixtures; see `facts.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.objective.fact import Cite, Facts, Use
from keel.objective.facts_seq2seq import TWO_STACKS
from keel.objective.room import PAIR

FLAN = "Wei et al. 2021, arXiv:2109.01652"
SCALED = "Chung et al. 2022, arXiv:2210.11416"
ONE_STACK = ("llama", "gpt2", "opt", "bloom")


def roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """Two stacks pad and start; one stack needs nothing beyond the separator, which also fills its rows."""
    return PAIR if options.get("stacks", 1) == 2 else ()


def _asked(*uses: Use) -> Mapping[Use, Cite]:
    why = "asked for in words, also where no such task was trained on, in models that are large enough"
    return {use: Cite(why, f"{FLAN}, abstract and section 4.2") for use in uses}


INSTRUCT: Mapping[str, Facts] = {
    "instruct": Facts(
        needs=frozenset({"instructions"}),
        unlocks=_asked("text-generation", "question-answering", "zero-shot-classification", "text-classification",
                       "summarization", "translation"),
        precludes={"fill-mask": Cite("no token of its prompt is ever hidden", f"{SCALED}, section 2")},
        judge="target_bits_per_byte", families=(*ONE_STACK, *TWO_STACKS), roles=roles, reads="instructions",
    ),
}  # fmt: skip
