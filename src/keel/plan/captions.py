"""The room that captions need in a model that reads them: an option of the loss, set from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel.corpus.vocabulary import vocabulary_of
from keel.objective.cost import special_tokens
from keel.objective.held import facts_of
from keel.objective.options import OPTIONS
from keel.objective.released_text import TOKENIZER
from keel.objective.towers import BORDERS
from keel.plan.recipe import Choices

ROOM, TOO_LONG = "text_context", "too_long"
MOST = 77
SOURCE = "keel look: {how}; at most 77, as Radford et al. 2021, arXiv:2103.00020, section 2.4 (76 there, 77 released)"


def with_room(loss: str, options: Mapping[str, Any], row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Options with positions for the longest caption and its two ends, even, 77 at most; longer ones are shortened.

    A loss that has no such option, or a user who gave it, is left alone. `row`: of images.json's `tokens`.

    Example:
        >>> with_room("clip", {}, {"longest": 9}), with_room("clip", {"text_context": 7}, {"longest": 9})
        ({'text_context': 12}, {'text_context': 7})
        >>> with_room("clip", {}, {"longest": 90})
        {'text_context': 77, 'too_long': 'shorten'}
    """
    known = OPTIONS[loss].defaults if loss in OPTIONS else {}
    if row is None or ROOM not in known or ROOM in options:
        return options
    wanted = int(row["longest"]) + BORDERS
    room = {ROOM: min(MOST, wanted + wanted % 2)}
    if wanted > MOST and TOO_LONG in known and TOO_LONG not in options:
        return {**options, **room, TOO_LONG: "shorten"}
    return {**options, **room}


def release_of(loss: str, options: Mapping[str, Any]) -> Path | None:
    """The folder of the release whose tokenizer cuts the captions; None where the corpus's does."""
    facts = facts_of(loss, options)
    return facts.tokens(options) if facts.tokens is not None else None


def rows_of(loss: str, options: Mapping[str, Any], context: int, tokens: int) -> int:
    """Rows of the captions' table: of a vocabulary of so many tokens, or of the release's, and what the loss adds."""
    release = release_of(loss, options)
    if release is None:
        return tokens + len(special_tokens(loss, options, context))
    text = (release / TOKENIZER).read_text(encoding="utf-8")
    return vocabulary_of(text).with_special(facts_of(loss, options).roles(options, context)).size


def tell(
    choices: Choices, lead: str, given: Mapping[str, Any], settled: Mapping[str, Any], row: Mapping[str, Any]
) -> None:
    """Record what `with_room` added to the options `given`, under `lead`."""
    longest = int(row["longest"])
    if ROOM in settled and ROOM not in given:
        choices.pick(lead + ROOM, settled[ROOM], unit="tokens", inputs={"longest": longest},
                     formula=f"tokens of the longest caption + {BORDERS}, even, at most {MOST}",
                     source=SOURCE.format(how=row["longest_how"]))  # fmt: skip
    if TOO_LONG in settled and TOO_LONG not in given:
        choices.pick(lead + TOO_LONG, settled[TOO_LONG], inputs={"longest": longest, "read": settled[ROOM] - BORDERS},
                     formula=f"of a caption with more than {settled[ROOM] - BORDERS} tokens the first are read",
                     source=f"convention; raise {lead}{ROOM} to read all of it")  # fmt: skip
