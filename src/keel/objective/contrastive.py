"""Images and their captions in one space: each pair of a step is told from all others of that step.

Legend: n pairs of a step, m of them on this rank, T tokens of a caption, e width of the shared space.
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize

from keel.errors import StudyError
from keel.model.shapes import Size
from keel.objective import captioned, text_towers
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
    stack,
)
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS
from keel.objective.text_towers import TextTower

LARGEST_LOG_SCALE = math.log(100)


class Contrastive(Objective):
    """What CLIP and SigLIP share: towers, normed features, and which pairs are alike.

    Captions with the same tokens are alike: in a batch they are positives of each other, or (`duplicates` "negatives")
    told apart as in the papers, which no model can do. Options: `duplicates`; `text_context` (positions of the text
    tower), `text_layers` (0: see `towers.text_size`); `too_long` (captions beyond the context: refuse, or shorten);
    `text_from` (the folder of a released encoder that is the text tower), `text_sha256` (its digest), `text_trains`
    (yes, or no: it does not move).

    Raises:
        StudyError: an option is unknown or has no such value; all of them.
    """

    name: ClassVar[str]
    scale: ClassVar[str]
    term: str = ""  # its own name, unless it is one of several
    coupled: ClassVar[bool] = True

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        at = self.options = OPTIONS[self.name].checked(self.options, self.name)
        self.term = self.term or self.name
        self.terms = (self.term,)
        alike = "positives of each other" if at["duplicates"] == "positives" else "told apart, which nothing can do"
        self.notes = (f"pairs of a batch with the same caption are {alike}",)
        self.tower = self.text_tower(at)
        self.notes += captioned.notes(self.tower, at)

    def text_tower(self, at: Mapping[str, Any]) -> TextTower:
        """The one that the options name."""
        return text_towers.of(at)

    def window(self, context: int) -> Window:
        """What is left of the text tower's positions beside its special tokens; the images' do not count here."""
        return Window(self.tower.room, self.tower.room)

    def around(self, context: int) -> Around:
        """As the text tower reads it."""
        return self.tower.around()

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """Image tower, text tower and the scale between them.

        Raises:
            StudyError: the start is a release or another run; or there is no such text tower.
        """
        captioned.check_start(self.name, start)
        return {
            "model": Part(family=family, size=size, start=start, head="joint"),
            **self.tower.parts(size, start, self.vocabulary),
            "scale": Part(family="scale", size=size, start=start, head=self.scale),
        }

    def export(self, parts: Mapping[str, nn.Module], family: str, folder: Path) -> None:
        """Both towers and the scale."""
        self.tower.export(parts, folder)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """The image, the caption between the tower's special tokens, and 128 bits of a digest of the caption.

        Raises:
            StudyError: the sample lacks its image or its caption, or is too long and may not be shortened.
        """
        tokens = captioned.tokens_of(sample, self.tower, self.options, self.name, self.vocabulary)
        digest = np.frombuffer(hashlib.blake2b(tokens.tobytes(), digest_size=16).digest(), np.int64)
        return {"pixels": captioned.image_of(sample), "tokens": tokens, "digest": digest}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Captions padded to the longest, where nothing looks."""
        tensors = captioned.padded(examples, self.tower.pad(self.vocabulary))
        tensors["digests"] = stack(examples, "digest")
        return Batch(tensors, {self.term: len(examples)}, tuple(ids))

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """No sums of its own: the features."""
        return {}, self.features(parts, batch, carry, key), {}

    def features(self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key) -> Features:
        """Features of length 1 (n, e) of images and captions, and the digests that say which captions are alike."""
        image: Any = parts["model"]
        seen = image.joint(image(batch.tensors["images"]).pooled)
        read = self.tower.read(parts, batch.tensors["tokens"], batch.tensors["mask"])
        features = {"image": normalize(seen, dim=-1), "text": normalize(read, dim=-1)}
        return {**features, "caption": batch.tensors["digests"]}

    def batch_losses(self, parts: Mapping[str, nn.Module], everyone: Features, mine: slice) -> Sums:
        """The sum over this rank's pairs.

        Raises:
            StudyError: a step of one pair, which nothing could be told from.
        """
        image, text = everyone["image"], everyone["text"]
        if len(image) < 2:
            raise StudyError("a step has one pair", why=f"{self.name} tells a pair from the others of its step",
                             fix="raise train.batch to 2 pairs or more", where="train.batch")  # fmt: skip
        alike = self._alike(everyone["caption"], mine)
        return {self.term: self.told_apart(parts["scale"], image, text, alike, mine)}

    def _alike(self, caption: Tensor, mine: slice) -> Tensor:
        """(m, n): which captions count as that of this rank's pair, its own among them."""
        if self.options["duplicates"] == "positives":
            return (caption[mine, None] == caption).all(-1)
        return torch.eye(len(caption), dtype=torch.bool, device=caption.device)[mine]

    @abstractmethod
    def told_apart(self, scale: nn.Module, image: Tensor, text: Tensor, alike: Tensor, mine: slice) -> Tensor:
        """The sum over rows `mine` of features (n, e), `alike` (m, n) saying which go together."""


class CLIP(Contrastive):
    """L = mean over pairs i of (-ln sum_a softmax_j(t u_i v_j)[a] - ln sum_a softmax_j(t v_i u_j)[a]) / 2, in nats.

    u, v: features of images and captions, of length 1; a runs over the pairs with pair i's caption, where captions
    differ over i alone. t begins at 1 / .07 and is held in [1, 100] after every step; it does not decay. All n pairs of
    a step take part, however it is cut.
    Reference: Radford et al. 2021, arXiv:2103.00020, sections 2.3 and 2.5; Miech et al. 2020, arXiv:1912.06430,
    equation 1 (several positives).
    """

    name: ClassVar[str] = "clip"
    scale: ClassVar[str] = "softmax"
    facts: ClassVar[Facts] = FACTS["clip"]

    def told_apart(self, scale: nn.Module, image: Tensor, text: Tensor, alike: Tensor, mine: slice) -> Tensor:
        """Both ways, halved."""
        ways = (scale(image[mine] @ text.T), scale(text[mine] @ image.T))
        right = [logits.masked_fill(~alike, -torch.inf).logsumexp(1) for logits in ways]
        return torch.stack([(z.logsumexp(1) - one).sum() for z, one in zip(ways, right)]).sum() / 2

    def after_step(self, parts: Mapping[str, nn.Module], carry: Carry, stats: Stats, step: int) -> Carry:
        """The stored temperature never leaves its range, whatever a step did to it."""
        scale: Any = parts["scale"]
        scale.clamp(0.0, LARGEST_LOG_SCALE)
        return carry


class SigLIP(Contrastive):
    """L = mean over pairs i of sum_j -ln sigmoid(y_ij (t u_i v_j + b)), in nats; y_ij is 1 where captions are alike.

    Else y_ij is -1. t begins at 10, b at -10; neither decays, and t is not held, as in the paper.
    Reference: Zhai et al. 2023, arXiv:2303.15343, section 3.2 and algorithm 1.
    """

    name: ClassVar[str] = "siglip"
    scale: ClassVar[str] = "sigmoid"
    facts: ClassVar[Facts] = FACTS["siglip"]

    def told_apart(self, scale: nn.Module, image: Tensor, text: Tensor, alike: Tensor, mine: slice) -> Tensor:
        """Every pair of an image and a caption by itself."""
        logits = scale(image[mine] @ text.T)
        return -logsigmoid(torch.where(alike, logits, -logits)).sum()
