"""metrics.jsonl: the truth about a run's course, one line per interval; cut back to the checkpoint on resume."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel.files import canonical, place_error, write_bytes


class Meter:
    """Appends one line per interval. The first line binds the run to its spec and to its sealed forecast."""

    def __init__(self, path: Path, head: dict[str, Any], from_step: int, flop_per_token: float, peak: float) -> None:
        self.path, self.flop_per_token, self.peak_flop_per_s = path, flop_per_token, peak
        kept = _kept_lines(path, head, from_step)
        write_bytes(path, b"".join(kept))
        try:
            self.file = path.open("ab")
        except OSError as error:
            raise place_error(error, path) from error
        self.last_s = time.monotonic()
        self.last_tokens: int | None = None
        self.last_waited_s = 0.0

    def line(
        self, step: int, tokens: int, loss: float, lr: float, grad_norm: float, terms: Mapping[str, float | None],
        norms: Mapping[str, float | None], waited_s: float | None = None, told: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Write one line; rates are over the time since the line before. A loss of many terms shows each of them.

        `loss` is the weighted sum, a mean over the interval; terms (unweighted) and their norms are the last step's:
        null for a term that was absent from it, and for a norm that was not measured (sharded ranks). `waited_s` until
        now, where samples are made ahead: `waited` is its share of the time since the line before. `told`: what the
        loss says of its last step beside.
        """
        now = time.monotonic()
        waited = None if waited_s is None else (waited_s - self.last_waited_s) / (now - self.last_s)
        self.last_waited_s = waited_s or 0.0
        rate = (tokens - self.last_tokens) / (now - self.last_s) if self.last_tokens is not None else None
        self.last_s, self.last_tokens = now, tokens
        flop_per_s = rate * self.flop_per_token if rate else None
        mfu = flop_per_s / self.peak_flop_per_s if flop_per_s and self.peak_flop_per_s else None
        values: dict[str, Any] = {
            "step": step, "tokens": tokens, "loss": loss, "lr": lr, "grad_norm": grad_norm, "tokens_per_s": rate,
            "flop_per_s": flop_per_s, "mfu": mfu,
            "time": time.time(),
        }  # fmt: skip
        if waited is not None:
            values["waited"] = waited
        if len(terms) > 1:
            values |= {"terms": dict(terms), "grad_norms": dict(norms)}
        if told:
            values["told"] = dict(told)
        try:
            self.file.write(json.dumps(values).encode() + b"\n")
            self.file.flush()
        except OSError as error:
            raise place_error(error, self.path) from error
        return values

    def close(self) -> None:
        """End the file."""
        self.file.close()


def _kept_lines(path: Path, head: dict[str, Any], from_step: int) -> list[bytes]:
    """The head line, and the whole lines of steps that the checkpoint has behind it."""
    kept = [canonical(head) + b"\n"]
    if not path.exists():
        return kept
    for line in path.read_bytes().split(b"\n")[1:-1]:
        try:
            step = json.loads(line)["step"]
        except (ValueError, KeyError):
            break
        if step > from_step:
            break
        kept.append(line + b"\n")
    return kept
