"""Starts: every family comes back bit for bit; what is missing is made fresh and said; misfits are refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from helpers import study_error
from safetensors.torch import load_file, save_file

from keel import model
from keel.corpus.shards import Shards
from keel.files import read_json, write_json
from keel.model.shapes import FEATURES, SHAPES, Size, folder
from keel.objective.base import Branch, FromRun, Part, Released, Scratch, start_from
from keel.plan.spec import SCHEMA, Spec, example_spec
from keel.run import checkpoint, parts, starts, worker
from keel.run.began import Began

pytestmark = pytest.mark.tensor
FP32 = {"body": "fp32", "head": "fp32"}
IDS = {"pad": 1, "bos": 0, "eos": 2, "decoder_start": 3}
SIZE = Size(width=16, layers=1, vocabulary=40, context=32, head_width=8)
SEED = 7


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    yield
    if bars:
        transformers.utils.logging.enable_progress_bar()


def release(family: str, path: Path, size: Size = SIZE, seed: int = 1) -> Released:
    """A tiny model of ours as it would be released."""
    kind = model.load(family)
    kind.export(kind.build(kind.shape(size), FP32, seed, IDS), path)
    return Released(str(path), folder.read(path).sha256())


def begin(part: Part, **more: Any) -> tuple[Any, Began]:
    return starts.build(part, starts.source_of(part.start, None), FP32, SEED, IDS, **more)


def weights(trunk: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach() for name, weight in trunk.library.named_parameters()}


def fresh(part: Part) -> dict[str, torch.Tensor]:
    """What the part would have from scratch with the same seed."""
    kind = model.load(part.family)
    return weights(kind.build(kind.shape(part.size), FP32, SEED, IDS))


def change(path: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> Released:
    """The folder with its weights edited."""
    state = load_file(path / "model.safetensors")
    edit(state)
    save_file(state, path / "model.safetensors", {"format": "pt"})
    return Released(str(path), folder.read(path).sha256())


@pytest.mark.parametrize("family", FEATURES)
def test_every_family_comes_back_whole(family: str, tmp_path: Path) -> None:
    part = Part(family=family, size=SIZE, start=release(family, tmp_path))
    trunk, began = begin(part)
    kind = model.load(family)
    before = weights(kind.build(kind.shape(SIZE), FP32, 1, IDS))
    assert all(torch.equal(weight, before[name]) for name, weight in weights(trunk).items())
    assert set(began.taken) == set(before)
    assert (began.missing, began.unexpected, began.grown, began.cut) == ((), (), {}, {})
    assert [note for note in began.notes if "no tokenizer.json" not in note and "not checked" not in note] == []


def test_the_librarys_own_release_without_a_head_gets_one_from_the_seed(tmp_path: Path) -> None:
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, vocab_size=40,
        max_position_embeddings=32, layer_norm_eps=1e-5, pad_token_id=1,
    )  # fmt: skip
    theirs = transformers.BertModel(config).eval()
    theirs.save_pretrained(tmp_path)
    part = Part(family="bert", size=SIZE, start=Released(str(tmp_path), folder.read(tmp_path).sha256()))
    trunk, began = begin(part)
    tokens = torch.arange(5, 25)[None]
    torch.testing.assert_close(trunk(input_ids=tokens), theirs(tokens).last_hidden_state, rtol=0, atol=1e-6)
    assert began.missing == tuple(name for name in fresh(part) if name.startswith("cls."))
    assert len(began.missing) == 5
    assert began.unexpected == ("pooler.dense.bias", "pooler.dense.weight")
    assert all(torch.equal(weights(trunk)[name], fresh(part)[name]) for name in began.missing)
    # Its norm is kept, its dropout is not, and both are known.
    assert trunk.library.config.layer_norm_eps == 1e-5
    assert trunk.library.config.hidden_dropout_prob == 0.0
    assert any("layer_norm_eps 1e-05 (1e-12)" in note for note in began.notes)
    said = began.text("model")
    assert "freshly made (5): cls.predictions.bias" in said
    assert "not used (2): pooler.dense.bias, pooler.dense.weight" in said
    assert json.loads(json.dumps(began.json()))["missing"] == list(began.missing)


def test_a_longer_vocabulary_gets_fresh_rows_and_a_shorter_context_loses_some(tmp_path: Path) -> None:
    start = release("bert", tmp_path)
    part = Part(family="bert", size=replace(SIZE, vocabulary=43, context=20), start=start)
    trunk, began = begin(part)
    table, biases = "bert.embeddings.word_embeddings.weight", "cls.predictions.bias"
    assert began.grown == {table: 3, biases: 3}
    assert began.cut == {"bert.embeddings.position_embeddings.weight": 12}
    source = weights(model.load("bert").build(SHAPES["bert"].shape(SIZE), FP32, 1, IDS))
    assert torch.equal(weights(trunk)[table][:40], source[table])
    assert torch.equal(weights(trunk)[table][40:], fresh(part)[table][40:])
    assert "rows freshly made: " in began.text("model")
    assert f"{table} 3" in began.text("model")


def test_a_shorter_vocabulary_loses_rows_and_says_so(tmp_path: Path) -> None:
    part = Part(family="gpt2", size=replace(SIZE, vocabulary=33), start=release("gpt2", tmp_path))
    assert begin(part)[1].cut == {"transformer.wte.weight": 7}


@pytest.mark.parametrize("family", ["llama", "t5", "deberta-v2"])
def test_shards_are_read_as_one(family: str, tmp_path: Path) -> None:
    kind = model.load(family)
    made = kind.build(kind.shape(SIZE), FP32, 1, IDS)
    made.library.save_pretrained(tmp_path, max_shard_size="4KB")
    found = folder.read(tmp_path)
    assert len(found.weights) > 3
    trunk, began = begin(Part(family=family, size=SIZE, start=Released(str(tmp_path), found.sha256())))
    assert not began.missing
    assert all(torch.equal(weight, weights(made)[name]) for name, weight in weights(trunk).items())


MISFITS: dict[str, tuple[str, dict[str, int], str]] = {
    "width": ("bert", {"width": 24}, "width is 24, and the release has 16"),
    "depth": ("bert", {"layers": 2}, "plan with layers 1"),
    "heads": ("bert", {"head_width": 4}, "heads is 4, and the release has 2"),
    "feed-forward": ("bert", {"feed_forward": 48}, "feed_forward is 48"),
    "context": ("bert", {"context": 64}, "the release has 32 positions"),
    "decoder": ("bart", {"decoder_layers": 2}, "decoder_layers is 2, and the release has 1"),
    "distances": ("deberta-v2", {"context": 16}, "too short for the release's distances"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_another_size_is_refused(name: str, tmp_path: Path) -> None:
    family, changes, words = MISFITS[name]
    with study_error(words):
        begin(Part(family=family, size=replace(SIZE, **changes), start=release(family, tmp_path)))


def test_all_that_differs_is_told_at_once(tmp_path: Path) -> None:
    with study_error("width is 24", "layers is 2", "the release has 32 positions"):
        size = replace(SIZE, width=24, layers=2, context=64)
        begin(Part(family="bert", size=size, start=release("bert", tmp_path)))


@pytest.mark.parametrize(
    ("donor", "family", "fix"),
    [("bert", "llama", "choose the family bert"), ("gpt2", "opt", "choose the family gpt2"),
     ("bert", "bart", 'only = "encoder"'), ("bert", "mbart", "choose the family bart")],
)  # fmt: skip
def test_another_architecture_is_refused(donor: str, family: str, fix: str, tmp_path: Path) -> None:
    with study_error(f"a {donor} cannot start a {family}", fix):
        begin(Part(family=family, size=SIZE, start=release(donor, tmp_path)))


def damage(path: Path, how: str) -> None:
    weights_file = path / "model.safetensors"
    if how == "shorten":
        weights_file.write_bytes(weights_file.read_bytes()[:-100])
    elif how == "header":
        weights_file.write_bytes(b"\xff" * 64)
    elif how == "shape":
        change(path, lambda state: state.update({"bert.pooler.dense.weight": torch.zeros(3, 3)}))
        change(path, lambda state: state.update({"cls.predictions.bias": torch.zeros(7)}))
    elif how == "nan":
        change(path, lambda state: state["bert.embeddings.word_embeddings.weight"].fill_(float("nan")))


@pytest.mark.parametrize(
    ("how", "words"),
    [("shorten", "the weights cannot be read"), ("header", "the weights cannot be read"),
     ("shape", "the weights are not those of config.json"), ("nan", "is not finite")],
)  # fmt: skip
def test_damaged_weights_are_refused(how: str, words: str, tmp_path: Path) -> None:
    release("bert", tmp_path)
    damage(tmp_path, how)
    start = Released(str(tmp_path), folder.read(tmp_path).sha256())
    with study_error(words, str(tmp_path)):
        begin(Part(family="bert", size=SIZE, start=start))


def test_another_folder_than_the_spec_names_is_refused(tmp_path: Path) -> None:
    start = release("bert", tmp_path)
    change(tmp_path, lambda state: state["cls.predictions.bias"].add_(1e-3))
    with study_error("the released folder is another than the spec names", start.sha256):
        begin(Part(family="bert", size=SIZE, start=start))


def edit_config(path: Path, **fields: Any) -> Released:
    config = json.loads((path / "config.json").read_text()) | fields
    (path / "config.json").write_text(json.dumps(config))
    return Released(str(path), folder.read(path).sha256())


def test_a_config_that_computes_what_keels_head_does_not_is_refused(tmp_path: Path) -> None:
    release("bert", tmp_path)
    with study_error("keel's head is not this release's"):
        begin(Part(family="bert", size=SIZE, start=edit_config(tmp_path, hidden_act="relu")))


def test_what_the_release_computes_is_kept(tmp_path: Path) -> None:
    """Another base of the rotary angles: the library's own loader is the judge."""
    release("llama", tmp_path)
    start = edit_config(tmp_path, rope_parameters={"rope_type": "default", "rope_theta": 500.0})
    trunk, began = begin(Part(family="llama", size=SIZE, start=start))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    tokens = torch.arange(20)[None]
    ours = trunk.logits(trunk(input_ids=tokens))
    torch.testing.assert_close(ours, theirs(tokens).logits, rtol=0, atol=1e-6)
    assert any("rope_parameters" in note for note in began.notes)
    plain = model.load("llama").build(SHAPES["llama"].shape(SIZE), FP32, 1)
    assert (plain.logits(plain(input_ids=tokens)) - ours).abs().max() > 1e-3


