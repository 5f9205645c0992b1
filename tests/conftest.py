"""One thread a worker, no network, and the fixtures that several rooms share."""

from __future__ import annotations

import copy
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "COLUMNS": "120"}

import pytest  # noqa: E402
from helpers import FAKE_MACHINE, study, write_texts  # noqa: E402

from keel.corpus.look import measure_corpus, source_of  # noqa: E402
from keel.files import write_json, write_text  # noqa: E402


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that reaches for the network fails at once."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise RuntimeError(f"a test reached for the network: {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    return


@pytest.fixture(scope="session")
def _looked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study folder with tiny text and its measured evidence; never handed out, only copied."""
    folder = tmp_path_factory.mktemp("looked")
    write_texts(folder / "text")
    write_text(folder / "study.toml", '[data]\ntrain = "text"\n')
    corpus, tokenizer_json = measure_corpus(source_of(folder, study()), study())
    write_text(folder / "evidence" / "tokenizer.json", tokenizer_json)
    write_json(folder / "evidence" / "corpus.json", "keel.corpus/1", corpus)
    write_json(folder / "evidence" / "machine.json", "keel.machine/1", FAKE_MACHINE)
    return folder


@pytest.fixture
def tiny_text(tmp_path: Path) -> Path:
    """A folder of 40 documents of seeded text, about 280 kB."""
    return write_texts(tmp_path / "text")


@pytest.fixture
def looked(_looked: Path, tmp_path: Path) -> Path:
    """A study folder of one's own: text, study.toml, evidence with the stated machine."""
    return Path(shutil.copytree(_looked, tmp_path / "study"))


@pytest.fixture
def corpus_json(_looked: Path) -> dict[str, Any]:
    """corpus.json as `look` measures it on the tiny text."""
    import json

    content: dict[str, Any] = json.loads((_looked / "evidence" / "corpus.json").read_text())
    return content


@pytest.fixture
def fake_machine() -> dict[str, Any]:
    """machine.json of a stated machine: see helpers.FAKE_MACHINE."""
    return copy.deepcopy(FAKE_MACHINE)
