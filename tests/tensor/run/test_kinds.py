"""Pairs of lines and instructions from [data] to a judged, exported run: planned, trained, stopped, gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import FAKE_MACHINE, study_error
from transformers import AutoTokenizer

from keel.corpus.look import measure_corpus, source_of
from keel.corpus.store import Corpus, open_corpus, prepare
from keel.corpus.vocabulary import vocabulary_of
from keel.errors import Preempted
from keel.evaluate import masked_pairs
from keel.evaluate.tasks.subject import opened
from keel.files import read_json, write_json, write_text
from keel.objective.base import Batch
from keel.plan.spec import Spec, from_json
from keel.plan.verb import plan
from keel.run import checkpoint, heldout
from keel.run.finish import SCHEMA, finish
from keel.run.samples import samples_of
from keel.run.train import Loop, Place, Trained, train
from keel.study import load

pytestmark = pytest.mark.tensor

SETTINGS = """
[set]
tokenizer.vocabulary = 300
model.layers = 1
model.context = 48
ladder.widths = [16, 24]
ladder.tokens.16 = [38_400]
ladder.tokens.24 = [38_400]
train.batch_tokens = 768
train.precision = "fp32"
train.lr_scale = 0.2
train.lr_embedding = 0.06
"""
KINDS = {
    "translation": '[data]\nparallel = { en = "a.en", de = "a.de" }\n',
    "tlm": '[data]\nparallel = { en = "a.en", de = "a.de" }\n',
    "instruct": '[data]\ntrain = "rows.jsonl"\nprompt = "Say {q} again:"\nanswer = "a"\ntask = "kind"\n',
}


def never() -> bool:
    return False


def after(steps: int) -> Callable[[], bool]:
    left = iter(range(1, steps))
    return lambda: next(left, None) is None


def write_data(folder: Path) -> None:
    """Lines of a small language and the same words backwards."""
    rng = np.random.default_rng(0)
    words = [a + b for a in ("ba", "ke", "lo", "mi", "nu") for b in ("dan", "fel", "gor", "hin")]
    lines = [" ".join(words[place] for place in rng.integers(0, 20, rng.integers(2, 7))) for _ in range(300)]
    turned = [" ".join(word[::-1] for word in line.split()) for line in lines]
    for name, side in (("a.en", lines), ("a.de", turned)):
        write_text(folder / name, "".join(f"{line}\n" for line in side))
    rows = [{"q": line, "a": other, "kind": f"k{len(line) % 2}"} for line, other in zip(lines, turned)]
    write_text(folder / "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Spec, Corpus]:
    """A planned study of one kind, a spec of its plan, and what a run opens."""
    folder = tmp_path_factory.mktemp(request.param)
    write_data(folder)
    write_text(folder / "study.toml", KINDS[request.param] + SETTINGS + f'train.loss = "{request.param}"\n')
    asked = load(folder)
    corpus, tokenizer_json = measure_corpus(source_of(folder, asked), asked)
    write_text(folder / "evidence" / "tokenizer.json", tokenizer_json)
    write_json(folder / "evidence" / "corpus.json", "keel.corpus/1", corpus)
    write_json(folder / "evidence" / "machine.json", "keel.machine/1", FAKE_MACHINE)
    plan(folder, asked, "2026-01-01")
    made = read_json(folder / "plan.json", "keel.plan/1")
    assert made["objective"] == request.param
    whole = next(item for item in made["experiments"] if item["kind"] == "branch")
    spec = from_json({**whole["spec"], "start": {"kind": "scratch"}})
    return folder, spec, open_corpus(prepare(folder, source_of(folder, asked), spec.data))


def go(spec: Spec, folder: Path, corpus: Corpus, stop: Callable[[], bool] = never) -> Trained:
    return train(spec, Place(folder=folder), corpus, spec.steps, set(), lambda _: None, stop)


def result_of(spec: Spec, folder: Path, corpus: Corpus, trained: Trained) -> dict[str, Any]:
    finish(spec, folder, corpus, trained)
    return {name: value for name, value in read_json(folder / "result.json", SCHEMA).items() if name != "id"}


def test_a_run_is_judged_exported_and_the_same_after_a_stop(made: tuple[Path, Spec, Corpus], tmp_path: Path) -> None:
    _, spec, corpus = made
    whole = go(spec, tmp_path / "whole", corpus)
    with pytest.raises(Preempted):
        go(spec, tmp_path / "cut", corpus, after(7))
    assert checkpoint.steps(tmp_path / "cut") == [7]
    again = go(spec, tmp_path / "cut", corpus)
    one, other = (checkpoint.part_state(trained.parts) for trained in (whole, again))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    result = result_of(spec, tmp_path / "whole", corpus, whole)
    assert result == result_of(spec, tmp_path / "cut", corpus, again)
    assert result["ok"], result["gate"]
    assert result["heldout"] == {
        "bytes": corpus.heldout_bytes, "tokens": len(corpus.heldout_tokens()), "sha256": corpus.heldout_sha256,
    }  # fmt: skip
    assert 0 < result["bits_per_byte"] < np.log2(spec.size["vocabulary"])
    assert result["standard_error"] > 0
    exported = tmp_path / "whole" / "model"
    known = vocabulary_of((exported / "tokenizer.json").read_text())
    assert set(known.special) == set(whole.objective.vocabulary.special)
    assert AutoTokenizer.from_pretrained(exported).eos_token == "<|end|>"
    if "languages" in spec.options:
        assert spec.options["languages"] == ["en", "de"]
    if spec.objective == "translation":
        assert {"language en", "language de"} <= set(opened(exported).vocabulary.special)


def test_every_held_out_pair_is_asked_once(made: tuple[Path, Spec, Corpus], tmp_path: Path) -> None:
    _, spec, corpus = made
    loop = Loop(spec, Place(folder=tmp_path), corpus)
    held = list(heldout.samples_of(loop.objective, corpus, spec.size["context"]))
    parts = [task.heldout for task in corpus.tasks.values()] if hasattr(corpus, "tasks") else [corpus.heldout]
    wanted = sorted((one.tolist(), two.tolist()) for part in parts for one, two in zip(*part))
    assert sorted((sample.tokens.tolist(), sample.second.tolist()) for sample in held) == wanted
    trained = samples_of(loop.objective, corpus, spec.size["context"])
    sources = {trained[place].tokens.tobytes() for place in range(len(trained))}
    assert not {sample.tokens.tobytes() for sample in held} & sources


def test_held_out_pairs_must_fit_before_anything_is_trained(made: tuple[Path, Spec, Corpus]) -> None:
    """Else a run would end, after all its steps, in what could have been said before the first."""
    _, spec, corpus = made
    loop = Loop(spec, Place(folder=Path("nowhere")), corpus)
    small = 12
    with study_error("longer than the context", "too_long = 'leave out'"):
        samples_of(loop.objective, corpus, small)


@pytest.mark.parametrize("made", ["tlm"], indirect=True)
def test_a_masked_judge_of_pairs_hides_each_token_once_beside_its_partner(
    made: tuple[Path, Spec, Corpus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, spec, corpus = made
    loop = Loop(spec, Place(folder=tmp_path), corpus)
    held = list(heldout.samples_of(loop.objective, corpus, spec.size["context"]))[:5]
    seen: list[Batch] = []
    rows = loop.objective.rows
    monkeypatch.setattr(loop.objective, "rows", lambda parts, batch: seen.append(batch) or rows(parts, batch))
    found = masked_pairs.judge(loop.parts, loop.objective, held, corpus.token_counts())
    assert found.tokens == sum(len(sample.tokens) + len(sample.second) for sample in held)
    known = loop.objective.vocabulary
    for sample, batch in zip(held, seen):
        asked = batch.tensors["targets"].tolist()
        assert sorted(asked) == sorted([*sample.tokens.tolist(), *sample.second.tolist()])
        inputs = batch.tensors["inputs"].flatten()[batch.tensors["places"]]
        assert (inputs == known.id_of("mask")).all()
        hidden = (batch.tensors["inputs"] == known.id_of("mask")).sum(1)
        assert hidden.max() - hidden.min() <= 1
        assert len(hidden) == min(7, len(asked))
    # Odds of nothing cost ln V a token.
    for weight in loop.parts["model"].parameters():
        weight.data.zero_()
    empty = masked_pairs.judge(loop.parts, loop.objective, held, corpus.token_counts())
    assert empty.nats_per_token == pytest.approx(np.log(known.size), rel=1e-6)
    assert empty.bits_per_byte == pytest.approx(np.log2(known.size) * empty.tokens / empty.bytes, rel=1e-6)