def test_a_frozen_part_has_no_fresh_weights(tmp_path: Path) -> None:
    start = release("gpt2", tmp_path)
    larger = Part(family="gpt2", size=replace(SIZE, vocabulary=41), start=start, role="frozen")
    with study_error("a frozen part would have fresh weights", "transformer.wte.weight"):
        begin(larger)
    assert begin(replace(larger, size=SIZE))[1].missing == ()


def tokenizer(words: str) -> str:
    """A WordLevel tokenizer.json of the library."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words.split())}, unk_token="a"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(made.to_str())


def test_another_tokenizer_is_refused_and_a_missing_one_noted(tmp_path: Path) -> None:
    part = Part(family="gpt2", size=SIZE, start=release("gpt2", tmp_path))
    assert "not checked" in begin(part, tokenizer_json=tokenizer("a b c"))[1].notes[0]
    (tmp_path / "tokenizer.json").write_text(tokenizer("a b c d"))
    assert begin(part, tokenizer_json=tokenizer("a b c"))[1].notes == ()
    with study_error("the release has another tokenizer", "2 of 3 ids differ: id 1 is 'b' there and 'c' here"):
        begin(part, tokenizer_json=tokenizer("a c b"))
    own = replace(part, vocabulary="own", role="frozen")
    assert begin(own, tokenizer_json=tokenizer("a c b"))[1].notes == ()


def test_heads_of_ours_come_back_too(tmp_path: Path) -> None:
    """The library's loader does not know DeBERTa's mask decoder, which keel hangs into its class."""
    kind = model.load("deberta-v2")
    made = kind.build(kind.shape(SIZE), FP32, 1, IDS, "enhanced")
    kind.export(made, tmp_path)
    start = Released(str(tmp_path), folder.read(tmp_path).sha256())
    trunk, began = begin(Part(family="deberta-v2", size=SIZE, start=start, head="enhanced"))
    assert not began.missing
    assert all(torch.equal(weight, weights(made)[name]) for name, weight in weights(trunk).items())


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A study's runs: "done" has exported a gpt2, "trunk" started from it, "odd" has nothing."""
    release("gpt2", tmp_path / "done" / "model")
    write_json(tmp_path / "trunk" / "spec.json", SCHEMA, example_spec(start={"kind": "run", "run": "done"}).json())
    (tmp_path / "odd").mkdir()
    return tmp_path


