"""What a check found: passed, failed, or not judged, with the number, its bound and the reason."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keel
from keel.errors import StudyError

OWN = Path(keel.__file__).parent


class Verdict(NamedTuple):
    """`ok` None: not judged, and `why` says for what reason. `measured` passes where it is at most `bound`."""

    ok: bool | None
    measured: float | None
    bound: float | None
    why: str


class Result(NamedTuple):
    """A verdict with the name of its check and the seconds it took."""

    name: str
    ok: bool | None
    measured: float | None
    bound: float | None
    why: str
    seconds: float


def within(measured: float, bound: float, why: str) -> Verdict:
    """Passed where the measure is a number of at most `bound`.

    Example:
        >>> within(1e-9, 1e-6, "").ok, within(float("nan"), 1e-6, "").ok
        (True, False)
    """
    return Verdict(bool(measured <= bound), float(measured), bound, why)


def not_judged(why: str) -> Verdict:
    """Neither passed nor failed."""
    return Verdict(None, None, None, why)


def broken(problems: list[str], fine: str) -> Verdict:
    """Passed where there is no problem at all; they are all told."""
    return Verdict(not problems, float(len(problems)), 0.0, "; ".join(problems) if problems else fine)


def caught(work: Callable[[], Verdict]) -> Verdict:
    """The verdict of a check; what a loss raises is a failure that says where, never a traceback."""
    try:
        return work()
    except StudyError as error:
        first = error.problems[0]
        return Verdict(False, None, None, f"raised: {first.what}: {first.why}; {first.fix}")
    except Exception as error:
        return Verdict(False, None, None, f"raised {said(error)}")


def said(error: BaseException) -> str:
    """An exception in one line: what, and the last line outside of the libraries that led to it.

    Example:
        >>> try:
        ...     {}["clm"]
        ... except KeyError as error:
        ...     said(error).startswith("KeyError: 'clm' at <doctest")
        True
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    users = [frame for frame in own if not Path(frame.filename).is_relative_to(OWN / "prove")]
    where = (users or own or frames)[-1]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} at {Path(where.filename).name}:{where.lineno}"
