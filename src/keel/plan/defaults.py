"""What a loss is trained with unless a study says otherwise: one row of literal values for each judge.

A masked model learns nothing but token frequencies at first, and leaves that plateau only at small learning rates, with
many masked tokens a step, and after about a million tokens. So rates, masking rate and token counts are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from keel.objective.fact import Judge
from keel.objective.held import facts_of
from keel.objective.options import OPTIONS

OWN = "own ladders on 2.6M tokens of speeches: docs/lab-notebook.md"
OWN_MASKED = "own masked runs on 4M tokens of speeches: docs/lab-notebook.md"
ALIKE_SOURCE = "Hoffmann et al. 2022, arXiv:2203.15556, table 2: N ~ C^.5"
ALIKE = f"N and D grown alike ({ALIKE_SOURCE})"
MEASURED = "own masked ladder, 2 seeds: about 80 at .1M parameters, 90 % 20 to 340: docs/lab-notebook.md"


class Defaults(NamedTuple):
    """Values with the formula and source of each, and where they were measured.

    Peak rate of hidden layers = `lr_scale` / width (D / 4.5e5)^`lr_growth`, D the longest run of its size; of tables
    `lr_embedding`. Batch = `batch_tokens` (D / 1.6e6)^`batch_growth`, D the top rung's tokens. The top rung sees
    `tokens_per_param` N, at most `top_epochs` of the corpus, and costs `factor` times the largest below; no run below
    sees fewer than `least_tokens` or `least_samples`, nor more than `most_epochs` of the corpus. `masking_rate`: of
    losses that have one (None: the loss's own default). `batch_samples` > 0: a batch is so many samples, whatever D
    is. `target_why`: how the next run grows. `wants_source`: what was measured of the tokens a parameter that this
    kind of loss wants, where no rule is known.
    """

    lr_scale: float
    lr_growth: float
    lr_formula: str
    lr_source: str
    lr_embedding: float
    embedding_source: str
    lr_widths: tuple[int, int]
    batch_tokens: int
    batch_growth: float
    batch_formula: str
    batch_source: str
    batch_range: tuple[float, float]
    batch_valid: str
    tokens_per_param: float
    tokens_source: str
    tokens_params: tuple[float, float]
    tokens_valid: str
    factor: float
    factor_source: str
    top_epochs: float = 4.0
    batch_samples: int = 0
    least_tokens: float = 0.0
    least_samples: float = 0.0
    most_epochs: float = float("inf")
    masking_rate: float | None = None
    masking_source: str = ""
    target_why: str = ALIKE
    wants_source: str = ""
    wants_valid: str = ""


PLAIN = Defaults(
    lr_scale=0.2, lr_growth=0.307,
    lr_formula="hidden rate = scale / width (D / 4.5e5)^.307, D = the longest of its size",
    lr_source=f"{OWN}; exponent of D: Step Law, arXiv:2503.04715",
    lr_embedding=0.06, embedding_source=OWN, lr_widths=(16, 128),
    batch_tokens=512, batch_growth=0.571, batch_formula="512 (D / 1.6e6)^.571",
    batch_source="own ladders; exponent: Step Law, arXiv:2503.04715", batch_range=(2e5, 1.7e6),
    batch_valid="D 0.2M-1.6M",
    tokens_per_param=5.0, tokens_source=f"{OWN}; epochs: arXiv:2305.16264 section 6",
    tokens_params=(7e4, 4.2e5), tokens_valid="N .07M-.4M", factor=9.0, factor_source="a forecast worth having",
)  # fmt: skip
MASKED = Defaults(
    lr_scale=0.08, lr_growth=0.0, lr_formula="hidden rate = scale / width",
    lr_source=f"{OWN_MASKED}; its change with D was not measured",
    lr_embedding=0.003, embedding_source=OWN_MASKED, lr_widths=(16, 64),
    batch_tokens=512, batch_growth=0.0, batch_formula="512, at least four windows",
    batch_source=f"{OWN_MASKED}: 256 is 4 % better a token and slower", batch_range=(1e6, 6e6), batch_valid="D 1M-6M",
    tokens_per_param=80.0, tokens_source=f"{MEASURED}; epochs: arXiv:2305.16264 section 6, of decoders",
    tokens_params=(2e4, 1.5e5), tokens_valid="N .02M-.15M", factor=3.0,
    factor_source=f"{OWN_MASKED}: nearer, since small runs are still on the plateau of token frequencies",
    least_tokens=3e6, most_epochs=4.0,
    masking_rate=0.3, masking_source=f"{OWN_MASKED}; ModernBERT, arXiv:2412.13663, masks 30 % too",
    target_why=f"N and D grown alike: {ALIKE_SOURCE}, of decoders; of masked models it is not known",
    wants_source=MEASURED, wants_valid="MLM, N .02M-.14M, one corpus of 4M tokens",
)  # fmt: skip
# What a discriminator wants was not measured: its generator is a masked model.
REPLACED = MASKED._replace(
    masking_rate=None, masking_source="", wants_source=f"{MEASURED}; of MLM",
    lr_source=f"{MASKED.lr_source}; measured on MLM", embedding_source=f"{MASKED.embedding_source}; measured on MLM",
    batch_source=f"{MASKED.batch_source}; measured on MLM", tokens_source=f"{MASKED.tokens_source}; measured on MLM",
)  # fmt: skip
TOUVRON = "Touvron et al. 2021, arXiv:2012.12877, section 6: hundreds of epochs, at larger sizes"
OWN_CLASSED = "own runs on 9,200 silhouettes of 28 pixels, one seed: docs/lab-notebook.md"
CLASSED = PLAIN._replace(
    lr_scale=0.128, lr_growth=0.0, lr_formula="hidden rate = scale / width", lr_source=OWN_CLASSED, lr_embedding=0.03,
    embedding_source=f"{OWN_CLASSED}: positions begin far smaller than the patches beside them", lr_widths=(16, 32),
    batch_growth=0.0, batch_samples=64, batch_formula="64 images", batch_source="convention; not measured",
    batch_valid="not measured", batch_range=(0.0, float("inf")), tokens_per_param=30.0, top_epochs=30.0,
    tokens_source=f"{OWN_CLASSED}: 470 are better than 33 at equal FLOP; so few, for a ladder to end in minutes; "
    f"epochs: {TOUVRON}",
    tokens_valid="N .015M-.2M", tokens_params=(1.5e4, 2.1e5),
    target_why=f"N and D grown alike: {ALIKE_SOURCE}, of decoders; of images it is not known",
    wants_source="not measured for images", wants_valid="none",
)  # fmt: skip
OWN_PAIRED = "own runs on 4,000 scenes of one thing, width 32, one seed: docs/lab-notebook.md"
# As a masked model, one of pairs tells little apart at first, and then all at once.
PAIRED = CLASSED._replace(
    lr_scale=0.064, lr_source=f"{OWN_PAIRED}: half as much is as good, twice as much far worse", lr_embedding=0.06,
    embedding_source=f"{OWN_PAIRED}: at less, left and right are told apart last", lr_widths=(32, 32),
    batch_formula="64 pairs", batch_source=f"{OWN_PAIRED}: 32 and 128 are no better", batch_valid="D of 400-800 steps",
    tokens_per_param=5.0, tokens_source=f"{OWN_PAIRED}: 2 tokens a parameter are near the end; epochs: {TOUVRON}",
    tokens_valid="N .13M, 9 patches an image", tokens_params=(1.3e5, 1.3e5), factor=3.0, least_samples=12_800,
    factor_source=f"{OWN_PAIRED}: nearer, since runs of 80 to 160 steps had not begun to fall, and foretold nothing",
    wants_source="not measured for pairs",
)  # fmt: skip
# A row stands in until somebody has measured its own: it says so.
UNSEEN = CLASSED._replace(
    lr_source=f"{CLASSED.lr_source}; with labels, not measured for this loss", embedding_source=f"{OWN_CLASSED}; with "
    "labels, not measured for this loss", tokens_source=f"{OWN_CLASSED}; with labels, not measured for this loss; "
    f"epochs: {TOUVRON}",
)  # fmt: skip
CAPTIONED = PAIRED._replace(
    lr_source=f"{PAIRED.lr_source}; of clip, not measured for this loss",
    embedding_source=f"{PAIRED.embedding_source}; of clip, not measured for this loss",
    tokens_source=f"{PAIRED.tokens_source}; of clip, not measured for this loss",
)  # fmt: skip
DEFAULTS: Mapping[Judge, Defaults] = {
    "bits_per_byte": PLAIN,
    "target_bits_per_byte": PLAIN,
    "masked_bits_per_byte": MASKED,
    "replaced_bits_per_byte": REPLACED,
    "class_nats": CLASSED,
    "retrieval_nats": PAIRED,
    "probe_nats": UNSEEN,
    "pixel_error": UNSEEN,
    "caption_bits_per_byte": CAPTIONED,
    "masked_caption_bits_per_byte": CAPTIONED,
}


def defaults_of(loss: str, options: Mapping[str, object]) -> Defaults:
    """The row of a loss.

    Example:
        >>> defaults_of("mlm", {}).lr_scale, defaults_of("clm", {}).lr_scale
        (0.08, 0.2)
    """
    return DEFAULTS[facts_of(loss, options).judge]


def masking_rate(loss: str, options: Mapping[str, object]) -> float | None:
    """The share of tokens to mask, where the loss takes one, is judged by masks, and nobody has said it.

    Example:
        >>> masking_rate("mlm", {}), masking_rate("mlm", {"rate": 0.15}), masking_rate("clm", {})
        (0.3, None, None)
    """
    known = OPTIONS[loss].defaults if loss in OPTIONS else {}
    if "rate" not in known or "rate" in options or facts_of(loss, options).judge != "masked_bits_per_byte":
        return None
    return defaults_of(loss, options).masking_rate
