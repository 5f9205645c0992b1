"""ALBERT's loss: masked tokens, and whether two texts of one document stand in their order."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from keel.objective.base import Sample
from keel.objective.facts import FACTS, Facts
from keel.objective.pairs import Judged


class SOP(Judged):
    """L = L_mlm + L_sop; half of the pairs are swapped (label 1), so that their topic tells nothing.

    Options: those of MLM; ALBERT masks n-grams: unit = "ngram".

    Reference: Lan et al. 2020, arXiv:1909.11942, section 3.1.
    """

    name: ClassVar[str] = "sop"
    facts: ClassVar[Facts] = FACTS["sop"]
    terms = ("mlm", "sop")
    optional = ("sop",)

    def relate(
        self, sample: Sample, first: np.ndarray, second: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Both texts, swapped or not."""
        return (second, first, 1) if rng.random() < 0.5 else (first, second, 0)
