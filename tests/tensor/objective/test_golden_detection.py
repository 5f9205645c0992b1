"""Replaced token detection against numbers of ELECTRA's and DeBERTa's own code, weights and draws given."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, VOCABULARY, one
from helpers import golden
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from keel import objective
from keel.model.shapes import Size
from keel.objective.base import Batch, Scratch
from keel.objective.rtd import RTD
from keel.plan.spec import example_spec
from keel.run import parts

pytestmark = pytest.mark.tensor
ELECTRA, DEBERTA = golden("electra"), golden("deberta")


class Told(nn.Module):
    """In the discriminator's place: it keeps what it is shown, and is sure of the labels of the golden file."""

    def __init__(self, labels: list[int]) -> None:
        super().__init__()
        self.labels = torch.tensor([labels])
        self.shown: list[int] = []

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        self.shown = input_ids[0].tolist()
        return input_ids

    def replaced(self, hidden: torch.Tensor) -> torch.Tensor:
        return 40.0 * (2.0 * self.labels - 1.0)


def batch_of(case: dict[str, Any]) -> Batch:
    tokens = torch.tensor([case["tokens"]])
    tensors = {"tokens": tokens, "places": torch.tensor(case["places"]), "judged": tokens > 4}
    return Batch(tensors, {"rtd": int((tokens > 4).sum())}, (0,))


@pytest.mark.parametrize("case", ELECTRA["labels"])
def test_what_is_shown_and_its_labels_are_electras(case: dict[str, Any]) -> None:
    """A wrong label costs 40 nats; a draw that hits the token itself is no replacement."""
    loss = objective.load("rtd", {}, VOCABULARY)
    assert isinstance(loss, RTD)
    told = Told(case["labels"])
    total, number = loss.detect({"model": told}, batch_of(case), torch.tensor(case["drawn"]))
    assert told.shown == case["shown"]
    assert number.item() == sum(case["labels"])
    assert total.item() < 1e-6


def test_positions_drawn_twice_are_a_bug_of_electras_that_cannot_arise() -> None:
    """Two draws of one position are averaged to an id that nobody drew, and 14 % are masked where 15 % were asked."""
    mean = ELECTRA["twice"][0]
    assert mean["places"] == [4, 4, 7]
    assert mean["shown"][4] == (20 + 31) // 2
    assert mean["shown"][4] not in (mean["tokens"][4], *mean["drawn"])
    for _, _, asked, distinct, masked, _, _ in ELECTRA["masking"]:
        assert distinct < asked
        assert 0.84 < masked < 0.88  # .85 of the draws
    _, _, batch = one(CASES["rtd"])
    places = batch.tensors["places"]
    assert len(set(places.tolist())) == len(places)
    assert (places % 32 != 0).all()


def filled(name: str, shape: torch.Size) -> torch.Tensor:
    """The weights that the golden file describes."""
    phase = zlib.crc32(name.encode()) % 1000 + 1
    values = 0.3 * np.sin(phase + 0.7 * np.arange(shape.numel())) + ("LayerNorm.weight" in name)
    return torch.tensor(values).view(shape)


RENAMED = {
    "library.mask_decoder.position_embeddings": "deberta.embeddings.position_embeddings",
    "library.discriminator_predictions.dense_prediction": "mask_predictions.classifier",
    "library.discriminator_predictions": "mask_predictions",
    "library.embeddings": "deberta.embeddings",
    "library.encoder": "deberta.encoder",
    "library.deberta": "deberta",
    "library.lm_predictions": "lm_predictions",
}


def original_name(part: str, name: str) -> str:
    """What the original calls a weight of ours."""
    prefix = next(each for each in RENAMED if name.startswith(each))
    return f"{part}.{RENAMED[prefix]}{name[len(prefix) :]}"


@pytest.fixture
def models() -> dict[str, nn.Module]:
    """Both models in fp64, with the golden weights."""
    size = Size(width=16, layers=3, vocabulary=40, context=24, head_width=8)
    loss = objective.load("rtd-v3", {"generator_depth": 2 / 3}, VOCABULARY)
    spec = example_spec(family="deberta-v2", size=size.json())
    made = loss.join(parts.build(loss.parts("deberta-v2", size, Scratch()), spec, VOCABULARY))
    names = {"model": "discriminator", "generator": "generator"}
    seen = set()
    for part, module in made.items():
        module.double()
        for name, weight in module.named_parameters():
            theirs = original_name(names[part], name)
            assert list(weight.shape) == DEBERTA["names"][theirs]
            seen.add(theirs)
            weight.data.copy_(filled(theirs, weight.shape))
    assert seen == set(DEBERTA["names"])
    return made


def test_the_mask_decoder_gives_debertas_logits_and_gradients(models: dict[str, nn.Module]) -> None:
    generator: Any = models["generator"]
    tokens, masked = torch.tensor(DEBERTA["tokens"]), torch.tensor(DEBERTA["masked"])
    places = torch.tensor(DEBERTA["places"]).bool()
    hidden = generator(input_ids=masked, attention_mask=(tokens != 0).long())[places]
    logits = generator.logits(hidden)
    np.testing.assert_allclose(logits.detach(), DEBERTA["generator_logits"], atol=1e-5)
    losses = cross_entropy(logits, tokens[places], reduction="none")
    np.testing.assert_allclose(losses.detach(), DEBERTA["generator_losses"], atol=1e-5)
    generator.nll(hidden, tokens[places]).backward()
    norms = {
        original_name("generator", name)[len("generator."):]: float(weight.grad.norm())
        for name, weight in generator.named_parameters() if weight.grad is not None
    }  # fmt: skip
    theirs = DEBERTA["generator_gradient_norms"]
    assert set(norms) == set(theirs)
    np.testing.assert_allclose([norms[name] for name in theirs], list(theirs.values()), rtol=1e-4, atol=1e-5)


def test_the_discriminator_gives_debertas_logits_and_moves_its_difference_alone(models: dict[str, nn.Module]) -> None:
    model: Any = models["model"]
    tokens, shown = torch.tensor(DEBERTA["tokens"]), torch.tensor(DEBERTA["shown"])
    seen = tokens != 0
    logits = model.replaced(model(input_ids=shown, attention_mask=seen.long()))
    np.testing.assert_allclose(logits[seen].detach(), np.array(DEBERTA["discriminator_logits"])[seen], atol=1e-5)
    labels = (shown != tokens)[seen].double()
    assert labels.int().tolist() == DEBERTA["labels"]
    losses = binary_cross_entropy_with_logits(logits[seen], labels, reduction="none")
    np.testing.assert_allclose(losses.detach(), DEBERTA["discriminator_losses"], atol=1e-5)
    losses.sum().backward()
    difference = model.library.embeddings.word_embeddings.weight.grad
    assert float(difference.norm()) == pytest.approx(DEBERTA["gradient_of_difference"], rel=1e-4)
    assert DEBERTA["generator_weights_moved_by_the_discriminator"] == []
    assert [name for name, weight in models["generator"].named_parameters() if weight.grad is not None] == []


@pytest.mark.parametrize("applied", [1, 3])
def test_another_number_of_last_layers_is_caught(
    models: dict[str, nn.Module], applied: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keel.model.deberta.APPLIED", applied)
    with pytest.raises(AssertionError):
        test_the_mask_decoder_gives_debertas_logits_and_gradients(models)
