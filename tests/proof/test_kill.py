"""Nothing is lost: SIGKILL at any moment, the same command again, the same bytes."""

from __future__ import annotations

from pathlib import Path

import kill
import pytest

pytestmark = pytest.mark.proof


def test_a_killed_study_ends_in_the_same_bytes(study: Path, finished: kill.Finished) -> None:
    kill.kill_some(study, kills=4, span_s=finished.span_s, seed=0)
    kill.finish(study)
    expected = kill.results(finished.folder)
    assert len([name for name in expected if name.endswith("weights")]) == 7
    assert kill.results(study) == expected
