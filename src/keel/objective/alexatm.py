"""AlexaTM: spans are dropped without a trace and the text is written again; or a signal, a prefix, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from keel.errors import Problem
from keel.model.shapes import Size
from keel.objective.base import Example, Part, Sample, Start, Window
from keel.objective.checks import problems_of, settled, shares, told
from keel.objective.denoisers import prefix, prefixes
from keel.objective.drops import drop
from keel.objective.facts import FACTS, Facts
from keel.objective.room import text_room
from keel.objective.seq2seq import Seq2Seq
from keel.objective.spans import check

DEFAULTS: Mapping[str, Any] = {"share": 0.15, "mean_span": 3.0, "clm": 0.2, "low": 0.2, "high": 0.8, "thaw_step": 0}


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
        at = self.options = settled(self.options, DEFAULTS, "alexatm")
        told(
            problems_of(check, at["share"], at["mean_span"], "share"), shares(at, "clm"),
            problems_of(prefixes, 2, at["low"], at["high"]), _negative(at["thaw_step"]),
        )  # fmt: skip

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


def _negative(step: int) -> list[Problem]:
    return (
        [Problem(f"thaw_step is {step}", "steps are counted from 0", "write 0 or more", "thaw_step")]
        if step < 0
        else []
    )
