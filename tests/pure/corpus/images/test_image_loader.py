from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import study_error
from pictures import folder_of, looked, opened

import keel
from keel.corpus.images.augment import Settings, views
from keel.corpus.images.loader import AHEAD, Job, Loader, Views
from keel.corpus.images.store import Store, write

ASKED = (Settings(size=24, jitter=0.3), Settings(size=24, jitter=0.3, blur=0.5), Settings(size=8, most_area=0.4))
# Loads without end; says when it goes, and which workers it has.
ENDLESS = """
import itertools, signal, sys
from pathlib import Path
from keel.corpus.images.augment import Settings
from keel.corpus.images.loader import Job, Loader
from keel.corpus.images.store import Store
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
with Loader(Store(Path(sys.argv[1])), [Settings(size=24)], 0, 2) as loader:
    for number, views in enumerate(loader.views(Job(0, each % 40) for each in itertools.count())):
        if number == 10:
            print(*[worker.pid for worker in loader.workers], flush=True)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("loader")
    folder_of(root / "data", {"a": 40})
    return write(root / "store", opened(root), looked(root))


@pytest.fixture(scope="module")
def loaders(store: Store) -> dict[int, Loader]:
    """One of each number of workers, started together as starting takes longest."""
    made = {workers: Loader(store, ASKED, 7, workers) for workers in (0, 1, 2)}
    yield made
    for loader in made.values():
        loader.close()


def jobs(count: int, seed: int) -> list[Job]:
    rng = np.random.default_rng(seed)
    return [
        Job(int(epoch), int(number)) for epoch, number in zip(rng.integers(0, 5, count), rng.integers(0, 40, count))
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 3, AHEAD, 2 * AHEAD + 1, 100])
def test_order_and_bits_are_the_same_for_any_number_of_workers(
    store: Store, loaders: dict[int, Loader], count: int
) -> None:
    asked = jobs(count, count)
    right = [views(store.data(job.number), ASKED, 7, job.epoch, job.number) for job in asked]
    for workers, loader in loaders.items():
        found = list(loader.views(asked))
        assert len(found) == count, workers
        assert all(same(one, other) for one, other in zip(found, right)), workers


def same(one: Views, other: Views) -> bool:
    """Whether two images have the same views, bit for bit."""
    assert [view.shape[1] for view in one] == [24, 24, 8]
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("taken", [1, 5, 40])
def test_an_order_that_is_left_does_not_disturb_the_next(loaders: dict[int, Loader], taken: int) -> None:
    first, then = jobs(60, 2), jobs(20, 3)
    right = list(loaders[0].views(then))
    for loader in loaders.values():
        started = loader.views(first)
        for _ in range(taken):
            next(started)
        started.close()
        assert all(same(one, two) for one, two in zip(loader.views(then), right))


def test_the_share_waited_is_metered(store: Store) -> None:
    slept = 0.0
    with Loader(store, ASKED, 0) as alone:
        for _ in alone.views(jobs(20, 4)):
            start = time.perf_counter()
            time.sleep(0.005)
            slept += time.perf_counter() - start
    assert alone.images == 20
    assert alone.took_s == pytest.approx(alone.waited_s + slept, rel=0.2)
    with Loader(store, ASKED, 0) as hungry:
        list(hungry.views(jobs(20, 4)))
    assert 0 < alone.share_waited < hungry.share_waited <= 1


def test_workers_make_ahead_while_the_step_runs(store: Store, loaders: dict[int, Loader]) -> None:
    loader, asked = loaders[2], jobs(200, 5)
    running = loader.views(asked)
    next(running)
    time.sleep(0.3)
    before = loader.waited_s
    for _ in range(AHEAD):
        next(running)
    # They lie ready: none of these had to be decoded while it was waited for.
    assert loader.waited_s - before < 0.05
    running.close()


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    folder_of(tmp_path / "data", {"a": 12})
    store = write(tmp_path / "store", opened(tmp_path), looked(tmp_path))
    path = tmp_path / "store" / "images.bin"
    data = bytearray(path.read_bytes())
    start = int(store.table[3, 0])
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    for workers in (0, 1):
        with Loader(store, ASKED, 0, workers) as loader:
            running = loader.views([Job(0, number) for number in (1, 2, 3, 4)])
            next(running)
            next(running)
            with study_error("image 3 cannot be decoded"):
                next(running)


def test_a_worker_that_dies_is_told(store: Store) -> None:
    with Loader(store, ASKED, 0, 1) as loader:
        running = loader.views(jobs(200, 6))
        next(running)
        os.kill(loader.workers[0].pid, signal.SIGKILL)
        with study_error("a worker that makes images has ended"):
            list(running)
    assert loader.closed


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_loader(store: Store, ending: signal.Signals) -> None:
    env, pipe = os.environ | {"PYTHONPATH": str(Path(keel.__file__).parents[1])}, subprocess.PIPE
    command = [sys.executable, "-c", ENDLESS, str(store.folder)]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env) as process:
        assert process.stdout is not None
        workers = [int(each) for each in process.stdout.readline().split()]
        assert len(workers) == 2
        assert all(alive(worker) for worker in workers)
        try:
            process.send_signal(ending)
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert "KeyboardInterrupt" in said or ending != signal.SIGINT
    assert "worker" not in said.replace("loader.workers", ""), "the workers themselves say nothing"
    until = time.monotonic() + 10
    while any(alive(worker) for worker in workers) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(alive(worker) for worker in workers)


def alive(process: int) -> bool:
    """Whether a process runs: one that has ended and is not yet collected does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_benchmark_of_the_loader_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[4] / "benchmarks"))
    benchmark = importlib.import_module("image_loader")
    for name, value in {"WORKERS": (0,), "ROUNDS": 1, "QUICK_IMAGES": 10, "STEP_S": 0.0}.items():
        monkeypatch.setattr(benchmark, name, value)
    made = benchmark.measure(True)
    assert [row.unit for row in made] == ["images/s", "MB/s", "s"]
    assert all(row.ours > 0 for row in made)
