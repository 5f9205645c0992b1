"""Nothing is lost: SIGKILL at any moment, the same command again, the same bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import kill
import pytest

pytestmark = pytest.mark.proof


def test_a_killed_study_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    kill.make(whole)
    shutil.copytree(whole, broken)
    span_s = kill.finish(whole)
    kill.kill_some(broken, kills=4, span_s=span_s, seed=0)
    kill.finish(broken)
    expected = kill.results(whole)
    assert len([name for name in expected if name.endswith("weights")]) == 7
    assert kill.results(broken) == expected
