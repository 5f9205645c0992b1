"""`keel doctor --prove`: losses -> a table of checks, the numbers of those that failed, and what to do about each."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from keel.answer import Answer
from keel.errors import Problem, StudyError
from keel.objective import OBJECTIVES
from keel.progress import Progress
from keel.prove.checks import CHECKS, suite
from keel.prove.result import Result
from keel.prove.show import shown
from keel.study import parse_override

FIXES: Mapping[str, str] = {
    "contract": "see the contract in keel/objective/base.py",
    "sums": "return the sum over targets of the micro-batch; the engine divides by the count over all ranks",
    "counts": "count in `collate` exactly the targets that `losses` adds up, and leave weights to `weights()`",
    "empty": "let sums be 0 (with a gradient of 0) where there is no target; never divide by a count",
    "randomness": "draw only from the `rng` of `example` and from the `key` of `losses`",
    "statistics": "choose targets among ordinary tokens, as many as the option says",
    "gradient": "look for a detached tensor, an in-place change or a hand-written backward pass",
    "padding": "mask padding in attention and leave it out of sums and counts",
    "invariance": "nothing may be computed from a whole micro-batch but sums; what needs all samples is `coupled`",
    "resume": "keep state in the carry (`init_carry`, `after_step`), never on the objective",
}


def prove(name: str, settings: list[str], quiet: bool = False) -> Answer:
    """One loss by name or "module:Name" with its options, or "all" that are built in, each by its defaults.

    Raises:
        StudyError: the loss cannot be loaded, or refuses its options.
    """
    options = nested(dict(parse_override(text) for text in settings))
    if name == "all" and options:
        raise StudyError("--set with --prove all", why="options belong to one loss", fix="name the loss")
    # The user's own module lies where they stand, as it does for the processes of a run.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    asked = dict.fromkeys(OBJECTIVES) if name == "all" else {name: options}
    started_s = time.monotonic()
    results, unloaded = _results(asked, quiet)
    if unloaded and name != "all":
        raise StudyError.all(unloaded)
    from keel.prove.world import EXAMPLES

    shown_with = {one: EXAMPLES[one] for one in results if not asked[one] and one in EXAMPLES}
    failed = [(one, result) for one, found in results.items() for result in found if result.ok is False]
    return Answer(
        result={
            "seconds": time.monotonic() - started_s,
            "losses": {
                one: {"options": dict(asked[one] or shown_with.get(one, {})),
                      "proven": not any(r.ok is False for r in found), "checks": [r._asdict() for r in found]}
                for one, found in results.items()
            },
        },
        text="\n".join([shown(results, sys.stdout.isatty()), *(
            f"{one} was tried with {dict(given)}" for one, given in shown_with.items())]),
        problems=[*unloaded, *(_problem(one, result) for one, result in failed)],
        status="invalid" if unloaded else "refused" if failed else "ok",
    )  # fmt: skip


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as tables.

    Raises:
        StudyError: a name is both a value and a table.

    Example:
        >>> nested({"of.loss": "mlm", "of.options.rate": 0.3, "alpha": 0.5})
        {'of': {'loss': 'mlm', 'options': {'rate': 0.3}}, 'alpha': 0.5}
    """
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *tables, last = name.split(".")
        at = tree
        for table in tables:
            at = at.setdefault(table, {}) if isinstance(at, dict) else at
        if not isinstance(at, dict) or isinstance(at.get(last), dict):
            raise StudyError(
                f"--set {name} is a value and a table", why="another --set gives the other", fix="drop one"
            )
        at[last] = value
    return tree


def _results(
    asked: Mapping[str, Mapping[str, Any] | None], quiet: bool
) -> tuple[dict[str, list[Result]], list[Problem]]:
    """Results by loss, and what stood against loading others."""
    progress = Progress("prove", len(asked) * len(CHECKS), stream=io.StringIO() if quiet else None)
    results: dict[str, list[Result]] = {}
    unloaded: list[Problem] = []
    with suite() as made:
        for place, (name, options) in enumerate(asked.items()):
            try:
                checks = made.prove(name, options)
                found = results.setdefault(name, [])
                for done, result in enumerate(checks, start=1):
                    found.append(result)
                    progress.update(place * len(CHECKS) + done, f"{name} {result.name}")
            except StudyError as error:
                results.pop(name, None)
                unloaded += error.problems
    if results:
        progress.close(f"{len(results)} losses, {sum(map(len, results.values()))} checks")
    return results, unloaded


def _problem(name: str, result: Result) -> Problem:
    held = "" if result.measured is None else f"measured {result.measured:.3g} against {result.bound:.3g}: "
    return Problem(f"'{name}' fails '{result.name}'", held + result.why, FIXES[result.name])
