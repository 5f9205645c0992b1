"""A study's folder -> all that was written there, read once; what is absent is named with the verb that makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from keel import study as studies
from keel.errors import Problem, StudyError
from keel.files import read_json, sha256_file
from keel.report import runs as run_files
from keel.report.runs import Run, Tree
from keel.report.sheet import Sheet, sheet_of
from keel.report.words import clean, number, unit_words
from keel.run.lock import holder

T = TypeVar("T")
IMAGES = "evidence/images.json"


class Missing(NamedTuple):
    """A station that is not there yet."""

    what: str
    verb: str


@dataclass(frozen=True)
class Artefacts:
    """Everything the page shows."""

    name: str
    study: studies.Study
    corpus: Tree | None
    images: Tree | None
    sheet: Sheet | None
    machine: Tree | None
    plan: Tree | None
    fit: Tree | None
    uses: Tree | None
    runs: tuple[Run, ...]
    arms: tuple[Run, ...]
    missing: tuple[Missing, ...]
    changed: tuple[str, ...]
    reads: tuple[str, ...]

    @property
    def measure(self) -> str:
        """What the ladder's runs are judged by, in words."""
        return unit_words({"unit": (self.plan or {}).get("judge")})

    @property
    def beside(self) -> tuple[str, ...]:
        """The bounded measures that a judge found beside its value, by name."""
        return tuple(dict.fromkeys(each.name for run in self.runs for each in run.beside))

    @property
    def sealed(self) -> tuple[Run, ...]:
        """Runs with a sealed forecast, cheapest first."""
        return tuple(sorted((run for run in self.runs if run.forecast), key=lambda run: run.flop or 0.0))

    @property
    def scored(self) -> tuple[Run, ...]:
        """Runs whose forecast was scored, cheapest first."""
        return tuple(run for run in self.sealed if run.score)

    @property
    def target(self) -> Run | None:
        """The run that the page's first sentence is about: the held-out rung, else the dearest sealed one."""
        held_out = [run for run in self.sealed if run.held_out]
        ranked = held_out or list(self.sealed)
        return ranked[-1] if ranked else None

    @property
    def numbers(self) -> tuple[Tree, ...]:
        """The plan's numbers."""
        found = (self.plan or {}).get("numbers") or ()
        return tuple(item for item in found if isinstance(item, Mapping))

    @property
    def laws(self) -> tuple[Tree, ...]:
        """The fit's laws, heaviest first."""
        laws = tuple(item for item in (self.fit or {}).get("laws") or () if isinstance(item, Mapping))
        return tuple(sorted(laws, key=lambda law: -(number(law, "weight") or 0.0)))

    @property
    def further(self) -> tuple[Tree, ...]:
        """The fit's forecasts that no sealed run answers."""
        sealed = {run.id for run in self.sealed}
        items = (item for item in (self.fit or {}).get("forecasts") or () if isinstance(item, Mapping))
        return tuple(item for item in items if item.get("run") not in sealed and not refusal_of(item))

    @property
    def refusals(self) -> tuple[Tree, ...]:
        """Every "no" that the artefacts hold, each with what, why and fix."""
        found: list[Any] = []
        for tree in (self.plan, self.fit):
            found += (tree or {}).get("refusals") or ()
            found += (refusal_of(item) for item in (tree or {}).get("forecasts") or () if isinstance(item, Mapping))
        found += (refusal_of(run.forecast) for run in self.sealed if run.forecast)
        return tuple(item for item in found if isinstance(item, Mapping))

    @property
    def hits(self) -> int:
        """How many scored forecasts held."""
        return sum(bool(run.score and run.score.get("hit")) for run in self.scored)


def refusal_of(forecast: Tree) -> Any:
    """The refusal that stands where a forecast would, or None."""
    return forecast.get("refusal") or forecast.get("refused")


