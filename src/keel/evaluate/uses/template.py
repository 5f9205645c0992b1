"""A prompt's template: where the text stands, and what leads the answer; names of labels in sentences. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from keel.errors import Problem, StudyError

TEXT, ANSWER, OR = "{text}", "{answer}", "|"


class Template(NamedTuple):
    """What stands before the text, between text and answer, and what leads the answer (its space)."""

    before: str
    between: str
    lead: str


def template(given: str) -> Template:
    """A template with {text} and {answer}, the answer last.

    The space before the answer belongs to it: tokens of most vocabularies begin with theirs.

    Raises:
        StudyError: not each once, or not in that order with something between them; or text behind the answer.

    Example:
        >>> template("{text}\\nLabel: {answer}")
        Template(before='', between='\\nLabel:', lead=' ')
    """
    where, problems = "template", []
    for name in (TEXT, ANSWER):
        if given.count(name) != 1:
            problems.append(Problem(f"the template holds {name} {given.count(name)} times", f"found {given!r}",
                                    "write each once, such as '{text}\\nLabel: {answer}'", where))  # fmt: skip
    if not problems and not given.endswith(ANSWER):
        problems.append(Problem("the template does not end with {answer}", "nothing behind an answer can be known",
                                "put {answer} last", where))  # fmt: skip
    if not problems:
        before, _, rest = given.partition(TEXT)
        between = rest[: -len(ANSWER)]
        if between.strip():
            bare = between.rstrip(" ")
            return Template(before, bare, between[len(bare) :])
        problems.append(Problem("nothing stands between {text} and {answer}", "the model could not tell them apart",
                                "write '{text}\\nLabel: {answer}'", where))  # fmt: skip
    raise StudyError.all(problems)


def sentences(given: str) -> tuple[str, ...]:
    """Sentences in which a label is named, apart by "|": what is said of an image that has it.

    Raises:
        StudyError: one of them does not hold {answer} once, or holds {text}; all of them.

    Example:
        >>> sentences("a photo of a {answer}. | a drawing of a {answer}.")
        ('a photo of a {answer}.', 'a drawing of a {answer}.')
    """
    found, problems = tuple(each.strip() for each in given.split(OR)), []
    for each in found:
        if each.count(ANSWER) != 1:
            problems.append(Problem(f"the template holds {ANSWER} {each.count(ANSWER)} times", f"found {each!r}",
                                    "write it once in each, such as 'a photo of a {answer}.'", "template"))  # fmt: skip
        if TEXT in each:
            problems.append(Problem(f"the template holds {TEXT}", "an image has no text to put there",
                                    f"leave {TEXT} out", "template"))  # fmt: skip
    if problems:
        raise StudyError.all(problems)
    return found


# By what an evaluator's prompt holds: a text and its answer, or names alone.
CHECKS: Mapping[str, Callable[[str], Any]] = {"texts": template, "names": sentences}