def gpt2(**changes: Any) -> tuple[Spec, dict[str, Part]]:
    spec = example_spec(family="gpt2", size=SIZE.json(), **changes)
    return spec, {"model": Part(family="gpt2", size=SIZE, start=parts.start_of(spec))}


def test_a_run_starts_where_another_ended(runs: Path) -> None:
    spec, plan = gpt2(start={"kind": "run", "run": "done"})
    built, began = parts.begin(plan, spec, None, runs)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(runs / "done" / "model")
    assert all(
        torch.equal(weight, dict(theirs.named_parameters())[name]) for name, weight in weights(built["model"]).items()
    )
    assert began["model"].missing == ()


def test_a_branch_has_the_architecture_that_its_trunk_started_from(runs: Path) -> None:
    edit_config(runs / "done" / "model", layer_norm_epsilon=1e-3)
    spec, plan = gpt2(start={"kind": "branch", "run": "trunk", "step": 3})
    built, _ = parts.begin(plan, spec, None, runs)
    assert built["model"].library.config.layer_norm_epsilon == 1e-3


@pytest.mark.parametrize("run", ["odd", "nowhere"])
def test_a_run_without_a_model_is_refused(run: str, runs: Path) -> None:
    spec, plan = gpt2(start={"kind": "run", "run": run})
    with study_error(f"run '{run}' has no model"):
        parts.begin(plan, spec, None, runs)


