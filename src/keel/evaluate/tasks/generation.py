"""Generation: a model writes greedily, and its text is held against the wanted one; translation, beside the source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keel.evaluate.intervals import LEVEL
from keel.evaluate.tasks.asking import WAYS, Asked, room, way_of, write
from keel.evaluate.tasks.overlap import MEASURES
from keel.evaluate.tasks.prompts import BETWEEN, examples, notes_of, prompts
from keel.evaluate.tasks.result import Result, Scores, compared
from keel.evaluate.tasks.subject import Ids, Subject
from keel.evaluate.uses.rows import Row, Split, groups_of
from keel.evaluate.uses.template import template

SUMMARY = "{text}\nTL;DR: {answer}"
TAGGED = "tags"


def generation(
    subject: Subject, split: Split, each: int = 0, form: str = SUMMARY, way: str = "", most: int = 0,
    level: float = LEVEL,
) -> Result:  # fmt: skip
    """What is written behind each text -> mean ROUGE-L and chrF against the row's answer.

    `each`: training rows shown in the prompt. `most`: tokens to write, the longest training answer's unless said.
    A decoder's text ends at an empty line. Beside it, the lead: as many first words of the text as answers have in the
    median, which is hard to beat in news.

    Raises:
        StudyError: an encoder, or a bad template.
    """
    way = way_of(subject, way)
    shown, texts = examples(split.train, each, by_answer=False), [row.text for row in split.test]
    most = most or _longest(subject, split.train)
    made = prompts(subject, texts, shown, template(form), room(subject, way, most))
    written = _write(subject, [WAYS[way](subject, prompt.ids, prompt.ids[:0]) for prompt in made], most)
    size = int(np.median([len(row.answer.split()) for row in split.train]))
    lead = [" ".join(text.split()[:size]) for text in texts]
    notes = [f"asked by: {way}, {len(shown)} examples", *notes_of(made, len(shown))]
    return _judged("generation", split, written, lead, "lead", ("ROUGE-L", "chrF"), notes, level)


def translation(
    subject: Subject, split: Split, languages: tuple[str, str], each: int = 0, way: str = "", most: int = 0,
    level: float = LEVEL,
) -> Result:  # fmt: skip
    """What is written for each source line (`text`) -> mean chrF and ROUGE-L against its translation (`answer`).

    A model whose vocabulary tags both `languages` (source, target) is asked as it was trained: tag and line in, the
    other tag before what it writes (Fan et al. 2020, arXiv:2010.11125, section 2); else by a prompt that names them.
    Beside it, the source copied: what languages share of names, numbers and letters.

    Raises:
        StudyError: an encoder.
    """
    asked_by, most = way_of(subject, way), most or _longest(subject, split.train)
    texts = [row.text for row in split.test]
    tags = [subject.vocabulary.special.get(f"language {language}") for language in languages]
    notes = []
    if subject.kind == "encoder-decoder" and None not in tags and not way:
        asked, cut = _tagged(subject, texts, [tag for tag in tags if tag is not None])
        notes = [f"{cut} of {len(texts)} lines are longer than the context: their beginning was read"] if cut else []
        asked_by = TAGGED
    else:
        shown = examples(split.train, each, by_answer=False)
        form = template(f"{languages[0]}: {{text}}\n{languages[1]}: {{answer}}")
        made = prompts(subject, texts, shown, form, room(subject, asked_by, most))
        asked = [WAYS[asked_by](subject, prompt.ids, prompt.ids[:0]) for prompt in made]
        notes = notes_of(made, len(shown))
    written = _write(subject, asked, most)
    notes = [f"asked by: {asked_by}", *notes]
    return _judged("translation", split, written, texts, "source copied", ("chrF", "ROUGE-L"), notes, level)


def _tagged(subject: Subject, texts: Sequence[str], tags: Sequence[int]) -> tuple[list[Asked], int]:
    """tag, line, end -> start, tag; and how many lines were cut."""
    space = subject.context - 2
    lines = subject.tokens(texts)
    start, end = subject.library.config.decoder_start_token_id, subject.vocabulary.id_of("separator")
    lead: Ids = np.array([start, tags[1]], np.int64)
    asked = [Asked(np.concatenate([[tags[0]], line[:space], [end]]).astype(np.int64), lead) for line in lines]
    return asked, sum(len(line) > space for line in lines)


def _longest(subject: Subject, rows: Sequence[Row]) -> int:
    """Tokens of the longest answer, its space and its end; half the context at most: a prompt needs the rest."""
    return min(subject.context // 2, 1 + max(len(ids) for ids in subject.tokens([f" {row.answer}" for row in rows])))


def _write(subject: Subject, asked: Sequence[Asked], most: int) -> list[str]:
    """A decoder that was shown examples goes on to the next one, behind an empty line."""
    return [text.strip().split(BETWEEN)[0].strip() for text in write(subject, asked, most)]


def _judged(
    task: str, split: Split, written: Sequence[str], beside: Sequence[str], baseline: str, names: Sequence[str],
    notes: Sequence[str], level: float,
) -> Result:  # fmt: skip
    wanted = [row.answer for row in split.test]

    def scores(texts: Sequence[str]) -> dict[str, Scores]:
        return {name: MEASURES[name](texts, wanted) for name in names}

    empty = sum(not text for text in written)
    more = [f"{empty} of {len(written)} texts written are empty"] if empty else []
    return compared(
        task, scores(written), scores(beside), baseline=baseline, train=len(split.train), level=level,
        groups=groups_of(split.test), notes=[*notes, *more],
    )  # fmt: skip
