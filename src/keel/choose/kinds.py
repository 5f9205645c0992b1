"""Every way of pretraining in the catalogue: what it unlocks and precludes. A new one: an entry, and a line in OF.

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
SENTENCE_T5 = "Ni et al. 2021, arXiv:2108.08877"

TABLES: Mapping[Use, Cite] = {"table-question-answering": Cite("cells chosen, after fine-tuning on tables", TAPAS)}
SCALED = Cite("after a contrastive stage; published ones that lead are several billion parameters", E5)
AT_SCALE: Mapping[Use, Cite] = dict.fromkeys(EMBEDS, SCALED)
JUDGED = Cite("writes true or false for query and text", "Nogueira et al. 2020, arXiv:2003.06713")
NO_GENERATION: Mapping[Use, Cite] = {
    **NO_DECODER,
    "zero-shot-classification": Cite("no probability of a next text to score labels with", GPT3),
}


def _of(loss: str, *uses: Use) -> dict[Use, Cite]:
    """What a loss of keel's says of these uses."""
    return {use: FACTS[loss].unlocks[use] for use in uses}


def _all_of(loss: str, *but: Use) -> dict[Use, Cite]:
    """What a loss of keel's unlocks, without some."""
    return {use: cite for use, cite in FACTS[loss].unlocks.items() if use not in but}


TEXT: Mapping[str, Kind] = {
    "masked": Kind(
        "encoder", {**_all_of("mlm"), **TABLES}, {}, NO_GENERATION, ("mlm", "nsp", "sop", "tlm"),
        "keeps the length of its input: it differs from a decoder by reading both sides, not by compressing",
    ),
    "token-detection": Kind(
        "encoder", {**_all_of("rtd"), **TABLES, **_of("mlm", "sentence-similarity")}, {},
        {**NO_GENERATION, "fill-mask": FACTS["rtd"].precludes["fill-mask"]}, ("rtd", "rtd-v3"),
        "loss on every token: it saves compute, not data",
    ),
    "next-token": Kind(
        "decoder",
        {**_all_of("clm", "text-classification", "translation", "question-answering"),
         "question-answering": Cite("writes the answer", GPT3)},
        {**_of("clm", "text-classification", "translation"), **AT_SCALE,
         "feature-extraction": Cite("states of the left side alone", SGPT),
         "sentence-similarity": Cite("after a contrastive stage, at scale", SGPT),
         "table-question-answering": Cite("table written out in the prompt", GPT3)},
        FACTS["clm"].precludes, ("clm",),
        "predicts the next token from the left: it adds no noise and tells nothing real from fake",
    ),
    "denoising": Kind(
        "encoder-decoder",
        {**_of("bart", "summarization", "question-answering"), **_of("span_corruption", "translation")},
        {**_of("span_corruption", "text-classification", "sentence-similarity"), **_of("bart", "token-classification"),
         "feature-extraction": Cite("states of its encoder", SENTENCE_T5),
         "retrieval": Cite("states of its encoder, after a contrastive stage", "Ni et al. 2022, arXiv:2112.07899"),
         "reranking": JUDGED, "text-ranking": JUDGED,
         "zero-shot-classification": Cite("only after tuning on instructions", FLAN),
         "table-question-answering": Cite("table written out in the input", FID),
         "text-generation": Cite("after a stage of prefix LM or tuning: raw it fills spans",
                                 FACTS["span_corruption"].precludes["text-generation"].source)},
        {}, ("span_corruption", "bart", "mbart", "ul2", "pegasus", "prefix_lm", "alexatm"),
        "the decoder writes the text back; it does not judge whether the input was changed",
    ),
    "translated": Kind(
        "encoder-decoder", _all_of("translation"), {"bitext-mining": Cite("states of its encoder", M2M)},
        FACTS["translation"].precludes,
        ("translation",), "trained on pairs of translations, not a general text-to-text model",
    ),
    "instructed": Kind(
        "encoder-decoder",
        _all_of("instruct", "text-generation", "text-classification"),
        {**_of("instruct", "text-generation", "text-classification"), "reranking": JUDGED, "text-ranking": JUDGED},
        FACTS["instruct"].precludes, ("instruct",), "T5 tuned on instructions",
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
# Uses that a released model of a kind serves without having been trained for them by the user.
AS_RELEASED: Mapping[str, frozenset[Use]] = {
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
