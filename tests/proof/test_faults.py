"""Bad luck and bad input during a run: a clear word, the right exit code, and nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import kill
import pytest

pytestmark = pytest.mark.proof


def keel(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keel", *words, "--study", str(folder)]
    return subprocess.run(command, env=kill.ENV, capture_output=True, text=True, timeout=300)


def wait_for_training(folder: Path, process: subprocess.Popen[bytes]) -> None:
    give_up_s = time.monotonic() + 60
    while not list((folder / "runs").glob("*/metrics.jsonl")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < give_up_s
        time.sleep(0.05)


def test_a_second_run_is_told_who_holds_the_study(study: Path) -> None:
    first = kill.start(study)
    wait_for_training(study, first)
    # Held still, so that on a fast machine it cannot end while the second is patient.
    os.killpg(first.pid, signal.SIGSTOP)
    second = keel("run", "--json", folder=study)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert second.returncode == 2
    problem = json.loads(second.stdout)["problems"][0]
    assert problem["what"] == "this study is being run"
    assert str(first.pid) in problem["why"]


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 75, "preempted"), (signal.SIGINT, 130, "stopped")]
)
def test_a_polite_stop_saves_and_goes_on_to_the_same_bytes(
    study: Path, finished: kill.Finished, number: int, code: int, word: str
) -> None:
    process = kill.start(study)
    wait_for_training(study, process)
    process.send_signal(number)
    said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == code, said
    assert word in said
    assert "the same command again" in said
    assert "Traceback" not in said
    kill.finish(study)
    assert kill.results(study) == kill.results(finished.folder)
    assert keel("status", folder=study).returncode == 0


def test_an_edited_shard_is_named_and_made_again_when_removed(done: Path) -> None:
    study = done
    before = kill.results(study)
    shard = next((study / "runs").glob(".shards-*/train-*.bin"))
    for path in (study / "runs").glob("w16*"):
        shutil.rmtree(path)
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    refused = keel("run", "--json", folder=study)
    assert refused.returncode == 2
    assert "is not what was written" in json.loads(refused.stdout)["problems"][0]["what"]
    shutil.rmtree(shard.parent)
    kill.finish(study)
    assert kill.results(study) == before


def test_a_changed_study_shows_its_difference_and_old_runs_stay(done: Path) -> None:
    study = done
    before = kill.results(study)
    text = (study / "study.toml").read_text()
    (study / "study.toml").write_text(text.replace("16 = [20480, 40960]", "16 = [20480, 35840]"))
    refused = keel("run", "--json", folder=study)
    assert refused.returncode == 2
    assert "40960" in json.loads(refused.stdout)["problems"][0]["why"]
    planned = keel("plan", "--json", folder=study)
    assert "finished runs are not in this plan" in json.loads(planned.stdout)["problems"][0]["what"]
    kill.finish(study)
    after = kill.results(study)
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before)


def test_rungs_that_diverge_are_named_and_refused(study: Path) -> None:
    text = (study / "study.toml").read_text()
    (study / "study.toml").write_text(text + "lr_scale = 1e30\nlr_embedding = 1e30\n")
    assert keel("plan", folder=study).returncode == 0
    done = keel("run", "--json", folder=study)
    assert done.returncode == 3, done.stdout + done.stderr
    problem = json.loads(done.stdout)["problems"][0]
    assert problem["what"] == "no run passed its gate"
    assert "diverged" in problem["why"]
    assert "Traceback" not in done.stdout + done.stderr
    assert not list((study / "runs").glob("*/forecast.json"))


def test_one_diverged_size_does_not_poison_the_fit(done: Path) -> None:
    study = done
    made = json.loads((study / "plan.json").read_text())
    trunk = next(item["id"] for item in made["experiments"] if item["kind"] == "trunk")
    path = study / "runs" / trunk / "result.json"
    bad = json.loads(path.read_text()) | {"ok": False, "gate": {"name": "diverged", "why": "loss nan at step 3"}}
    path.write_text(json.dumps(bad))
    branches = [item["id"] for item in made["experiments"] if item["trunk"] == trunk]
    for name in branches:
        shutil.rmtree(study / "runs" / name)
    went = keel("run", "--json", folder=study)
    assert went.returncode == 0, went.stdout + went.stderr
    problems = json.loads(went.stdout)["problems"]
    assert any(problem["where"] == trunk and "diverged" in problem["what"] for problem in problems)
    assert all(any(problem["where"] == name for problem in problems) for name in branches)
    fitted = json.loads((study / "fit.json").read_text())
    assert not {row["id"] for row in fitted["rows"]} & set(branches)


def test_a_full_disk_is_said_and_nothing_is_lost(study: Path, finished: kill.Finished, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "none", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        place = Path(shutil.copytree(study, small / "study"))
        done = keel("run", "--json", folder=place)
        assert done.returncode == 2, done.stdout + done.stderr
        assert any("disk is full" in problem["why"] for problem in json.loads(done.stdout)["problems"])
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        kill.finish(place)
        assert kill.results(place) == kill.results(finished.folder)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_background_job_can_be_asked_for_later(done: Path) -> None:
    study = done
    for path in (study / "runs").glob("w16*"):
        shutil.rmtree(path)
    submitted = subprocess.run(
        [sys.executable, "-m", "keel", "run", "--on", "local", "--study", str(study)], capture_output=True, text=True
    )
    assert submitted.returncode == 0, submitted.stderr
    from keel.launch import load
    from keel.launch.local import attach

    job = attach(study)
    launcher = load(job.launcher)
    give_up_s = time.monotonic() + 120
    while launcher.poll(job) == "running" and time.monotonic() < give_up_s:
        time.sleep(0.2)
    assert launcher.poll(job) == "done", launcher.logs(job)
    assert "bits per byte" in launcher.logs(job)
