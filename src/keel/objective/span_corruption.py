"""Span corruption (T5): runs of tokens leave for one sentinel each; the decoder writes each sentinel and its run."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from keel.objective.base import Example, Sample, Window
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS
from keel.objective.room import denoisers_room, span_denoisers
from keel.objective.seq2seq import Denoising


class SpanCorruption(Denoising):
    """L = sum over targets of -ln p, in nats; targets = sentinel, span, sentinel, ..., end.

    Options: `density` (share of tokens that are noise), `mean_span` (tokens), `roll` (turn the noise by a random
    offset: without it the first token of a window is never noise and the last one always). Windows cross document
    borders, spans do not. Reference: Raffel et al. 2020, arXiv:1910.10683, section 3.1.4.

    Raises:
        StudyError: an option is unknown or outside its range.
    """

    facts: ClassVar[Facts] = FACTS["span_corruption"]
    terms = ("span_corruption",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["span_corruption"].checked(self.options, "span_corruption")
        self.denoisers = span_denoisers(self.options)

    def window(self, context: int) -> Window:
        """As many tokens as make inputs and targets that fit the context."""
        text = denoisers_room(context, self.denoisers).text
        return Window(text, text)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """A window as inputs and targets."""
        return self.denoise(sample.tokens, self.denoisers[0], rng)
