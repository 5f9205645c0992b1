"""The text tower of a loss on pairs: CLIP's own from scratch, or a released encoder, frozen or trained.

Legend: m captions, T positions, d width of the states, e width of the space shared with images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from keel.corpus.tokenizer import borders, released
from keel.corpus.vocabulary import Vocabulary
from keel.errors import StudyError
from keel.model import clip, pair
from keel.model.shapes import FEATURES, Size
from keel.model.shapes.features import bare
from keel.objective import released_text
from keel.objective.base import Around, Part, Released, Start
from keel.objective.towers import BORDERS, TEXT, text_size


class TextTower(ABC):
    """What a loss asks of it; `room`: the most tokens of a caption between the special ones around it."""

    room: int

    @abstractmethod
    def parts(self, image: Size, start: Start, vocabulary: Vocabulary) -> dict[str, Part]:
        """Its modules beside an image tower of this size."""

    @abstractmethod
    def wrap(self, tokens: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
        """A caption of at most `room` tokens with its special ones."""

    @abstractmethod
    def around(self) -> Around:
        """How a user's text is laid out for it."""

    @abstractmethod
    def pad(self, vocabulary: Vocabulary) -> int:
        """What stands behind shorter captions, where nothing looks."""

    @abstractmethod
    def read(self, parts: Mapping[str, nn.Module], ids: Tensor, mask: Tensor) -> Tensor:
        """Ids and mask (m, T) -> one state a caption in the shared space (m, e)."""

    @abstractmethod
    def export(self, parts: Mapping[str, nn.Module], folder: Path) -> None:
        """Write both towers and the scale between them as the library reads them."""

    def notes(self) -> tuple[str, ...]:
        """What a user should know of it."""
        return ()


class Fresh(TextTower):
    """CLIP's: causal layers behind a start token, the state of the end token projected."""

    def __init__(self, at: Mapping[str, Any]) -> None:
        self.at, self.room = at, at["text_context"] - BORDERS

    def parts(self, image: Size, start: Start, vocabulary: Vocabulary) -> dict[str, Part]:
        """One part with its projection in it.

        Raises:
            StudyError: no text tower has that size.
        """
        return {"text": Part(family=TEXT, size=text_size(self.at, image, vocabulary.size), start=start, head="joint")}

    def wrap(self, tokens: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
        """start + caption + end."""
        ends = vocabulary.id_of("start"), vocabulary.id_of("separator")
        return np.concatenate([ends[:1], tokens, ends[1:]]).astype(np.int64)

    def around(self) -> Around:
        """As `wrap` does."""
        return Around(self.at["text_context"], ("start",), ("separator",))

    def pad(self, vocabulary: Vocabulary) -> int:
        """The end token once more: the first one counts."""
        return vocabulary.id_of("separator")

    def read(self, parts: Mapping[str, nn.Module], ids: Tensor, mask: Tensor) -> Tensor:
        """The library's pooling."""
        found: Tensor = parts["text"](ids, mask)
        return found

    def export(self, parts: Mapping[str, nn.Module], folder: Path) -> None:
        """The library's one model of all; where the scale has a bias, for which that has no place, each by itself."""
        given: dict[str, Any] = dict(parts)
        image, text, scale = given["model"], given["text"], given["scale"]
        write = clip.export if scale.logit_bias is None else pair.export
        write(image, text, scale, folder)


class FromRelease(TextTower):
    """A released encoder: the mean of its states over all tokens that are no padding, then a linear layer d -> e.

    The mean is what MiniLM and other encoders of sentences are trained for, special tokens among them; the state of one
    token means little where a release never trained it. Captions are cut and bordered by the release's own tokenizer.
    Reference: Reimers and Gurevych 2019, arXiv:1908.10084, section 3 and table 6 (mean before [CLS] and maximum); Zhai
    et al. 2022, arXiv:2111.07991 (one tower frozen).
    """

    def __init__(self, at: Mapping[str, Any]) -> None:
        self.at, self.release = at, released_text.checked(at)
        self.before, self.behind = borders(released(self.release.path))
        self.room = at["text_context"] - len(self.before) - len(self.behind)
        if self.room < 1:
            raise StudyError(f"text_context is {at['text_context']}", why="its special tokens leave no room for a "
                             "caption", fix="raise text_context", where="text_context")  # fmt: skip

    def parts(self, image: Size, start: Start, vocabulary: Vocabulary) -> dict[str, Part]:
        """The encoder and the layer behind it, which is new whatever the run starts from.

        Raises:
            StudyError: the vocabulary has tokens that a frozen tower has no row for.
        """
        size = released_text.size_of(self.at, self.release, vocabulary.size)
        begin = Released(str(self.release.path), self.release.sha256())
        role: Any = "train" if self.at["text_trains"] == "yes" else "frozen"
        head, across = bare(FEATURES[self.release.family]), Size(
            width=size.width, layers=1, vocabulary=0, context=1, head_width=size.width,
            embedding_width=image.embedding_width,
        )  # fmt: skip
        return {
            "text": Part(family=self.release.family, size=size, start=begin, head=head, role=role),
            "projection": Part(family="projection", size=across, start=start, head="joint"),
        }

    def wrap(self, tokens: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
        """As the release's own tokenizer does."""
        return np.concatenate([self.before, tokens, self.behind]).astype(np.int64)

    def around(self) -> Around:
        """The release's tokenizer puts its special tokens itself."""
        return Around(self.at["text_context"])

    def pad(self, vocabulary: Vocabulary) -> int:
        """The release's own, from which some number their positions; else 0: nothing looks at it."""
        return vocabulary.special.get("pad", 0)

    def read(self, parts: Mapping[str, nn.Module], ids: Tensor, mask: Tensor) -> Tensor:
        """The mean over the mask, in fp32 at least."""
        states: Tensor = parts["text"](input_ids=ids, attention_mask=mask)
        found: Tensor = parts["projection"](pair.mean_of(states, mask))
        return found

    def export(self, parts: Mapping[str, nn.Module], folder: Path) -> None:
        """Each by itself: `model.pair.Pair` puts them together."""
        given: dict[str, Any] = dict(parts)
        pair.export(given["model"], given["text"], given["scale"], folder, given["projection"])

    def notes(self) -> tuple[str, ...]:
        """Where it comes from, and whether it moves."""
        moves = "is trained with all else" if self.at["text_trains"] == "yes" else "does not move"
        return (f"the text tower is the {self.release.family} in {self.release.where} and {moves}",)


def of(at: Mapping[str, Any]) -> TextTower:
    """The tower that the options name."""
    return FromRelease(at) if at["text_from"] else Fresh(at)
