"""Where the weights of a part begin, as a value: fresh, a release's, an earlier run's, or another run's at a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from keel.errors import StudyError, nearest


@dataclass(frozen=True)
class Scratch:
    """Start from fresh weights."""

    kind: Literal["scratch"] = "scratch"


@dataclass(frozen=True)
class Released:
    """Start from a folder as the library's `from_pretrained` reads it; `sha256`, over config and weights, is identity.

    `only` "encoder": the encoder alone is taken, into an encoder-decoder.
    """

    folder: str
    sha256: str
    only: Literal["all", "encoder"] = "all"
    kind: Literal["released"] = "released"


@dataclass(frozen=True)
class FromRun:
    """Start from the exported weights of an earlier run; what is missing there is made fresh, and said."""

    run: str
    only: Literal["all", "encoder"] = "all"
    kind: Literal["run"] = "run"


@dataclass(frozen=True)
class Branch:
    """Start from a step of another run, keeping optimiser state and data position."""

    run: str
    step: int
    kind: Literal["branch"] = "branch"


Start = Scratch | Released | FromRun | Branch
STARTS: Mapping[str, type[Start]] = {"scratch": Scratch, "released": Released, "run": FromRun, "branch": Branch}


def start_from(value: Mapping[str, Any], where: str) -> Start:
    """A start as it stands in a spec: {"kind": "run", "run": "w16-L2-51.2k-1a2b3c4d"}.

    Raises:
        StudyError: an unknown kind, or fields that it has not.
    """
    kind, fields = str(value.get("kind")), {name: found for name, found in value.items() if name != "kind"}
    if kind not in STARTS:
        raise StudyError(f"no start is called '{kind}'", why="`kind` says where weights come from",
                         fix=nearest(kind, STARTS), where=where)  # fmt: skip
    try:
        made = STARTS[kind](**fields)
    except TypeError as error:
        raise StudyError(f"a start '{kind}' has other fields", why=str(error), where=where,
                         fix=f"give {', '.join(STARTS[kind].__dataclass_fields__)}") from error  # fmt: skip
    if (only := getattr(made, "only", "all")) not in ("all", "encoder"):
        raise StudyError(f"only is {only!r}", why="a start takes all or the encoder", fix="write all or encoder",
                         where=where)  # fmt: skip
    return made
