"""What every loss owes the engine: sums named like counts, sums and not means, counts of what the sums are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from keel.objective.base import Batch
from keel.prove.bench import Bench, number
from keel.prove.result import Verdict, broken, not_judged, within

EXACT = 1e-9
# A target costs so much where a model knows nothing: one of all tokens, or yes or no.
INTEGER = 1e-6


def contract(bench: Bench) -> Verdict:
    """Examples are arrays; counts are whole numbers; sums are finite scalars with a gradient and the counts' names."""
    samples, group = bench.samples(), max(bench.group, 2) if bench.objective.coupled else bench.group
    pairs = [samples[first : first + group] for first in range(0, len(samples), group)]
    batches = [bench.collate(bench.draw(pair), pair) for pair in pairs]
    problems = [*_examples(bench), *(text for batch, pair in zip(batches, pairs) for text in _batch(batch, len(pair)))]
    names = [frozenset(batch.counts) for batch in batches]
    if len(set(names)) > 1:
        problems.append(f"counts of one micro-batch name {_list(names[0])}, of another {_list(set(names) - {names[0]})}"
                        ": ranks could not add them (name a term that has no target with count 0)")  # fmt: skip
    if not problems:
        problems += [text for batch in batches[:4] for text in _sums(bench, batch)]
        problems += [f"weights() names '{name}', which is no term" for name in bench.objective.weights(bench.step)
                     if name not in names[0]]  # fmt: skip
    return broken(list(dict.fromkeys(problems)), f"terms {_list(names[0])}; parts {_list(bench.modules)}")


def _list(names: Any) -> str:
    return ", ".join(sorted(map(str, names))) or "nothing"


def _examples(bench: Bench) -> Iterator[str]:
    for example in bench.draw(bench.samples()):
        if not isinstance(example, Mapping):
            yield f"`example` gives a {type(example).__name__}, not named arrays"
        else:
            for name, value in example.items():
                if not isinstance(value, np.ndarray) or value.dtype == object:
                    yield f"`example` gives '{name}' as {type(value).__name__}, not an array of numbers"


def _batch(batch: Batch, number: int) -> Iterator[str]:
    if not isinstance(batch, Batch):
        yield f"`collate` gives a {type(batch).__name__}, not a Batch"
        return
    if len(batch.ids) != number:
        yield f"`collate` of {number} samples keeps {len(batch.ids)} ids: randomness on the device is keyed by them"
    if not batch.counts:
        yield "no term is counted"
    for name, count in batch.counts.items():
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 0:
            yield f"count of '{name}' is {count!r}, not a whole number"
    for name, value in batch.tensors.items():
        if not isinstance(value, Tensor):
            yield f"batch tensor '{name}' is a {type(value).__name__}"


def _sums(bench: Bench, batch: Batch) -> Iterator[str]:
    given = bench.losses(batch)
    if not isinstance(given, tuple) or len(given) != 3:
        yield f"`losses` gives a {type(given).__name__}, not (sums, features or None, stats)"
        return
    terms = bench.terms(batch)
    if set(terms) != set(batch.counts):
        yield f"sums name {_list(terms)}, counts name {_list(batch.counts)}"
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.dim() or not term.is_floating_point():
            yield f"the sum of '{name}' is no scalar tensor"
        elif not math.isfinite(number(term)):
            yield f"the sum of '{name}' is {number(term)}"
        elif batch.counts.get(name) and not term.requires_grad:
            yield f"the sum of '{name}' has no gradient"
    for name, value in given[2].items():
        if not isinstance(value, Tensor) or not value.isfinite().all():
            yield f"stat '{name}' is not a finite tensor"


def sums(bench: Bench) -> Verdict:
    """Every sample twice: each sum and each count must double, which a mean does not."""
    samples = bench.samples()
    examples = bench.draw(samples)
    batch, twice = bench.collate(examples, samples), bench.collate([*examples] * 2, [*samples] * 2)
    once, doubled = bench.losses(batch)[0], bench.losses(twice)[0]
    if not once:
        return not_judged("every term is coupled: more samples change what each is compared with")
    gaps = {name: abs(number(doubled[name]) / number(term) - 2) if number(term) else 0.0 for name, term in once.items()}
    gaps |= {f"count of {name}": float(abs(twice.counts[name] - 2 * batch.counts[name])) for name in once}
    worst = max(gaps, key=lambda name: gaps[name])
    ratio = number(doubled[worst]) / number(once[worst]) if worst in once and number(once[worst]) else None
    told = f"every sample twice multiplies the sum of '{worst}' by {ratio:.6g}, not by 2: " if ratio else f"{worst}: "
    fine = f"every sample twice doubles {_list(once)}"
    return within(gaps[worst], EXACT, fine if gaps[worst] <= EXACT else told + "give sums; the engine alone divides")


