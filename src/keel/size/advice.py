"""Learning rate, batch, vocabulary and shape for a size: by law with bands for decoders, else where to start a sweep.

No law of the recipe is validated for masked, replaced-token, contrastive or diffusion losses: "sweep on the smallest
rung", with what released models of the kind used.
"""

from __future__ import annotations

import math
from statistics import median, quantiles

from keel.answer import Number
from keel.catalog.store import Catalogue
from keel.laws.law import Law
from keel.laws.published import PUBLISHED
from keel.size.proven import category_of
from keel.size.starts import STARTS
from keel.size.ways import valid_text

# Scatter of the Step Law's intercepts over 1004 bootstrap fits of its released runs, as a factor e^sd.
STEP_RATE_SD, STEP_BATCH_SD = 0.62, 0.44
NEAR = 4.0  # released models within this factor of the size speak for its shape
SWEEP = "no law is validated for this loss: sweep the rate on the smallest rung (x1/4 to x4), and carry it by width"
BODY_PER_LAYER = 12.0  # 4 d^2 of attention and 8 d^2 of feed-forward


def advice(
    known: Catalogue, category: str, params: float, tokens: float | None, loss: float | None = None
) -> tuple[Number, ...]:
    """What to set for a size, each with law, band and range.

    `params`: the size, tables left out as far as known; `tokens`: to train on; `loss`: nats a token expected.

    Example:
        >>> found = {each.name: each for each in advice(Catalogue(), "decoder", 4e8, 8e9)}
        >>> rate = found["advice.lr step-lr"]
        >>> f"{rate.value:.1e} ({rate.low:.1e}-{rate.high:.1e})", rate.outside
        ('1.4e-03 (5.2e-04-4.0e-03)', '')
    """
    found = _shape(known, category, params)
    if category == "decoder" and tokens is not None:
        found = (*_rates(params, tokens), *_critical(loss), *_vocabulary(params, 6 * params * tokens, found), *found)
    else:
        found = (*_starts(category), *found)
    return found if category != "vision" else (*found, *_vision_shape())


def _rates(params: float, tokens: float) -> tuple[Number, ...]:
    flop = 6 * params * tokens
    step, where = PUBLISHED["step-lr"], {"params": params, "tokens": tokens}
    return (
        _by(step, "lr", math.exp(1.645 * STEP_RATE_SD), **where),
        _by(PUBLISHED["deepseek-lr"], "lr", 1.0, flop=flop),
        _by(PUBLISHED["step-batch"], "batch", math.exp(1.645 * STEP_BATCH_SD), tokens=tokens),
        _by(PUBLISHED["deepseek-batch"], "batch", 1.0, flop=flop),
    )


def _by(law: Law, what: str, factor: float, **where: float) -> Number:
    value = float(law.at(**where))
    low, high = (value / factor, value * factor) if factor > 1 else (None, None)
    return Number(f"advice.{what} {law.name}", value, law.unit, low, high, law.formula, where, law.origin,
                  valid_text(law), _outside(law, where))  # fmt: skip


def _outside(law: Law, where: dict[str, float]) -> str:
    return ", ".join(f"{name} {factor:.3g}x" for name, factor in law.outside(**where).items())


def _critical(loss: float | None) -> tuple[Number, ...]:
    if loss is None:
        return ()
    law = PUBLISHED["kaplan-critical-batch"]
    return (_by(law, "critical batch", 1.0, loss=loss)._replace(outside="the loss is of another corpus than WebText2"),)


def _vocabulary(params: float, flop: float, shape: tuple[Number, ...]) -> tuple[Number, ...]:
    """Entries by Tao's three ways: vocabulary params over the width."""
    width = next((float(each.value) for each in shape if each.name == "advice.width"), None)
    if width is None:
        return ()
    found = []
    for name in ("tao-flop", "tao-derivative", "tao-loss"):
        law = PUBLISHED[name]
        where = {"params_body": params} | ({"flop": flop} if "flop" in law.coords else {})
        found.append(Number(
            f"advice.vocabulary {name}", float(law.at(**where)) / width, "entries", formula=f"{law.formula}; / width",
            inputs=where | {"width": width}, source=law.origin, valid=valid_text(law), outside=_outside(law, where),
        ))  # fmt: skip
    return tuple(found)


def _shape(known: Catalogue, category: str, params: float) -> tuple[Number, ...]:
    """Width and layers as released models of about the size have them: N = 12 L d^2 at their usual d / L."""
    rows = [
        (model.id, model.width / model.layers[0])
        for model in known.models.values()
        if category_of(model) == category and model.width and model.layers
        and (size := model.params_body or model.params) and params / NEAR <= size <= params * NEAR
    ]  # fmt: skip
    if len(rows) < 2:
        return ()
    ratios = sorted(ratio for _, ratio in rows)
    tenths = quantiles(ratios, n=10, method="inclusive")
    stacks = 2.0 if category == "encoder-decoder" else 1.0
    widths = [
        (params / stacks * ratio / BODY_PER_LAYER) ** (1 / 3) for ratio in (tenths[0], median(ratios), tenths[-1])
    ]
    layers = [width / ratio for width, ratio in zip(widths, (tenths[0], median(ratios), tenths[-1]))]
    source = f"{len(rows)} released models within a factor {NEAR:g}: {', '.join(name for name, _ in rows[:8])}"
    inputs: dict[str, float | int | str] = {"params": params, "width_per_layer": round(median(ratios), 1)}
    said = "a stack" if stacks > 1 else ""
    return (
        Number("advice.width", round(widths[1]), "", widths[0], widths[2], "(N r / 12)^(1/3), r = width / layers",
               inputs, source, "custom, not an optimum; round to a multiple of the head width"),
        Number("advice.layers", round(layers[1]), said, layers[2], layers[0], "width / r", inputs, source,
               "custom, not an optimum"),
    )  # fmt: skip


def _starts(category: str) -> tuple[Number, ...]:
    found = []
    for start in STARTS.get(category, ()):
        source = f"{start.model}, {start.optimiser}: {start.source}"
        found += [
            Number(f"advice.lr {start.model}", start.rate, "peak learning rate", formula="as published", source=source,
                   valid=SWEEP),
            Number(f"advice.batch {start.model}", start.batch, f"{start.unit} a step", formula="as published",
                   source=source, valid=SWEEP),
        ]  # fmt: skip
    return tuple(found)


def _vision_shape() -> tuple[Number, ...]:
    source = "Alabdulmohsin et al. 2023 (SoViT), arXiv:2305.13035, sec. 4.1; JFT-3B, ViT"
    return tuple(
        Number(f"advice.{what} exponent", value, "", formula=f"{what} ~ C^{value:g}", source=source,
               valid="from a small shape that you have swept")
        for what, value in (("width", 0.22), ("depth", 0.45), ("mlp", 0.6))
    )  # fmt: skip
