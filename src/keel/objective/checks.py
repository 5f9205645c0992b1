"""Options of a loss held against their defaults and ranges, all problems told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keel.errors import Problem, StudyError, nearest
from keel.objective.base import options


def settled(given: Mapping[str, Any], defaults: Mapping[str, Any], loss: str) -> dict[str, Any]:
    """A loss's options with its defaults, each of the kind that its default is.

    Raises:
        StudyError: an option that the loss does not have, or a value of another kind; all of them.

    Example:
        >>> settled({"share": 1}, {"share": 0.3, "permute": True}, "bart")
        {'share': 1, 'permute': True}
    """
    known = {name: value for name, value in given.items() if name in defaults}
    unknown = {name: value for name, value in given.items() if name not in defaults}
    told(
        problems_of(options, unknown, defaults, loss),
        [
            Problem(f"'{name}' is wrong", f"found {value!r}", f"write {_words(defaults[name])}", name)
            for name, value in known.items() if not _alike(value, defaults[name])
        ],
    )  # fmt: skip
    return {**defaults, **given}


def _alike(value: Any, default: Any) -> bool:
    """Whether a value is of its default's kind; a whole number does for a broken one, nan for neither."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float)) and value == value
    return isinstance(value, (list, tuple) if isinstance(default, tuple) else type(default))


def _words(default: Any) -> str:
    """What to write, by what stands there by default."""
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, tuple):
        return "a list"
    return {float: "a number", int: "a whole number", str: "text in quotes"}[type(default)]


def shares(given: Mapping[str, Any], *names: str) -> list[Problem]:
    """Options that must be shares from 0 to 1 and are not."""
    return [
        Problem(f"'{name}' is wrong", f"found {given[name]!r}", "write a share from 0 to 1", name)
        for name in names if not 0 <= given[name] <= 1
    ]  # fmt: skip


def one_of(given: Mapping[str, Any], name: str, known: tuple[Any, ...]) -> list[Problem]:
    """An option that must be one of a few values and is not."""
    if given[name] in known:
        return []
    return [Problem(f"'{name}' is wrong", f"found {given[name]!r}", nearest(str(given[name]), map(str, known)), name)]


def problems_of(check: Callable[..., object], *given: Any) -> list[Problem]:
    """What a check finds wrong, so that all checks can be told at once."""
    try:
        check(*given)
    except StudyError as error:
        return list(error.problems)
    return []


def told(*found: list[Problem]) -> None:
    """Raise all problems, if there are any."""
    if problems := [problem for problems in found for problem in problems]:
        raise StudyError.all(problems)
