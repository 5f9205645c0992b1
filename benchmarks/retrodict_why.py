"""Why a retrodiction misses: what is known of a released model beside the numbers, in a sentence each."""

from __future__ import annotations

from keel.catalog.rows import Model

OVER_TRAINED, MOST_RATIO = 60.0, 2000.0
CARD = "the card's hours are cumulative, its tokens 'over 15T'"
# Facts of single models that the catalogue's columns do not carry.
HOURS: dict[str, str] = {
    "gpt-neox-20b": "117 TFLOP/s while it ran (arXiv:2204.06745), 76 over the published hours",
    "tinyllama-1.1b": "its hours are a rate while running, 24k tokens/s a card, not those of a whole run",
    "llama-3-8b": CARD, "llama-3-70b": CARD, "llama-3.1-8b": CARD, "llama-3.1-70b": CARD, "llama-3.1-405b": CARD,
    "mmbert-small": "few runs of masked models are known: MFU of decoders 100 to 1000 times larger",
    "mmbert-base": "few runs of masked models are known: MFU of decoders 100 to 1000 times larger",
}  # fmt: skip


def why_hours(model: Model, factor: float | None, pruned: bool, counted: bool) -> str:
    """Device-hours predicted over published, or why none are predicted."""
    if factor is None:
        told = (
            "made from a larger model, whose hours are not in them" if pruned
            else "no earlier run is known to take an MFU from" if counted
            else "no FLOP by 6 N D: what it saw is not recorded in tokens"
        )  # fmt: skip
        return f"hours: not predicted: {told}"
    known = HOURS.get(model.id) or f"ran {'better' if factor > 1 else 'worse'} than the runs known then"
    return f"hours: {factor:.2f} of the published ({known})"


def why_flop(model: Model, category: str, ratio: float) -> str:
    """Published FLOP over 6 N D, and what the published count is."""
    said = f"FLOP: published {ratio:.2f} of 6ND ({model.train_flop_source}"
    if category == "encoder-decoder" and "6ND" in model.train_flop_source:
        return f"{said}: both stacks for each token, where a token meets one)"
    if category == "encoder" and "hardware" in model.train_flop_source:
        return f"{said}: time on the machine at an assumed rate)"
    if category == "encoder":
        return f"{said}: all parameters, where a masked model's tables see few rows)"
    return f"{said})"


def why_size(model: Model, category: str, per_param: float | None, below: bool) -> str:
    """A released size outside the band, and what is known of it."""
    told = f"{per_param:.3g} tokens a parameter" if per_param else "tokens seen are not published"
    side = "size: below the band" if below else "size: above the band"
    if "distil" in f"{model.notes} {model.train_hardware} {model.objective}".lower():
        return f"{side}: distilled or pruned from a larger model ({told})"
    if not below:
        early = per_param is not None and per_param < 10
        return f"{side}: {'sized before Hoffmann et al.' if early else 'larger than its data support'} ({told})"
    if category == "encoder" and per_param and per_param > MOST_RATIO:
        return f"{side}: more tokens a parameter than any published ratio, 2000 ({told})"
    if category == "decoder" and per_param and per_param > OVER_TRAINED:
        return f"{side}: trained on for cheap serving ({told}; how much is served is not published)"
    return f"{side}: a small member of its family ({told})"
