"""What is asked of a size, and what one law answers. Unknown is None, and stays so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from keel.size.time import Estimate

CATEGORIES = ("encoder", "decoder", "encoder-decoder", "vision", "vision-language", "diffusion")


class Epochs(NamedTuple):
    """How often the same data may be seen, and who says so."""

    most: float
    source: str


FOUR = Epochs(4.0, "Muennighoff et al. 2023, arXiv:2305.16264: up to 4 epochs about as good as fresh text, decoders")
EPOCHS: Mapping[str, Epochs] = {
    "decoder": FOUR,
    "encoder-decoder": FOUR._replace(source=f"{FOUR.source}; not measured for encoder-decoders"),
    "encoder": FOUR._replace(
        source=f"{FOUR.source}; masks are drawn anew each epoch and BERT saw its text 40 times, but nobody published "
        "where masked models stop gaining"
    ),
    "vision": Epochs(300.0, "practice, no law: DeiT, arXiv:2012.12877, 300 epochs of ImageNet"),
    "vision-language": Epochs(32.0, "practice, no law: CLIP, arXiv:2103.00020, 32 epochs of 400M pairs"),
    "diffusion": Epochs(1400.0, "practice, no law: DiT-XL/2, arXiv:2212.09748, 7M steps of 256 on 1.28M images"),
}


# What one sample makes of tokens, for the laws that count them, where nothing is said.
LATENT = Estimate(256.0, 256.0, 1024.0, "256 px in patches of 2 of an 8-fold latent, as DiT/2; 512 px make 1024")
UNIT_TOKENS: Mapping[str, Estimate] = {"diffusion": LATENT}
ONE = Estimate(1.0, 1.0, 1.0, "")


class Ask(NamedTuple):
    """A question of size. `flop`: training FLOP after reserves; `unique` counts `unit`s; `stated`: said, not measured.

    `smallest_params`: the smallest admissible released member; `most_params`: what memory or latency allow
    (`most_why`); `deployed_params`: the range of the models that run today. `max_epochs` None: EPOCHS of the category.
    `unit_tokens`: tokens that one image or pair makes, for the laws that count tokens.
    """

    category: str
    flop: Estimate | None
    unique: Estimate | None
    unit: str
    stated: bool = False
    smallest_params: float | None = None
    smallest_id: str = ""
    most_params: float | None = None
    most_why: str = ""
    most_note: str = ""
    serving_tokens: float | None = None
    deployed_params: tuple[float, float] | None = None
    max_epochs: float | None = None
    unit_tokens: Estimate | None = None

    @property
    def epochs(self) -> Epochs:
        """The most epochs, with their source."""
        if self.max_epochs is None:
            return EPOCHS[self.category]
        return Epochs(self.max_epochs, "yours (max_epochs)")

    @property
    def per_unit(self) -> Estimate:
        """Tokens of one image or pair, where a law counts tokens; else one."""
        return self.unit_tokens or UNIT_TOKENS.get(self.category, ONE)

    @property
    def cap(self) -> Estimate | None:
        """The most tokens (or samples, where no law counts tokens) that the data give: epochs x unique."""
        if self.unique is None:
            return None
        scale, per = self.epochs.most, self.per_unit
        return Estimate(scale * self.unique.value * per.value, scale * self.unique.low * per.low,
                        scale * self.unique.high * per.high, self.unique.source)  # fmt: skip


class LawSize(NamedTuple):
    """What one law says. `params` None: it gives a range alone, or (with `loss`) no size at all.

    `params_low`, `params_high`: the law's own interval, that of the budget and that of the data together.
    `modality_match`: it was measured on this kind of model and loss. `in_band`: it may set the band; `why_not` says
    why it may not. `counts`: which parameters N counts. `least_params`: the size whose loss is within the tolerance.
    """

    law: str
    params: float | None
    params_low: float | None
    params_high: float | None
    tokens: float | None
    epochs: float | None
    loss: float | None
    flop: float | None
    modality_match: bool
    valid: str
    outside: str
    source: str
    note: str
    counts: str = ""
    in_band: bool = True
    why_not: str = ""
    data_bound: bool = False
    formula: str = ""
    least_params: float | None = None
