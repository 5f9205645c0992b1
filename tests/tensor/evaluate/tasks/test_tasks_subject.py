"""A model from a folder or from memory is asked as its own library would: states, nats and greedy text agree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import study_error
from tokenizers.processors import TemplateProcessing

from keel import model
from keel.corpus.tokenizer import load, train, with_special
from keel.corpus.vocabulary import Vocabulary, vocabulary_of
from keel.evaluate.tasks.asking import WAYS, nats, room, way_of, write
from keel.evaluate.tasks.subject import Subject, opened, trained
from keel.model.shapes import FEATURES, Size
from keel.run.parts import ids_of

pytestmark = pytest.mark.tensor
CONTEXT = 24
TEXTS = ["one", "the cat sat on the mat", "a", "it said that the cat was not the one that sat on the mat and ran off"]
TOKENIZER = train(TEXTS * 20, 280)
FP32 = {"body": "fp32", "head": "fp32"}
ROLES = {
    "bert": ("pad", "start", "mask"), "llama": (), "gpt2": (), "t5": ("pad", "start", "sentinel 0", "sentinel 1"),
    "bart": ("mask", "pad", "start"), "alexatm": ("pad", "start", "mode CLM"), "electra": ("pad", "start", "mask"),
    "deberta-v2": ("pad", "start", "mask"), "m2m_100": ("pad", "start", "language en", "language de"),
}  # fmt: skip
WAY = {"llama": "continue", "gpt2": "continue", "t5": "sentinel", "bart": "mask", "alexatm": "signal",
       "m2m_100": "prefix"}  # fmt: skip


def known_of(family: str) -> Vocabulary:
    return vocabulary_of(TOKENIZER).with_special(ROLES[family])


def built(family: str, head: str = "tokens", spread: float = 0.3) -> Any:
    """A tiny trunk whose weights are far from those of a fresh one, so that it has opinions."""
    known, kind = known_of(family), model.load(family)
    size = Size(width=16, layers=2, vocabulary=known.size, context=CONTEXT, head_width=8)
    made = kind.build(kind.shape(size), FP32, 1, ids_of(known), head)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(spread * torch.randn(weight.shape, generator=generator))
    made.library.eval()
    return made


def saved(family: str, path: Path, head: str = "tokens") -> tuple[Any, Path]:
    made = built(family, head)
    model.load(family).export(made, path)
    (path / "tokenizer.json").write_text(with_special(TOKENIZER, known_of(family).special))
    return made, path


def asked(family: str, trunk: Any) -> Subject:
    return trained(trunk, family, TOKENIZER, known_of(family), CONTEXT)


HEADS = [("bert", "tokens"), ("llama", "tokens"), ("t5", "tokens"), ("electra", "replaced"),
         ("deberta-v2", "replaced"), ("gpt2", "tokens"), ("bart", "tokens")]  # fmt: skip


@pytest.mark.parametrize(("family", "head"), HEADS)
def test_states_of_a_folder_are_those_of_memory_and_of_each_text_alone(family: str, head: str, tmp_path: Path) -> None:
    trunk, path = saved(family, tmp_path, head)
    there, here = opened(path, CONTEXT), asked(family, trunk)
    together = there.states(TEXTS)
    assert together.shape == (4, 16)
    np.testing.assert_allclose(together, here.states(TEXTS), atol=2e-6)
    np.testing.assert_allclose(together, np.concatenate([there.states([text]) for text in TEXTS]), atol=2e-6)
    assert np.abs(together[0] - together[2]).max() > 1e-3


def test_a_long_text_is_read_whole_in_pieces(tmp_path: Path) -> None:
    """By hand: each piece in its own frame, the mean over all their positions."""
    here = asked("bert", built("bert"))
    ids = here.tokens([TEXTS[3]])[0]
    start, end = here.vocabulary.id_of("start"), here.vocabulary.id_of("separator")
    assert len(ids) > CONTEXT - 2
    hidden = []
    for first in range(0, len(ids), CONTEXT - 2):
        piece = torch.tensor([[start, *ids[first : first + CONTEXT - 2], end]])
        with torch.inference_mode():
            hidden.append(here.library.base_model(input_ids=piece).last_hidden_state[0])
    np.testing.assert_allclose(here.states([TEXTS[3]])[0], torch.cat(hidden).double().mean(0).numpy(), atol=1e-6)


def test_a_tokenizers_own_template_cut_and_filling(tmp_path: Path) -> None:
    """A release's tokenizer.json may cut and fill texts: every token is read, in the template's own frame."""
    _, path = saved("bert", tmp_path)
    made = load((path / "tokenizer.json").read_text())
    start, mask = made.token_to_id("<|start|>"), made.token_to_id("<|mask|>")
    made.post_processor = TemplateProcessing(
        single="<|start|> $A <|mask|>", special_tokens=[("<|start|>", start), ("<|mask|>", mask)]
    )  # fmt: skip
    made.enable_truncation(4)
    made.enable_padding(length=9)
    (path / "tokenizer.json").write_text(made.to_str())
    found = opened(path)
    assert found.frame == ((start,), (mask,))
    plain = load(TOKENIZER)
    assert [ids.tolist() for ids in found.tokens(TEXTS)] == [plain.encode(text).ids for text in TEXTS]
    assert found.tokens(["<|mask|>"])[0].tolist() == plain.encode("<|mask|>").ids, "text is text"
    assert found.context == CONTEXT


@pytest.mark.parametrize("family", WAY)
def test_nats_are_the_librarys_own_loss(family: str) -> None:
    """Each question alone through the library's labels; together, of unequal lengths, they are the same."""
    here = asked(family, built(family))
    way = way_of(here)
    assert way == WAY[family]
    prompts, answers = here.tokens(["the", "a cat", "one that ran"]), here.tokens([" off", " on the mat", "s"])
    questions = [WAYS[way](here, prompt, answer) for prompt, answer in zip(prompts, answers)]
    found = nats(here, questions)
    for nat, each in zip(found, questions):
        decoder = torch.from_numpy(np.concatenate([each.lead, each.target]))[None]
        labels = decoder.clone()
        labels[:, : len(each.lead)] = -100
        with torch.inference_mode():
            if here.kind == "decoder":
                loss = here.library(input_ids=decoder, labels=labels).loss
            else:
                inputs = torch.from_numpy(each.inputs)[None]
                shifted = torch.cat([labels[:, 1:], torch.tensor([[-100]])], 1)
                loss = here.library(input_ids=inputs, decoder_input_ids=decoder, labels=shifted).loss
        assert nat == pytest.approx(float(loss) * len(each.target), rel=1e-4)


