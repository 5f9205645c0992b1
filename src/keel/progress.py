"""Progress a person can see: one live line with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TextIO, TypeVar

from keel.units import show_duration

T = TypeVar("T")
LIVE_S, PLAIN_S = 0.1, 5.0


class Progress:
    """A step with a known amount of work; `update` may be called as often as one likes.

    On a terminal the line is redrawn at most ten times a second; elsewhere a line is printed every five seconds,
    and none at all for work that ends sooner, but for the closing line.
    """

    def __init__(self, name: str, total: float, unit: str = "", stream: TextIO | None = None) -> None:
        self.name, self.total, self.unit = name, max(total, 1e-12), unit
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.started_s = self.drawn_s = time.monotonic()
        self.width = 0

    def update(self, done: float, note: str = "") -> None:
        """Show that `done` of the total is behind us."""
        now = time.monotonic()
        if now - self.drawn_s < (LIVE_S if self.live else PLAIN_S):
            return
        self.drawn_s = now
        share = min(1.0, done / self.total)
        left = f"eta {show_duration((now - self.started_s) * (1 - share) / share)}" if share > 0 else "eta ?"
        self._line(f"{self.name}  {100 * share:3.0f}%  {note + '  ' if note else ''}{left}", end=not self.live)

    def close(self, note: str = "") -> None:
        """The last line stays: what was done, and how long it took."""
        took = show_duration(time.monotonic() - self.started_s)
        self._line(f"{self.name}  {note + '  ' if note else ''}{took}", end=True)

    def _line(self, text: str, end: bool) -> None:
        pad = " " * max(0, self.width - len(text))
        self.stream.write(("\r" if self.live else "") + text + (pad if self.live else "") + ("\n" if end else ""))
        self.stream.flush()
        self.width = 0 if end else len(text)


@contextmanager
def waiting(name: str, usual_s: float) -> Iterator[None]:
    """Something else works meanwhile, and only how long it usually takes is known: shown by the clock, 95 % at most."""
    progress, over = Progress(name, usual_s), Event()

    def show() -> None:
        while not over.wait(LIVE_S):
            progress.update(min(time.monotonic() - progress.started_s, 0.95 * usual_s))

    thread = Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        progress.close()


def track(items: Iterable[T], name: str, total: int) -> Iterator[T]:
    """Iterate with a progress line."""
    progress = Progress(name, total)
    for done, item in enumerate(items):
        progress.update(done)
        yield item
    progress.close()
