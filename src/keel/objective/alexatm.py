"""AlexaTM: spans are dropped without a trace and the text is written again; or a signal, a prefix, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from keel.model.shapes import Size
from keel.objective.base import Example, Part, Sample, Start, Window
from keel.objective.denoisers import prefix
from keel.objective.drops import drop
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS
from keel.objective.room import text_room
from keel.objective.seq2seq import Seq2Seq


class AlexaTM(Seq2Seq):
    """L = sum over targets of -ln p, in nats; a share `clm` of the samples goes on from a prefix, the others denoise.

    Denoising drops a `share` of the tokens in spans of Poisson(`mean_span`) and asks for the whole window. Going on
    reads the signal "[CLM]" and a prefix of one document, uniform from `low` to `high` of it; of a window with several
    documents the longest stretch is taken, and the rest waits for an epoch that denoises. The encoder does not move
    before `thaw_step`: for a run that starts with a trained one (a start whose `only` is "encoder").
    Reference: Soltan et al. 2022, arXiv:2208.01448, section 4.

    Raises:
        StudyError: an option is unknown or outside its range; all of them.
    """

    facts: ClassVar[Facts] = FACTS["alexatm"]
    terms = ("alexatm",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["alexatm"].checked(self.options, "alexatm")

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """One model, whose encoder waits for the thaw, where there is one."""
        late = self.options["thaw_step"]
        part = Part(family=family, size=size, start=start)
        return {"model": replace(part, thaws="encoder", thaw_step=late) if late else part}

    def window(self, context: int) -> Window:
        """One token less than positions: an end token follows."""
        text = text_room(context, 1)
        return Window(text, text)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Either task."""
        at, tokens = self.options, np.asarray(sample.tokens, np.int64)
        if rng.random() < at["clm"]:
            text = self._longest(tokens)
            cut = prefix(len(text), rng, at["low"], at["high"])
            return self.pack(np.concatenate([[self.vocabulary.id_of("mode CLM")], text[:cut]]), text[cut:])
        return self.pack(drop(tokens, rng, at["share"], at["mean_span"], fixed=self.fixed(tokens)).inputs, tokens)

    def _longest(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """The longest stretch of one document, the first of several."""
        ends = np.append(np.flatnonzero(tokens == self.vocabulary.id_of("separator")), len(tokens))
        starts = np.append(0, ends[:-1] + 1)
        longest = int(np.argmax(ends - starts))
        return tokens[starts[longest] : ends[longest]]
