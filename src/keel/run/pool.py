"""Side-by-side training processes: tasks go out in order as soon as what they need is done."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any

from keel.corpus.machine import ALLOCATOR
from keel.errors import Preempted, Problem, Stopped, StudyError

QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
         "TRANSFORMERS_VERBOSITY": "error", "PYTHONUNBUFFERED": "1"}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One stretch of training, or a model to be judged; `needs` are names of tasks that must be done before it."""

    name: str
    message: Mapping[str, Any]
    needs: tuple[str, ...] = ()


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    task: Task | None = None
    buffer: bytes = field(default=b"")

    @property
    def out(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def send(self, task: Task) -> None:
        """Hand over a task."""
        assert self.process.stdin is not None
        self.task = task
        try:
            self.process.stdin.write(json.dumps(dict(task.message)).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # its end is seen, and reported, when its output is read

    def lines(self) -> list[dict[str, Any]] | None:
        """Messages that have come; None when the process has ended."""
        data = os.read(self.out.fileno(), 1 << 16)
        if not data:
            return None
        *whole, self.buffer = (self.buffer + data).split(b"\n")
        return [json.loads(line) for line in whole if line]


class Pool:
    """`size` worker processes; use as a context. `lock_fd` is inherited, so the study stays locked while any lives."""

    def __init__(self, size: int, threads: int, lock_fd: int | None = None) -> None:
        env = os.environ | ALLOCATOR | QUIET | {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        command = [sys.executable, "-m", "keel.run.worker"]
        self.workers = [
            _Worker(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env,
                    pass_fds=() if lock_fd is None else (lock_fd,),
                )
            )
            for _ in range(size)
        ]  # fmt: skip
        self.stopping = self.interrupted = False

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            assert worker.process.stdin is not None
            with suppress(BrokenPipeError):
                worker.process.stdin.close()
        for worker in self.workers:
            try:
                worker.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.out.close()

    def stop(self) -> None:
        """Ask every worker to save and stop; `run` then raises Preempted."""
        self.stopping = True
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGTERM)

    def run(self, tasks: Sequence[Task], on_message: Callable[[Task, dict[str, Any]], None]) -> dict[str, Any]:
        """Run all tasks; returns each one's result by name. What needs a diverged task is not run.

        Raises:
            Preempted: `stop` was called; every worker has saved.
            StudyError: a worker met a problem, or died.
        """
        waiting, results = list(tasks), dict[str, Any]()
        self.lost: set[str] = set()
        with selectors.DefaultSelector() as selector:
            for worker in self.workers:
                selector.register(worker.out, selectors.EVENT_READ, worker)
            while waiting or any(worker.task for worker in self.workers):
                self._hand_out(waiting, results)
                for key, _ in selector.select(timeout=0.5):
                    self._hear(key.data, results, on_message)
                if self.stopping and not any(worker.task for worker in self.workers):
                    raise Preempted
        return results

    def _hand_out(self, waiting: list[Task], results: Mapping[str, Any]) -> None:
        for task in [task for task in waiting if self.lost.intersection(task.needs)]:
            waiting.remove(task)
            self.lost.add(task.name)
        for worker in self.workers:
            ready = [task for task in waiting if all(need in results for need in task.needs)]
            if worker.task is None and ready and not self.stopping:
                waiting.remove(ready[0])
                worker.send(ready[0])

    def _hear(
        self, worker: _Worker, results: dict[str, Any], on_message: Callable[[Task, dict[str, Any]], None]
    ) -> None:
        task, messages = worker.task, worker.lines()
        if messages is None:
            raise _died(worker)
        assert task is not None, "a worker spoke without a task"
        for message in messages:
            if "progress" in message or "began" in message:
                on_message(task, message)
                continue
            worker.task = None
            if "problems" in message:
                raise StudyError.all(Problem(**problem) for problem in message["problems"])
            if "bug" in message:
                raise RuntimeError(message["bug"])
            if "done" in message:
                results[task.name] = message["done"]
                if _diverged(message["done"]):
                    self.lost.add(task.name)
                on_message(task, message)


@contextmanager
def interruptible(pool: Pool) -> Iterator[None]:
    """SIGTERM and Ctrl-C make every worker save; the first asks, and nothing is lost.

    Raises:
        Stopped: it was Ctrl-C that ended the work.
    """

    def on_signal(number: int, frame: Any) -> None:
        pool.interrupted = number == signal.SIGINT
        pool.stop()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except Preempted as stop:
        if pool.interrupted:
            raise Stopped from stop
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _diverged(result: dict[str, Any] | None) -> bool:
    """Whether a stretch ended without weights that others could go on from."""
    return result is not None and result["gate"] is not None and result["gate"]["name"] == "diverged"


def _died(worker: _Worker) -> StudyError:
    code = worker.process.wait()
    name = worker.task.name if worker.task else "a worker"
    why = f"the process ended with signal {-code}" if code < 0 else f"the process ended with code {code}"
    return StudyError(
        f"work on {name} stopped", why=why + (" (out of memory?)" if code == -9 else ""),
        fix="run the same command again: it goes on from the last checkpoint", where=name,
    )  # fmt: skip
