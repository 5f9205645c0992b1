"""Verbs that join several rooms: `run` = ladder, fit, report; `fit` on a study's runs or on any table."""

from __future__ import annotations

from pathlib import Path

from keel.answer import Answer
from keel.errors import Problem, Refusal, Refused, StudyError
from keel.plan.verb import read_plan
from keel.study import Study
from keel.units import parse_count


def run(folder: Path, study: Study, only: str | None, skip: tuple[str, ...], quiet: bool = False) -> Answer:
    """Carry out the plan, then fit what was measured and write the report."""
    _need_train()
    from keel.report.page import report
    from keel.run.ladder import Ladder

    answer = Ladder(folder, study, skip, only, quiet=quiet).run()
    if not any(row["ok"] for row in answer.result["runs"]):
        gates = [problem for problem in answer.problems if "failed its gate" in problem.what]
        raise Refused(Refusal(
            "no run passed its gate", "; ".join(f"{gate.what}: {gate.why}" for gate in gates[:3]) or "none was run",
            "lower train.lr_scale and train.lr_embedding under [set], plan again, or check the corpus",
        ))  # fmt: skip
    try:
        fitted = fit(folder, None, [], float(read_plan(folder)["level"]), {}, None)
        answer.writes += fitted.writes
        answer.problems += fitted.problems
        answer.text += "\n\n" + fitted.text
    except StudyError as error:
        answer.problems += error.problems
    except Refused as error:
        answer.problems.append(Problem(*error.refusal))
    page = report(folder)
    answer.writes += page.writes
    return answer


def fit(
    folder: Path, table: Path | None, at: list[str], level: float, columns: dict[str, str], out: Path | None
) -> Answer:
    """Fit a table, or the study's own runs (then the plan's targets are forecast and fit.json is written)."""
    from keel.laws.verb import fit_table

    if not 0 < level < 1:
        raise StudyError(f"--level {level} is not a level", why="it must lie between 0 and 1", fix="write --level 0.9")
    targets = [parse_at(text) for text in at]
    if table is not None:
        return fit_table(table, targets, level, columns, out)
    if not (folder / "plan.json").exists():
        raise StudyError(
            "there is nothing to fit", why="no table was named and no plan.json is here", where=str(folder),
            fix="name a table: keel fit runs.csv --at params=7e9,tokens=140e9",
        )  # fmt: skip
    made = read_plan(folder)
    targets = targets or [{name: target[name] for name in ("params", "tokens", "flop")} for target in made["targets"]]
    answer = fit_table(folder / "runs", targets, level, columns, folder / "fit.json")
    answer.writes = ["fit.json"]
    return answer


def parse_at(text: str) -> dict[str, float]:
    """ "params=7e9,tokens=140e9" or "compute=1e22" as numbers.

    Example:
        >>> parse_at("params=7B, tokens=140e9")
        {'params': 7000000000.0, 'tokens': 140000000000.0}
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or name not in ("params", "tokens", "compute"):
            raise StudyError(
                f"--at {text!r} is not a target", why=f"{part.strip()!r} is not params=, tokens= or compute=",
                fix="write --at params=7e9,tokens=140e9 or --at compute=1e22",
            )  # fmt: skip
        found[name] = parse_count(value, "--at")
    if set(found) not in ({"params", "tokens"}, {"compute"}) or any(value <= 0 for value in found.values()):
        raise StudyError(f"--at {text!r} is not a target", why="it needs params and tokens, or compute, all positive",
                         fix="write --at params=7e9,tokens=140e9 or --at compute=1e22")  # fmt: skip
    return found


def dry_run(folder: Path, study: Study) -> Answer:
    """Build every model of the plan on the meta device, check its parameter count, and form one real batch."""
    _need_train()
    from keel.run.dry import dry

    return dry(folder, study)


def launch(folder: Path, name: str) -> Answer:
    """Hand the study to a launcher; `keel status` and job.log show how it goes."""
    from keel.launch import load

    _need_train()
    launcher = load(name)
    job = launcher.submit(folder)
    text = (
        f"submitted  {name} job {job.id}; log {job.log}\n"
        "           keel status shows how it goes, keel run --cancel stops it"
    )
    return Answer(result=job.json(), text=text, writes=["job.sh", "job.json"])


def cancel_job(folder: Path) -> Answer:
    """Ask the study's background job to save and stop."""
    from keel.launch import load
    from keel.launch.local import attach

    job = attach(folder)
    load(job.launcher).cancel(job)
    return Answer(
        result=job.json() | {"state": load(job.launcher).poll(job)}, text=f"asked job {job.id} to save and stop"
    )


def _need_train() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "transformers", "safetensors") if find_spec(name) is None]
    if missing:
        raise StudyError.all([Problem(f"{', '.join(missing)} is not installed", "training needs the extra 'train'",
                                      "pip install 'keel[train]'")])  # fmt: skip
