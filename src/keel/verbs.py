"""Verbs that join several rooms: `run` = ladder, fit, report; `fit` on a study's runs or on any table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel.answer import Answer
from keel.data import OF_IMAGES
from keel.errors import Problem, Refusal, Refused, StudyError
from keel.plan.verb import read_plan
from keel.study import Study


def look(folder: Path, study: Study) -> Answer:
    """Measure the corpus and the machine, and the released base where [start] names one."""
    from keel.choose import base, measure
    from keel.corpus import look as seen
    from keel.files import read_json, write_json, write_text

    if not study.data.patterns:
        raise StudyError("there are no files to look at", why="[data] is stated, and names none", where="study.toml",
                         fix="once they are at hand, name them: [data] train = ...")  # fmt: skip
    answer = seen.look(folder, study)
    if not base.named(study):
        return answer
    if study.data.kind in OF_IMAGES:
        told = Problem(
            f"the base '{study.start.start_from}' is not measured",
            "no ladder on images starts from released weights as yet",
            "nothing to do",
            "[start] from",
        )
        answer.problems.append(told)
        return answer
    corpus = read_json(folder / "evidence" / "corpus.json", seen.CORPUS)
    found, tokenizer_json = measure.measure(folder, study, seen.text_source(folder, study), corpus)
    write_text(folder / base.TOKENIZER, tokenizer_json)
    write_json(folder / base.BASE, base.SCHEMA, found)
    answer.result["base"], answer.text = found, f"{answer.text}\n{base.show(found)}"
    answer.writes += [base.BASE, base.TOKENIZER]
    return answer


def run(
    folder: Path, study: Study, only: str | None, skip: tuple[str, ...], quiet: bool = False, arms: bool = False
) -> Answer:
    """Carry out the ladder (or its arms), then fit what was measured and write the report."""
    _need_train()
    from keel.report.page import report
    from keel.run.ladder import Ladder

    answer = Ladder(folder, study, skip, only, quiet=quiet, arms=arms).run()
    if not any(row["ok"] for row in answer.result["runs"]):
        gates = [problem for problem in answer.problems if "failed its gate" in problem.what]
        why = "; ".join(f"{gate.where} {gate.what}: {gate.why}" for gate in gates[:3])
        raise Refused(Refusal(
            "no run passed its gate", why or "none was run",
            "lower train.lr_scale and train.lr_embedding under [set], plan again, or check the corpus; where the "
            "loss in training fell far below that held out, the data are too few: bring more, or a released model",
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
    answer.result["tasks"] = page.result["tasks"]
    answer.text += "".join(f"\n{use['said']}" for use in page.result["tasks"])
    return answer


def fit(
    folder: Path, table: Path | None, at: list[str], level: float, columns: Mapping[str, Any], out: Path | None,
    targets: Path | None = None, html: Path | None = None, next_too: bool = False,
    beside: Mapping[str, Any] | None = None,
) -> Answer:  # fmt: skip
    """Fit a table, or the study's own runs (then the plan's targets are forecast and fit.json is written).

    `html`: where to write one page with the figures. `beside`: the flags of a law beside the surface, via, via_unit and
    chance, or schedule, warmup, anneal and like.
    """
    from keel.laws.read.targets import all_targets
    from keel.laws.verb import fit_table

    if not 0 < level < 1:
        raise StudyError(f"--level {level} is not a level", why="it must lie between 0 and 1", fix="write --level 0.9")
    given = {name: value for name, value in (beside or {}).items() if value is not None}
    if given:
        whole = {"--html": html, "--next": next_too, "--targets": targets, "--at": at}
        return _beside(table, at, targets, level, columns, out, given, [name for name, said in whole.items() if said])
    aims = all_targets(at, targets)
    if table is not None:
        return _with_page(fit_table(table, aims, level, columns, out, html is not None, next_too), table, html)
    if not (folder / "plan.json").exists():
        raise StudyError(
            "there is nothing to fit", why="no table was named and no plan.json is here", where=str(folder),
            fix="name a table: keel fit runs.csv --at params=7e9,tokens=140e9",
        )  # fmt: skip
    made = read_plan(folder)
    aims = aims or [{name: target[name] for name in ("params", "tokens", "flop")} for target in made["targets"]]
    answer = fit_table(folder / "runs", aims, level, columns, folder / "fit.json", next_too=next_too)
    answer.writes = ["fit.json"]
    return _with_page(answer, folder, html)


def _beside(
    table: Path | None, at: list[str], targets: Path | None, level: float, columns: Mapping[str, Any],
    out: Path | None, given: Mapping[str, Any], others: list[str],
) -> Answer:  # fmt: skip
    """The law that the flags `given` ask for; `others` are flags of the surface that were given too."""
    tasks, curves = {"via", "via_unit", "chance"} & set(given), {"schedule", "warmup", "anneal", "like"} & set(given)
    lead = {"via"} if tasks else {"schedule", "anneal"}
    said = ", ".join("--" + name.replace("_", "-") for name in given)
    unfit = [name for name in others if name in ("--html", "--next") or curves]
    problems = []
    if tasks and curves:
        problems.append(Problem(f"{said}: two laws at once", "--via is of tasks, --schedule and --anneal of curves",
                                "ask for one at a time"))  # fmt: skip
    elif not lead & set(given):
        needs = " or ".join(f"--{name}" for name in sorted(lead, reverse=True))
        problems.append(Problem(f"{said} without {needs}", f"it belongs to {needs}", f"add {needs}, or leave it away"))
    if unfit:
        problems.append(Problem(f"{', '.join(unfit)} with {said}", "it is of a fit of losses to params and tokens",
                                f"leave {'it' if len(unfit) == 1 else 'them'} away"))  # fmt: skip
    if table is None:
        problems.append(Problem("no table is named", f"{said} asks for one", "name it: keel fit TABLE ..."))
    if problems or table is None:
        raise StudyError.all(problems)
    if tasks:
        from keel.laws.beside.via_verb import fit_via
        from keel.laws.read.targets import all_targets

        return fit_via(table, at=all_targets(at, targets), level=level, columns=columns, out=out,
                       **{"chance": None, **given})  # fmt: skip
    from keel.laws.beside.schedule_verb import fit_curves

    return fit_curves(table, level=level, columns=columns, out=out, **given)


def _with_page(answer: Answer, source: Path, html: Path | None) -> Answer:
    """The same answer, once its page is written."""
    if html is not None:
        from keel.files import write_bytes
        from keel.report.fit_page import document

        page = document(answer.artefact, str(source), answer.problems)
        write_bytes(html, page.encode("ascii", "xmlcharrefreplace"))
        answer.writes.append(str(html))
    return answer


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


def prove(name: str, settings: list[str], quiet: bool = False) -> Answer:
    """Hold a loss, or with "all" every one that is built in, against the conformance suite."""
    _need_train()
    from keel.prove.verb import prove

    return prove(name, settings, quiet)


def _need_train() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "transformers", "safetensors") if find_spec(name) is None]
    if missing:
        raise StudyError.all([Problem(f"{', '.join(missing)} is not installed", "training needs the extra 'train'",
                                      "pip install 'keel[train]'")])  # fmt: skip
