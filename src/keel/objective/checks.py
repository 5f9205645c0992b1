"""Given values held against defaults and ranges, all problems told at once. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keel.errors import Problem, StudyError, nearest


def settle(given: Mapping[str, Any], defaults: Mapping[str, Any], loss: str) -> tuple[dict[str, Any], list[Problem]]:
    """A loss's options, those of a wrong kind left at their defaults; and what is unknown or of a wrong kind.

    Example:
        >>> settle({"share": 1, "permute": 2}, {"share": 0.3, "permute": True}, "bart")[0]
        {'share': 1, 'permute': True}
    """
    fine = {name: value for name, value in given.items() if name in defaults and _alike(value, defaults[name])}
    wrong = [
        Problem(f"'{name}' is wrong", f"found {value!r}", f"write {_words(defaults[name])}", name)
        for name, value in given.items() if name in defaults and name not in fine
    ]  # fmt: skip
    return {**defaults, **fine}, problems_of(known, given, defaults, loss) + wrong


def known(given: Mapping[str, Any], defaults: Mapping[str, Any], loss: str) -> dict[str, Any]:
    """Options with their defaults.

    Raises:
        StudyError: an option that is not one of the loss's own; all of them.
    """
    problems = [
        Problem(f"the loss '{loss}' has no option '{name}'", "it is not one of its own",
                nearest(name, defaults) if defaults else "leave it out: this loss has no options", name)
        for name in given if name not in defaults
    ]  # fmt: skip
    told(problems)
    return {**defaults, **given}


def _alike(value: Any, default: Any) -> bool:
    """Whether a value is of its default's kind; a whole number does for a broken one, nan for neither."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float)) and value == value
    if isinstance(default, Mapping):
        return isinstance(value, Mapping)
    return isinstance(value, (list, tuple) if isinstance(default, tuple) else type(default))


def _words(default: Any) -> str:
    """What to write, by what stands there by default."""
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, tuple):
        return "a list"
    return {float: "a number", int: "a whole number", str: "text in quotes", dict: "a table"}[type(default)]


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
