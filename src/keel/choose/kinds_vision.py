"""Kinds of pretraining on images, on images with text, and of generators of images; see `kinds.py`."""

from __future__ import annotations

from collections.abc import Mapping

from keel.choose.kind import Kind
from keel.objective.fact import Cite, Use
from keel.objective.facts_contrastive import ALIGNED, NO_CAPTION

VIT = "Dosovitskiy et al. 2021, arXiv:2010.11929"
AUGREG = "Steiner et al. 2022, arXiv:2106.10270"
MAE = "He et al. 2021, arXiv:2111.06377"
DINO = "Oquab et al. 2023, arXiv:2304.07193"
CLUSTERS = "Caron et al. 2019, arXiv:1905.01278"
SIMCLR = "Chen et al. 2020, arXiv:2002.05709"
CLIP = "Radford et al. 2021, arXiv:2103.00020"
COCA = "Yu et al. 2022, arXiv:2205.01917"
BLIP = "Li et al. 2022, arXiv:2201.12086"
BLIP_2 = "Li et al. 2023, arXiv:2301.12597"
ALBEF = "Li et al. 2021, arXiv:2107.07651"
MASKVLM = "Kwon et al. 2022, arXiv:2208.02131"
FLAMINGO = "Alayrac et al. 2022, arXiv:2204.14198"
DETR = "Carion et al. 2020, arXiv:2005.12872"
LATENT = "Rombach et al. 2022, arXiv:2112.10752"
IMAGEN = "Saharia et al. 2022, arXiv:2205.11487"
DIT = "Peebles and Xie 2022, arXiv:2212.09748"
CAPPA = "Tschannen et al. 2023, arXiv:2306.07915"
PIX2STRUCT = "Lee et al. 2022, arXiv:2210.03347"

DENSE: Mapping[Use, Cite] = {
    "object-detection": Cite("as the backbone of a detector, after fine-tuning", DETR),
    "image-segmentation": Cite("as the backbone of a segmenter, after fine-tuning", MAE),
}
SEEN: Mapping[Use, Cite] = {
    "image-classification": Cite("after fine-tuning, or a linear layer on its states", VIT),
    "image-feature-extraction": Cite("states of the image", VIT),
    **DENSE,
}
NO_TEXT: Mapping[Use, Cite] = {
    "image-text-retrieval": Cite("has never seen text", CLIP),
    "image-to-text": Cite("has no decoder of text", COCA),
    "image-text-to-text": Cite("has no decoder of text", COCA),
    "zero-shot-image-classification": Cite("has never seen text, so labels cannot be named", CLIP),
    "visual-question-answering": Cite("has never seen text", CLIP),
    "text-to-image": Cite("gives no image", LATENT),
}

