"""Translation: a line is read behind its language's tag, its translation written behind that of the other language."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from keel.errors import StudyError
from keel.objective.base import Example, Sample, Window
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS
from keel.objective.room import languages_of, text_room
from keel.objective.seq2seq import Seq2Seq


class Translation(Seq2Seq):
    """L = sum_t -ln p(y_t | tag, y_<t, x), in nats; the end token is a target, the tag is given.

    The encoder reads tag, source, end; the decoder start, tag, target. Options: `languages` (source and target),
    `direction` (forward, backward, or both: drawn anew for each sample), `too_long` (what becomes of pairs longer than
    the context: refuse, or leave out). Reference: Fan et al. 2020, arXiv:2010.11125, section 2.

    Raises:
        StudyError: an option is unknown or has no such value; all of them.
    """

    facts: ClassVar[Facts] = FACTS["translation"]
    terms = ("translation",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        at = self.options = OPTIONS["translation"].checked(self.options, "translation")
        self.languages = languages_of(at)

    def window(self, context: int) -> Window:
        """Two tokens less than positions on either side."""
        text = text_room(context, 2)
        return Window(text, text)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """One pair, in one direction.

        Raises:
            StudyError: the sample is of other languages than the options name.
        """
        if sample.second is None or (sample.languages and set(sample.languages) != set(self.languages)):
            found = " and ".join(sample.languages) or "one text"
            raise StudyError(f"sample {sample.id} is no pair of {' and '.join(self.languages)}", why=f"it is {found}",
                             fix="name the languages of the data", where="languages")  # fmt: skip
        sides = dict(zip(sample.languages or self.languages, (sample.tokens, sample.second)))
        source, target = self.languages if self._forward(rng) else self.languages[::-1]
        tag = self.vocabulary.id_of(f"language {source}")
        inputs = np.concatenate([[tag], sides[source]]).astype(np.int64)
        return self.pack(inputs, np.asarray(sides[target], np.int64), ("start", f"language {target}"))

    def _forward(self, rng: np.random.Generator) -> bool:
        direction = self.options["direction"]
        return bool(rng.random() < 0.5) if direction == "both" else direction == "forward"
