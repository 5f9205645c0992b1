"""A student taught by a teacher beats the same student from the same few texts alone; one mistaught does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel

from keel import objective
from keel.model.divergence import Teacher
from keel.model.shapes import Size
from keel.objective import distil
from keel.objective.base import Batch, Objective, Sample, Scratch
from keel.plan.spec import example_spec
from keel.run import engine, optimiser, parts

pytestmark = pytest.mark.proof
WORDS, CONTEXT, SEEDS = 32, 16, range(5)
SIZE = {"width": 16, "layers": 1, "vocabulary": WORDS, "context": CONTEXT, "head_width": 8}
TAUGHT = {
    "of": {"loss": "clm"}, "alpha": 0.9, "temperature": 1.0,
    "teacher": {"start": {"kind": "scratch"}, "family": "llama", "size": SIZE},
}  # fmt: skip
# Of a Markov chain: what follows each word, a few words most of the time.
CHAIN = np.random.default_rng(0).dirichlet(np.full(WORDS, 0.15), WORDS)


def windows(number: int, seed: int) -> np.ndarray:
    """Windows of the chain, one token more than positions."""
    rng = np.random.default_rng(seed)
    made = np.empty((number, CONTEXT + 1), np.int64)
    made[:, 0] = rng.integers(0, WORDS, number)
    for place in range(CONTEXT):
        below = CHAIN[made[:, place]].cumsum(1) < rng.random(number)[:, None]
        made[:, place + 1] = np.minimum(below.sum(1), WORDS - 1)
    return made


def batch_of(loss: Objective, texts: np.ndarray) -> Batch:
    rng = np.random.default_rng(0)
    return loss.collate([loss.example(Sample(i, text), rng) for i, text in enumerate(texts)], range(len(texts)))


TEST = batch_of(objective.load("clm"), windows(256, 99))


def judged(model: Any) -> float:
    """Nats a token on text that nobody was trained on."""
    with torch.no_grad():
        (total,) = objective.load("clm").losses({"model": model}, TEST, {}, Any)[0].values()
    return float(total) / TEST.counts["clm"]


def learn(
    loss: Objective, texts: np.ndarray, steps: int, seed: int, batch: int, teacher: Any = None
) -> tuple[Any, float]:
    """The model after its steps, and the best that it was on the way: nobody loses by training too long."""
    spec = example_spec(size=SIZE, steps=steps, warmup_steps=5, decay_start=steps // 2, lr_hidden=0.01,
                        lr_embedding=0.01, seed=seed, weight_decay=0.0)  # fmt: skip
    plan = loss.parts("llama", Size(**SIZE), Scratch())
    made = parts.build(plan, spec) | ({} if teacher is None else {"teacher": teacher})
    parts.hold(made, plan, 0)
    optimisers, order, best = optimiser.build(made, plan, spec), np.random.default_rng(seed), np.inf
    for step in range(steps):
        drawn = batch_of(loss, texts[order.permutation(len(texts))[:batch]])
        engine.accumulate(loss, made, [drawn], {}, seed, step)
        optimiser.step(optimisers, spec.multiplier(step), spec.clip_norm)
        if step % 10 == 9:
            best = min(best, judged(made["model"]))
    return made["model"], best


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def teacher() -> Any:
    """It has read twenty times as much."""
    return learn(objective.load("clm"), windows(1300, 1), 250, 0, 32)[0]


@pytest.fixture(scope="module")
def alone() -> list[float]:
    return [learn(objective.load("clm"), windows(64, 100 + seed), 60, seed, 16)[1] for seed in SEEDS]


def taught(teacher: Any) -> list[float]:
    loss = objective.load("distil", TAUGHT)
    return [learn(loss, windows(64, 100 + seed), 60, seed, 16, teacher)[1] for seed in SEEDS]


def test_a_taught_student_beats_the_same_student_alone(teacher: Any, alone: list[float]) -> None:
    found = taught(teacher)
    gains = np.array(alone) - found
    assert ttest_rel(alone, found, alternative="greater").pvalue < 1e-3
    assert gains.min() > 0.3
    # And none beats the source, or the test is wrong.
    entropy = -(CHAIN * np.log(CHAIN, where=CHAIN > 0, out=np.zeros_like(CHAIN))).sum(1).mean()
    assert min(found) > entropy - 0.1


def test_a_teacher_whose_words_are_shuffled_teaches_nothing(
    teacher: Any, alone: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: its logits belong to other words."""
    monkeypatch.setattr(distil, "Teacher", lambda rows, table, bias, ids: Teacher(rows, table.roll(1, 0), bias, ids))
    found = taught(teacher)
    assert ttest_rel(alone, found, alternative="greater").pvalue > 0.5
    assert np.mean(found) > np.mean(alone)
