"""What training runs at on this machine: `python -m keel.run.probe THREADS KIND` times products and training steps.

KIND says whose steps: "text" a decoder's, "images" a vision transformer's with a classifier, "image-text" those of
CLIP's two towers. It prints one JSON object: torch, gemm, steps and the chosen precisions (docs/design.md,
evidence/machine.json). Units: FLOP a second, training FLOP a token, tokens a second. KEEL_DEBUG=1 adds the seconds
spent, on stderr.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from keel import objective
from keel.corpus.tokenizer import train
from keel.corpus.vocabulary import vocabulary_of
from keel.model.head import DTYPES
from keel.model.shapes import Size
from keel.objective.base import Batch, Sample, Scratch
from keel.objective.cost import flop_per_token
from keel.plan.spec import Spec, example_spec
from keel.run import engine, optimiser, parts

CHOOSING_WIDTHS, WIDTHS = (64, 256), (16, 64, 256)
HEADS, LEAST_HEAD = 8, 8  # as at the top of a ladder over 4x of width, which shares its head width (shapes.head_width)
BYTES = 257  # a tokenizer of single bytes and its separator
GEMMS = ((1024, 1024, 1024), (512, 64, 4096))
FULL: Mapping[str, str] = {"body": "fp32", "head": "fp32"}
WARM_UP, TIMED, GAIN = 3, 8, 1.05
GEMM_S, WARM_UP_S, STEPS_S = 0.05, 0.15, 0.3


class Kind(NamedTuple):
    """A model in training: its size but for widths, the tokens of a step, and the precisions tried, in order."""

    family: str
    loss: str
    size: Size
    batch_tokens: int
    precisions: tuple[Mapping[str, str], ...]
    options: Mapping[str, Any] = {}

    def sized(self, width: int) -> Size:
        """Its size at a width, with the heads that a ladder to there would have."""
        joint = width if "text_context" in self.options else 0
        return replace(self.size, width=width, head_width=max(LEAST_HEAD, width // HEADS), embedding_width=joint)

    def samples(self, rng: np.random.Generator) -> list[Sample]:
        """One step's random windows, or images with classes and captions."""
        size, count = self.size, self.batch_tokens // self.size.context
        if not size.patch:
            windows = rng.integers(0, size.vocabulary, (count, size.context + 1))
            return [Sample(place, row) for place, row in enumerate(windows)]
        side = size.patch * math.isqrt(size.context)
        pixels, labels = rng.random((count, 3, side, side), np.float32), rng.integers(0, max(1, size.classes), count)
        words = rng.integers(1, BYTES, (count, self.options.get("text_context", 2) - 2))
        return [Sample(place, words[place], image=pixels[place], label=int(labels[place])) for place in range(count)]


TEXT = Size(width=0, layers=2, vocabulary=4096, context=128, head_width=LEAST_HEAD)
IMAGES = Size(width=0, layers=2, vocabulary=0, context=64, head_width=LEAST_HEAD, patch=8, classes=10)
PAIRS = replace(IMAGES, context=16, vocabulary=BYTES + 1, classes=0)
NARROW: Mapping[str, str] = {"body": "bf16", "head": "fp32"}
KINDS: Mapping[str, Kind] = {
    "text": Kind("llama", "clm", TEXT, 512, (FULL, {"body": "fp32", "head": "bf16"}, {"body": "bf16", "head": "bf16"})),
    "images": Kind("vit", "classify", IMAGES, 512, (FULL, NARROW)),
    "image-text": Kind("clip-vision", "clip", PAIRS, 512, (FULL, NARROW), {"text_context": 16, "crop": "centre"}),
}


class Timed(NamedTuple):
    """One precision's speed at the width where it is chosen."""

    precision: Mapping[str, str]
    tokens_per_s: float


class Bench:
    """One small model in training on random samples; `step` is one whole optimiser step."""

    def __init__(self, kind: Kind, width: int, precision: Mapping[str, str]) -> None:
        self.kind, size = kind, kind.sized(width)
        self.spec: Spec = example_spec(
            objective=kind.loss, options=dict(kind.options), family=kind.family, size=size.json(),
            batch_tokens=kind.batch_tokens, lr_hidden=0.4 / width, precision=dict(precision),
        )  # fmt: skip
        known = vocabulary_of(train(["a"], BYTES)).with_special(("start",)) if size.embedding_width else None
        self.objective = objective.load(self.spec.objective, self.spec.options, known)
        plan = self.objective.parts(kind.family, size, Scratch())
        self.parts: dict[str, nn.Module] = parts.build(plan, self.spec, known)
        self.optimisers = optimiser.build(self.parts, plan, self.spec)
        self.carry = self.objective.init_carry(self.parts)
        self.rng = np.random.default_rng(self.spec.seed)
        self.done = 0

    def _batch(self) -> Batch:
        examples = [self.objective.example(sample, self.rng) for sample in self.kind.samples(self.rng)]
        return self.objective.collate(examples, range(len(examples)))

    def step(self) -> None:
        """What `keel run` does in a step: batch, gradient, clip, update."""
        engine.accumulate(self.objective, self.parts, [self._batch()], self.carry, self.spec.seed, self.done)
        optimiser.step(self.optimisers, self.spec.multiplier(self.done), self.spec.clip_norm)
        self.done += 1


