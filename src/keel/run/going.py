"""How a plan is going: one line for all of its runs, what runs now, and the time left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keel.files import read_json
from keel.laws import seal
from keel.progress import Progress
from keel.run.pool import Task
from keel.units import show_count


class LadderProgress:
    """One line for the whole ladder: what runs now, its loss and its forecast, and the time left."""

    def __init__(self, folder: Path, todo: list[dict[str, Any]], say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        self.cost = {item["id"]: float(item["cost"]["s"]) for item in todo}
        self.flop = {item["id"]: float(item["cost"]["own_flop"]) for item in todo}
        self.skipped = {item["id"]: int(item["spec"]["start"].get("step", 0)) for item in todo}
        self.done = dict.fromkeys(self.cost, 0.0)
        self.bar = Progress("ladder", sum(self.cost.values()))

    def __call__(self, task: Task, message: Mapping[str, Any]) -> None:
        run_id = task.message["id"]
        for text in message.get("began", ()):
            self.say(f"{run_id}: {text}")
        if "progress" in message:
            line, first = message["progress"], self.skipped[run_id]
            own = (line["step"] - first) / max(1, message["steps"] - first)
            self.done[run_id] = self.cost[run_id] * min(1.0, own)
            rate = f"{show_count(line['tokens_per_s'])} tok/s" if line["tokens_per_s"] else ""
            mfu = f"mfu {100 * line['mfu']:.0f}%" if line["mfu"] else ""
            self.bar.update(sum(self.done.values()),
                            f"{run_id} loss {line['loss']:.3f} {self._expected(run_id)} {rate} {mfu}")  # fmt: skip
        elif message.get("done"):
            self.done[run_id] = self.cost[run_id]

    def _expected(self, run_id: str) -> str:
        """The sealed interval, where this run has one."""
        path = self.folder / "runs" / run_id / "forecast.json"
        if not path.exists():
            return ""
        sealed = read_json(path, seal.SCHEMA)
        unit = sealed["unit"].replace("_", " ")
        return f"(forecast {sealed['low']:.3f}-{sealed['high']:.3f} {unit})"

    def close(self) -> None:
        """Leave the closing line."""
        self.bar.close(f"{sum(self.done.values()) / self.bar.total:.0%} done")
