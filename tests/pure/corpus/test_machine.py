"""machine.json: what the system says, what is measured, and what happens where the measuring fails."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keel.corpus import machine as module
from keel.corpus.machine import cores_and_free, cpu_name, cpu_quota, disk_free_bytes, machine, memory_bytes, numpy_gemm

KEYS = {
    "made_utc", "cores", "cores_free", "memory_bytes", "memory_free_bytes", "disk_free_bytes", "cpu", "platform",
    "torch", "compiler", "gemm", "steps", "precision", "problems",
}  # fmt: skip
ROW = {"precision": "fp32", "threads": 1, "m": 8, "k": 8, "n": 8, "flop_per_s": 1e9}


@pytest.fixture(autouse=True)
def one_free_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests share the machine, so its load is not asked for."""
    monkeypatch.setattr(module, "LOAD_S", 0.0)


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name in missing else SimpleNamespace())


def children(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> list[list[str]]:
    """Replace measuring processes by what they would answer, an exception being raised; returns the calls seen."""
    calls = []

    def run(command: list[str], **options: Any) -> Any:
        calls.append(command)
        answer = answers[command[2]]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(returncode=answer[0], stdout=answer[1], stderr=answer[2])

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_without_torch_numpy_is_timed_and_the_answer_is_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without(monkeypatch, "torch")
    monkeypatch.setattr(module, "cores_and_free", lambda: (2, 1))
    found = machine(tmp_path)
    assert set(found) == KEYS
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["precision"] == {
        "body": "fp32", "head": "fp32", "why": "torch is not installed: bf16 not measured"
    }  # fmt: skip
    assert (found["torch"], found["steps"], found["problems"]) == (None, [], [])
    assert {(row["m"], row["k"], row["n"]) for row in found["gemm"]} == {(1024, 1024, 1024), (512, 64, 4096)}
    assert all(row["precision"] == "fp32" and row["threads"] == 1 and row["flop_per_s"] > 1e6 for row in found["gemm"])


def test_every_thread_count_is_timed_in_its_own_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without(monkeypatch, "transformers")
    monkeypatch.setattr(module, "cores_and_free", lambda: (8, 4))
    calls = children(monkeypatch, {"keel.corpus.machine": (0, json.dumps({"gemm": [ROW]}), "")})
    found = machine(tmp_path)
    assert [call[3] for call in calls] == ["1", "4"]
    assert found["gemm"] == [ROW, ROW]
    assert found["precision"]["why"] == "transformers is not installed: bf16 not measured"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((1, "", "Traceback\nImportError: libgomp"), "code 1: ImportError: libgomp"),
        ((-9, "", ""), "code -9: no message"),
        ((0, "", ""), "could not be read"),
        ((0, "not json", ""), "could not be read"),
        ((0, "[1]", ""), "did not print an object"),
        (subprocess.TimeoutExpired("probe", 60), "more than 90 s"),
        (OSError("no more processes"), "no more processes"),
    ],
)
def test_a_failed_probe_is_told_and_numpy_steps_in(
    answer: Any, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without(monkeypatch)
    children(monkeypatch, {"keel.run.probe": answer, "keel.corpus.machine": (0, json.dumps({"gemm": [ROW]}), "")})
    found = machine(tmp_path)
    assert why in found["problems"][0]["why"]
    assert set(found["problems"][0]) == {"what", "why", "fix", "where"}
    assert found["steps"] == []
    assert found["gemm"][0] == ROW
    assert found["precision"]["body"] == found["precision"]["head"] == "fp32"


def test_when_no_process_can_be_started_something_is_still_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without(monkeypatch)
    monkeypatch.setattr(module, "GEMM_S", 0.0)
    refused = OSError("no more processes")
    children(monkeypatch, {"keel.run.probe": refused, "keel.corpus.machine": refused})
    found = machine(tmp_path)
    assert len(found["problems"]) >= 2
    assert found["gemm"][0]["flop_per_s"] > 0


def test_the_probe_s_measurements_are_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without(monkeypatch)
    monkeypatch.setattr(module, "cores_and_free", lambda: (4, 3))
    measured = {"torch": "2", "gemm": [ROW], "steps": [{"width": 16}], "precision": {"body": "fp32", "head": "bf16"}}
    calls = children(monkeypatch, {"keel.run.probe": (0, "a warning\n" + json.dumps(measured) + "\n", "")})
    found = machine(tmp_path, "images")
    assert calls == [[sys.executable, "-m", "keel.run.probe", "3", "images"]]
    assert {name: found[name] for name in ("gemm", "steps", "precision")} == {
        name: measured[name] for name in ("gemm", "steps", "precision")
    }


def test_cores_memory_disk_and_name_are_those_of_a_machine(tmp_path: Path) -> None:
    cores, free = cores_and_free()
    assert 1 <= free <= cores <= (os.cpu_count() or 1)
    total, unused = memory_bytes()
    assert 0 < unused <= total
    assert disk_free_bytes(tmp_path / "not" / "there" / "yet") > 0
    assert cpu_name().strip()


@pytest.mark.parametrize(
    ("others", "free"), [((0, 0, 0, 0), 4), ((100, 0, 0, 0), 3), ((50, 0, 0, 0), 4), ((60, 60, 60, 0), 2),
                         ((100, 100, 100, 100), 1)],
)  # fmt: skip
def test_the_load_of_others_is_left_out(others: tuple[int, ...], free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {place: (1000, 2000) for place in range(4)}
    after = {place: (1000 + 100 - busy, 2100) for place, busy in enumerate(others)}
    samples = iter([before, after])
    monkeypatch.setattr(module, "_ticks", lambda: next(samples))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(module, "cpu_quota", lambda: math.inf)
    assert cores_and_free() == (4, free)


def test_without_proc_the_load_average_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (2.2, 9.0, 9.0))
    monkeypatch.setattr(module, "_ticks", dict)
    monkeypatch.setattr(module, "cpu_quota", lambda: math.inf)
    assert cores_and_free() == (8, 6)


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/", {}, math.inf),
        ("0::/a/b", {"a/b/cpu.max": "max 100000"}, math.inf),
        ("0::/a/b", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/../x", {"cpu.max": "200000 100000"}, 2.0),
        ("4:cpu,cpuacct:/job", {"cpu,cpuacct/job/cpu.cfs_quota_us": "300000",
                                "cpu,cpuacct/job/cpu.cfs_period_us": "100000"}, 3.0),
        ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
        ("garbage", {"cpu.max": ""}, math.inf),
    ],
)  # fmt: skip
def test_quotas_of_both_kinds_of_cgroup(own: str, files: dict[str, str], quota: float, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text)
    (tmp_path / "own").write_text(own + "\n")
    assert cpu_quota(tmp_path / "fs", tmp_path / "own") == quota


def test_a_small_quota_leaves_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_quota", lambda: 0.5)
    assert cores_and_free() == (1, 1)


def test_numpy_s_rate_counts_two_flop_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GEMM_S", 0.0)
    seconds = iter(float(tick) for tick in range(100))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(seconds))
    square, head = numpy_gemm(3)
    assert (square["flop_per_s"], head["flop_per_s"]) == (2.0 * 1024**3, 2.0 * 512 * 64 * 4096)
    assert square["threads"] == 3


def test_the_allocator_s_settings_are_those_of_the_workers() -> None:
    pool = pytest.importorskip("keel.run.pool")
    assert module.ALLOCATOR == pool.ALLOCATOR
