"""CoCa: a contrast between images and captions, and the captions written, by one image tower and one decoder.

Legend: B pairs, r states of an image, m rows of text, e width of the shared space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import normalize

from keel.model.captioner import Read
from keel.model.coca import OPENED
from keel.model.shapes import Size
from keel.objective import captioned
from keel.objective.base import Batch, Carry, Example, Features, Key, Part, Start, Stats, Sums
from keel.objective.captioner import Captioner
from keel.objective.contrastive import CLIP
from keel.objective.facts import FACTS, Facts


class CoCa(CLIP):
    """L = lambda_con L_con + lambda_cap L_cap, each a mean over its own count, pairs and tokens.

        L_con: CLIP's, between one query's vector of an image and the state of a vector behind its caption
        L_cap: sum_t -ln p(y_t | y_<t, image), the end of each caption included

    The first half of the decoder reads text alone, so that a caption's state has not seen its image; the second attends
    to what many queries found in the image. Options: `lambda_con` 1, `lambda_cap` 2, as the paper; those of CLIP but
    for released text towers; those of captioning alone.

    Reference: Yu et al. 2022, arXiv:2205.01917, sections 3.2 (equations 2 to 4) and 4.1.
    """

    name: ClassVar[str] = "coca"
    term: str = "contrast"
    facts: ClassVar[Facts] = FACTS["coca"]
    opened: str = OPENED
    captioner: Captioner

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.terms = ("contrast", "caption")

    def text_tower(self, at: Mapping[str, Any]) -> Captioner:
        """The decoder's first half."""
        self.captioner = Captioner(at, aligned=True)
        return self.captioner

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """Image tower, both poolers, decoder, scale; the tower has no projection: the one query's vector has.

        Raises:
            StudyError: the start is a release or another run; or there is no such decoder.
        """
        image = Part(family=family, size=size, start=start, head="body")
        return {**super().parts(family, size, start), "model": image}

    def weights(self, step: int) -> Mapping[str, float]:
        """As the options say."""
        return {"contrast": self.options["lambda_con"], "caption": self.options["lambda_cap"]}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """CLIP's, with the tokens that are predicted."""
        made = super().collate(examples, ids)
        return Batch(made.tensors, {**made.counts, "caption": captioned.targets(examples)}, made.ids)

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """The captions' sum, and the features: the image and the text are read once for both."""
        states, read = self._both(parts, batch)
        given = self.captioner.given(batch.tensors["tokens"], batch.tensors["mask"])
        said = self.captioner.said(parts, states, read)
        return {"caption": self.captioner.nll(parts, said, given)}, self._features(parts, batch, states, read), {}

    def features(self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key) -> Features:
        """Features of length 1 (B, e) of images and captions, and the digests that say which captions are alike."""
        return self._features(parts, batch, *self._both(parts, batch))

    def _both(self, parts: Mapping[str, nn.Module], batch: Batch) -> tuple[Tensor, Read]:
        text: Any = parts["text"]
        given = self.captioner.given(batch.tensors["tokens"], batch.tensors["mask"])
        read: Read = text.read(given.inputs, given.lengths)
        return self.captioner.seen(parts, batch.tensors["images"]), read

    def _features(self, parts: Mapping[str, nn.Module], batch: Batch, states: Tensor, read: Read) -> Features:
        image, text = parts["contrast_pooler"](states)[:, 0], read.aligned
        assert text is not None, "a decoder without a state of its captions"
        features = {"image": normalize(image, dim=-1), "text": normalize(text, dim=-1)}
        return {**features, "caption": batch.tensors["digests"]}
