"""Memory of one device: states of every parameter, activations, logits; for training and for serving.

states = (weights + gradients + moments and master), each whole or over the p ranks that share it; activations of a
layer of 16-bit values = s b h (34 + 5 a s / h) kept whole, 34 s b h without the scores, 2 s b h recomputed.

Legend: s context, b sequences of a micro-batch, h width, a heads, L layers, V vocabulary, p ranks, t tensor-parallel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from keel.errors import Problem, StudyError, nearest
from keel.model.shapes.size import Params, Shape
from keel.size.time import Estimate

Sharding = Literal["ddp", "zero1", "zero2", "zero3"]
Kept = Literal["scores", "flash", "recompute"]
# Bytes a parameter: weights that compute, gradients, the fp32 master beside them (bf16 gradients may be kept in fp32).
PRECISIONS: Mapping[str, tuple[float, float, float]] = {
    "amp": (4, 4, 0),  # fp32 weights, cast inside the products (PyTorch autocast)
    "bf16": (2, 2, 4),  # 16-bit weights beside an fp32 master (ZeRO, arXiv:1910.02054, section 3.1)
    "fp32": (4, 4, 0),
}
# Bytes of moments a parameter.
OPTIMISERS: Mapping[str, float] = {
    "adamw": 8.0,
    "sgd": 4.0,  # momentum
    "lion": 4.0,
    "adafactor": 0.01,  # a row and a column of fp32 for a matrix: 4 (1/r + 1/c), under .01 from 1,000 rows on
    "adamw-8bit": 2.03,  # two bytes and a scale for 256 values (Dettmers et al. 2022, arXiv:2110.02861)
}
SHARDINGS: Mapping[str, tuple[bool, bool, bool]] = {  # are weights, gradients, moments and master spread over ranks?
    "ddp": (False, False, False), "zero1": (False, False, True), "zero2": (False, True, True),
    "zero3": (True, True, True),
}  # fmt: skip
KEPT = ("scores", "flash", "recompute")
LOGITS = (4.0, 8.0, 12.0)  # bytes a row and word: fp32 logits; with their gradient; with the softmax beside
ZERO = "Rajbhandari et al. 2019 (ZeRO), arXiv:1910.02054, section 3"
KORTHIKANTI = "Korthikanti et al. 2022, arXiv:2205.05198, equations 1 and 2"


class Setup(NamedTuple):
    """A model on its devices. `params`: all that are trained, every model of the loss together (RTD has two).

    `micro_batch`: sequences that one device holds at once. `head_share`: rows that meet the head (masked: .15-.4).
    `pairs`: the global batch of a contrastive loss (0: none). `ema`: a moving average beside, fp32.
    """

    params: float
    layers: int
    width: int
    heads: int
    context: int
    vocabulary: int
    micro_batch: int = 1
    precision: str = "bf16"
    optimiser: str = "adamw"
    sharding: str = "ddp"
    devices: int = 1
    kept: str = "flash"
    tensor: int = 1
    head_share: float = 1.0
    pairs: int = 0
    ema: bool = False
    frozen_params: float = 0.0


class Memory(NamedTuple):
    """Bytes of one device by part (`parts`, of the value) and in all; `source`s are in the estimate."""

    total: Estimate
    parts: Mapping[str, float]


def train(setup: Setup) -> Memory:
    """Bytes that one device needs while training; low and high are those of the logits and of fp32 gradients.

    Raises:
        StudyError: unknown precision, optimiser, sharding or way of keeping; a count below one; all of them.

    Example:
        >>> zero = Setup(7.5e9, 36, 4096, 32, 1024, 51200, devices=64)
        >>> [round(states_bytes(zero._replace(sharding=way)) / 1e9, 1) for way in ("ddp", "zero1", "zero2", "zero3")]
        [120.0, 31.4, 16.6, 1.9]
    """
    check(setup)
    weights, gradients, _ = PRECISIONS[setup.precision]
    rows = setup.context * setup.micro_batch * setup.head_share
    logits = [each * rows * setup.vocabulary / setup.tensor for each in LOGITS]
    parts = {"states": states_bytes(setup), "activations": activation_bytes(setup), "logits": logits[1]}
    if SHARDINGS[setup.sharding][0] and setup.devices > 1:
        # The layer at work and the next one being gathered, and the gradients of one on their way out.
        parts["a whole layer"] = setup.params / setup.layers / setup.tensor * (2 * weights + gradients)
    if setup.ema:
        ranks = setup.devices if SHARDINGS[setup.sharding][0] else 1
        parts["moving average"] = 4 * setup.params / setup.tensor / ranks
    if setup.frozen_params:
        parts["frozen parts"] = 2 * setup.frozen_params
    if setup.pairs:
        parts["pairs"] = 3 * 4.0 * setup.pairs * setup.micro_batch
    value = sum(parts.values())
    more = 2 * setup.params / setup.tensor if setup.precision == "bf16" else 0.0
    more /= setup.devices if SHARDINGS[setup.sharding][1] else 1
    high = value - logits[1] + logits[2] + more
    source = f"{ZERO}; {KORTHIKANTI}; logits 4 to 12 bytes, gradients of bf16 in 2 or 4"
    return Memory(Estimate(value, value - logits[1] + logits[0], high, source), parts)


def states_bytes(setup: Setup) -> float:
    """Weights, gradients, moments and master of one device, each over the ranks where it is spread.

    ddp 16 N; zero1 4 N + 12 N / p; zero2 2 N + 14 N / p; zero3 16 N / p (bf16 beside an fp32 master, AdamW).

    Source: ZeRO, arXiv:1910.02054, section 3.
    """
    weights, gradients, master = PRECISIONS[setup.precision]
    each = (weights, gradients, master + OPTIMISERS[setup.optimiser])
    spread = SHARDINGS[setup.sharding]
    bytes_each = sum(size / (setup.devices if apart else 1) for size, apart in zip(each, spread))
    return setup.params / setup.tensor * bytes_each


def activation_bytes(setup: Setup) -> float:
    """Values kept for the backward pass, of all layers: s b h (10 + 24/t + 5 a s / (h t)) each, twice that in fp32.

    "flash" keeps no scores; "recompute" keeps the input of each layer (2 s b h) and one layer whole.

    Source: Korthikanti et al. 2022, arXiv:2205.05198, equations 1 and 2.
    """
    s, b, h, t = setup.context, setup.micro_batch, setup.width, setup.tensor
    scores = 5 * setup.heads * s / (h * t) if setup.kept == "scores" else 0.0
    layer = s * b * h * (10 + 24 / t + scores)
    wide = 2 if setup.precision == "fp32" else 1
    if setup.kept == "recompute":
        return wide * (setup.layers * 2 * s * b * h + layer)
    return wide * setup.layers * layer


def serve(params: float, layers: int, width: int, tokens: int, batch: int = 1, kv_share: float = 1.0) -> Memory:
    """Bytes to serve in 16 bits: 2 N + 2 x 2 L h s b x the share of heads that keep keys and values.

    Example:
        >>> parts = serve(6.738e9, 32, 4096, tokens=4096).parts  # Llama-2 7B at its full context
        >>> round(parts["weights"] / 1e9, 1), round(parts["keys and values"] / 1e9, 2)
        (13.5, 2.15)
    """
    parts = {"weights": 2 * params, "keys and values": 4.0 * layers * width * kv_share * tokens * batch}
    total = sum(parts.values())
    # The products of one layer at a time: the widest value is 4 h a token, in 16 bits, in and out.
    high = total + 16.0 * width * tokens * batch
    return Memory(Estimate(total, total, high, "2 bytes a weight and a kept key or value"), parts)


def of_shape(shape: Shape, params: Params, **more: int | float | str | bool) -> Setup:
    """A setup from a family's shape; an encoder-decoder's stacks are counted as one of all its layers."""
    base = Setup(params.total, shape.layers + shape.decoder_layers, shape.width, shape.heads, shape.context,
                 shape.vocabulary)  # fmt: skip
    return base._replace(**more)  # type: ignore[arg-type]


def guessed(params: float, context: int, vocabulary: int = 32000, **more: int | float | str | bool) -> Setup:
    """A setup where only the size is known: 12 L h^2 = N with h = 128 L and heads of 128 (Llama, GPT-3).

    Example:
        >>> found = guessed(7e9, 4096)
        >>> found.layers, found.width
        (33, 4224)
    """
    layers = max(1, round((params / (12 * 128**2)) ** (1 / 3)))
    width = 128 * max(1, round((params / (12 * layers)) ** 0.5 / 128))
    return Setup(params, layers, width, width // 128, context, vocabulary)._replace(**more)  # type: ignore[arg-type]


def check(setup: Setup) -> None:
    """All that is wrong with a setup at once."""
    choices = {"precision": PRECISIONS, "optimiser": OPTIMISERS, "sharding": SHARDINGS, "kept": KEPT}
    found = [
        Problem(f"unknown {field} '{getattr(setup, field)}'", "keel knows its bytes of these alone",
                nearest(getattr(setup, field), known), field)
        for field, known in choices.items() if getattr(setup, field) not in known
    ]  # fmt: skip
    counts = ("params", "layers", "width", "heads", "context", "micro_batch", "devices", "tensor")
    found += [
        Problem(f"{field} is {getattr(setup, field)}", "a count of one or more", f"write {field} of 1 or more", field)
        for field in counts if not 1 <= getattr(setup, field) < float("inf")
    ]  # fmt: skip
    if found:
        raise StudyError.all(found)