def read(folder: Path, pictures: bool = False) -> Artefacts:
    """Read a study's folder; with `pictures` some of its images too, to be looked at.

    Raises:
        StudyError: no study.toml, or artefacts that this keel cannot read; all of them in one error.
    """
    problems: list[Problem] = []
    study = _try(lambda: studies.load(folder), problems)
    corpus = _read(folder / "evidence" / "corpus.json", "keel.corpus/1", problems)
    images = _read(folder / IMAGES, "keel.images/1", problems)
    machine = _read(folder / "evidence" / "machine.json", "keel.machine/1", problems)
    plan = _read(folder / "plan.json", "keel.plan/1", problems)
    fit = _read(folder / "fit.json", "keel.fit/1", problems)
    uses = _read(folder / "use_cases.json", "keel.use_cases/1", problems)
    runs, arms = _runs(folder, plan, problems)
    if problems or study is None:
        raise StudyError.all(problems)
    paths = [folder / "study.toml", *sorted(folder.glob("evidence/*.json")), folder / "plan.json"]
    paths += [*sorted(folder.glob("runs/*/*.json*")), folder / "fit.json", folder / "use_cases.json"]
    return Artefacts(
        name=clean(folder.resolve().name),
        study=study,
        corpus=corpus,
        images=images,
        sheet=sheet_of(folder, study, images) if pictures and images is not None else None,
        machine=machine,
        plan=plan,
        fit=fit,
        uses=uses,
        runs=runs,
        arms=arms,
        missing=tuple(_missing(corpus or images, machine, plan, fit, runs)),
        changed=tuple(_changed(folder, plan, study)),
        reads=tuple(str(path.relative_to(folder)) for path in paths if path.is_file()),
    )


def _try(read_one: Callable[[], T], problems: list[Problem]) -> T | None:
    try:
        return read_one()
    except StudyError as error:
        problems += error.problems
        return None


def _read(path: Path, schema: str, problems: list[Problem]) -> Tree | None:
    return _try(lambda: read_json(path, schema), problems) if path.is_file() else None


def _runs(folder: Path, plan: Tree | None, problems: list[Problem]) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """The ladder's runs in the plan's order, then any other folder under runs/; and the arms that were begun."""
    planned = _named((plan or {}).get("experiments"))
    arms = _named(((plan or {}).get("arms") or {}).get("runs"))
    names = sorted(path.name for path in folder.glob("runs/*") if path.is_dir() and not path.name.startswith("."))
    owner = holder(folder)
    found: list[Run] = []
    begun, others = [name for name in arms if name in names], [name for name in names if name not in planned | arms]
    for name in [*planned, *begun, *others]:
        plan_of_run: Tree = planned.get(name) or arms.get(name, {})
        if name not in names:
            found.append(Run(id=name, planned=plan_of_run))
        elif run := _try(lambda: run_files.read(folder / "runs" / name, plan_of_run, owner), problems):  # noqa: B023
            found.append(run)
    return tuple(run for run in found if run.id not in arms), tuple(run for run in found if run.id in arms)


def _named(items: Any) -> dict[str, Tree]:
    """Planned runs by id."""
    return {str(item["id"]): item for item in items or () if isinstance(item, Mapping) and "id" in item}


def _missing(corpus: Any, machine: Any, plan: Any, fit: Any, runs: tuple[Run, ...]) -> list[Missing]:
    """Stations that are not there, in the order of the flow."""
    done = [run for run in runs if run.result]
    waiting = len(runs) - len(done)
    stations = [
        (not corpus, Missing("the corpus was not measured (evidence/corpus.json)", "keel look")),
        (machine is None, Missing("the machine was not measured (evidence/machine.json)", "keel look")),
        (plan is None, Missing("there is no plan (plan.json)", "keel plan")),
        (not done, Missing("no run is finished (runs/)", "keel run")),
        (bool(done) and waiting > 0, Missing(f"{waiting} of {len(runs)} runs have no result (runs/)", "keel run")),
        (fit is None, Missing("no law is fitted (fit.json)", "keel fit")),
    ]
    return [missing for absent, missing in stations if absent]


def _changed(folder: Path, plan: Tree | None, study: studies.Study) -> list[str]:
    """Files that the plan read and that are another thing now, so that the plan no longer follows from them.

    The study stands in the plan by the digest of what it says, so that a new comment changes nothing.
    """
    reads = (plan or {}).get("reads")
    planned = (plan or {}).get("study_sha256")
    changed = ["study.toml"] if planned not in (None, study.digest()) else []
    for name, sha256 in reads.items() if isinstance(reads, Mapping) else ():
        path = folder / str(name)
        if isinstance(sha256, str) and path.is_file() and sha256_file(path) != sha256:
            changed.append(clean(name))
    return list(dict.fromkeys(changed))
