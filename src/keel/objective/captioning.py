"""Captioning alone: every token of a caption from those before it and the image.

Legend: B pairs, m rows of text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import nn

from keel.model.coca import OPENED
from keel.model.shapes import Size
from keel.objective import captioned
from keel.objective.base import (
    Around,
    Batch,
    Carry,
    Example,
    Features,
    Key,
    Objective,
    Part,
    Sample,
    Start,
    Stats,
    Sums,
    Window,
)
from keel.objective.captioner import Captioner
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS


class Captioning(Objective):
    """L = sum over captions of sum_t -ln p(y_t | y_<t, image); count = their tokens, each end included.

    The start is read and never predicted. Options: `caption_queries` (vectors of an image that the decoder attends to;
    0: as many as patches, 256 at most); `tied` (the output table is that of the tokens); `text_context`, `text_layers`
    (of each half of the decoder; 0: as many as the image tower, 12 at most), `too_long` as CLIP's.

    Reference: Yu et al. 2022, arXiv:2205.01917, equation 3; Tschannen et al. 2023, arXiv:2306.07915 (alone).

    Raises:
        StudyError: an option is unknown or has no such value; all of them.
    """

    name: ClassVar[str] = "captioning"
    facts: ClassVar[Facts] = FACTS["captioning"]
    terms = ("caption",)
    opened: str = OPENED

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS[self.name].checked(self.options, self.name)
        self.captioner = Captioner(self.options, aligned=False)
        self.notes = captioned.notes(self.captioner, self.options)

    def window(self, context: int) -> Window:
        """What is left of the decoder's positions beside its special tokens."""
        return Window(self.captioner.room, self.captioner.room)

    def around(self, context: int) -> Around:
        """As the decoder reads it."""
        return self.captioner.around()

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """Image tower, what asks it, decoder.

        Raises:
            StudyError: the start is a release or another run; or there is no such decoder.
        """
        captioned.check_start(self.name, start)
        image = Part(family=family, size=size, start=start, head="body")
        return {"model": image, **self.captioner.parts(size, start, self.vocabulary)}

    def export(self, parts: Mapping[str, nn.Module], family: str, folder: Path) -> None:
        """All parts in one folder."""
        self.captioner.export(parts, folder)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The image, and its caption between start and end.

        Raises:
            StudyError: the sample lacks its image or its caption, or is too long and may not be shortened.
        """
        tokens = captioned.tokens_of(sample, self.captioner, self.options, self.name, self.vocabulary)
        return {"pixels": captioned.image_of(sample), "tokens": tokens}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Captions padded to the longest, where nothing looks."""
        tensors = captioned.padded(examples, self.captioner.pad(self.vocabulary))
        return Batch(tensors, {"caption": captioned.targets(examples)}, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sum over all tokens of the captions."""
        text: Any = parts["text"]
        given = self.captioner.given(batch.tensors["tokens"], batch.tensors["mask"])
        states = self.captioner.seen(parts, batch.tensors["images"])
        said = self.captioner.said(parts, states, text.read(given.inputs, given.lengths))
        return {"caption": self.captioner.nll(parts, said, given)}, None, {}
