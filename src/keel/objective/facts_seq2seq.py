"""Facts of the losses whose model reads one text and writes another; see `facts.py`."""

from __future__ import annotations

from collections.abc import Mapping

from keel.objective import room
from keel.objective.fact import Cite, Facts, Judge, Use

T5 = "Raffel et al. 2020, arXiv:1910.10683"
ADAPTED = "Lester et al. 2021, arXiv:2104.08691, section 2.2"
SENTENCE_T5 = "Ni et al. 2021, arXiv:2108.08877"
UL2 = "Tay et al. 2023, arXiv:2205.05131"
BART = "Lewis et al. 2020, arXiv:1910.13461"
MBART = "Liu et al. 2020, arXiv:2001.08210"
PEGASUS = "Zhang et al. 2020, arXiv:1912.08777"
ALEXATM = "Soltan et al. 2022, arXiv:2208.01448"
WANG = "Wang et al. 2022, arXiv:2204.05832"
M2M = "Fan et al. 2020, arXiv:2010.11125"

TEXT = frozenset({"text"})
JUDGE: Judge = "target_bits_per_byte"
TWO_STACKS = ("t5", "bart", "mbart", "m2m_100", "alexatm", "bigbird_pegasus")
LOOSE = Cite("does worse where the input says little of the output", f"{BART}, section 4.3 (ELI5)")
NO_RIGHT = Cite("what it writes depends on nothing that comes after", f"{T5}, section 3.2.1")


def first(name: str) -> tuple[str, ...]:
    """All families of two stacks, `name` unless said otherwise."""
    return (name, *(each for each in TWO_STACKS if each != name))


def tuned(section: str, *uses: Use) -> Mapping[Use, Cite]:
    """Uses that were shown after fine-tuning."""
    return {use: Cite("after fine-tuning, input text to output text", section) for use in uses}


SEQ2SEQ: Mapping[str, Facts] = {
    "span_corruption": Facts(
        needs=TEXT,
        unlocks={
            **tuned(f"{T5}, section 2.3", "summarization", "question-answering", "translation", "text-classification"),
            "sentence-similarity": Cite("states of its encoder, after a contrastive stage", SENTENCE_T5),
        },
        precludes={
            "text-generation": Cite("has never seen text go on without sentinels; needs a stage of prefix LM", ADAPTED),
        },
        judge=JUDGE, families=first("t5"), roles=room.span_roles, work=room.span_work,
    ),
    "ul2": Facts(
        needs=TEXT,
        unlocks={
            "text-generation": Cite("one mode in seven goes on from a prefix", f"{UL2}, section 3.1"),
            **tuned(f"{UL2}, sections 4-5", "summarization", "question-answering", "text-classification"),
        },
        precludes={
            "fill-mask": Cite("knows a sentinel for each whole span, and no single mask", f"{UL2}, section 3.1"),
        },
        judge=JUDGE, families=first("t5"), roles=room.mixture_roles, work=room.mixture_work,
    ),
    "bart": Facts(
        needs=TEXT,
        unlocks={
            **tuned(f"{BART}, section 5", "summarization", "question-answering", "text-classification"),
            "token-classification": Cite("states of its decoder, which reads the whole text", f"{BART}, section 3.2"),
            "translation": Cite("with a small encoder for the foreign side before it", f"{BART}, section 3.4"),
            "fill-mask": Cite("writes the whole text, with what the mask stood for", f"{BART}, section 2.2"),
        },
        precludes={"text-generation": LOOSE},
        judge=JUDGE, families=first("bart"), roles=room.bart_roles, work=room.bart_work,
    ),
    "mbart": Facts(
        needs=TEXT,
        unlocks={
            "translation": Cite("after fine-tuning on pairs, of sentences and of documents", f"{MBART}, sections 3-4"),
            "fill-mask": Cite("writes the whole text, with what the mask stood for", f"{MBART}, section 2.2"),
        },
        precludes={"text-generation": LOOSE},
        judge=JUDGE, families=first("mbart"), roles=room.mbart_roles, work=room.mbart_work,
    ),
    "pegasus": Facts(
        needs=TEXT,
        unlocks={
            "summarization": Cite("writes the sentences that say most of the rest; a thousand examples tune it",
                                  f"{PEGASUS}, sections 3.1 and 6.3"),
        },
        precludes={
            "text-generation": Cite("writes sentences missing from a text it has read, and goes on from none",
                                    f"{PEGASUS}, section 3.1"),
            "fill-mask": Cite("its mask stands for a whole sentence", f"{PEGASUS}, section 3.1"),
        },
        judge=JUDGE, families=first("bigbird_pegasus"), roles=room.bart_roles, reads="documents", work=room.gap_work,
    ),
    "alexatm": Facts(
        needs=TEXT,
        unlocks={
            "text-generation": Cite("goes on from a prefix in a fifth of its samples", f"{ALEXATM}, section 4"),
            "summarization": Cite("from one example in the input, at scale", f"{ALEXATM}, abstract"),
            "translation": Cite("from one example in the input, at scale", f"{ALEXATM}, abstract"),
            "zero-shot-classification": Cite("by scoring each label, in either mode", f"{ALEXATM}, section 5.1"),
        },
        precludes={
            "fill-mask": Cite("what it drops leaves no mark, so no place can be named", f"{ALEXATM}, section 4"),
        },
        judge=JUDGE, families=first("alexatm"), roles=room.alexatm_roles, work=room.alexatm_work,
    ),
    "prefix_lm": Facts(
        needs=TEXT,
        unlocks={
            "text-generation": Cite("goes on from a prefix", f"{T5}, section 3.2.1"),
            **tuned(f"{T5}, section 3.2.4", "summarization", "question-answering", "translation",
                    "text-classification"),
            "zero-shot-classification": Cite("by scoring labels, best after multitask tuning", f"{WANG}, section 4"),
        },
        precludes={"fill-mask": NO_RIGHT},
        judge=JUDGE, families=("llama", "gpt2", *TWO_STACKS), roles=room.prefix_roles, work=room.prefix_work,
    ),
    "translation": Facts(
        needs=frozenset({"parallel"}),
        unlocks={"translation": Cite("trained on it", f"{M2M}, section 2")},
        precludes={
            "text-generation": Cite("writes only what the source says", f"{M2M}, section 2"),
            "summarization": Cite("writes all that the source says", f"{M2M}, section 2"),
            "fill-mask": Cite("no token of its source is ever hidden", f"{M2M}, section 2"),
        },
        judge=JUDGE, families=first("m2m_100"), roles=room.translation_roles, reads="parallel",
        work=room.translation_work,
    ),
}  # fmt: skip
