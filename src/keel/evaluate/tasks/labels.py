"""Few-shot by scoring labels: a model that writes says which label it finds most likely behind a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from keel.errors import Problem, StudyError
from keel.evaluate import intervals
from keel.evaluate.intervals import LEVEL
from keel.evaluate.tasks.asking import WAYS, nats, room, way_of
from keel.evaluate.tasks.classes import WORDS, classified
from keel.evaluate.tasks.linear import bag_of_words
from keel.evaluate.tasks.prompts import Prompt, examples, notes_of, prompts
from keel.evaluate.tasks.result import Result
from keel.evaluate.tasks.subject import Ids, Subject
from keel.evaluate.uses.rows import Row, Split, check_classes, groups_of
from keel.evaluate.uses.template import Template, template

TEMPLATE = "{text}\nLabel: {answer}"


def few_shot(
    subject: Subject, split: Split, each: int = 0, form: str = TEMPLATE, names: Mapping[str, str] | None = None,
    way: str = "", prior: bool = True, level: float = LEVEL,
) -> Result:  # fmt: skip
    """argmax over labels of ln p(label | examples, text) - ln p(label | examples, no text) -> accuracy and macro-F1.

    `each`: training rows of every label that are shown, 0 for none. `names`: what is written for a label. `way`: how an
    encoder-decoder is asked (see `asking.WAYS`). Without `prior` the second term is left out, and frequent or short
    labels win. Labels that are equally likely share a row. Beside it the bag of words learnt from all training rows; of
    one learnt from the shown ones a note tells. Reference: Holtzman et al. 2021, arXiv:2104.08315, section 3.

    Raises:
        StudyError: an encoder, a bad template, fewer than two labels, labels that only test rows have, names that are
            missing, empty or of two labels.
    """
    way, shape, labels = way_of(subject, way), template(form), check_classes(split)
    named = [(names or {}).get(label, label) for label in labels]
    _check_names(labels, named, names)
    answers = subject.tokens([shape.lead + name for name in named])
    shown = examples(split.train, each, by_answer=True)
    told = [row._replace(answer=named[labels.index(row.answer)]) for row in shown]
    space = room(subject, way, max(map(len, answers)))
    made = prompts(subject, [row.text for row in split.test], told, shape, space)
    lost = _lost(subject, way, made, answers)
    if prior:
        lost -= _priors(subject, way, made, told, shape, answers, space)
    lost = lost.round(6)  # rounding decides nothing
    best = lost == lost.min(1, keepdims=True)
    truth = np.array([labels.index(row.answer) for row in split.test])
    right = best[np.arange(len(truth)), truth] / best.sum(1)
    notes = [f"asked by: {way}, {len(shown)} examples", *notes_of(made, len(shown)), *_same_shown(split, shown, level)]
    given = np.asarray(labels)[best.argmax(1)]
    return classified("few-shot", split, given, right=right, level=level, notes=notes)


def _lost(subject: Subject, way: str, made: Sequence[Prompt], answers: Sequence[Ids]) -> NDArray[np.float64]:
    """Nats of each label behind each prompt."""
    asked = [WAYS[way](subject, prompt.ids, answer) for prompt in made for answer in answers]
    return nats(subject, asked).reshape(len(made), len(answers))


def _priors(
    subject: Subject, way: str, made: Sequence[Prompt], told: Sequence[Row], shape: Template, answers: Sequence[Ids],
    space: int,
) -> NDArray[np.float64]:  # fmt: skip
    """Nats of each label behind the examples that each prompt has, and no text."""
    found = {}
    for shown in {prompt.shown for prompt in made}:
        bare = prompts(subject, [""], told[len(told) - shown :], shape, space)
        found[shown] = _lost(subject, way, bare, answers)[0]
    return np.stack([found[prompt.shown] for prompt in made])


def _same_shown(split: Split, shown: Sequence[Row], level: float) -> list[str]:
    """How the bag of words does with no more rows than the model was shown."""
    if not shown:
        return []
    found = bag_of_words([row.text for row in shown], [row.answer for row in shown], [row.text for row in split.test])
    right = np.asarray([label == row.answer for label, row in zip(found.labels, split.test)], np.float64)
    return [f"{WORDS} learnt from these {len(shown)} rows: accuracy "
            f"{intervals.mean(right, level=level, groups=groups_of(split.test))}"]  # fmt: skip


def _check_names(labels: Sequence[str], named: Sequence[str], names: Mapping[str, str] | None) -> None:
    problems = [
        Problem(f"the label '{label}' has no name to write", "some labels are named and this one is not",
                f"add '{label}' to the names", "names") for label in labels if names is not None and label not in names
    ]  # fmt: skip
    problems += [Problem(f"the label '{label}' is written as nothing", "an empty answer has no probability",
                         "name it", "names") for label, name in zip(labels, named) if not name.strip()]  # fmt: skip
    if len(set(named)) < len(named):
        twice = sorted({name for name in named if named.count(name) > 1})
        problems.append(Problem("two labels are written alike", f"'{twice[0]}'", "name them apart", "names"))
    if problems:
        raise StudyError.all(problems)
