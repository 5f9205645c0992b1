"""Mixtures: shares as asked for, terms normalised apart, absent losses, nesting, and what cannot be mixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from helpers import study_error
from scipy.stats import binom, chisquare
from seq2seq_cases import CONTEXT, Case, batches_of, examples_of, loss_of, parts_of, samples_of, size_of
from torch import nn

from keel.model.shapes import Size
from keel.objective.base import Carry, Key, Part, Sample, Scratch, Start, Stats
from keel.objective.clm import CLM
from keel.objective.mixture import Mixture
from keel.run import engine

pytestmark = pytest.mark.tensor
RIGHT = {"loss": "clm", "share": 0.6}
SUFFIX = {"loss": "prefix_lm", "options": {"low": 0.3, "high": 0.6}, "share": 0.4}
PLAIN = Case("mixture", "llama", {"of": {"right": RIGHT, "suffix": SUFFIX}})


def flat(parts: Mapping[str, nn.Module]) -> torch.Tensor:
    grads = [weight.grad for part in parts.values() for weight in part.parameters()]
    return torch.cat([grad.reshape(-1) for grad in grads if grad is not None])


def gone(loss: Mixture, number: int, seed: int = 0) -> list[str]:
    """Where samples go in an epoch of this seed."""
    tokens = np.arange(CONTEXT + 1)
    examples = [
        loss.example(Sample(i, tokens), np.random.Generator(np.random.Philox(key=[seed, i]))) for i in range(number)
    ]
    return [next(iter(example)).split("/")[0] for example in examples]


def test_samples_go_by_shares_and_by_their_own_generator_alone() -> None:
    loss = loss_of(PLAIN)
    assert isinstance(loss, Mixture)
    number = 6000
    where = gone(loss, number)
    right = where.count("right")
    # Two-sided, at one in a million for a right product.
    assert binom.cdf(right, number, 0.6) > 5e-7
    assert binom.sf(right - 1, number, 0.6) > 5e-7
    assert where == gone(loss, number)
    other = gone(loss, number, seed=1)
    same = sum(one == two for one, two in zip(where, other))
    assert same / number == pytest.approx(0.6**2 + 0.4**2, abs=0.03)
    # Neither place in the order nor the sample before decides.
    pairs = np.array([[(a == "right") * 2 + (b == "right") for a, b in zip(where[::2], where[1::2])]])
    counts = np.bincount(pairs[0], minlength=4)
    assert chisquare(counts, number / 2 * np.array([0.16, 0.24, 0.24, 0.36])).pvalue > 1e-6


def test_shares_that_are_ignored_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = loss_of(PLAIN)
    assert isinstance(loss, Mixture)
    even = {name: one._replace(share=0.5) for name, one in loss.shares.items()}
    monkeypatch.setattr(loss, "shares", even)
    assert binom.cdf(gone(loss, 6000).count("right"), 6000, 0.6) < 1e-6


def test_each_loss_is_a_mean_over_its_own_targets() -> None:
    """The gradient is the weighted sum of the held losses' own, each on its samples alone."""
    loss = loss_of(PLAIN)
    assert isinstance(loss, Mixture)
    parts, samples = parts_of(PLAIN, loss), samples_of(loss)
    made = engine.accumulate(loss, parts, batches_of(loss, samples, [16]), {}, 0, 0)
    whole = flat(parts)
    expected = torch.zeros_like(whole)
    for name, weight in (("right", 0.6), ("suffix", 0.4)):
        mine = [
            sample
            for sample, example in zip(samples, examples_of(loss, samples))
            if next(iter(example)).startswith(name)
        ]
        held = loss.of[name]
        examples = [
            {key[len(name) + 1 :]: value for key, value in example.items()} for example in examples_of(loss, mine)
        ]
        parts["model"].zero_grad(set_to_none=True)
        alone = engine.accumulate(held, parts, [held.collate(examples, [one.id for one in mine])], {}, 0, 0)
        term = held.terms[0]
        assert made.terms[f"{name}.{term}"] == pytest.approx(alone.terms[term], rel=1e-12)
        expected += weight * flat(parts)
    # The library's norms are in fp32 whatever the weights are in.
    assert (whole - expected).abs().max() <= 1e-6 * whole.abs().max()
    assert loss.weights(0) == {"right.clm": 0.6, "suffix.prefix_lm": 0.4}


