"""What several test files share: a small corpus, a stated machine, the command, the shape of an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from keel import verbs
from keel.corpus import markov
from keel.corpus.look import measure_corpus, source_of
from keel.errors import StudyError
from keel.files import write_json, write_text
from keel.plan.verb import plan
from keel.study import Study, load

# A machine that does not exist, stated for tests of arithmetic only: 20 GFLOP/s a core, training at 5 GFLOP/s.
FAKE_MACHINE: dict[str, Any] = {
    "made_utc": "2000-01-01T00:00:00Z",
    "cores": 2,
    "cores_free": 2,
    "memory_bytes": 8e9,
    "memory_free_bytes": 6e9,
    "disk_free_bytes": 1e11,
    "cpu": "stated for tests",
    "platform": "stated for tests",
    "torch": "0",
    "compiler": True,
    "gemm": [
        {"precision": precision, "threads": threads, "m": 1024, "k": 1024, "n": 1024, "flop_per_s": 2e10 * threads}
        for precision in ("fp32", "bf16")
        for threads in (1, 2)
    ],
    "steps": [
        {
            "width": width,
            "vocabulary": 4096,
            "context": 128,
            "threads": threads,
            "precision": {"body": "fp32", "head": "fp32"},
            "flop_per_token": flop,
            "tokens_per_s": 5e9 * threads / flop,
        }
        for width, flop in ((16, 5e5), (64, 2.5e6), (256, 2e7))
        for threads in (1, 2)
    ],
    "precision": {"body": "fp32", "head": "fp32", "why": "stated for tests"},
}


def write_texts(folder: Path, documents: int = 40, words: int = 1300, seed: int = 1) -> Path:
    """Text of a seeded Markov chain, about 7 bytes a word."""
    markov.write(folder, markov.chain(400, 8, 0), documents, words, seed)
    return folder


# Two sizes that are planned and trained in moments; it ends within [set].
SMALL_STUDY = """[data]
train = "text"
[set]
tokenizer.vocabulary = 512
model.layers = 1
model.context = 64
ladder.widths = [16, 24]
ladder.tokens.16 = [20_480, 30_720]
ladder.tokens.24 = [102_400]
train.batch_tokens = 512
train.warmup_tokens = 2560
train.precision = "fp32"
"""


def planned_study(folder: Path, study_toml: str) -> Path:
    """A folder with generated text, this study, its evidence on the stated machine and its plan."""
    markov.write(folder / "text", markov.chain(200, 8, seed=1), documents=40, words_each=700, seed=2)
    write_text(folder / "study.toml", study_toml)
    asked = load(folder)
    corpus, tokenizer_json = measure_corpus(source_of(folder, asked), asked)
    write_text(folder / "evidence" / "tokenizer.json", tokenizer_json)
    write_json(folder / "evidence" / "corpus.json", "keel.corpus/1", corpus)
    write_json(folder / "evidence" / "machine.json", "keel.machine/1", FAKE_MACHINE)
    plan(folder, asked, "2026-01-01")
    return folder


def looked_and_planned(folder: Path, cores: int = 2) -> Path:
    """The study of a folder after `keel look` and `keel plan`, whose machine is the stated one: nothing is timed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keel.corpus.look.machine", lambda *_: FAKE_MACHINE | {"cores_free": cores})
        verbs.look(folder, load(folder))
    plan(folder, load(folder), "2026-01-01")
    return folder


def texts(number: int, words: int = 60, seed: int = 0) -> list[str]:
    """Short unlike documents, with letters beyond ASCII, quotes, commas and line breaks in some."""
    source = markov.chain(300, 40, seed)
    odd = ["", ' "quoted", and a comma', "\nsecond line\n\nnew paragraph", " \u00e9\u00df\u4e2d\U0001f600", "\ttab"]
    return [
        " ".join(source.words[(place * 7919 + step * (place + 3)) % 300] for step in range(words))
        + odd[place % len(odd)]
        for place in range(number)
    ]


def wordpiece(texts: list[str]) -> Tokenizer:
    """A lower-casing WordPiece of 300 entries that, as some releases do, cuts every text to 16 tokens and pads it."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special,
                                                              show_progress=False))  # fmt: skip
    made.enable_truncation(16)
    made.enable_padding(length=16)
    return made


def study(train: str = "text", **tables: Any) -> Study:
    """A study of the folder `train`."""
    data = {"train": train} | tables.pop("data", {})
    return Study.model_validate({"data": data, **tables})


def golden(name: str) -> dict[str, Any]:
    """Numbers that original code gave: tests/golden/NAME.json says which commit of what, and how they were made."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / f"{name}.json").read_text(encoding="utf-8"))
    return found


@contextmanager
def study_error(*words: str, where: bool = True) -> Iterator[list[StudyError]]:
    """The block must raise a StudyError whose problems say what, why and fix (and where), and name all `words`."""
    seen: list[StudyError] = []
    with pytest.raises(StudyError) as caught:
        yield seen
    seen.append(caught.value)
    for problem in caught.value.problems:
        assert problem.what
        assert problem.why
        assert problem.fix
        assert problem.where or not where
    for word in words:
        assert word in str(caught.value)


def keel(*arguments: str, cwd: Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    """`python -m keel ...` in a process of its own, with its exit code checked."""
    command = [sys.executable, "-m", "keel", *arguments]
    env = os.environ | {"PYTHONPATH": str(Path(markov.__file__).parents[2])}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, env=env)
    assert code is None or done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done
