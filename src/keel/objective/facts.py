"""What each loss needs, unlocks and precludes, and how its models are judged: facts, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.objective.fact import Cite, Facts, Judge, Use, no_roles
from keel.objective.facts_captions import CAPTIONS
from keel.objective.facts_clusters import CLUSTERED
from keel.objective.facts_contrastive import CONTRASTIVE
from keel.objective.facts_images import IMAGES
from keel.objective.facts_instruct import INSTRUCT
from keel.objective.facts_mae import MASKED_IMAGES
from keel.objective.facts_maskvlm import MASKED_PAIRS
from keel.objective.facts_seq2seq import SEQ2SEQ, TWO_STACKS
from keel.objective.facts_views import VIEWS
from keel.objective.trained import judged_pairs, line_work, rtd_models, rtd_v3_models
from keel.objective.work import every_position, masked

__all__ = ["FACTS", "Cite", "Facts", "Judge", "Use", "no_roles"]


def masked_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """A mask, padding, and a first position whose state stands for the whole text."""
    return ("mask", "pad", "start")


def pair_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """A mask, padding, a first position for both texts, and what stands between them."""
    return ("mask", "pad", "start", "separator")


GPT = "Radford et al. 2019, Language Models are Unsupervised Multitask Learners"
FEW_SHOT = "Brown et al. 2020, arXiv:2005.14165"
BERT = "Devlin et al. 2019, arXiv:1810.04805, section 1"
BERT_PAIRS = "Devlin et al. 2019, arXiv:1810.04805, section 5.1"
ALBERT = "Lan et al. 2020, arXiv:1909.11942, sections 3.1 and 4.6"
ELECTRA = "Clark et al. 2020, arXiv:2003.10555, section 3"
DEBERTA_V3 = "He et al. 2021, arXiv:2111.09543, section 4"
XLM = "Lample and Conneau 2019, arXiv:1901.07291, section 5"
XLM_TLM = "Lample and Conneau 2019, arXiv:1901.07291, section 3.3"
SENTENCES = "Reimers and Gurevych 2019, arXiv:1908.10084, table 1"
BART = "Lewis et al. 2020, arXiv:1910.13461, section 1"
DECODERS = ("llama", "gpt2", "opt", "bloom")
ENCODERS = ("modernbert", "bert", "roberta", "xlm-roberta", "xlm", "albert", "electra", "deberta-v2", "bigbird")

DPR = "Karpukhin et al. 2020, arXiv:2004.04906"
MONO = "Nogueira and Cho 2019, arXiv:1901.04085"
MTEB = "Muennighoff et al. 2023, arXiv:2210.07316"
LASER = "Feng et al. 2022, arXiv:2007.01852"
EMBEDS: Mapping[Use, Cite] = {
    "retrieval": Cite("one vector a text, after a contrastive stage on pairs", DPR),
    "reranking": Cite("reads query and text together, after fine-tuning", MONO),
    "text-ranking": Cite("reads query and text together, after fine-tuning", MONO),
    "clustering": Cite("one vector a text, after a contrastive stage", MTEB),
    "pair-classification": Cite("reads both texts, after fine-tuning", SENTENCES),
    "sts": Cite("one vector a text, after a contrastive stage", SENTENCES),
    "bitext-mining": Cite("one vector a text in either language, after a contrastive stage on translations", LASER),
}
MASKED: Mapping[Use, Cite] = {
    "fill-mask": Cite("predicts hidden tokens from both sides", BERT),
    "text-classification": Cite("a state that has seen the whole text, after fine-tuning", BERT),
    "token-classification": Cite("every state has seen both sides, after fine-tuning", BERT),
    "question-answering": Cite("spans of the given text, after fine-tuning", BERT),
    "sentence-similarity": Cite("after a contrastive stage; its raw states are poor", SENTENCES),
    "feature-extraction": Cite("states of both sides", BERT),
    **EMBEDS,
}
TOLD_APART: Mapping[Use, Cite] = {
    "text-classification": Cite("a state that has seen the whole text, after fine-tuning", ELECTRA),
    "token-classification": Cite("every token is judged by itself in training", ELECTRA),
    "question-answering": Cite("spans of the given text, after fine-tuning", ELECTRA),
    "feature-extraction": Cite("states of both sides", ELECTRA),
    **EMBEDS,
}
NO_DECODER: Mapping[Use, Cite] = {
    "text-generation": Cite("gives no probability of a next token", BERT),
    "summarization": Cite("has no decoder", BART),
    "translation": Cite("has no decoder", BART),
}


def _mixture(options: Mapping[str, Any]) -> Facts:
    from keel.objective.held import mixture_facts

    return mixture_facts(options)


def _distil(options: Mapping[str, Any]) -> Facts:
    from keel.objective.held import distil_facts

    return distil_facts(options)


ANY = (*DECODERS, *ENCODERS, *TWO_STACKS)
# What these unlock is what the losses they hold unlock.
HOLDERS: Mapping[str, Facts] = {
    "mixture": Facts(
        needs=frozenset({"losses"}), unlocks={}, precludes={}, judge="bits_per_byte", families=ANY, of=_mixture
    ),
    "distil": Facts(
        needs=frozenset({"loss", "teacher"}), unlocks={}, precludes={}, judge="bits_per_byte", families=ANY, of=_distil
    ),
}

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
        unlocks=MASKED,
        precludes=NO_DECODER,
        judge="masked_bits_per_byte",
        families=ENCODERS,
        roles=masked_roles,
        work=masked,
    ),
    "nsp": Facts(
        needs=frozenset({"text"}),
        unlocks={
            **MASKED,
            "question-answering": Cite("a question and a text are a pair as in training", BERT_PAIRS),
        },
        precludes=NO_DECODER,
        judge="masked_bits_per_byte",
        families=("bert", "albert"),
        roles=pair_roles,
        reads="pairs",
        models=judged_pairs,
    ),
    "sop": Facts(
        needs=frozenset({"text"}),
        unlocks={**MASKED, "text-classification": Cite("of one text or of two, after fine-tuning", ALBERT)},
        precludes=NO_DECODER,
        judge="masked_bits_per_byte",
        families=("albert", "bert"),
        roles=pair_roles,
        reads="pairs",
        models=judged_pairs,
    ),
    "tlm": Facts(
        needs=frozenset({"parallel"}),
        unlocks={
            **MASKED,
            "text-classification": Cite("fine-tuned in one language, used in another", XLM),
        },
        precludes={**NO_DECODER, "translation": Cite("sees both sides and has no decoder", XLM_TLM)},
        judge="masked_bits_per_byte",
        families=("xlm", "xlm-roberta", "bert"),
        roles=pair_roles,
        reads="parallel",
        work=line_work,
    ),
    "rtd": Facts(
        needs=frozenset({"text"}),
        unlocks=TOLD_APART,
        precludes={**NO_DECODER, "fill-mask": Cite("says whether a token was replaced, not which it was", ELECTRA)},
        judge="replaced_bits_per_byte",
        families=("electra",),
        roles=masked_roles,
        models=rtd_models,
    ),
    "rtd-v3": Facts(
        needs=frozenset({"text"}),
        unlocks={**TOLD_APART, "token-classification": Cite("named entities, after fine-tuning", DEBERTA_V3)},
        precludes={**NO_DECODER, "fill-mask": Cite("says whether a token was replaced, not which it was", ELECTRA)},
        judge="replaced_bits_per_byte",
        families=("deberta-v2",),
        roles=masked_roles,
        models=rtd_v3_models,
    ),
    **SEQ2SEQ,
    **INSTRUCT,
    **IMAGES,
    **MASKED_IMAGES,
    **CONTRASTIVE,
    **CAPTIONS,
    **MASKED_PAIRS,
    **VIEWS,
    **CLUSTERED,
    **HOLDERS,
}
