"""What training runs at on this machine: `python -m keel.run.probe THREADS` times products and real training steps.

It prints one JSON object: torch, gemm, steps and the chosen precision (docs/design.md, evidence/machine.json). Units:
FLOP a second, training FLOP a token, tokens a second. KEEL_DEBUG=1 adds the seconds spent, on stderr.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from keel import objective
from keel.model.head import DTYPES
from keel.model.shapes import Size, facts_of
from keel.objective.base import Batch, Sample, Scratch
from keel.plan.spec import Spec, example_spec
from keel.run import engine, optimiser, parts

FAMILY, VOCABULARY, CONTEXT, HEAD_WIDTH, LAYERS, BATCH_TOKENS = "llama", 4096, 128, 8, 2, 512
CHOOSING_WIDTH, WIDTHS = 64, (16, 64, 256)
GEMMS = ((1024, 1024, 1024), (512, 64, 4096))
PRECISIONS: tuple[Mapping[str, str], ...] = (
    {"body": "fp32", "head": "fp32"}, {"body": "fp32", "head": "bf16"}, {"body": "bf16", "head": "bf16"},
)  # fmt: skip
WARM_UP, TIMED, GAIN = 3, 8, 1.05
GEMM_S, WARM_UP_S, STEPS_S = 0.05, 0.3, 0.5


class Timed(NamedTuple):
    """One precision's speed at the width where it is chosen."""

    precision: Mapping[str, str]
    tokens_per_s: float


class Bench:
    """One small model in training on random tokens; `step` is one whole optimiser step."""

    def __init__(self, width: int, precision: Mapping[str, str]) -> None:
        size = Size(width=width, layers=LAYERS, vocabulary=VOCABULARY, context=CONTEXT, head_width=HEAD_WIDTH)
        self.spec: Spec = example_spec(
            family=FAMILY, size=size.json(), batch_tokens=BATCH_TOKENS, lr_hidden=0.4 / width, precision=dict(precision)
        )  # fmt: skip
        self.objective = objective.load(self.spec.objective, self.spec.options)
        plan = self.objective.parts(FAMILY, size, Scratch())
        self.parts: dict[str, nn.Module] = parts.build(plan, self.spec)
        self.optimisers = optimiser.build(self.parts, plan, self.spec)
        self.carry = self.objective.init_carry(self.parts)
        self.rng = np.random.default_rng(self.spec.seed)
        self.done = 0

    def _batch(self) -> Batch:
        count = BATCH_TOKENS // CONTEXT
        windows = self.rng.integers(0, VOCABULARY, (count, CONTEXT + 1))
        examples = [self.objective.example(Sample(place, row), self.rng) for place, row in enumerate(windows)]
        return self.objective.collate(examples, range(count))

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


def time_precisions() -> list[Timed]:
    """The three precisions at width 64 and 1 thread, in turns, so that a passing load falls on all of them alike."""
    torch.set_num_threads(1)
    benches = [Bench(CHOOSING_WIDTH, precision) for precision in PRECISIONS]
    spent: list[list[float]] = [[] for _ in benches]
    for turn in range(WARM_UP + TIMED):
        for bench, times in zip(benches, spent):
            took = seconds(bench.step)
            if turn >= WARM_UP:
                times.append(took)
    rates = [BATCH_TOKENS / statistics.median(times) for times in spent]
    return [Timed(bench.spec.precision, rate) for bench, rate in zip(benches, rates)]


def choose(timed: list[Timed]) -> dict[str, str]:
    """The fastest precision, where each bf16 part has to pay by more than 5 %; the order is fp32 first.

    Example:
        >>> fast = [Timed(PRECISIONS[0], 100.0), Timed(PRECISIONS[1], 130.0), Timed(PRECISIONS[2], 131.0)]
        >>> choose(fast)["body"], choose(fast)["head"]
        ('fp32', 'bf16')
    """
    best = timed[0]
    for other in timed[1:]:
        if other.tokens_per_s > GAIN * best.tokens_per_s:
            best = other
    speeds = ", ".join(f"{_name(item)} {item.tokens_per_s:.0f}" for item in timed)
    why = (
        f"tokens/s of training steps at width {CHOOSING_WIDTH}, 1 thread (body/head): {speeds}; "
        f"bf16 is taken where it is more than {100 * GAIN - 100:.0f} % faster"
    )
    return {"body": best.precision["body"], "head": best.precision["head"], "why": why}


def _name(item: Timed) -> str:
    return f"{item.precision['body']}/{item.precision['head']}"


def time_steps(precision: Mapping[str, str], threads: tuple[int, ...]) -> list[dict[str, Any]]:
    """Tokens a second of real training steps at three widths and each thread count."""
    rows = []
    for number in threads:
        torch.set_num_threads(number)
        for width in WIDTHS:
            bench = Bench(width, precision)
            rows.append({
                "width": width, "vocabulary": VOCABULARY, "context": CONTEXT, "threads": number,
                "precision": dict(precision), "flop_per_token": facts_of(FAMILY, bench.spec.size)[2],
                "tokens_per_s": BATCH_TOKENS / _median_step_s(bench),
            })  # fmt: skip
    return rows


def _median_step_s(bench: Bench) -> float:
    """Seconds a step: the median of 8 after 3 to warm up, of fewer where those take over half a second."""
    _times(bench, WARM_UP, WARM_UP_S)
    return statistics.median(_times(bench, TIMED, STEPS_S))


def _times(bench: Bench, most: int, limit_s: float) -> list[float]:
    """Seconds of each of 1 to `most` steps; none is begun after `limit_s`, so a busy machine cannot hold us up."""
    times = [seconds(bench.step)]
    while len(times) < most and sum(times) < limit_s:
        times.append(seconds(bench.step))
    return times


def probe(threads: int) -> dict[str, Any]:
    """Everything that is measured, at 1 thread and at `threads`."""
    counts = tuple(sorted({1, max(1, threads)}))
    chosen = choose(time_precisions())
    steps = time_steps({name: chosen[name] for name in ("body", "head")}, counts)
    return {"torch": torch.__version__, "gemm": gemms(counts), "steps": steps, "precision": chosen}


def main() -> None:
    """Measure with the number of threads in argv, and print one JSON object."""
    start = time.perf_counter()
    found = probe(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    print(json.dumps(found, allow_nan=False))
    if os.environ.get("KEEL_DEBUG"):
        print(f"probe: {time.perf_counter() - start:.1f} s after imports", file=sys.stderr)


if __name__ == "__main__":
    main()
