"""What each loss needs, unlocks and precludes, and how its models are judged: facts, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.objective.fact import Cite, Facts, Judge, Use, no_roles
from keel.objective.work import every_position, masked

__all__ = ["FACTS", "Cite", "Facts", "Judge", "Use", "no_roles"]


def masked_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """A mask, padding, and a first position whose state stands for the whole text."""
    return ("mask", "pad", "start")


GPT = "Radford et al. 2019, Language Models are Unsupervised Multitask Learners"
FEW_SHOT = "Brown et al. 2020, arXiv:2005.14165"
BERT = "Devlin et al. 2019, arXiv:1810.04805, section 1"

SENTENCES = "Reimers and Gurevych 2019, arXiv:1908.10084, table 1"
BART = "Lewis et al. 2020, arXiv:1910.13461, section 1"
DECODERS = ("llama", "gpt2", "opt", "bloom")
ENCODERS = ("modernbert", "bert", "roberta", "xlm-roberta", "xlm", "albert", "electra", "deberta-v2", "bigbird")

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
        families=DECODERS,
        work=every_position,
    ),
    "mlm": Facts(
        needs=frozenset({"text"}),
        unlocks={
            "fill-mask": Cite("predicts hidden tokens from both sides", BERT),
            "text-classification": Cite("a state that has seen the whole text, after fine-tuning", BERT),
            "token-classification": Cite("every state has seen both sides, after fine-tuning", BERT),
            "question-answering": Cite("spans of the given text, after fine-tuning", BERT),
            "sentence-similarity": Cite("after a contrastive stage; its raw states are poor", SENTENCES),
            "feature-extraction": Cite("states of both sides", BERT),
        },
        precludes={
            "text-generation": Cite("gives no probability of a next token", BERT),
            "summarization": Cite("has no decoder", BART),
            "translation": Cite("has no decoder", BART),
        },
        judge="masked_bits_per_byte",
        families=ENCODERS,
        roles=masked_roles,
        work=masked,
    ),
}
