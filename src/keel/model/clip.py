"""Two towers and the scale between them as the library's one model, which a user will load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from keel.errors import StudyError
from keel.model.clip_text import ClipText
from keel.model.scale import Scale
from keel.model.vision import VisionTrunk


def joined(image: VisionTrunk, text: ClipText, scale: Scale) -> Any:
    """The library's CLIPModel with copies of the towers' weights; its logits are those of the loss.

    Raises:
        StudyError: the scale has a bias, for which the library's model of these towers has no place.
    """
    if scale.logit_bias is not None:
        raise StudyError("the library has no such model with a bias", why="its SigLIP has other towers: "
                         "no causal text, a pooler that attends", fix="export each tower by itself, and keep the scale "
                         "and the bias of the checkpoint beside them")  # fmt: skip
    vision, words = image.library.config, text.library.config
    config = transformers.CLIPConfig(
        text_config=words.to_dict(), vision_config=vision.to_dict(), projection_dim=vision.projection_dim
    )
    made: Any = transformers.CLIPModel(config)
    state = {**image.library.state_dict(), **text.library.state_dict(),
             "logit_scale": scale.logit_scale.detach()[0]}  # fmt: skip
    made.to(next(text.parameters()).dtype).load_state_dict(state)
    return made


@torch.no_grad()
def export(image: VisionTrunk, text: ClipText, scale: Scale, folder: Path) -> None:
    """Write the whole as the library itself would."""
    joined(image, text, scale).save_pretrained(folder)