def counts(bench: Bench) -> Verdict:
    """With all weights at zero every target costs the same, so the sums themselves say how many targets they hold."""
    samples, group = bench.samples(), bench.group
    seen: dict[str, list[tuple[int, float]]] = {}
    with torch.no_grad(), _Zeroed(bench):
        for first in range(0, len(samples), group):
            pair = samples[first : first + group]
            batch = bench.collate(bench.draw(pair), pair)
            for name, term in bench.losses(batch)[0].items():
                seen.setdefault(name, []).append((int(batch.counts[name]), number(term)))
    if not seen:
        return not_judged("every term is coupled")
    # What a target is one of: tokens, or classes of images; 0 where the size knows of neither.
    vocabulary = int(bench.spec.size.get("classes") or bench.spec.size["vocabulary"])
    verdicts = [_held(name, pairs, vocabulary) for name, pairs in seen.items()]
    failed = [verdict for verdict in verdicts if verdict.ok is False]
    judged = [verdict for verdict in verdicts if verdict.ok is not None]
    if not judged:
        return not_judged("; ".join(verdict.why for verdict in verdicts))
    worst = max(failed or judged, key=lambda verdict: verdict.measured or 0.0)
    return worst._replace(why="; ".join(verdict.why for verdict in failed or verdicts))


class _Zeroed:
    """All weights of all parts at zero, and back."""

    def __init__(self, bench: Bench) -> None:
        self.weights = [weight for part in bench.modules.values() for weight in part.parameters()]

    def __enter__(self) -> None:
        self.kept = [weight.detach().clone() for weight in self.weights]
        for weight in self.weights:
            weight.data.zero_()

    def __exit__(self, *_: object) -> None:
        for weight, kept in zip(self.weights, self.kept):
            weight.data.copy_(kept)


def _held(name: str, pairs: Sequence[tuple[int, float]], vocabulary: int) -> Verdict:
    """Counts against sums at zero weights: whole numbers of ln V or ln 2, or at least in one proportion."""
    stated = np.array([count for count, _ in pairs], dtype=np.float64)
    found = np.array([total for _, total in pairs])
    if (found[stated == 0] != 0).any():
        return Verdict(False, float(np.abs(found[stated == 0]).max()), 0.0, f"'{name}' has a sum where its count is 0")
    if not found.any():
        return not_judged(f"'{name}' is 0 where all weights are: nothing to count")
    most = None
    known = (vocabulary, 2) if vocabulary else ()
    for cost, words in ((math.log(each), f"ln {each}") for each in known):
        held = found / cost
        if np.abs(held - held.round()).max() > INTEGER:
            continue
        gap = float(np.abs(held - stated).max())
        if gap <= INTEGER:
            return within(gap, INTEGER, f"'{name}': sums hold {held.sum():.0f} targets of {words}, as counted")
        most = most or Verdict(
            False, gap, INTEGER, f"'{name}' counts {stated.sum():.0f} targets, and its sums hold {held.sum():.0f} of "
            f"{words} with all weights at zero (the worst sample is {gap:.0f} off)",
        )  # fmt: skip
    if most:
        return most
    share = found[stated > 0] / stated[stated > 0]
    gap = float(np.ptp(share) / np.abs(share).max())
    if gap <= INTEGER:
        return within(gap, INTEGER, f"'{name}': {share.mean():.6g} a counted target, for every sample")
    return not_judged(f"'{name}' costs from {share.min():.4g} to {share.max():.4g} a counted target where all weights "
                      "are zero: no classification, so its counts cannot be held against its sums")  # fmt: skip


def empty(bench: Bench) -> Verdict:
    """A micro-batch of special tokens alone: sums and gradients stay finite, whatever can be a target there."""
    special = bench.objective._vocabulary.special if bench.objective._vocabulary else {}
    if "separator" not in special:
        return not_judged("no separator: there is no text without a word")
    samples = [_wordless(sample, special["separator"]) for sample in bench.samples()[: bench.quarter]]
    batch = bench.collate(bench.draw(samples), samples)
    terms, *_ = bench.losses(batch)
    problems = [f"the sum of '{name}' is {number(term)}" for name, term in terms.items() if not term.isfinite()]
    total = torch.stack(list(terms.values())).sum() if terms else None
    if total is not None and total.requires_grad and not problems:
        grads = torch.autograd.grad(total, bench.weights(), allow_unused=True)
        names = bench.names()
        problems += [
            f"the gradient of {names[weight]} is not finite" for weight, grad in zip(bench.weights(), grads)
            if grad is not None and not grad.to_dense().isfinite().all()
        ]  # fmt: skip
    said = ", ".join(f"{count} {name}" for name, count in batch.counts.items())
    return broken(problems, f"{len(samples)} samples of separators: targets {said}")


def _wordless(sample: Any, separator: int) -> Any:
    second = None if sample.second is None else np.full_like(sample.second, separator)
    return sample._replace(tokens=np.full_like(sample.tokens, separator), second=second)