@pytest.mark.parametrize("family", WAY)
def test_what_is_written_is_the_best_token_each_time(family: str) -> None:
    here = asked(family, built(family))
    prompts = here.tokens(["the", "cat", "one that"])
    questions = [WAYS[WAY[family]](here, prompt, prompt[:0]) for prompt in prompts]
    end = here.vocabulary.id_of("separator")
    expected = []
    for each in questions:
        ids = list(each.lead)
        for _ in range(6):
            given = {"decoder_input_ids": torch.tensor([ids]), "input_ids": torch.from_numpy(each.inputs)[None]}
            given = {"input_ids": torch.tensor([ids])} if here.kind == "decoder" else given
            with torch.inference_mode():
                ids.append(int(here.library(**given).logits[0, -1].argmax()))
            if ids[-1] == end:
                break
        expected.append(here.tokenizer.decode([token for token in ids[len(each.lead) :] if token != end]))
    assert write(here, questions, 6) == expected


def test_how_an_encoder_decoder_is_asked_hangs_on_its_tokens() -> None:
    for family, way in (("t5", "sentinel"), ("bart", "mask"), ("alexatm", "signal")):
        here = asked(family, built(family))
        prompt, answer = here.tokens(["the cat", " sat"])
        made, end = WAYS[way](here, prompt, answer), here.vocabulary.id_of("separator")
        assert made.inputs[-1] == end
        assert room(here, way, 3) + max(len(made.inputs) - len(prompt), 0) <= CONTEXT
        role = {"t5": "sentinel 0", "bart": "mask", "alexatm": "mode CLM"}[family]
        assert here.vocabulary.id_of(role) in made.inputs
        assert made.lead[0] == here.vocabulary.id_of("start")
        with study_error("cannot be asked by", "it can be asked by"):
            way_of(here, "continue")


def test_folders_that_cannot_be_asked_are_refused(tmp_path: Path) -> None:
    _, path = saved("llama", tmp_path / "good")
    bare = Path(shutil.copytree(path, tmp_path / "bare"))
    (bare / "tokenizer.json").unlink()
    with study_error("tokenizer.json is missing"):
        opened(bare)
    longer = Path(shutil.copytree(path, tmp_path / "longer"))
    (longer / "tokenizer.json").write_text(with_special(TOKENIZER, known_of("t5").special))
    with study_error("280 rows for 284 tokens"):
        opened(longer)
    with study_error("folder"):
        opened(tmp_path / "none")
    headless = Path(shutil.copytree(path, tmp_path / "headless"))
    config = json.loads((headless / "config.json").read_text())
    (headless / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with study_error("is not among the weights", "made afresh"):
        opened(headless)


def test_every_kind_of_family_has_a_frame() -> None:
    for family in ("bert", "llama", "t5"):
        here = asked(family, built(family))
        known = here.vocabulary.special
        expected = {
            "encoder": ((known.get("start"),), (0,)), "decoder": ((0,), ()), "encoder-decoder": ((), (0,)),
        }[FEATURES[family].kind]  # fmt: skip
        assert here.frame == expected
