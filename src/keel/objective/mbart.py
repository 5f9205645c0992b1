"""mBART: BART's corruption, with the text's language named to the encoder and starting the decoder."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from keel.objective.bart import BART
from keel.objective.base import Example, Sample, Window
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS, Known
from keel.objective.room import language_of, text_room


class MBART(BART):
    """L = sum over the whole window of -ln p(x_t | language, x_<t, corrupted x), in nats; the end token counts.

    The encoder reads text, end, language; the decoder language, text. Options: `language` of the corpus (one for all of
    it; must be said), and BART's. Reference: Liu et al. 2020, arXiv:2001.08210, section 2.2.

    Raises:
        StudyError: no language, or an option is unknown or outside its range.
    """

    facts: ClassVar[Facts] = FACTS["mbart"]
    terms = ("mbart",)
    known: ClassVar[Known] = OPTIONS["mbart"]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.language = f"language {language_of(self.options)}"

    def window(self, context: int) -> Window:
        """Two tokens less than positions: an end token and the language follow."""
        text = text_room(context, 2)
        return Window(text, text)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The corrupted window and its language, and the window behind its language."""
        corrupted, text = self.corrupted(sample.tokens, rng), np.asarray(sample.tokens, np.int64)
        made = self.pack(corrupted, text, (self.language,))
        return {**made, "inputs": np.append(made["inputs"], self.vocabulary.id_of(self.language))}
