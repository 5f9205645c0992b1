"""The judge of replaced tokens: the same replacements for every model, a bar that frequencies alone reach."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from keel import evaluate, objective
from keel.corpus.shards import Shards
from keel.corpus.tokenizer import train
from keel.corpus.vocabulary import SPECIAL, Vocabulary, vocabulary_of
from keel.evaluate.exam import Exam
from keel.evaluate.replaced import SHARE, corrupted, judge
from keel.model.shapes import Size
from keel.objective.base import Scratch
from keel.objective.facts import FACTS, masked_roles
from keel.plan.spec import example_spec
from keel.run import parts

pytestmark = pytest.mark.tensor


@pytest.fixture(scope="module")
def known() -> Vocabulary:
    return vocabulary_of(train(["the cat sat on the mat"], 270)).with_special(masked_roles({}, 0))


def stream(known: Vocabulary, length: int) -> np.ndarray:
    made = np.random.default_rng(0).integers(1, 257, length)
    made[::37] = known.id_of("separator")
    return made


COUNTS = np.bincount(np.repeat(np.arange(1, 257), np.arange(256)), minlength=270)


class Oracle:
    """A "model" that knows the text and is `sure` of each label; it writes down what it was shown."""

    def __init__(self, known: Vocabulary, text: np.ndarray, sure: float, context: int) -> None:
        self.known, self.sure, self.text, self.length = known, sure, text, context - 1
        self.shown: list[torch.Tensor] = []

    def plain(self, input_ids: torch.Tensor) -> torch.Tensor:
        assert (input_ids[:, 0] == self.known.id_of("start")).all()
        self.shown += list(input_ids[:, 1:])
        return input_ids

    def replaced(self, shown: torch.Tensor) -> torch.Tensor:
        first = sum(map(len, self.shown)) - shown[:, 1:].numel()
        truth = torch.from_numpy(self.text[first : first + shown[:, 1:].numel()]).view_as(shown[:, 1:])
        logits = self.sure * torch.where(truth == shown[:, 1:], -1.0, 1.0)
        return torch.cat([torch.full((len(shown), 1), 99.0), logits], 1)


@pytest.mark.parametrize("length", [2, 31, 32, 400, 1000])
@pytest.mark.parametrize("context", [8, 32])
def test_every_ordinary_token_is_judged_once(known: Vocabulary, length: int, context: int) -> None:
    text = stream(known, length)
    ordinary = int((known.kind[text] != SPECIAL).sum())
    unsure = judge(Oracle(known, text, 0.0, context), known, text, 3 * length, context, COUNTS)  # type: ignore[arg-type]
    assert unsure.tokens == ordinary
    assert unsure.bits_per_byte == pytest.approx(ordinary / (3 * length), rel=1e-6)
    sure = Oracle(known, text, 40.0, context)
    found = judge(sure, known, text, 3 * length, context, COUNTS)  # type: ignore[arg-type]
    assert found.bits_per_byte == pytest.approx(0.0, abs=1e-9)
    assert np.array_equal(torch.cat(sure.shown).numpy(), corrupted(text, known, COUNTS))


def test_what_is_replaced_hangs_on_the_text_alone(known: Vocabulary) -> None:
    text = stream(known, 20_000)
    shown, ordinary = corrupted(text, known, COUNTS), known.kind[text] != SPECIAL
    assert (shown[~ordinary] == text[~ordinary]).all()
    assert (known.kind[shown] != SPECIAL).sum() == ordinary.sum()
    hits = (COUNTS[1:257] / COUNTS.sum()).mean()
    assert (shown != text).sum() == pytest.approx(SHARE * ordinary.sum() * (1 - hits), rel=0.01)
    drawn = shown[shown != text]
    assert drawn.min() > 1, "id 1 was never seen in training"
    assert drawn.mean() == pytest.approx((np.arange(270) * COUNTS).sum() / COUNTS.sum(), rel=0.02)


def test_the_bar_is_what_the_share_of_labels_alone_gives(known: Vocabulary) -> None:
    text = stream(known, 4000)
    ordinary, shown = known.kind[text] != SPECIAL, corrupted(text, known, COUNTS)
    share = float((shown != text)[ordinary].mean())
    constant = math.log(share / (1 - share))

    class Constant(Oracle):
        def replaced(self, shown: torch.Tensor) -> torch.Tensor:
            return torch.full(shown.shape, constant)

    found = judge(Constant(known, text, 0.0, 32), known, text, 9000, 32, COUNTS)  # type: ignore[arg-type]
    assert found.bar == pytest.approx(found.bits_per_byte, rel=1e-6)
    assert found.standard_error is not None
    assert 0 < found.standard_error < 0.1 * found.bits_per_byte
    assert found.nats_per_token == pytest.approx(found.bits_per_byte * math.log(2) * 9000 / ordinary.sum())


@pytest.mark.parametrize(("loss", "family"), [("rtd", "electra"), ("rtd-v3", "deberta-v2")])
def test_a_fresh_discriminator_knows_less_than_the_share(loss: str, family: str, shards: Shards) -> None:
    known = vocabulary_of(shards.tokenizer_path.read_text(encoding="utf-8")).with_special(FACTS[loss].roles({}, 32))
    made, size = (
        objective.load(loss, {}, known),
        Size(width=16, layers=1, vocabulary=known.size, context=32, head_width=8),
    )
    modules = made.join(parts.build(made.parts(family, size, Scratch()), example_spec(size=size.json()), known))
    found = evaluate.judge(made.facts.judge)(Exam(modules, made, shards, 32))
    ordinary = int((known.kind[shards.heldout] != SPECIAL).sum())
    assert (found.tokens, found.bytes) == (ordinary, shards.heldout_bytes)
    assert found.nats_per_token == pytest.approx(math.log(2), abs=0.3)
    assert found.bar is not None
    assert found.bar < found.bits_per_byte
