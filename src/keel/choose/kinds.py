"""Every way of pretraining in the catalogue: what it unlocks and precludes. A new one is an entry here and a line in OF.

What keel's own losses say of themselves (objective/facts.py) is taken from there; the rest is cited here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from keel.catalog.rows import Model
from keel.choose.kind import Category, Kind
from keel.choose.kinds_vision import VISION
from keel.objective.fact import Cite, Use
from keel.objective.facts import EMBEDS, FACTS, NO_DECODER

GPT3 = "Brown et al. 2020, arXiv:2005.14165"
SGPT = "Muennighoff 2022, arXiv:2202.08904"
E5 = "Wang et al. 2024, arXiv:2401.00368"
T5 = "Raffel et al. 2020, arXiv:1910.10683"
TAPAS = "Herzig et al. 2020, arXiv:2004.02349"
FID = "Izacard and Grave 2021, arXiv:2007.01282"
FLAN = "Chung et al. 2022, arXiv:2210.11416"
M2M = "Fan et al. 2020, arXiv:2010.11125"
ENTAILMENT = "Yin et al. 2019, arXiv:1909.00161"

TABLES: Mapping[Use, Cite] = {"table-question-answering": Cite("cells chosen, after fine-tuning on tables", TAPAS)}
AT_SCALE: Mapping[Use, Cite] = {
    use: Cite("after a contrastive stage; published ones that lead are several billion parameters", E5) for use in EMBEDS
}  # fmt: skip
ENTAILED: Mapping[Use, Cite] = {
    "zero-shot-classification": Cite("as entailment, once fine-tuned on NLI; raw it has no zero-shot use", ENTAILMENT),
}
NO_GENERATION: Mapping[Use, Cite] = {
    **NO_DECODER,
    "zero-shot-classification": Cite("no probability of a next text to score labels with", GPT3),
}


def _weak(kind: str, *uses: Use) -> dict[Use, Cite]:
    """Uses that a loss of keel's unlocks, but second to others."""
    return {use: FACTS[kind].unlocks[use] for use in uses}


def _strong(kind: str, *but: Use) -> dict[Use, Cite]:
    return {use: cite for use, cite in FACTS[kind].unlocks.items() if use not in but}


TEXT: Mapping[str, Kind] = {
    "masked": Kind(
        "encoder", {**_strong("mlm"), **TABLES}, {}, NO_GENERATION, ("mlm", "nsp", "sop", "tlm"),
        "keeps the length of its input: it differs from a decoder by reading both sides, not by compressing",
    ),
    "token-detection": Kind(
        "encoder", {**_strong("rtd"), **TABLES, **_weak("mlm", "sentence-similarity")}, {},
        {**NO_GENERATION, "fill-mask": FACTS["rtd"].precludes["fill-mask"]}, ("rtd", "rtd-v3"),
        "loss on every token: it saves compute, not data",
    ),
    "next-token": Kind(
        "decoder",
        {**_strong("clm", "text-classification", "translation", "question-answering"),
         "question-answering": Cite("writes the answer", GPT3)},
        {**_weak("clm", "text-classification", "translation"), **AT_SCALE,
         "feature-extraction": Cite("states of the left side alone", SGPT),
         "sentence-similarity": Cite("after a contrastive stage, at scale", SGPT),
         "table-question-answering": Cite("table written out in the prompt", GPT3),
         "token-classification": Cite("tags written out as text, at scale", GPT3)},
        {"fill-mask": FACTS["clm"].precludes["fill-mask"]}, ("clm",),
        "predicts the next token from the left: it adds no noise and tells nothing real from fake",
    ),
    "denoising": Kind(
        "encoder-decoder",
        {"summarization": FACTS["bart"].unlocks["summarization"],
         "translation": FACTS["span_corruption"].unlocks["translation"],
         "question-answering": FACTS["bart"].unlocks["question-answering"]},
        {"text-classification": FACTS["span_corruption"].unlocks["text-classification"],
         "token-classification": FACTS["bart"].unlocks["token-classification"],
         "sentence-similarity": FACTS["span_corruption"].unlocks["sentence-similarity"],
         "feature-extraction": Cite("states of its encoder", FACTS["span_corruption"].unlocks["sentence-similarity"][1]),
         "retrieval": Cite("states of its encoder, after a contrastive stage", "Ni et al. 2022, arXiv:2112.07899"),
         "reranking": Cite("writes true or false for query and text", "Nogueira et al. 2020, arXiv:2003.06713"),
         "text-ranking": Cite("writes true or false for query and text", "Nogueira et al. 2020, arXiv:2003.06713"),
         "zero-shot-classification": Cite("only after tuning on instructions", FLAN),
         "table-question-answering": Cite("table written out in the input", FID),
         "text-generation": Cite("after a stage of prefix LM or tuning: raw it fills spans",
                                 FACTS["span_corruption"].precludes["text-generation"].source)},
        {}, ("span_corruption", "bart", "mbart", "ul2", "pegasus", "prefix_lm", "alexatm"),
        "the decoder writes the text back; it does not judge whether the input was changed",
    ),
    "translated": Kind(
        "encoder-decoder", {"translation": FACTS["translation"].unlocks["translation"]},
        {"bitext-mining": Cite("states of its encoder", M2M)},
        {use: FACTS["translation"].precludes[use] for use in ("text-generation", "summarization", "fill-mask")},
        ("translation",), "trained on pairs of translations, not a general text-to-text model",
    ),
    "instructed": Kind(
        "encoder-decoder",
        {use: FACTS["instruct"].unlocks[use]
         for use in ("summarization", "translation", "question-answering", "zero-shot-classification")},
        {use: FACTS["instruct"].unlocks[use] for use in ("text-generation", "text-classification")}
        | {"reranking": Cite("writes true or false for query and text", "Nogueira et al. 2020, arXiv:2003.06713")},
        {"fill-mask": FACTS["instruct"].precludes["fill-mask"]}, ("instruct",), "T5 tuned on instructions",
    ),
}  # fmt: skip
KINDS: Mapping[str, Kind] = {**TEXT, **VISION}

