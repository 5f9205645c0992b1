"""A model as tasks show it images: its towers with the preparation of pixels and the tokenizer beside them.

Legend: n images, m texts, T positions, H pixels of a side, d width of the states, e width of the shared space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keel.corpus.images.captions import readable
from keel.corpus.images.decode import colour_of
from keel.corpus.vocabulary import vocabulary_of
from keel.errors import Problem, StudyError
from keel.evaluate.tasks import Unfit
from keel.evaluate.tasks.files import decoded
from keel.evaluate.tasks.subject import Ids, Subject, batches, padded, tokenizer_of, whole
from keel.evaluate.tasks.towers import Towers, towers
from keel.files import read_json
from keel.model.shapes import VISION
from keel.plan.spec import SCHEMA as SPEC

BATCH = 64
PREPARATION = "preprocessor_config.json"


@dataclass(frozen=True, eq=False)
class Seen:
    """`processor` makes pixels as the model's folder says; `background` stands behind what is transparent.

    `words`: the tokenizer of the text tower with its frame and context, where there is one.
    """

    towers: Towers
    processor: Any
    background: tuple[int, int, int]
    name: str = ""
    words: Subject | None = None

    def pixels(self, files: Sequence[str]) -> Tensor:
        """(n, 3, H, H), fp32.

        Raises:
            StudyError: files that cannot be decoded, all of them.
        """
        images = decoded(files, self.background)
        # Said, not guessed: an image three pixels high would be taken for one whose colours come first.
        made = self.processor(images=images, return_tensors="pt", input_data_format="channels_last")
        found: Tensor = made["pixel_values"]
        return found.float()

    def batches(self, files: Sequence[str]) -> Iterator[Tensor]:
        """Pixels of 64 at a time; what cannot be decoded is told when all were tried.

        Raises:
            StudyError: files that cannot be decoded, all of them.
        """
        problems = list[Problem]()
        for first in range(0, len(files), BATCH):
            try:
                made = self.pixels(files[first : first + BATCH])
            except StudyError as error:
                problems += error.problems
                continue
            yield made
        if problems:
            raise StudyError.all(problems)

    @torch.no_grad()
    def states(self, files: Sequence[str]) -> NDArray[np.float64]:
        """The image's own state beside the mean of its patches' (n, 2 d); once (n, d) where they are one.

        The own state is CLS of a ViT (the mean where it was trained so), the pooled map of a network of stages; of a
        tower it stands before the projection. Reference: Radford et al. 2021, arXiv:2103.00020, appendix A.3.

        Raises:
            StudyError: files that cannot be decoded, all of them.
        """
        found = [self.towers.trunk.plain(pixels) for pixels in self.batches(files)]
        own = torch.cat([each.pooled for each in found]).double().numpy()
        mean = torch.cat([each.patches.mean(1) for each in found]).double().numpy()
        return own if np.allclose(own, mean, atol=1e-6) else np.concatenate([own, mean], 1)

    @torch.no_grad()
    def images(self, files: Sequence[str]) -> NDArray[np.float64]:
        """Images in the space shared with texts, of length 1, shape (n, e).

        Raises:
            StudyError: the model has no text tower; files that cannot be decoded.
        """
        self.reader()
        both: Any = self.towers.both
        return np.concatenate([both.image(pixels).double().numpy() for pixels in self.batches(files)])

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Texts in the space shared with images, of length 1, shape (m, e); of one that is too long the beginning.

        Raises:
            StudyError: the model has no text tower.
        """
        words, both, found = self.reader(), self.towers.both, list[Any]([None] * len(texts))
        assert both is not None, "a reader without towers"
        ids = [words.framed(each[: words.room]) for each in self.tokens(texts)]
        for places in batches(range(len(ids)), [len(each) for each in ids]):
            made = both.text(*padded([ids[place] for place in places], words.pad)).double().numpy()
            for place, row in zip(places, made):
                found[place] = row
        return np.stack(found)

    @torch.no_grad()
    def captions(self, files: Sequence[str]) -> list[str]:
        """What the model writes of each image, the likeliest token at each place.

        Raises:
            StudyError: it writes none; files that cannot be decoded.
        """
        words, writes = self.words, self.towers.writes
        if words is None or writes is None:
            raise StudyError("the model writes no captions", why=f"{self.name} has no decoder of texts", where="task",
                             fix="train with a loss that captions (coca, captioning)")  # fmt: skip
        ends = [words.vocabulary.id_of(role) for role in ("start", "separator")]
        ids = [each for pixels in self.batches(files) for each in writes.captions(pixels, *ends)]
        return [words.tokenizer.decode(each) for each in ids]

    def spelled(self, text: str) -> str:
        """A text as the tokenizer gives it back, which is all that the model could write."""
        assert self.words is not None, "a model without words"
        (ids,) = self.words.tokens([readable(text)])
        return str(self.words.tokenizer.decode(ids.tolist()))

    def tokens(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, whole and without special tokens."""
        return self.reader().tokens([readable(text) for text in texts])

    def notes(self, texts: Sequence[str]) -> list[str]:
        """How many texts are longer than the text tower's context."""
        cut = sum(len(ids) > self.reader().room for ids in self.tokens(texts))
        return [f"{cut} of {len(texts)} texts are longer than the context: their beginning was read"] if cut else []

    def reader(self) -> Subject:
        """The text tower's side.

        Raises:
            StudyError: the model has none.
        """
        if self.words is None or self.towers.both is None:
            raise StudyError("the model has no text tower", why=f"{self.name} sees images alone", where="task",
                             fix="use a probe or fine-tuning, or train on pairs of images and captions")  # fmt: skip
        return self.words


def opened(path: Path, context: int | None = None) -> Seen:
    """The model in a folder in fp32; `context`: positions that its texts may have, where it was trained on fewer.

    Raises:
        Unfit: no model that sees images and is known here.
        StudyError: weights, preparation or tokenizer that cannot be read, or weights that would be made afresh.
    """
    found = towers(path)
    processor, background = _preparation(path)
    words = None
    if found.both is not None or found.writes is not None:
        text = tokenizer_of(path)
        limits = [each for each in (context, found.context) if each is not None]
        if not limits:
            raise StudyError("how much text the model sees is not known", why="its config names no context",
                             fix="say the context yourself", where=str(path))  # fmt: skip
        words = Subject(None, whole(text), vocabulary_of(text), "encoder", min(limits), str(path), found.family)
    return Seen(found, processor, background, str(path), words)


def _preparation(path: Path) -> tuple[Any, tuple[int, int, int]]:
    """The library's processor, by Pillow alone so that it is the same everywhere; and the background beside it."""
    from transformers import AutoImageProcessor

    try:
        made: Any = AutoImageProcessor.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, backend="pil"
        )
        return made, colour_of(getattr(made, "background", "white"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        why, where = f"{type(error).__name__}: {str(error)[:200]}", str(path / PREPARATION)
        raise StudyError("how images are prepared cannot be read", why=why, where=where,
                         fix=f"bring {PREPARATION} as it was released") from error  # fmt: skip


def of_run(run: Path) -> Seen:
    """The model that a run has exported; of texts it reads as much as the run did.

    Raises:
        Unfit: the run's model sees no images.
        StudyError: as `opened`.
    """
    spec = read_json(run / "spec.json", SPEC)
    if spec["family"] not in VISION:
        raise Unfit(f"a {spec['family']} sees no images", why="it was trained to read texts", where=str(run),
                    fix="judge it on texts")  # fmt: skip
    return opened(run / "model", spec["options"].get("text_context"))
