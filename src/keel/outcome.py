"""How a verb ends: its answer printed for people or as JSON, and the exit code of what came of it."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import typer

from keel.answer import Answer
from keel.errors import Preempted, Problem, Refused, Stopped, StudyError

EXIT = {"ok": 0, "bug": 1, "invalid": 2, "refused": 3, "preempted": 75, "stopped": 130}


def finish(command: str, as_json: bool, work: Callable[[], Answer]) -> None:
    """Run a verb's work and end with the exit code of its outcome; a person never sees a traceback from bad input."""
    answer, status = outcome(command, work)
    if as_json:
        print(json.dumps(answer.json(command, status), indent=1, allow_nan=False))
    else:
        if answer.text:
            print(answer.text)
        for problem in answer.problems:
            print(f"\n{'note' if status == 'ok' else status}: {problem}", file=sys.stderr)
        if status == "ok" and answer.writes:
            print("\nwrote   " + ", ".join(answer.writes))
    sys.stdout.flush()
    raise typer.Exit(EXIT[status])


def outcome(command: str, work: Callable[[], Answer]) -> tuple[Answer, str]:
    again = "run the same command again: it goes on where it stopped"
    try:
        answer = work()
        return answer, answer.status
    except StudyError as error:
        return Answer(problems=list(error.problems)), "invalid"
    except Refused as error:
        return Answer(problems=[Problem(*error.refusal)]), "refused"
    except Preempted:
        return _told("preempted", "the process was asked to end; everything is saved", again), "preempted"
    except (Stopped, KeyboardInterrupt):
        return _told("stopped", "Ctrl-C; everything finished so far is saved", again), "stopped"
    except BrokenPipeError:
        raise typer.Exit(0) from None
    except MemoryError:
        return _told("out of memory", "the machine has no more", "close other programs, or use less data"), "invalid"
    except Exception as error:
        if isinstance(error, OSError) and error.filename:
            from keel.files import place_error

            return Answer(problems=list(place_error(error, Path(str(error.filename))).problems)), "invalid"
        traceback.print_exc()
        return _told(f"keel {command} failed", f"a bug of ours: {error!r}", "please report it"), "bug"


def _told(what: str, why: str, fix: str) -> Answer:
    return Answer(problems=[Problem(what, why, fix)])
