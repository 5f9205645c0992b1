"""The frame of a ladder on images with captions: an image tower of each width, and a text beside it as wide."""

from __future__ import annotations

from collections.abc import Sequence

from keel.model.shapes.vision_check import patches_of
from keel.plan import captions
from keel.plan.frame import Inputs, seconds_of, vocabulary_row, widest, widths_of
from keel.plan.image_frame import sides_of, sizes_of, tell
from keel.plan.ladder import Frame
from keel.plan.losses import OPTIONS, loss_of
from keel.plan.recipe import Choices

AS_WIDE = "Zhai et al. 2023, arXiv:2303.15343: both towers and their space 768 wide (B), 1,152 (So400m)"


def frame_of(inputs: Inputs, choices: Choices) -> tuple[Frame, float]:
    """Sizes that fit the time, and the positions of one pass over the training images.

    Raises:
        StudyError: a vocabulary that was not measured; a side that patches do not fill; a loss that data cannot feed.
    """
    seen = inputs.corpus
    train_bytes = float(seen["captions"]["bytes"]) * float(seen["split"]["train_images"]) / float(seen["images"])
    row = vocabulary_row(seen["tokens"], train_bytes, choices)
    said = loss_of(inputs.study, choices, inputs.category, inputs.corpus)
    # A release's tokens were not counted here: its tower reads as many as the user says.
    counted = None if captions.release_of(said.name, said.options) else row
    loss = said._replace(options=captions.with_room(said.name, said.options, counted))
    captions.tell(choices, OPTIONS, said.options, loss.options, row)
    side, patch = sides_of(seen, choices)
    unique, tokens = float(seen["split"]["train_images"]) * patches_of(side, patch), int(row["vocabulary"])
    budget_s = seconds_of(inputs, choices)

    def frames(widths: Sequence[int]) -> tuple[Frame, float]:
        context = patches_of(side, patch)
        rows = captions.rows_of(loss.name, loss.options, context, tokens)
        sizes = sizes_of(choices, loss.family, widths, side, patch, vocabulary=rows)
        return Frame(loss.name, loss.options, loss.family, sizes, context, tokens), unique

    frame, _ = frames(widths_of(choices, widest(inputs, frames, budget_s), budget_s))
    if shared := [size.embedding_width for size in frame.sizes if size.embedding_width]:
        choices.pick("model.embedding_width", shared, formula="the width of the image tower", source=AS_WIDE)
    tell(choices, frame, seen, unique)
    return frame, unique
