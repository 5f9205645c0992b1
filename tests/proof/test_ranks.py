"""One run on two ranks of torchrun: the numbers of one process, and bitwise the same after a polite stop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import SMALL_STUDY, planned_study
from safetensors.numpy import load_file

from keel.files import sha256_file
from keel.plan.verb import read_plan
from keel.run import alone

pytestmark = pytest.mark.proof

STUDY = (
    SMALL_STUDY
    + """[[use_case]]
name = "fill in"
task = "fill-mask"
"""
)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planned_study(tmp_path_factory.mktemp("planned"), STUDY)


def command(study: Path, run: str, ranks: int, *more: str) -> list[str]:
    torchrun = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m"] if ranks > 1 else ["-m"]
    )
    return [sys.executable, *torchrun, "keel.run.alone", str(study), run, *more]


def start(study: Path, run: str, ranks: int, *more: str) -> subprocess.Popen[bytes]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "KEEL_SAVE_EVERY_S": "0.5"}
    return subprocess.Popen(command(study, run, ranks, *more), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def whole(study: Path, run: str, ranks: int, *more: str) -> None:
    process = start(study, run, ranks, *more)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()[-2000:]


def losses(study: Path, run: str) -> dict[int, float]:
    lines = (study / "runs" / run / "metrics.jsonl").read_text().splitlines()[1:]
    return {line["step"]: line["loss"] for line in map(json.loads, lines)}


def last(study: Path, run: str) -> Path:
    return sorted((study / "runs" / run / "checkpoints").glob("step-*"))[-1]


def test_two_ranks_are_one_run_and_a_stopped_one_is_the_same(planned: Path, tmp_path: Path) -> None:
    trunk = next(item["id"] for item in read_plan(planned)["experiments"] if item["kind"] == "trunk")
    one, two, cut = (Path(shutil.copytree(planned, tmp_path / name)) for name in ("one", "two", "cut"))
    whole(one, trunk, 1)
    whole(two, trunk, 2)
    single, together = losses(one, trunk), losses(two, trunk)
    assert single.keys() == together.keys()
    assert together[min(single)] == pytest.approx(single[min(single)], rel=1e-6)
    assert together[max(single)] == pytest.approx(single[max(single)], rel=2e-2)
    process = start(cut, trunk, 2)
    metrics = cut / "runs" / trunk / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not metrics.exists() or metrics.read_bytes().count(b"\n") < 12):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0
    stopped = int(last(cut, trunk).name[5:])
    assert 0 < stopped < max(single)
    whole(cut, trunk, 2)
    assert losses(cut, trunk) == together
    for name in ("parts.safetensors", "optimiser.safetensors"):
        assert sha256_file(last(cut, trunk) / name) == sha256_file(last(two, trunk) / name)
    assert (
        load_file(last(two, trunk) / "parts.safetensors").keys()
        == load_file(last(one, trunk) / "parts.safetensors").keys()
    )


def test_a_branch_before_its_trunk_and_a_run_that_is_not_there(planned: Path) -> None:
    branch = next(item["id"] for item in read_plan(planned)["experiments"] if item["kind"] == "branch")
    for run, words in ((branch, "no step to branch from"), ("w16", "the plan has no run 'w16'")):
        process = start(planned, run, 1)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 2
        assert words in said.decode()


def test_a_sharded_trunk_ends_where_its_plan_says(planned: Path, tmp_path: Path) -> None:
    """What it computes on the way is held against one process in test_sharded.py."""
    study = Path(shutil.copytree(planned, tmp_path / "study"))
    trunk = next(item for item in read_plan(study)["experiments"] if item["kind"] == "trunk")
    whole(study, trunk["id"], 2, "--sharded")
    steps = trunk["spec"]["steps"]
    assert max(losses(study, trunk["id"])) == steps == int(last(study, trunk["id"]).name[5:])


@pytest.mark.parametrize("more", [("--shared",), (), ("run", "another")])
def test_a_wrong_command_line_is_told(
    more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["alone", "study", *more])
    with pytest.raises(SystemExit) as ended:
        alone._asked()
    assert ended.value.code == 2
    assert "usage: python -m keel.run.alone [-h] [--sharded] study run" in capsys.readouterr().err
