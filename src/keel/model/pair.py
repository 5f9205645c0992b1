"""Two towers, a projection and the scale between them, where the library has no one model for them: a folder of each.

    folder/image   the image tower with its projection, for `from_pretrained`
    folder/text    the text tower, for `from_pretrained`
    folder/shared.safetensors   logit_scale, logit_bias and the text's projection, as far as there are any

Legend: n images, m captions, T positions, d width of the text's states, e width of the shared space.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from keel.errors import StudyError
from keel.model.projection import Projection
from keel.model.scale import Scale

IMAGE, TEXT, SHARED = "image", "text", "shared.safetensors"


@torch.no_grad()
def export(image: Any, text: Any, scale: Scale, folder: Path, projection: Projection | None = None) -> None:
    """Write the three."""
    image.library.save_pretrained(folder / IMAGE)
    text.library.save_pretrained(folder / TEXT)
    shared = {name: weight.detach().clone() for name, weight in scale.named_parameters()}
    if projection is not None:
        shared["text_projection"] = projection.onto.weight.detach().clone()
    save_file(shared, folder / SHARED, {"format": "pt"})


def mean_of(states: Tensor, mask: Tensor) -> Tensor:
    """(m, T, d) and a mask (m, T) -> (m, d): the mean over tokens that are there.

    Example:
        >>> mean_of(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[1, 1, 0]])).tolist()
        [[2.0]]
    """
    there = mask.to(states.dtype).unsqueeze(-1)
    return (states * there).sum(1) / there.sum(1)


class Pair:
    """What `export` wrote, in the library's own classes.

    Raises:
        StudyError: there is no such export in the folder.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / SHARED).is_file():
            raise StudyError("no towers are here", why=f"{SHARED} is missing", where=str(folder),
                             fix="name the folder 'model' of a run on pairs")  # fmt: skip
        self.shared: Mapping[str, Tensor] = load_file(folder / SHARED)
        tower: Any = transformers.CLIPVisionModelWithProjection
        self.images: Any = tower.from_pretrained(folder / IMAGE).eval()
        config = transformers.AutoConfig.from_pretrained(folder / TEXT)
        kind = getattr(transformers, config.architectures[0])
        # Nothing stands behind the states; the library would draw a pooler where its class has one.
        bare = {"add_pooling_layer": False} if "add_pooling_layer" in signature(kind).parameters else {}
        self.texts: Any = kind.from_pretrained(folder / TEXT, **bare).eval()

    def image(self, pixel_values: Tensor) -> Tensor:
        """(n, 3, H, H) -> features of length 1 (n, e)."""
        return normalize(self.images(pixel_values).image_embeds, dim=-1)

    def text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Ids and mask (m, T) -> features of length 1 (m, e)."""
        out = self.texts(input_ids=input_ids, attention_mask=attention_mask)
        if (across := self.shared.get("text_projection")) is None:
            return normalize(out.text_embeds, dim=-1)
        return normalize(mean_of(out.last_hidden_state, attention_mask) @ across.T, dim=-1)

    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """(n, e) and (m, e) -> (n, m): exp(logit_scale) s + logit_bias."""
        made = images @ texts.T * self.shared["logit_scale"].exp()
        return made + self.shared["logit_bias"] if "logit_bias" in self.shared else made