# By the words of the catalogue's `architecture` and `objective`; the first that is found there decides.
OF: tuple[tuple[str, str], ...] = (
    ("class-conditional", "class-diffusion"), ("interpolant", "class-diffusion"),
    ("RTD", "token-detection"), ("instruction", "instructed"), ("PrefixLM", "denoising"), ("denois", "denoising"),
    ("supervised ASR", "speech"), ("translation", "translated"), ("many-to-many", "translated"),
    ("span corruption", "denoising"), ("gap-sentence", "denoising"), ("mixture of denoisers", "denoising"),
    ("DINO", "self-distilled"), ("clustering", "clustered"), ("masked autoencoding", "masked-image"),
    ("FCMAE", "masked-image"), ("masked image modelling", "masked-image"),
    ("masked feature modelling", "masked-image"), ("contrastive masked prediction", "speech"),
    ("masked cluster prediction", "speech"), ("masked prediction + denoising", "speech"),
    ("interleaved image-text LM", "interleaved"), ("ITG", "bridged"), ("captioning (CapFilt)", "matched"),
    ("joint masked vision", "masked-pair"), ("MIM + MLM", "masked-pair"), ("ITM + MLM", "masked-pair"),
    ("ITC + ITM", "masked-pair"), ("masked data modelling", "masked-pair"),
    ("contrastive + captioning", "contrastive-captioning"), ("sigmoid + captioning", "contrastive"),
    ("contrastive", "contrastive"), ("diffusion", "diffusion"), ("rectified flow", "diffusion"),
    ("flow matching", "diffusion"), ("supervised", "supervised"), ("CLM", "next-token"), ("MLM", "masked"),
    ("permutation LM", "masked"),
)  # fmt: skip
# Twins and mixtures whose words name two losses: what the released weights are decides.
BY_STACKS: Mapping[str, str] = {
    "encoder": "masked", "decoder": "next-token", "encoder-decoder": "denoising",
}  # fmt: skip
SPEECH = "speech"  # no use case of keel's is about sound


def kind_of(model: Model) -> str:
    """The kind of a model, by its objective, else by its stacks; "" where neither tells.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> known = Catalogue().models
        >>> [kind_of(known[name]) for name in ("roberta-base", "deberta-v3-base", "gpt2", "t5-base", "clip-vit-b32")]
        ['masked', 'token-detection', 'next-token', 'denoising', 'contrastive']
    """
    if model.modality == SPEECH:
        return SPEECH
    stacks = re.match(r"encoder-decoder|encoder|decoder", model.architecture)
    for words, kind in OF:
        if words in f"{model.architecture}; {model.objective}":
            plain = KINDS.get(kind)
            if plain and stacks and model.modality == "text" and plain.category != stacks[0]:
                return BY_STACKS[stacks[0]]
            return kind
    return BY_STACKS.get(stacks[0], "") if stacks else ""


def serves(model: Model, use: Use) -> float:
    """How well a model's kind serves a use: 1, .5 or 0."""
    kind = KINDS.get(kind_of(model))
    return kind.serves(use) if kind else 0.0


def best_of(category: Category, use: Use) -> float:
    """The most that any kind of a category serves a use."""
    return max((kind.serves(use) for kind in KINDS.values() if kind.category == category), default=0.0)


def cites(category: Category, use: Use) -> Iterable[tuple[str, Cite]]:
    """What each kind of a category says of a use."""
    for name, kind in KINDS.items():
        if kind.category == category and (cite := kind.cite(use)):
            yield name, cite