VISION: Mapping[str, Kind] = {
    "supervised": Kind(
        "vision", SEEN, {}, NO_TEXT, ("classify",),
        "patches are the tokens, not pixels, and their number does not shrink towards the label", needs="labels",
    ),
    "masked-image": Kind(
        "vision", {**SEEN, "image-classification": Cite("after fine-tuning; its raw states are poor", MAE)}, {},
        NO_TEXT, ("mae",), "trained without labels",
    ),
    "self-distilled": Kind(
        "vision", {**SEEN, "image-classification": Cite("a linear layer on frozen states, without labels", DINO)}, {},
        NO_TEXT, ("dino",), "trained without labels: on many transfers ahead of supervised ImageNet states",
    ),
    "clustered": Kind(
        "vision", {}, {**SEEN, "clustering": Cite("its own clusters of images", CLUSTERS)}, NO_TEXT,
        ("deepercluster", "deepcluster"),
    ),
    "told-apart": Kind(
        "vision", {**SEEN, "image-classification": Cite("a linear layer on frozen states, without labels", SIMCLR)}, {},
        NO_TEXT, ("simclr",), "trained without labels; wants many images a step",
    ),
    "contrastive": Kind(
        "vision-language", ALIGNED, {"visual-question-answering": Cite("as the eye of another model", CLIP), **DENSE},
        NO_CAPTION, ("clip", "siglip"),
    ),
    "contrastive-captioning": Kind(
        "vision-language",
        {**ALIGNED, "image-to-text": Cite("writes the caption", COCA),
         "visual-question-answering": Cite("after fine-tuning", COCA)},
        {"image-text-to-text": Cite("captions and short answers", COCA), **DENSE},
        {"text-to-image": NO_CAPTION["text-to-image"]}, ("coca",),
        "both losses act on image-text pairs, and labels count as text", balanced=True,
    ),
    "captioning": Kind(
        "vision-language",
        {"image-to-text": Cite("writes the caption", CAPPA),
         "image-feature-extraction": Cite("states of the image", CAPPA)},
        {"visual-question-answering": Cite("after fine-tuning", CAPPA),
         "image-classification": Cite("a linear layer on its image states, or fine-tuning", CAPPA)},
        {"image-text-retrieval": Cite("has no space that images and texts share", COCA),
         "text-to-image": NO_CAPTION["text-to-image"]}, ("captioning",),
    ),
    "matched": Kind(
        "vision-language",
        {"image-to-text": Cite("writes the caption", BLIP),
         "visual-question-answering": Cite("after fine-tuning", BLIP),
         "image-text-retrieval": Cite("one space, then pairs read together", BLIP)},
        {"zero-shot-image-classification": Cite("labels as texts in the same space", BLIP)},
        {"text-to-image": NO_CAPTION["text-to-image"]}, ("blip",),
    ),
    "bridged": Kind(
        "vision-language",
        {"image-to-text": Cite("writes the caption with a frozen language model", BLIP_2),
         "image-text-to-text": Cite("answers in words", BLIP_2),
         "visual-question-answering": Cite("zero-shot", BLIP_2)},
        {"image-text-retrieval": Cite("by its query transformer", BLIP_2),
         "document-question-answering": Cite("after fine-tuning on documents", PIX2STRUCT)},
        {"text-to-image": NO_CAPTION["text-to-image"]},
    ),
    "masked-pair": Kind(
        "vision-language",
        {"visual-question-answering": Cite("reads image and question together, after fine-tuning", ALBEF),
         "image-text-retrieval": Cite("reads pairs together, after fine-tuning", MASKVLM)},
        {"document-question-answering": Cite("after fine-tuning on documents", PIX2STRUCT)},
        {"image-to-text": Cite("its text side is an encoder", ALBEF), "text-to-image": NO_CAPTION["text-to-image"],
         "image-text-to-text": Cite("its text side is an encoder", ALBEF)},
        ("maskvlm",),
    ),
    "interleaved": Kind(
        "vision-language",
        {"image-text-to-text": Cite("goes on from images and text, few-shot", FLAMINGO),
         "image-to-text": Cite("few-shot", FLAMINGO), "visual-question-answering": Cite("few-shot", FLAMINGO)},
        {"document-question-answering": Cite("few-shot, at scale", FLAMINGO)},
        {"image-text-retrieval": Cite("has no space of its own for pairs", FLAMINGO),
         "text-to-image": Cite("it is multimodal autoregressive, not diffusion: it writes text", FLAMINGO)},
        ("interleaved-lm",), "a frozen eye and a frozen language model, trained by next-token loss: not diffusion",
    ),
    "diffusion": Kind(
        "diffusion", {"text-to-image": Cite("removes noise step by step, led by a frozen text encoder", LATENT)}, {},
        {"image-to-text": Cite("writes no text", LATENT),
         "image-text-retrieval": Cite("gives images, not scores", LATENT),
         "text-generation": Cite("its losses are on noised images; it is no autoregressive decoder", IMAGEN),
         "image-classification": Cite("made to draw, not to tell apart", LATENT)},
        ("diffusion",),
        "the loss is on the noise, the image or the velocity, never on how well the image fits its caption; a U-Net "
        "or a transformer removes noise that a fixed schedule adds",
    ),
    "class-diffusion": Kind(
        "diffusion", {}, {},
        {"text-to-image": Cite("draws one of its classes, and reads no text", DIT)},
    ),
}  # fmt: skip