def test_starts_are_read_from_a_spec() -> None:
    assert start_from({"kind": "scratch"}, "x") == Scratch()
    assert start_from({"kind": "run", "run": "a", "only": "encoder"}, "x") == FromRun("a", "encoder")
    assert start_from({"kind": "released", "folder": "a", "sha256": "b"}, "x") == Released("a", "b")
    assert start_from({"kind": "branch", "run": "a", "step": 3}, "x") == Branch("a", 3)
    for wrong, words in (
        ({"kind": "release"}, "did you mean 'released'?"), ({"kind": "run"}, "run"), ({}, "no start is called 'None'"),
        ({"kind": "run", "run": "a", "only": "half"}, "only is 'half'"), ({"kind": "scratch", "x": 1}, "other fields"),
    ):  # fmt: skip
        with study_error(words):
            start_from(wrong, "spec.json")


def test_a_run_says_where_it_started_and_keeps_it(
    tiny_spec: Callable[..., Spec], shards: Shards, tmp_path: Path
) -> None:
    plain = tiny_spec(steps=3, warmup_steps=1, decay_start=3)
    release("llama", tmp_path / "done" / "model", Size(**plain.size))
    (tmp_path / "done" / "model" / "tokenizer.json").write_text(shards.tokenizer_path.read_text())
    spec = tiny_spec(steps=3, warmup_steps=1, decay_start=3, start={"kind": "run", "run": "done"})
    write_json(tmp_path / "new" / "spec.json", SCHEMA, spec.json())
    out = io.StringIO()
    task = {
        "id": "new", "folder": str(tmp_path / "new"), "parent": None, "shards": str(shards.folder), "until": 3,
        "keep": [3], "finish": False, "threads": 1, "forecast_sha256": None, "peak_flop_per_s": 0.0,
    }  # fmt: skip
    worker._work(task, out, lambda: False)
    said = json.loads(out.getvalue().splitlines()[0])
    assert said["began"][0].startswith(f"model starts from llama in {tmp_path / 'done' / 'model'}: ")
    kept = read_json(tmp_path / "new" / "execution.json", "keel.execution/1")["began"]["model"]
    assert len(kept["taken"]) == 11
    assert kept["missing"] == []
    # Resumed, it goes on from its own checkpoint, and still knows where it started.
    worker._work(task, out, lambda: False)
    assert read_json(tmp_path / "new" / "execution.json", "keel.execution/1")["began"]["model"] == kept
    trained = checkpoint.read(tmp_path / "new", 3).parts["model.library.model.norm.weight"]
    assert not torch.equal(trained, torch.ones_like(trained))
