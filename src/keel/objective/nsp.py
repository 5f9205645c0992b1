"""BERT's loss: masked tokens, and whether the second text follows the first or comes from another document."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from keel.errors import StudyError
from keel.objective.base import Sample
from keel.objective.facts import FACTS, Facts
from keel.objective.pairs import Judged
from keel.objective.sentences import borders


class NSP(Judged):
    """L = L_mlm + L_nsp; half of the second texts are replaced by as many tokens of another document (label 1).

    That text begins where a sentence does. A document to take it from is drawn for every pair, and the second text is
    cut to its length where that is shorter: so the lengths have one law under both labels and tell nothing. What is cut
    off or replaced is not seen in that epoch. Options: those of MLM.

    Reference: Devlin et al. 2019, arXiv:1810.04805, section 3.1, task 2.
    """

    name: ClassVar[str] = "nsp"
    facts: ClassVar[Facts] = FACTS["nsp"]
    terms = ("mlm", "nsp")
    optional = ("nsp",)

    def relate(
        self, sample: Sample, first: np.ndarray, second: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """The second text, or one of another document that begins where a sentence does.

        Raises:
            StudyError: there is no other document.
        """
        if sample.elsewhere is None:
            raise StudyError("there is no other document to take a text from", why="the corpus is one document",
                             fix="separate its documents, or choose the loss 'sop'", where="[data]")  # fmt: skip
        other = sample.elsewhere(rng).astype(np.int64)
        length = min(len(second), len(other))
        starts = borders(self.vocabulary.ends_sentence[other])
        fits = starts[starts + length <= len(other)]
        start = int(fits[rng.integers(len(fits))])
        if rng.random() < 0.5:
            return first, second[:length], 0
        return first, other[start : start + length], 1
