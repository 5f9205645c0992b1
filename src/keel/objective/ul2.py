"""UL2: a mixture of denoisers, each named to the encoder by a mode token."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from keel.objective.base import Example, Sample, Window
from keel.objective.denoisers import draw
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS
from keel.objective.room import denoisers_room, mixture
from keel.objective.seq2seq import Denoising


class UL2(Denoising):
    """L = sum over targets of -ln p, in nats, under a denoiser drawn for each sample.

    Options: `mixture` ("ul2": seven denoisers, evenly, with modes R, S, X; "t5gemma2": five, without modes). One window
    serves all of them, as long as the one that takes most room allows. Windows cross document borders, spans do not.
    Reference: Tay et al. 2023, arXiv:2205.05131, section 3.1 and table 1.

    Raises:
        StudyError: an option is unknown, or there is no such mixture.
    """

    facts: ClassVar[Facts] = FACTS["ul2"]
    terms = ("ul2",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["ul2"].checked(self.options, "ul2")
        self.denoisers = mixture(self.options)

    def window(self, context: int) -> Window:
        """As many tokens as make inputs and targets that fit the context under every denoiser."""
        text = denoisers_room(context, self.denoisers).text
        return Window(text, text)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """A window under one denoiser."""
        return self.denoise(sample.tokens, draw(self.denoisers, rng), rng)