def test_an_absent_loss_adds_nothing_and_has_no_mean() -> None:
    loss = loss_of(PLAIN)
    parts = parts_of(PLAIN, loss)
    rare = [sample for sample, example in zip(samples_of(loss), examples_of(loss, samples_of(loss)))
            if next(iter(example)).startswith("right")]  # fmt: skip
    batches = batches_of(loss, rare, [2, len(rare) - 2])
    assert batches[0].counts["suffix.prefix_lm"] == 0
    made = engine.accumulate(loss, parts, batches, {}, 0, 0, norms=True)
    assert set(made.terms) == {"right.clm"} == set(made.norms)
    assert torch.isfinite(flat(parts)).all()
    assert loss.optional == ("right.clm", "suffix.prefix_lm")


def test_mixtures_hold_mixtures() -> None:
    inner = {"loss": "mixture", "options": {"of": {"a": RIGHT, "b": SUFFIX}}, "share": 1}
    case = Case("mixture", "llama", {"of": {"inner": inner, "c": {"loss": "clm", "share": 1}}})
    loss = loss_of(case)
    assert isinstance(loss, Mixture)
    assert loss.terms == ("inner.a.clm", "inner.b.prefix_lm", "c.clm")
    assert loss.weights(0) == {"inner.a.clm": 0.3, "inner.b.prefix_lm": 0.2, "c.clm": 0.5}
    parts, samples = parts_of(case, loss), samples_of(loss)
    whole = engine.accumulate(loss, parts, batches_of(loss, samples, [16]), {}, 0, 0)
    gradient = flat(parts)
    parts["model"].zero_grad(set_to_none=True)
    cut = engine.accumulate(loss, parts, batches_of(loss, samples, [1, 9, 6]), {}, 0, 0)
    assert cut.terms == pytest.approx(whole.terms, rel=1e-12)
    assert len(whole.terms) == 3
    assert (flat(parts) - gradient).abs().max() <= 1e-9 * gradient.abs().max()


def test_windows_are_those_of_the_loss_that_takes_fewest_tokens() -> None:
    loss = loss_of(PLAIN)
    assert isinstance(loss, Mixture)
    assert loss.window(CONTEXT) == (CONTEXT + 1, CONTEXT)
    both = loss_of(Case("mixture", "t5", {"of": {
        "spans": {"loss": "span_corruption", "share": 1}, "drops": {"loss": "alexatm", "share": 1}}}))  # fmt: skip
    assert isinstance(both, Mixture)
    lengths = [held.window(CONTEXT).length for held in both.of.values()]
    assert both.window(CONTEXT).length == min(lengths) < max(lengths)


def test_rows_are_those_of_the_losses_that_got_samples() -> None:
    loss = loss_of(PLAIN)
    parts = parts_of(PLAIN, loss)
    (batch,) = batches_of(loss, samples_of(loss), [16])
    rows = loss.rows(parts, batch)
    assert {name: len(found.targets) for name, found in rows.items()} == batch.counts


class Counting(CLM):
    """A loss with state beside its weights: the steps it has seen, and all its targets."""

    terms = ("clm",)

    def losses(self, parts: Any, batch: Any, carry: Carry, key: Key) -> Any:
        sums, _, _ = super().losses(parts, batch, carry, key)
        assert key.sample_ids == batch.ids
        return sums, None, {"targets": torch.tensor(float(batch.counts["clm"]))}

    def init_carry(self, parts: Any) -> Carry:
        return {"steps": torch.zeros(()), "targets": torch.zeros(())}

    def after_step(self, parts: Any, carry: Carry, stats: Stats, step: int) -> Carry:
        return {"steps": carry["steps"] + 1, "targets": carry["targets"] + stats.get("targets", 0)}

    def weights(self, step: int) -> Mapping[str, float]:
        return {"clm": 3.0}


