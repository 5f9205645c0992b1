"""PEGASUS: whole sentences leave a document for one mask each; the decoder writes them, as a summary would."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from keel.objective.base import Example, Sample, Window
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS
from keel.objective.room import text_room
from keel.objective.sentences import gap_sentences
from keel.objective.seq2seq import Seq2Seq


class Pegasus(Seq2Seq):
    """L = sum over the sentences taken out of -ln p, in nats; the end token is a target too.

    A sample is a document, or a piece of one that is longer than the context. One sentence alone stays, and only the
    end token is its target. Options: `share` of the sentences (.3 is from memory, unverified: the released run draws
    .15 to .45), `how` they are chosen (principal, lead, random).
    Reference: Zhang et al. 2020, arXiv:1912.08777, section 3.1.

    Raises:
        StudyError: an option is unknown or outside its range; all of them.
    """

    facts: ClassVar[Facts] = FACTS["pegasus"]
    terms = ("pegasus",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["pegasus"].checked(self.options, "pegasus")

    def window(self, context: int) -> Window:
        """One token less than positions: an end token follows."""
        text = text_room(context, 1)
        return Window(text, text)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The document with its gaps, and what was in them."""
        at, known, tokens = self.options, self.vocabulary, sample.tokens
        gapped = gap_sentences(
            tokens, known.ends_sentence[tokens], rng, at["share"], known.id_of("mask"), at["how"],
            fixed=self.fixed(tokens),
        )  # fmt: skip
        return self.pack(gapped.inputs, gapped.removed)
