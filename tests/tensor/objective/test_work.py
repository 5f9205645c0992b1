"""FLOP of a sample as the facts say it, against torch's own counter on real batches and against many drawn samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from seq2seq_cases import CASES, Case, batches_of, loss_of, parts_of, samples_of, shape_of, text
from torch.utils.flop_counter import FlopCounterMode

from keel.model.shapes import FEATURES, SHAPES, Use
from keel.objective import work
from keel.objective.base import Batch, Example, Key, Objective, Sample
from keel.objective.facts import FACTS

pytestmark = pytest.mark.tensor
CONTEXT, DRAWS = 64, 1600


def use_of(loss: Objective, batch: Batch) -> Use:
    """What a batch of one sample puts through the model."""
    at = batch.tensors
    decoder = at["decoder_inputs"].shape[1] if "decoder_inputs" in at else 0
    return Use(at["inputs"].shape[1], decoder, batch.counts[loss.terms[0]])


def counted_flop(loss: Objective, case: Case, batch: Batch) -> float:
    """torch's count of a forward and a backward pass; fused attention on a CPU counts as nothing, so it is not used."""
    parts: Any = parts_of(case, loss, CONTEXT)
    library = parts["model"].library
    if library.config._attn_implementation == "sdpa":
        library.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        sums, *_ = loss.losses(parts, batch, {}, Key(0, 0, batch.ids))
        sum(sums.values()).backward()  # type: ignore[union-attr]
    return counter.get_total_flops()


@pytest.mark.parametrize("name", CASES)
def test_flop_of_a_real_sample_is_what_torch_counts(name: str) -> None:
    case = CASES[name]
    loss = loss_of(case, CONTEXT)
    (batch,) = batches_of(loss, samples_of(loss, 1, CONTEXT, seed=4), [1])
    shapes = SHAPES[case.family]
    said = shapes.flop(shape_of(case, loss, CONTEXT), use_of(loss, batch))
    assert said == pytest.approx(counted_flop(loss, case, batch), rel=1e-3)


def full_sample(loss: Objective, rng: np.random.Generator, place: int) -> Sample:
    """One that fills the context, within one document; sentences alike where they are chosen from."""
    most = loss.window(CONTEXT).length
    tokens = text(rng, most, borders=False)
    if loss.facts.reads == "parallel":
        return Sample(place, tokens, text(rng, most, borders=False), ("en", "de"))
    if loss.facts.reads == "documents":
        ends = np.flatnonzero(loss.vocabulary.ends_sentence)
        tokens[np.isin(tokens, ends)] = np.setdiff1d(loss.vocabulary.ordinary, ends)[0]
        tokens[most // 3 - 1 :: most // 3] = ends[0]
    return Sample(place, tokens)


def use_of_example(loss: Objective, example: Example) -> Use:
    if "decoder_inputs" not in example:
        return use_of(loss, loss.collate([example], [0]))
    return Use(len(example["inputs"]), len(example["decoder_inputs"]), len(example["targets"]))


@pytest.mark.parametrize("name", CASES)
def test_the_facts_give_the_mean_of_drawn_samples(name: str) -> None:
    case = CASES[name]
    loss, rng = loss_of(case, CONTEXT), np.random.default_rng(0)
    shape, shapes = shape_of(case, loss, CONTEXT), SHAPES[case.family]
    assert loss.facts.work is not None
    said = loss.facts.work(case.options, CONTEXT)
    assert sum(odds for odds, _ in said) == pytest.approx(1)
    samples = [full_sample(loss, rng, place) for place in range(DRAWS)]
    uses = [use_of_example(loss, loss.example(sample, rng)) for sample in samples]
    each = {use: shapes.flop(shape, use) for use in set(uses)}
    found = np.array([each[use] for use in uses])
    noise = float(found.std()) / DRAWS**0.5 / float(found.mean())
    assert work.flop(shapes, shape, said) == pytest.approx(found.mean(), rel=0.01 + 2 * noise)
    assert noise < 0.009
    # Every use that was seen is one that was said, where lengths follow a law of few values.
    if FEATURES[case.family].kind != "decoder" and loss.facts.reads == "windows" and "bart" not in case.loss:
        assert {use for use in uses} <= {use for _, use in said} | ROUNDED.get(name, set())


# A bernoulli count has a law of many values, of which the facts keep the mean.
ROUNDED = {"mlm, bernoulli": {Use(CONTEXT, 0, rows) for rows in range(CONTEXT)}}


def test_every_loss_of_two_stacks_says_its_work() -> None:
    for name, facts in FACTS.items():
        # Instructions are as long as the user's records: what they put through a model is not known before.
        counted = facts.judge == "target_bits_per_byte" and facts.reads != "instructions"
        if counted or name in ("clm", "mlm"):
            assert facts.work is not None, name
