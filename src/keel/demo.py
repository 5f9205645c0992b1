"""`keel demo`: a ladder on known data in two minutes; a forecast sealed first, then called a hit or a miss."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from keel.answer import Answer
from keel.demo_sources import SOURCES, Source
from keel.errors import StudyError
from keel.files import read_json, write_text


def demo(source: str, seed: int, folder: Path, corpus: Path | None, quiet: bool = False) -> Answer:
    """Survey, plan, train, seal, measure, score, report; `source` is one of SOURCES, `corpus` other data in its place.

    Raises:
        StudyError: unknown source; its data are not installed; the folder holds another study.
    """
    from keel import verbs
    from keel.plan.verb import plan
    from keel.study import load

    started_s = time.monotonic()

    def say(words: str) -> None:
        if not quiet:
            print(words, flush=True)

    if source not in SOURCES:
        raise StudyError(f"unknown source '{source}'", why=f"known: {', '.join(SOURCES)}",
                         fix=f"--source {next(iter(SOURCES))}")  # fmt: skip
    of = SOURCES[source]
    data = corpus or of.data(folder)
    _write_study(folder, study_of(of, folder, data, seed))
    study = load(folder)
    say(f"keel demo  {data if corpus else source}  seed {seed}  ->  {folder}\n")
    if not (folder / "plan.json").exists():
        say(verbs.look(folder, study).text + "\n")
        say(plan(folder, study, why="size").text + "\n")
    answer = verbs.run(folder, study, None, (), quiet=quiet)
    answer.result["seconds"] = time.monotonic() - started_s
    answer.text = _verdict(folder, answer, of.known(folder) if corpus is None else [])
    return answer


def study_of(source: Source, folder: Path, data: Path, seed: int) -> str:
    """The text of study.toml, the data relative to its folder."""
    train = '"' + os.path.relpath(data.resolve(), folder.resolve()).replace("\\", "/") + '"'
    return source.study.format(train=train, seed=seed, **source.fields)


def _write_study(folder: Path, wanted: str) -> None:
    path = folder / "study.toml"
    if path.exists() and path.read_text() != wanted:
        raise StudyError("this folder holds another study", why="its study.toml is not this demo's",
                         fix="choose another folder with --to, or remove that one", where=str(path))  # fmt: skip
    write_text(path, wanted)


def _verdict(folder: Path, answer: Answer, known: list[str]) -> str:
    """What a person wants to know at the end."""
    lines = []
    for path in sorted((folder / "runs").glob("*/score.json")):
        score: dict[str, Any] = read_json(path, "keel.score/1")
        sealed = read_json(path.with_name("forecast.json"), "keel.forecast/1")
        half = 50 * (score["high"] - score["low"]) / sealed["value"]
        naive = 100 * (score["measured"] / sealed["naive"]["nearest_run"] - 1)
        unit = str(sealed["unit"]).replace("_", " ")
        lines += [
            f"sealed    {sealed['value']:.4f} {unit}, {100 * score['level']:.0f} % interval "
            f"{score['low']:.4f} to {score['high']:.4f} (+-{half:.1f} %), "
            f"from runs with at most 1/{10 ** sealed['distance']:.1f} of the compute",
            f"measured  {score['measured']:.4f}: {_word(score)}, "
            f"{100 * score['error']:+.2f} % off (copying the nearest run: {naive:+.1f} %)",
        ]
        lines += [
            f"beside    {name}: sealed {held['value']:.3f} ({held['low']:.3f} to {held['high']:.3f}), "
            f"measured {held['measured']:.3f}: {_word(held)}"
            for name, held in score.get("beside", {}).items()
        ]
    lines += [f"refused   {no.what}: {no.why}" for no in answer.problems if no.where.endswith("forecast.json")]
    lines += known
    lines.append(f"took      {answer.result['seconds']:.0f} s; open {folder / 'report.html'}")
    return "\n".join(lines)


def _word(score: dict[str, Any]) -> str:
    return "HIT" if score["hit"] else "MISS"