def test_state_beside_the_weights_is_each_losses_own() -> None:
    counting = {"loss": "test_mixture:Counting", "share": 1}
    case = Case("mixture", "llama", {"of": {"one": counting, "two": counting}})
    loss = loss_of(case)
    parts = parts_of(case, loss)
    carry = loss.init_carry(parts)
    assert set(carry) == {"one/steps", "one/targets", "two/steps", "two/targets"}
    seen = 0
    for step in range(2):
        batches = batches_of(loss, samples_of(loss, seed=step), [10, 6])
        seen += sum(sum(batch.counts.values()) for batch in batches)
        made = engine.accumulate(loss, parts, batches, carry, 0, step)
        carry = loss.after_step(parts, carry, made.stats, step + 1)
    assert carry["one/steps"] == carry["two/steps"] == 2
    assert carry["one/targets"] + carry["two/targets"] == seen
    assert loss.weights(0) == {"one.clm": 1.5, "two.clm": 1.5}


class Later(CLM):
    """The same model, frozen at first."""

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        return {"model": Part(family=family, size=size, start=start, thaw_step=3)}


class Silent(CLM):
    terms = ()


class Comparing(CLM):
    coupled = True


class Following(CLM):
    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        plain = super().parts(family, size, start)
        return {**plain, "mean": Part(family=family, size=size, start=start, role="ema", ema_of="model")}

    def momentum(self, step: int, decayed: float) -> float:
        return 0.25


def mixture(**losses: str) -> Mixture:
    loss = loss_of(
        Case("mixture", "llama", {"of": {name: {"loss": path, "share": 1} for name, path in losses.items()}})
    )
    assert isinstance(loss, Mixture)
    return loss


def test_parts_of_one_name_are_one_part() -> None:
    loss = mixture(a="clm", b="test_mixture:Following")
    found = loss.parts("llama", size_of(loss), Scratch())
    assert list(found) == ["model", "mean"]
    assert loss.momentum(0, 0.0) == 0.25
    assert mixture(a="clm").momentum(0, 0.0) == CLM().momentum(0, 0.0)


def test_a_loss_that_may_thaw_and_does_not_is_like_any_other() -> None:
    losses = {name: {"loss": name, "share": 1} for name in ("bart", "alexatm")}
    loss = loss_of(Case("mixture", "bart", {"of": losses}))
    assert list(loss.parts("bart", size_of(loss), Scratch())) == ["model"]


def test_parts_that_differ_are_refused() -> None:
    loss = mixture(a="clm", b="test_mixture:Later")
    with study_error("'b' wants another part 'model'", "thaw_step 3 and 0"):
        loss.parts("llama", size_of(loss), Scratch())
    two = mixture(a="test_mixture:Following", b="test_mixture:Following")
    with study_error("two losses of the mixture have means of weights"):
        two.parts("llama", size_of(two), Scratch())


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ({"a": "test_mixture:Silent"}, "'a' does not say its terms"),
        ({"a": "test_mixture:Comparing"}, "'a' compares all samples of a step"),
    ],
)
def test_losses_that_cannot_be_held(losses: dict[str, str], words: str) -> None:
    with study_error(words):
        mixture(**losses)


def test_static_and_dynamic_masks_do_not_mix() -> None:
    masks = {"loss": "mlm", "options": {"masks": 4}, "share": 1}
    with study_error("others in turn", "variants: 0, 4"):
        loss_of(Case("mixture", "bert", {"of": {"a": {"loss": "mlm", "share": 1}, "b": masks}}))
    assert loss_of(Case("mixture", "bert", {"of": {"a": masks, "b": masks}})).variants == 4


def test_unknown_options_are_refused() -> None:
    with study_error("the loss 'mixture' has no option 'off'", where=False):
        loss_of(Case("mixture", "llama", {"of": {"a": RIGHT}, "off": 1}))
