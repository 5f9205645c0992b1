"""`keel run`: the plan, smallest first; before each held-out rung a forecast is sealed, after it scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keel.answer import Answer
from keel.corpus.look import source_of
from keel.corpus.store import prepare
from keel.errors import Problem, Refusal, StudyError
from keel.files import digest, read_json, sha256_file, write_json
from keel.laws import seal
from keel.laws.forecast import forecast
from keel.laws.law import Target
from keel.laws.read.runs import rows_of_runs
from keel.plan.spec import SCHEMA as SPEC_SCHEMA
from keel.plan.spec import from_json
from keel.plan.verb import read_ladder, stale
from keel.run import asked, measured
from keel.run.chosen import chosen
from keel.run.going import LadderProgress
from keel.run.lock import held
from keel.run.pool import Pool, Task, interruptible
from keel.size.time import gemm_peak_flop_per_s
from keel.study import Study
from keel.units import value_field

RESULT = "keel.result/1"


class Ladder:
    """A plan being carried out in `folder`."""

    def __init__(
        self,
        folder: Path,
        study: Study,
        skip: tuple[str, ...] = (),
        only: str | None = None,
        quiet: bool = False,
        arms: bool = False,
    ) -> None:
        self.folder, self.study, self.quiet = folder, study, quiet
        self.plan = read_ladder(folder)
        problems = stale(folder, study, self.plan)
        if problems:
            raise StudyError.all(problems)
        self.cases = asked.check(folder, study)
        self.experiments = chosen(self.plan, skip, only, arms)
        self.machine = read_json(folder / "evidence" / "machine.json", "keel.machine/1")
        self.problems: list[Problem] = []
        self.writes: list[str] = []

    def run(self) -> Answer:
        """Do what is not yet done.

        Raises:
            StudyError: the study is locked, has changed, or its place is bad.
            Preempted, Stopped: saved; the same command goes on.
        """
        with held(self.folder) as lock_fd:
            self._write_specs()
            todo = [item for item in self.experiments if not self.done(item["id"]) and not self._cut_off(item)]
            self.shards = self._prepared(todo)
            if todo:
                self._carry_out(todo, lock_fd)
            problems, writes = asked.ask(self.folder, self.cases, self.plan, lock_fd)
            self.problems += problems
            self.writes += writes
            return self._answer()

    def _prepared(self, todo: list[dict[str, Any]]) -> dict[str, Path]:
        """The tokens that the runs read, by the digest of their `data`."""
        wanted = {digest(item["spec"]["data"]): item["spec"]["data"] for item in todo or self.experiments[:1]}
        source = source_of(self.folder, self.study)
        return {name: prepare(self.folder, source, data) for name, data in wanted.items()}

    def done(self, run_id: str) -> bool:
        """A run that has a result is never done again."""
        return (self.folder / "runs" / run_id / "result.json").exists()

    def _cut_off(self, item: dict[str, Any]) -> bool:
        """A branch whose trunk diverged has nothing to start from."""
        path = self.folder / "runs" / str(item["trunk"]) / "result.json"
        return path.exists() and ((read_json(path, RESULT)["gate"] or {}).get("name") == "diverged")

    def _carry_out(self, todo: list[dict[str, Any]], lock_fd: int) -> None:
        small = [item for item in todo if not item["held_out"]]
        size = max(1, min(self.plan["totals"]["side_by_side"], len(small) or 1))
        with Pool(size, 1, lock_fd) as pool, interruptible(pool):
            progress = LadderProgress(self.folder, todo, self._say)
            try:
                pool.run([self._task(item, todo) for item in self._stretches(small)], progress)
                for rung in _held_out_rungs(todo):
                    for item in rung:
                        self._seal(item)
                    pool.run([self._task(item, todo) for item in self._stretches(rung)], progress)
                    for item in rung:
                        self._score(item)
            finally:
                progress.close()

    def _stretches(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Trunks cut at their branching steps, so that a branch need not wait for its trunk's end."""
        stretches = []
        for item in items:
            starts, start = self._branch_steps(item["id"]), item["spec"]["start"]
            if item["kind"] != "trunk":
                needs = [f"{start['run']}@{start['step']}"] if start["kind"] == "branch" else []
                stretches.append(item | {"name": item["id"], "until": item["spec"]["steps"], "keep": [], "finish": True,
                                         "needs": needs})  # fmt: skip
                continue
            for place, until in enumerate(starts):
                stretches.append(item | {"name": f"{item['id']}@{until}", "until": until, "keep": starts,
                                         "finish": until == starts[-1],
                                         "needs": [f"{item['id']}@{starts[place - 1]}"] if place else []})  # fmt: skip
        order = {item["id"]: place for place, item in enumerate(self.experiments)}
        trunks = {item["id"]: order.get(item["trunk"] or item["id"], 0) for item in stretches}
        return sorted(stretches, key=lambda item: (trunks[item["id"]], item["until"], item["kind"] == "trunk"))

    def _branch_steps(self, trunk: str) -> list[int]:
        steps = {int(item["spec"]["start"]["step"]) for item in self.plan["experiments"] if item["trunk"] == trunk}
        return sorted(steps)

    def _task(self, item: dict[str, Any], todo: list[dict[str, Any]]) -> Task:
        """A stretch as a worker's message; what is already done is not waited for."""
        waiting = {other["id"] for other in todo}
        needs = tuple(need for need in item["needs"] if need.partition("@")[0] in waiting)
        folder, parent = self.folder / "runs" / item["id"], item["trunk"]
        return Task(item["name"], {
            "id": item["id"], "folder": str(folder), "parent": str(self.folder / "runs" / parent) if parent else None,
            "shards": str(self.shards[digest(item["spec"]["data"])]),
            "until": item["until"], "keep": item["keep"], "finish": item["finish"],
            "threads": item["threads"], "forecast_sha256": _sha256(folder / "forecast.json"),
            "peak_flop_per_s": gemm_peak_flop_per_s(self.machine, item["threads"], item["spec"]["precision"]["body"]),
        }, needs)  # fmt: skip

    def _write_specs(self) -> None:
        """Identity first: a folder whose spec differs from the plan's is refused, never reused."""
        for item in self.experiments:
            path = self.folder / "runs" / item["id"] / "spec.json"
            if not path.exists():
                write_json(path, SPEC_SCHEMA, item["spec"])
                continue
            found, wanted = from_json(read_json(path, SPEC_SCHEMA), str(path)), from_json(item["spec"])
            if found.digest() != wanted.digest():
                raise StudyError(
                    "a run's identity was edited", why="spec.json is not what its id stands for",
                    fix="restore it, or move that folder away", where=str(path),
                )  # fmt: skip
            if found != wanted:  # a release that lies elsewhere now
                write_json(path, SPEC_SCHEMA, item["spec"])

    def _seal(self, item: dict[str, Any]) -> None:
        """Forecast a held-out branch from the runs measured so far, before its trunk starts."""
        path = self.folder / "runs" / item["id"] / "forecast.json"
        if item["kind"] != "branch" or path.exists():
            return
        if self._begun(item):
            self.problems.append(Problem(f"{item['id']} has no sealed forecast", "its training had begun without one",
                                         "its result is measured but scores no forecast", str(path)))  # fmt: skip
            return
        seen = {other["id"] for other in self.experiments if not other["held_out"]}
        try:
            rows, _, unit = rows_of_runs(self.folder / "runs", seen)
        except StudyError as error:
            self.problems += error.problems
            return
        target = Target(params=float(item["params"]["total"]), tokens=float(item["tokens"]), flop=item["cost"]["flop"])
        made = forecast(rows, target, self.plan["level"], unit=unit)
        if isinstance(made, Refusal):
            self.problems.append(Problem(f"no forecast for {item['id']}: {made.what}", made.why, made.fix, str(path)))
            return
        beside = measured.forecasts(self.folder / "runs", seen, unit, target, self.plan["level"])
        self.problems += beside.problems
        seal.seal(path, made, item["id"], rows, beside.forecasts)
        self.writes.append(str(path.relative_to(self.folder)))
        also = "".join(
            f"; {name} {each.value:.3f} ({each.low:.3f}-{each.high:.3f})" for name, each in beside.forecasts.items()
        )
        self._say(
            f"sealed  {item['id']}: {made.value:.4f} {unit.replace('_', ' ')}, {100 * made.level:.0f} % {made.low:.4f}-"
            f"{made.high:.4f}, {10**made.distance:.1f}x the compute of the largest run seen{also}"
        )

    def _begun(self, item: dict[str, Any]) -> bool:
        return (self.folder / "runs" / item["trunk"] / "metrics.jsonl").exists()

    def _score(self, item: dict[str, Any]) -> None:
        """Hold the measured value against the sealed forecast."""
        folder = self.folder / "runs" / item["id"]
        if item["kind"] != "branch" or not (folder / "forecast.json").exists() or not self.done(item["id"]):
            return
        result = read_json(folder / "result.json", RESULT)
        value = result[value_field(result["judge"])]
        if value is None:
            return
        with (folder / "metrics.jsonl").open() as file:
            sealed_sha256 = json.loads(file.readline())["forecast_sha256"]
        score = seal.score(folder, value, sealed_sha256=sealed_sha256, beside=measured.values(result))
        self.writes.append(str((folder / "score.json").relative_to(self.folder)))
        self._say(f"{'HIT' if score['hit'] else 'MISS'}  {item['id']}: measured {score['measured']:.4f}, forecast "
              f"{score['value']:.4f} ({100 * score['error']:+.2f} %)")  # fmt: skip

    def _say(self, text: str) -> None:
        if not self.quiet:
            print(text, flush=True)

    def _answer(self) -> Answer:
        """Every run with its outcome; a failed gate is a problem, and no other run's."""
        results = []
        for item in self.experiments:
            path = self.folder / "runs" / item["id"] / "result.json"
            result = read_json(path, RESULT) if path.exists() else None
            if result is None:
                why = "its trunk failed its gate" if item["trunk"] else "it was not reached"
                self.problems.append(Problem("no result", why, "see the trunk's gate", item["id"]))
                continue
            if not result["ok"]:
                what = f"failed its gate: {result['gate']['name']}"
                fix = "it is left out of the fit; see its metrics.jsonl"
                self.problems.append(Problem(what, result["gate"]["why"], fix, item["id"]))
            if item["kind"] != "trunk":
                self._score(item) if not (path.parent / "score.json").exists() else None
                field = value_field(result["judge"])
                results.append({name: result[name] for name in ("id", "tokens", "flop", "judge", field, "ok")})
        wide = max([len(row["id"]) for row in results] or [0])
        text = "\n".join(
            f"{row['id']:<{wide}} {row[value_field(row['judge'])]:.4f} {row['judge'].replace('_', ' ')}"
            for row in results
            if row["ok"]
        )
        return Answer(
            result={"runs": results}, text=text, problems=self.problems, reads=["plan.json"], writes=self.writes
        )


def _held_out_rungs(todo: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Held-out runs by rung: a trunk with its branches, smallest first."""
    rungs: dict[str, list[dict[str, Any]]] = {}
    for item in todo:
        if item["held_out"]:
            rungs.setdefault(item["trunk"] or item["id"], []).append(item)
    return list(rungs.values())


def _sha256(path: Path) -> str | None:
    return sha256_file(path) if path.exists() else None
