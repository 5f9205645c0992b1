"""CLIP's text tower against the library's own: where a caption's state stands, counts, export, the whole model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from helpers import study_error
from torch import Tensor

from keel import model
from keel.errors import StudyError
from keel.model import clip
from keel.model.clip_text import ClipText
from keel.model.scale import BEGINS, Scale
from keel.model.shapes import SHAPES, Shape, Size

pytestmark = pytest.mark.tensor
FP32, BF16 = {"body": "fp32", "head": "fp32"}, {"body": "bf16", "head": "fp32"}
END, START, VOCABULARY = 5, 39, 40
IDS = {"pad": None, "bos": START, "eos": END, "decoder_start": None}
SIZE = Size(width=16, layers=2, vocabulary=VOCABULARY, context=10, head_width=8)


def shape() -> Shape:
    return SHAPES["clip-text"].shape(SIZE)


def tower(seed: int = 3, head: str = "joint", precision: dict[str, str] = FP32) -> ClipText:
    made: ClipText = model.load("clip-text").build(shape(), precision, seed, IDS, head)
    return made


def captions() -> tuple[Tensor, Tensor]:
    """Two captions, padded with the end token; the highest id of each is its start or a word, never its end."""
    ids = torch.tensor([[START, 7, 38, END, END, END], [START, 9, 1, 30, 2, END]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    return ids, mask


def test_states_are_those_of_the_librarys_own_forward() -> None:
    trunk, (ids, mask) = tower().double().eval(), captions()
    with torch.inference_mode():
        theirs = trunk.library(input_ids=ids, attention_mask=mask).text_embeds
        torch.testing.assert_close(trunk(ids, mask), theirs, rtol=0, atol=1e-10)
        body = tower(head="body").double().eval()
        pooled = body.library(input_ids=ids, attention_mask=mask).pooler_output
        torch.testing.assert_close(body(ids, mask), pooled, rtol=0, atol=1e-10)
    assert theirs.std() > 1e-2


def test_the_state_is_that_of_the_first_end_token_and_of_no_highest_id() -> None:
    trunk, (ids, mask) = tower().double().eval(), captions()
    assert trunk.ends(ids).tolist() == [3, 5]
    assert ids.argmax(1).tolist() == [0, 0]
    hidden = trunk.library.text_model(input_ids=ids, attention_mask=mask).last_hidden_state
    wrong = trunk.library.text_projection(hidden[:, 0])
    assert not torch.allclose(trunk(ids, mask), wrong)
    assert torch.allclose(wrong[0], wrong[1])  # a start alone says nothing of what follows


def test_nothing_behind_the_end_counts() -> None:
    trunk, (ids, mask) = tower().double().eval(), captions()
    longer = torch.cat([ids, torch.full((2, 4), 17)], 1)
    open_mask = torch.ones_like(longer)
    plain = trunk(ids, mask)
    torch.testing.assert_close(trunk(longer, torch.nn.functional.pad(mask, (0, 4))), plain, rtol=0, atol=1e-10)
    torch.testing.assert_close(trunk(longer, open_mask), plain, rtol=0, atol=1e-10)
    torch.testing.assert_close(trunk(ids[:1, :4], mask[:1, :4]), plain[:1], rtol=0, atol=1e-10)


def test_a_caption_without_an_end_is_no_silent_first_state() -> None:
    ids, mask = captions()
    with pytest.raises(AssertionError, match="no end token"):
        tower()(torch.where(ids == END, 7, ids), mask)


@pytest.mark.parametrize("end", [2, None])
def test_an_end_that_cannot_be_read_is_refused(end: int | None) -> None:
    words = "there is no end token" if end is None else "the end token's id is 2"
    with study_error(words, "tokenizer.json"):
        model.load("clip-text").build(shape(), FP32, 0, {**IDS, "eos": end})


def test_the_library_does_misread_it() -> None:
    """Pooled at the highest id: this is what would be exported."""
    ids = torch.tensor([[START, 7, 38, 2]])
    given = tower().library.config
    given.eos_token_id = 2
    library = transformers.CLIPTextModelWithProjection(given).eval()
    hidden = library.text_model(input_ids=ids).last_hidden_state
    assert torch.allclose(library(input_ids=ids).text_embeds, library.text_projection(hidden[:, 0]))


def test_every_parameter_is_counted_and_learns() -> None:
    trunk, (ids, mask) = tower(), captions()
    assert sum(weight.numel() for weight in trunk.parameters()) == SHAPES["clip-text"].params(shape()).total
    trunk(ids, mask).square().sum().backward()
    still = [name for name, weight in trunk.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == [name for name in still if "k_proj.bias" in name]  # a softmax does not see it


def test_weights_follow_from_the_seed() -> None:
    one, other, third = tower(), tower(), tower(4)
    for name, weight in one.named_parameters():
        assert torch.equal(weight, dict(other.named_parameters())[name])
    assert not torch.equal(next(one.parameters()), next(third.parameters()))
    into = dict(one.named_parameters())["library.text_model.encoder.layers.0.self_attn.out_proj.weight"]
    assert into.std().item() == pytest.approx(16**-0.5 / 2, rel=0.15)  # 1 / sqrt(2 L), L = 2


def test_bf16_is_for_the_body() -> None:
    ids, mask = captions()
    with torch.no_grad():
        plain, mixed = tower()(ids, mask), tower(precision=BF16)(ids, mask)
    assert mixed.dtype == torch.float32
    assert not torch.equal(plain, mixed)
    torch.testing.assert_close(plain, mixed, rtol=0.1, atol=0.05 * plain.abs().max().item())


def test_the_librarys_own_loader_reads_the_export(tmp_path: Path) -> None:
    trunk, (ids, mask) = tower().eval(), captions()
    model.load("clip-text").export(trunk, tmp_path)
    loaded = transformers.CLIPTextModelWithProjection.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        torch.testing.assert_close(loaded(input_ids=ids, attention_mask=mask).text_embeds, trunk(ids, mask))


def test_both_towers_and_the_temperature_are_exported_as_one_model(tmp_path: Path) -> None:
    size = Size(width=32, layers=1, vocabulary=0, context=4, head_width=8, patch=4, embedding_width=16)
    family = model.load("clip-vision")
    image, text, scale = family.build(family.shape(size), FP32, 1).eval(), tower().eval(), Scale(BEGINS["softmax"])
    with torch.no_grad():
        scale.logit_scale.fill_(3.25)
    clip.export(image, text, scale, tmp_path)
    loaded = transformers.CLIPModel.from_pretrained(tmp_path).eval()
    (ids, mask), seen = captions(), torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        theirs = loaded(input_ids=ids, attention_mask=mask, pixel_values=seen).logits_per_image
        one, other = image.joint(image(seen).pooled), text(ids, mask)
        ours = scale(torch.nn.functional.normalize(one, dim=-1) @ torch.nn.functional.normalize(other, dim=-1).T)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    with pytest.raises(StudyError, match="no such model with a bias"):
        clip.joined(image, text, Scale(BEGINS["sigmoid"]))


def test_a_width_without_whole_heads_is_told() -> None:
    assert "width is not a multiple" in SHAPES["clip-text"].problems(replace(SIZE, width=12))[0].what