def seconds(work: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def gemm_rate(precision: str, m: int, k: int, n: int) -> float:
    """FLOP a second of an (m, k) by (k, n) product: the best of those made in a twentieth of a second.

    Example:
        >>> gemm_rate("fp32", 8, 8, 8) > 0
        True
    """
    a, b = torch.ones(m, k, dtype=DTYPES[precision]), torch.ones(k, n, dtype=DTYPES[precision])
    out = torch.empty(m, n, dtype=DTYPES[precision])
    best, end = math.inf, time.perf_counter() + GEMM_S
    while time.perf_counter() < end or best == math.inf:
        best = min(best, seconds(lambda: torch.mm(a, b, out=out)))
    return 2.0 * m * k * n / best


def gemms(threads: tuple[int, ...]) -> list[dict[str, Any]]:
    """Rates of a square product and of one chunk of the head, in both precisions."""
    rows = []
    for number in threads:
        torch.set_num_threads(number)
        rows += [
            {"precision": precision, "threads": number, "m": m, "k": k, "n": n,
             "flop_per_s": gemm_rate(precision, m, k, n)}
            for precision in DTYPES for m, k, n in GEMMS
        ]  # fmt: skip
    return rows


def time_precisions(kind: Kind, width: int) -> list[Timed]:
    """Its precisions at 1 thread, in turns, so that a passing load falls on all of them alike."""
    torch.set_num_threads(1)
    benches = [Bench(kind, width, precision) for precision in kind.precisions]
    _turns(benches, WARM_UP, WARM_UP_S)
    spent = _turns(benches, TIMED, STEPS_S)
    rates = [kind.batch_tokens / statistics.median(times) for times in spent]
    return [Timed(bench.spec.precision, rate) for bench, rate in zip(benches, rates)]


def _turns(benches: Sequence[Bench], most: int, limit_s: float) -> list[list[float]]:
    """Seconds of 1 to `most` steps of each, in turns; none is begun after `limit_s` of each."""
    spent: list[list[float]] = [[] for _ in benches]
    while len(spent[-1]) < most and sum(map(sum, spent)) < limit_s * len(benches):
        for bench, times in zip(benches, spent):
            times.append(seconds(bench.step))
    return spent


def choose(timed: list[Timed], family: str, width: int) -> dict[str, Any]:
    """The fastest precision, where each bf16 part has to pay by more than 5 %; the order is fp32 first.

    Example:
        >>> fast = [Timed(way, rate) for way, rate in zip(KINDS["text"].precisions, (100.0, 130.0, 131.0))]
        >>> choose(fast, "llama", 64)["body"], choose(fast, "llama", 64)["head"]
        ('fp32', 'bf16')
    """
    best = timed[0]
    for other in timed[1:]:
        if other.tokens_per_s > GAIN * best.tokens_per_s:
            best = other
    speeds = ", ".join(f"{_name(item)} {item.tokens_per_s:.0f}" for item in timed)
    why = (
        f"tokens/s of training steps ({family}) at width {width}, 1 thread (body/head): {speeds}; "
        f"bf16 is taken where it is more than {100 * GAIN - 100:.0f} % faster"
    )
    return {"width": width, **best.precision, "why": why}


def _name(item: Timed) -> str:
    return f"{item.precision['body']}/{item.precision['head']}"


def time_steps(kind: Kind, precision: Mapping[str, str], threads: tuple[int, ...]) -> list[dict[str, Any]]:
    """Tokens a second of real training steps at three widths and each thread count, in one precision."""
    rows = []
    for number in threads:
        torch.set_num_threads(number)
        for width in WIDTHS:
            bench = Bench(kind, width, precision)
            rows.append({
                "family": kind.family, "width": width, "vocabulary": kind.size.vocabulary, "context": kind.size.context,
                "threads": number, "precision": dict(precision),
                "flop_per_token": flop_per_token(kind.loss, kind.options, kind.family, kind.sized(width)),
                "tokens_per_s": kind.batch_tokens / _median_step_s(bench),
            })  # fmt: skip
    return rows


def _median_step_s(bench: Bench) -> float:
    """Seconds a step: the median of 8 after 3 to warm up, of fewer where those take over half a second."""
    _turns([bench], WARM_UP, WARM_UP_S)
    return statistics.median(_turns([bench], TIMED, STEPS_S)[0])


def probe(threads: int, kind: Kind) -> dict[str, Any]:
    """Everything that is measured, at 1 thread and at `threads`."""
    counts = tuple(sorted({1, max(1, threads)}))
    chosen = [choose(time_precisions(kind, width), kind.family, width) for width in CHOOSING_WIDTHS]
    ways = [way for way in kind.precisions if any(way.items() <= one.items() for one in chosen)]
    steps = [row for way in ways for row in time_steps(kind, way, counts)]
    return {
        "torch": torch.__version__,
        "gemm": gemms(counts),
        "steps": steps,
        "precision": {**chosen[0], "wider": chosen[1:]},
    }


def main() -> None:
    """Measure with the number of threads and the kind in argv, and print one JSON object."""
    start = time.perf_counter()
    found = probe(int(sys.argv[1]) if len(sys.argv) > 1 else 1, KINDS[sys.argv[2] if len(sys.argv) > 2 else "text"])
    print(json.dumps(found, allow_nan=False))
    if os.environ.get("KEEL_DEBUG"):
        print(f"probe: {time.perf_counter() - start:.1f} s after imports", file=sys.stderr)


if __name__ == "__main__":
    main()
