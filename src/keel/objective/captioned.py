"""Images with captions as arrays: what every loss on such pairs asks of a sample, and how captions are padded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from keel.corpus.vocabulary import Vocabulary
from keel.errors import StudyError
from keel.objective.base import Branch, Example, Sample, Scratch, Start
from keel.objective.text_towers import TextTower


def check_start(loss: str, start: Start) -> None:
    """Raises:
    StudyError: the start is a release or another run.
    """
    if not isinstance(start, Scratch | Branch):
        raise StudyError(f"{loss} cannot start from a {start.kind}", why="its two towers have one start",
                         fix="start from scratch", where="start")  # fmt: skip


def notes(tower: TextTower, at: Mapping[str, Any]) -> tuple[str, ...]:
    """What a user should know of how captions are read."""
    said = (f"of captions longer than {tower.room} tokens the first {tower.room} are read",)
    return tower.notes() + (said if at["too_long"] == "shorten" else ())


def image_of(sample: Sample) -> np.ndarray:
    """The image of a pair that `tokens_of` has let through."""
    assert sample.image is not None, "half a pair"
    return sample.image


def tokens_of(
    sample: Sample, tower: TextTower, at: Mapping[str, Any], loss: str, vocabulary: Vocabulary
) -> np.ndarray:  # fmt: skip
    """The caption between the tower's special tokens.

    Raises:
        StudyError: the sample lacks its image or its caption, or is too long and may not be shortened.
    """
    room = tower.room
    if sample.image is None or not len(sample.tokens):
        lacks = "image" if sample.image is None else "caption"
        raise StudyError(f"sample {sample.id} has no {lacks}", why=f"{loss} reads images with their captions",
                         fix="bring pairs, or choose another loss", where="data")  # fmt: skip
    if len(sample.tokens) > room and at["too_long"] == "refuse":
        raise StudyError(f"the caption of sample {sample.id} has {len(sample.tokens)} tokens",
                         why=f"the text tower reads {room} beside its special tokens",
                         fix="raise text_context, or set too_long to 'shorten'", where="too_long")  # fmt: skip
    return tower.wrap(sample.tokens[:room], vocabulary)


def padded(examples: Sequence[Example], pad: int) -> dict[str, Tensor]:
    """Images stacked; captions padded to the longest, with a mask that follows from their lengths."""
    longest = max(len(example["tokens"]) for example in examples)
    tokens = np.full((len(examples), longest), pad, np.int64)
    mask = np.zeros_like(tokens)
    for row, example in enumerate(examples):
        length = len(example["tokens"])
        tokens[row, :length], mask[row, :length] = example["tokens"], 1
    images = torch.from_numpy(np.stack([example["pixels"] for example in examples]))
    return {"images": images, "tokens": torch.from_numpy(tokens), "mask": torch.from_numpy(mask)}


def targets(examples: Sequence[Example]) -> int:
    """Tokens that are predicted: all but the first of each caption.

    Example:
        >>> targets([{"tokens": np.arange(4)}, {"tokens": np.arange(2)}])
        4
    """
    return sum(len(example["tokens"]) - 1 for example in examples)
