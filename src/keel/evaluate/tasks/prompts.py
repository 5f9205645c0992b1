"""A template and shown examples -> the prompt of each test row, as many examples as the context has room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keel.corpus.split import key_hash
from keel.errors import StudyError
from keel.evaluate.tasks.subject import Ids, Subject
from keel.evaluate.uses.rows import Row
from keel.evaluate.uses.template import Template

BETWEEN = "\n\n"


class Prompt(NamedTuple):
    """Ids of a prompt, the number of examples in it, and whether its own text was cut."""

    ids: Ids
    shown: int
    cut: bool


def examples(rows: Sequence[Row], each: int, by_answer: bool) -> list[Row]:
    """The rows of lowest hash, `each` of every answer in turn, or in all: the same for every model and test row."""
    ranked = sorted(rows, key=lambda row: (key_hash(row.text), row.text, row.answer))
    if not by_answer:
        return ranked[:each]
    answers = sorted({row.answer for row in rows})
    sides = [[row for row in ranked if row.answer == answer][:each] for answer in answers]
    return [side[turn] for turn in range(each) for side in sides if turn < len(side)]


def prompts(
    subject: Subject, texts: Sequence[str], shown: Sequence[Row], form: Template, space: int
) -> list[Prompt]:  # fmt: skip
    """The prompt of each text in at most `space` tokens: the last examples that fit, and of a text that does not its
    beginning.

    Raises:
        StudyError: the template alone has no room.
    """
    told = [f"{form.before}{row.text}{form.between}{form.lead}{row.answer}{BETWEEN}" for row in shown]
    lines = subject.tokens(told) if told else []
    before, between = subject.tokens([form.before, form.between])
    made = []
    for own in subject.tokens([f"{form.before}{text}{form.between}" for text in texts]):
        cut = len(own) > space
        if cut:
            left = space - len(between)
            if left <= len(before):
                raise StudyError("the template has no room", why=f"{space} tokens are left for a prompt of it",
                                 fix="shorten it, or take a model of a longer context", where="template")  # fmt: skip
            own = np.concatenate([own[:left], between])
        fits, taken = 0, len(own)
        while fits < len(lines) and taken + len(lines[-1 - fits]) <= space:
            taken += len(lines[-1 - fits])
            fits += 1
        chosen = lines[len(lines) - fits :]
        made.append(Prompt(np.concatenate([*chosen, own]).astype(np.int64), fits, cut))
    return made


def notes_of(made: Sequence[Prompt], shown: int) -> list[str]:
    """What did not fit."""
    cut, fewest = sum(prompt.cut for prompt in made), min(prompt.shown for prompt in made)
    notes = [f"{cut} of {len(made)} texts are longer than the context: their beginning was read"] if cut else []
    if fewest < shown:
        mean = sum(prompt.shown for prompt in made) / len(made)
        notes.append(f"the context has room for {mean:.1f} of {shown} examples on average, {fewest} at least")
    return notes
