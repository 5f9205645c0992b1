"""BART: sentences change places and spans become one mask each; the decoder writes the text as it was."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from keel.objective.base import Example, Sample, Window
from keel.objective.drops import infill
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS, Known
from keel.objective.room import text_room
from keel.objective.sentences import permute
from keel.objective.seq2seq import Seq2Seq, Tokens
from keel.objective.trim import fewer_marks


class BART(Seq2Seq):
    """L = sum over the whole window of -ln p(x_t | x_<t, corrupted x), in nats; the end token is a target too.

    Options: `share` of tokens in spans, `mean_span` of their Poisson lengths (the paper 3, the released run 3.5),
    `random` (share of masks that are a random token instead; the released run .1), `permute` (sentences in random order
    within their document). Windows cross document borders, spans and sentences do not.
    Reference: Lewis et al. 2020, arXiv:1910.13461, section 2.2; the run: facebookresearch/fairseq issue 1899.

    Raises:
        StudyError: an option is unknown or outside its range; all of them.
    """

    facts: ClassVar[Facts] = FACTS["bart"]
    terms: tuple[str, ...] = ("bart",)
    known: ClassVar[Known] = OPTIONS["bart"]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = self.known.checked(self.options, self.terms[0])

    def window(self, context: int) -> Window:
        """One token less than positions: an end token follows."""
        text = text_room(context, 1)
        return Window(text, text)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The corrupted window, and the window."""
        return self.pack(self.corrupted(sample.tokens, rng), np.asarray(sample.tokens, np.int64))

    def corrupted(self, tokens: NDArray[Any], rng: np.random.Generator) -> Tokens:
        """Sentences permuted, then spans infilled; never longer than the window."""
        at, known, fixed = self.options, self.vocabulary, self.fixed(tokens)
        text = np.asarray(tokens, np.int64)
        if at["permute"]:
            # What is fixed stays in its place, so that `fixed` still says where.
            text = permute(text, known.ends_sentence[text], rng, fixed=fixed).tokens
        gapped = infill(
            text, rng, at["share"], at["mean_span"], known.id_of("mask"), at["random"], known.ordinary, fixed=fixed
        )  # fmt: skip
        return fewer_marks(gapped, len(text), rng).inputs
