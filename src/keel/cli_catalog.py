"""`keel catalog` at the command line; heavy imports inside."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keel.errors import StudyError, nearest
from keel.outcome import finish

if TYPE_CHECKING:
    from keel.answer import Answer
    from keel.catalog.store import Catalogue

WHAT = ("models", "corpora", "accelerators", "instances", "show", "leaderboard", "refresh")


def catalog(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=" | ".join(WHAT))],
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="show: ids; leaderboard: files; refresh: a provider."),
    ] = None,
    task: Annotated[str, typer.Option(help="models: those that can serve it, as in [[use_case]] task.")] = "",
    licence: Annotated[str, typer.Option(help="permissive | conditional | any.")] = "",
    max_params: Annotated[str, typer.Option(metavar="N", help="models: at most so many parameters, 1e9 or 350M.")] = "",
    modality: Annotated[str, typer.Option(help="models, corpora: text, vision, vision-language ...")] = "",
    language: Annotated[str, typer.Option(metavar="CODE", help="models, corpora: trained on it, de or fr.")] = "",
    family: Annotated[str, typer.Option(help="models: of this family.")] = "",
    accelerator: Annotated[str, typer.Option(metavar="ID", help="accelerators, instances: this chip.")] = "",
    provider: Annotated[str, typer.Option(help="instances: aws, azure, gcp ...")] = "",
    region: Annotated[str, typer.Option(help="instances: in this region; refresh: the region to ask for.")] = "",
    top: Annotated[int, typer.Option(help="leaderboard: how many places are the top.")] = 5,
    from_: Annotated[
        list[Path] | None, typer.Option("--from", metavar="FILE", help="refresh: files that you downloaded.")
    ] = None,
    online: Annotated[bool, typer.Option("--online", help="refresh: fetch over the network.")] = False,
    to: Annotated[
        Path | None, typer.Option(help="refresh: the folder to write to (default: the study's catalog/).")
    ] = None,
    accept_licences: Annotated[
        bool, typer.Option("--accept-licences", help="refresh: take changed licences, which are shown.")
    ] = False,
    as_of: Annotated[str | None, typer.Option(help="The day against which ages are counted (ISO).")] = None,
    study: Annotated[Path, typer.Option("--study", help="A study's folder: its catalog/ is laid over.")] = Path("."),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Known facts with sources: models, corpora, accelerators, instances; one by name; leaderboards; a refresh."""

    def work() -> Answer:
        from keel.catalog import board, verb
        from keel.catalog.refresh.verb import Wanted, refresh
        from keel.catalog.store import of_study
        from keel.units import parse_count

        day = as_of or time.strftime("%Y-%m-%d", time.gmtime())
        known = of_study(study)
        known.check()
        given = tuple(names or ())
        if what == "show":
            return verb.one(known, given, day)
        if what == "leaderboard":
            return board.leaderboard(known, [Path(name) for name in given], licence, top)
        if what == "refresh":
            wanted = Wanted(given, tuple(from_ or ()), online, to or study / "catalog", accept_licences, region, day)
            return refresh(known, wanted)
        _check(what, given)
        most = parse_count(max_params, "--max-params") if max_params else None
        served = _served(known, task) if task else {}
        ask = verb.Filters(task, licence, most, modality, language, family, accelerator, provider, region, served)
        return verb.tables(known, what, ask, day)

    finish("catalog", json, work)


def _check(what: str, given: tuple[str, ...]) -> None:
    if what not in WHAT:
        raise StudyError(
            f"keel catalog {what} is nothing", why="unknown name", fix=nearest(what, WHAT), where="catalog"
        )
    if given:
        raise StudyError(f"keel catalog {what} takes no names", why=f"found {', '.join(given)}",
                         fix=f"keel catalog show {' '.join(given)}", where="catalog")  # fmt: skip


def _served(known: Catalogue, task: str) -> dict[str, float]:
    from keel.choose.kinds import serves
    from keel.study import TASKS

    if task not in TASKS:
        raise StudyError(f"unknown task '{task}'", why="no use case has it", fix=nearest(task, TASKS), where="--task")
    return {name: serves(model, task) for name, model in known.models.items()}
