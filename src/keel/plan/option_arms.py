"""Arms that change one option of the loss: values around the ladder's own, where they must be found by experiment."""

from __future__ import annotations

from typing import Any

from keel.errors import Problem, StudyError, nearest
from keel.objective.held import facts_of
from keel.objective.options import OPTIONS
from keel.plan.ladder import Frame
from keel.plan.recipe import Choices

LEAD = "arms.sweep."


def sweeps_of(choices: Choices, frame: Frame) -> list[tuple[str, Any]]:
    """(option, value) of each arm: what [set] arms.sweep says, else what the loss itself wants found by experiment.

    Raises:
        StudyError: [set] names an option that the loss has not.
    """
    known = OPTIONS[frame.loss].defaults if frame.loss in OPTIONS else {}
    given = {name.removeprefix(LEAD): list(values) for name, values in choices.overrides.items()
             if name.startswith(LEAD)}  # fmt: skip
    if wrong := [name for name in given if name not in known]:
        raise StudyError.all(
            Problem(f"the loss '{frame.loss}' has no option '{name}'", "an arm changes one of its options",
                    nearest(name, known) if known else "choose a loss with options", f"[set] {LEAD}{name}")
            for name in wrong
        )  # fmt: skip
    wanted = {name: list(values) for name, values in facts_of(frame.loss, frame.options).sweeps.items()} | given
    found = []
    for name, values in wanted.items():
        own = default_of(frame, name)
        tried = choices.pick(LEAD + name, [value for value in values if value != own], formula=f"around {own}",
                             source="it hangs on data and task: found by experiment, not by rule")  # fmt: skip
        found += [(name, value) for value in tried if value != own]
    return found


def default_of(frame: Frame, name: str) -> Any:
    """The ladder's own value of an option."""
    return frame.options.get(name, OPTIONS[frame.loss].defaults[name])
