"""What captioning alone and CoCa share: an image asked by queries, and a decoder that writes its caption.

Legend: B pairs, r states of an image, q vectors of it, m rows of text, n targets, d width of its states, e of text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from keel.corpus.vocabulary import Vocabulary
from keel.model import coca
from keel.model.captioner import Read
from keel.model.shapes import Size
from keel.model.shapes.pooler import pooler_size
from keel.objective.base import Batch, Part, Start
from keel.objective.facts_captions import POOLER, TEXT, decoder_size, head_of, queries_of
from keel.objective.text_towers import Fresh


class Given(NamedTuple):
    """What a decoder reads (B, m), how much of it is there (B,), what it shall say (B, m), and where it must (B, m)."""

    inputs: Tensor
    lengths: Tensor
    targets: Tensor
    there: Tensor


class Captioner(Fresh):
    """A caption is start + tokens + end: each of them but the first is predicted, each but the last is read.

    What is padding is known by lengths alone, never by an id: a token that is spelled as padding is counts like any
    other. `aligned`: there is one query more and a vector behind each caption, which meet in a shared space.
    """

    def __init__(self, at: Mapping[str, Any], aligned: bool) -> None:
        super().__init__(at)
        self.aligned = aligned

    def parts(self, image: Size, start: Start, vocabulary: Vocabulary) -> dict[str, Part]:
        """What asks the image, and the decoder.

        Raises:
            StudyError: no decoder has that size.
        """
        size = decoder_size(self.at, image, vocabulary.size)
        asks = pooler_size(image, queries_of(self.at, image))
        made = {
            "caption_pooler": Part(family=POOLER, size=asks, start=start, head="body"),
            "text": Part(family=TEXT, size=size, start=start, head=head_of(self.at, self.aligned)),
        }
        if not self.aligned:
            return made
        return made | {"contrast_pooler": Part(family=POOLER, size=pooler_size(image, 1), start=start, head="joint")}

    def given(self, ids: Tensor, mask: Tensor) -> Given:
        """Ids and mask (B, m + 1) of whole captions."""
        return Given(ids[:, :-1], mask.sum(1) - 1, ids[:, 1:], mask[:, 1:].bool())

    def seen(self, parts: Mapping[str, nn.Module], images: Tensor) -> Tensor:
        """(B, 3, H, H) -> (B, r, d): the state of the whole image, and those of its patches."""
        found = parts["model"](images)
        return torch.cat([found.pooled[:, None], found.patches], 1)

    def read(self, parts: Mapping[str, nn.Module], ids: Tensor, mask: Tensor) -> Tensor:
        """Ids and mask (B, m + 1) -> one state a caption (B, e)."""
        text: Any = parts["text"]
        given = self.given(ids, mask)
        found = text.read(given.inputs, given.lengths).aligned
        assert found is not None, "this decoder shares no space with images"
        return torch.as_tensor(found)

    def said(self, parts: Mapping[str, nn.Module], states: Tensor, read: Read) -> Tensor:
        """States of an image (B, r, d) and the first half's rows -> states (B, m, e) that meet the output table."""
        text: Any = parts["text"]
        found: Tensor = text.write(read.rows, parts["caption_pooler"](states))
        return found

    def nll(self, parts: Mapping[str, nn.Module], said: Tensor, given: Given) -> Tensor:
        """Sum over all tokens of -ln p, ends included, in nats."""
        text: Any = parts["text"]
        found: Tensor = text.nll(said[given.there], given.targets[given.there])
        return found

    def nats(self, parts: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """-ln p of each caption, its end included (B,), in nats: for judges."""
        text: Any = parts["text"]
        given = self.given(batch.tensors["tokens"], batch.tensors["mask"])
        read = text.read(given.inputs, given.lengths)
        said = self.said(parts, self.seen(parts, batch.tensors["images"]), read)
        each: Tensor = text.nats(said, given.targets).double()
        return (each * given.there).sum(1)

    def written(self, parts: Mapping[str, nn.Module], images: Tensor, vocabulary: Vocabulary) -> list[list[int]]:
        """The likeliest token at every place, up to the end or the room there is: one caption an image (B,)."""
        vectors = parts["caption_pooler"](self.seen(parts, images))
        ends = vocabulary.id_of("start"), vocabulary.id_of("separator")
        return coca.greedy(parts["text"], vectors, *ends, self.room)

    def export(self, parts: Mapping[str, nn.Module], folder: Path) -> None:
        """All parts in one folder: `keel.model.coca.load` puts them together."""
        coca.export(parts, folder)
