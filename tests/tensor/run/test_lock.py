"""One run a study: the second is told who holds it, and a lock never outlives its holders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import study_error

from keel.run.lock import held, holder

pytestmark = pytest.mark.tensor


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keel.run.lock.PATIENCE_S", 0.15)


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    with held(tmp_path):
        assert f"process {os.getpid()} on {os.uname().nodename} since 20" in str(holder(tmp_path))
        with study_error("this study is being run", f"held by process {os.getpid()}", str(tmp_path)), held(tmp_path):
            pass
    assert holder(tmp_path) is None


def test_it_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), held(tmp_path):
        raise ValueError("mine")
    with held(tmp_path) as handle:
        assert handle > 2


def test_nobody_holds_what_was_never_run(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    assert not (tmp_path / "runs").exists()


def test_an_orphan_that_inherited_it_keeps_it(tmp_path: Path) -> None:
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with held(tmp_path) as handle:
        orphan = subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=(handle,))
    try:
        with study_error("this study is being run"), held(tmp_path):
            pass
    finally:
        orphan.communicate(timeout=20)
    with held(tmp_path):
        assert holder(tmp_path)


def test_a_lock_without_a_name_in_it(tmp_path: Path) -> None:
    with held(tmp_path) as handle:
        os.ftruncate(handle, 0)
        assert holder(tmp_path) == "another process"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with study_error("cannot write .lock"), held(tmp_path):
        pass
