"""What each loss needs, unlocks and precludes, and how its models are judged: facts, no torch.

Uses are task names of the Hugging Face Hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Judge = Literal["bits_per_byte"]
Use = str


class Cite(NamedTuple):
    """Why a fact holds, and who says so."""

    why: str
    source: str


class Facts(NamedTuple):
    """A loss, as far as a plan must know it.

    `judge` is comparable across sizes; `group` is the number of samples that must stay together in a batch.
    """

    needs: frozenset[str]
    unlocks: Mapping[Use, Cite]
    precludes: Mapping[Use, Cite]
    judge: Judge
    group: int = 1


GPT = "Radford et al. 2019, Language Models are Unsupervised Multitask Learners"
FEW_SHOT = "Brown et al. 2020, arXiv:2005.14165"
BERT = "Devlin et al. 2019, arXiv:1810.04805, section 1"

FACTS: Mapping[str, Facts] = {
    "clm": Facts(
        needs=frozenset({"text"}),
        unlocks={
            "text-generation": Cite("predicts the next token, so it can be sampled", GPT),
            "summarization": Cite("by continuation after the document", GPT),
            "question-answering": Cite("by continuation after the question", FEW_SHOT),
            "translation": Cite("by continuation, at scale", FEW_SHOT),
            "text-classification": Cite("by scoring the labels as continuations", FEW_SHOT),
            "zero-shot-classification": Cite("by scoring the labels as continuations", FEW_SHOT),
        },
        precludes={
            "fill-mask": Cite("sees only what stands to the left", BERT),
            "token-classification": Cite("a token's label cannot depend on what follows it", BERT),
        },
        judge="bits_per_byte",
    ),
}
