"""The judge of models that write what others read: the loss's own questions, once, by the byte of text asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import study_error
from torch import nn

from keel import evaluate, objective
from keel.corpus.shards import Shards
from keel.corpus.vocabulary import SPECIAL, Vocabulary, vocabulary_of
from keel.evaluate import targets
from keel.evaluate.exam import Exam
from keel.evaluate.intervals import ratio_error
from keel.evaluate.targets import piece_bytes
from keel.model.shapes import Size
from keel.objective.base import Objective, Sample, Scratch
from keel.objective.facts import FACTS
from keel.plan.spec import Spec, example_spec
from keel.run import heldout, parts
from keel.run.finish import finish
from keel.run.train import Place, train

pytestmark = pytest.mark.tensor
CONTEXT = 32
BOTH = {"a": {"loss": "span_corruption", "share": 3},
        "b": {"loss": "prefix_lm", "share": 1, "options": {"stacks": 2}}}  # fmt: skip
CASES = [
    ("span_corruption", "t5", {}), ("ul2", "t5", {}), ("bart", "bart", {}), ("prefix_lm", "llama", {}),
    ("mixture", "t5", {"of": BOTH}),
]  # fmt: skip


def known_of(shards: Shards, loss: str, options: dict[str, Any]) -> Vocabulary:
    facts = FACTS[loss].of(options) if FACTS[loss].of else FACTS[loss]  # type: ignore[misc]
    text = shards.tokenizer_path.read_text(encoding="utf-8")
    return vocabulary_of(text).with_special(facts.roles(options, CONTEXT))


def made(shards: Shards, loss: str, family: str, options: dict[str, Any]) -> tuple[Objective, dict[str, nn.Module]]:
    known = known_of(shards, loss, options)
    found = objective.load(loss, options, known)
    size = Size(width=16, layers=1, vocabulary=known.size, context=CONTEXT, head_width=8)
    plan = found.parts(family, size, Scratch())
    return found, parts.build(plan, example_spec(family=family, size=size.json()), known)


def flat(model: Any, seen: list[torch.Tensor]) -> Any:
    """The model with a head that knows nothing, which writes down what it is asked."""
    model.logits = lambda hidden: torch.zeros(len(hidden), model.table.shape[0])
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    return model


@pytest.mark.parametrize(("loss", "family", "options"), CASES, ids=[case[0] for case in CASES])
def test_odds_of_nothing_cost_ln_of_the_vocabulary_a_target(
    loss: str, family: str, options: dict[str, Any], shards: Shards
) -> None:
    found, modules = made(shards, loss, family, options)
    seen: list[torch.Tensor] = []
    modules["model"] = flat(modules["model"], seen)
    exams = [Exam(modules, found, shards, CONTEXT, heldout.samples_of(found, shards, CONTEXT)) for _ in range(2)]
    judge = evaluate.judge(found.facts.judge)
    first, length = judge(exams[0]), len(seen)
    assert first.nats_per_token == pytest.approx(math.log(found.vocabulary.size), rel=1e-6)
    assert first.bits_per_byte == pytest.approx(first.tokens * math.log2(found.vocabulary.size) / first.bytes, rel=1e-3)
    assert first.bar is not None
    assert 0 < first.bar < first.bits_per_byte, "frequencies know more than nothing"
    assert judge(exams[1]) == first, "the questions are the same for every model"
    assert len(seen) == 2 * length
    assert all(torch.equal(one, two) for one, two in zip(seen[:length], seen[length:]))


def test_text_among_targets_is_all_that_counts_as_bytes(shards: Shards) -> None:
    """BART writes every window whole, so the bytes are those of the text; T5 writes 15 % of it."""
    wholes = {}
    for loss, family in (("bart", "bart"), ("span_corruption", "t5")):
        found, modules = made(shards, loss, family, {})
        exam = Exam(modules, found, shards, CONTEXT, heldout.samples_of(found, shards, CONTEXT))
        wholes[loss] = evaluate.judge(found.facts.judge)(exam)
    last = piece_bytes(known_of(shards, "bart", {}))[shards.heldout[-1]]
    assert shards.heldout_bytes - wholes["bart"].bytes in (0, last)
    assert wholes["span_corruption"].bytes == pytest.approx(0.15 * shards.heldout_bytes, rel=0.1)


def test_bytes_of_pieces_add_to_those_of_the_text(shards: Shards) -> None:
    known = vocabulary_of(shards.tokenizer_path.read_text(encoding="utf-8"))
    assert piece_bytes(known)[shards.heldout].sum() == shards.heldout_bytes
    assert (piece_bytes(known)[known.kind == SPECIAL] == 0).all()


def test_the_bar_by_hand() -> None:
    """Two texts tokens of counts 8 and 0, one mark: 3 targets of 4 are text."""
    known = Vocabulary(3, {"separator": 2}, np.array([0, 0, SPECIAL], np.uint8), np.zeros(3, bool))
    nats = targets._frequencies(np.array([2, 1, 1]), np.array([8, 0, 5]), known)
    assert nats == pytest.approx(-(2 * math.log(0.75 * 9 / 10) + math.log(0.75 / 10) + math.log(0.25)))


def test_the_error_is_that_of_a_ratio() -> None:
    """Against many draws of the samples."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 40, (2000, 100)).astype(float)
    nats = sizes * rng.gamma(4.0, 0.25, sizes.shape)
    spread = (nats.sum(1) / sizes.sum(1)).std()
    said = np.mean([ratio_error(list(a), list(b)) for a, b in zip(nats[:200], sizes[:200])])
    assert said == pytest.approx(spread, rel=0.1)


def test_samples_that_ask_for_no_text_cannot_judge(shards: Shards) -> None:
    """PEGASUS takes sentences out of documents of several; the tiny text has no full stop."""
    found, modules = made(shards, "pegasus", "bart", {})
    samples = heldout.samples_of(found, shards, CONTEXT)
    with study_error("cannot judge this loss", "ask for no text", "heldout.max_bytes"):
        evaluate.judge("target_bits_per_byte")(Exam(modules, found, shards, CONTEXT, samples))


def test_mixed_runs_are_judged_in_fp32(shards: Shards) -> None:
    found, modules = made(shards, "bart", "bart", {})
    samples = list(heldout.samples_of(found, shards, CONTEXT))[:3]
    exact = targets.judge(modules, found, samples, shards.token_counts())
    modules["model"].body_dtype = torch.bfloat16  # type: ignore[assignment]
    assert targets.judge(modules, found, samples, shards.token_counts()) == exact
    assert modules["model"].body_dtype == torch.bfloat16


@pytest.mark.parametrize("length", [2, 31, 32, 100])
def test_windows_hold_all_of_the_text(length: int) -> None:
    class Text:
        heldout = np.arange(length)

    for window, stride in ((31, 31), (33, 32)):
        found: list[Sample] = list(heldout.windows(Text, window, stride))  # type: ignore[arg-type]
        seen = np.unique(np.concatenate([sample.tokens for sample in found]))
        assert length - len(seen) <= 1
        assert [sample.id for sample in found] == list(range(len(found)))
        assert sum(len(sample.tokens) - (window - stride) for sample in found[1:]) + len(found[0].tokens) == len(seen)


@pytest.mark.parametrize(("loss", "family"), [("bart", "bart"), ("rtd", "electra"), ("mlm", "bert")])
def test_a_run_ends_with_its_own_judge_and_bar(
    loss: str, family: str, tiny_spec: Callable[..., Spec], shards: Shards, tmp_path: Path
) -> None:
    size = {"width": 16, "layers": 1, "vocabulary": known_of(shards, loss, {}).size, "context": 32, "head_width": 8}
    spec = tiny_spec(objective=loss, family=family, size=size, steps=1, warmup_steps=1, decay_start=1,
                     lr_hidden=1e-9, lr_embedding=1e-9)  # fmt: skip
    trained = train(spec, Place(folder=tmp_path), shards, 1, set(), lambda _: None, lambda: False)
    result = finish(spec, tmp_path, shards, trained)
    assert result["judge"] == FACTS[loss].judge
    assert result["standard_error"] > 0
    assert result["gate"]["name"] == "stalled", "one step at no rate has learnt nothing"
