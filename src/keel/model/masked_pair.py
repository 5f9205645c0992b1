"""What MaskVLM gives: two towers, the layers in which they read each other and their heads, a folder or a file of each.

    folder/image   the image tower with its projection, for `from_pretrained`
    folder/text    the text tower with its head on tokens, for `from_pretrained`
    folder/cross.safetensors   all that the library has no model for, and folder/cross.json with its sizes

Legend: B pairs, n patches, T positions, V vocabulary, e width of the shared space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from keel.errors import StudyError
from keel.files import read_json, write_json
from keel.model import families
from keel.model.cross import CrossEncoder
from keel.model.pair_heads import PairHeads
from keel.model.projection import Projection
from keel.model.shapes import Shape
from keel.model.trunk import HEADS, Trunk
from keel.model.vision import VisionTrunk

IMAGE, TEXT, CROSS, SIZES = "image", "text", "cross.safetensors", "cross.json"
SCHEMA = "keel.masked-pair/1"
FP32 = {"body": "fp32", "head": "fp32"}
BESIDE = ("image_reads", "text_reads", "heads", "projection", "scale")


@torch.no_grad()
def export(parts: Mapping[str, nn.Module], folder: Path) -> None:
    """Write all of it."""
    given: dict[str, Any] = dict(parts)
    given["model"].library.save_pretrained(folder / IMAGE)
    families.export(given["text"].library, folder / TEXT)
    state = {
        f"{part}.{name}": weight.detach().clone() for part in BESIDE for name, weight in parts[part].named_parameters()
    }  # fmt: skip
    save_file(state, folder / CROSS, {"format": "pt"})
    sizes = {name: asdict(given[name].shape) for name in ("image_reads", "text_reads")}
    write_json(folder / SIZES, SCHEMA, {**sizes, "patch": given["heads"].patch})


class MaskedPair:
    """What `export` wrote: features, hidden tokens filled in with the image in sight, and whether a pair matches.

    Raises:
        StudyError: there is no such export in the folder.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / SIZES).is_file():
            raise StudyError("no masked pair is here", why=f"{SIZES} is missing", where=str(folder),
                             fix="name the folder 'model' of a run with the loss maskvlm")  # fmt: skip
        sizes = read_json(folder / SIZES, SCHEMA)
        image: Any = transformers.CLIPVisionModelWithProjection
        text: Any = transformers.AutoModelForMaskedLM
        words = text.from_pretrained(folder / TEXT).eval()
        self.image: Any = VisionTrunk(image.from_pretrained(folder / IMAGE).eval(), FP32)
        self.text = Trunk(words, HEADS[words.config.model_type], FP32)
        shapes = {name: Shape(**{**sizes[name], "depths": ()}) for name in ("image_reads", "text_reads")}
        self.image_reads, self.text_reads = (CrossEncoder(shape, FP32).eval() for shape in shapes.values())
        seen, read = shapes["image_reads"].width, shapes["text_reads"].width
        self.heads = PairHeads(seen, read, int(sizes["patch"]))
        self.projection = Projection(read, self.image.library.config.projection_dim)
        state = load_file(folder / CROSS)
        for part in BESIDE[:-1]:
            getattr(self, part).load_state_dict(
                {name.removeprefix(f"{part}."): weight for name, weight in state.items() if name.startswith(f"{part}.")}
            )  # fmt: skip
        self.log_scale = state["scale.logit_scale"]

    def features(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Features of length 1 of images and of captions, (B, e) each."""
        seen = self.image.joint(self.image(pixel_values).pooled)
        read = self.projection(self.text(input_ids=input_ids, attention_mask=attention_mask)[:, 0])
        return normalize(seen, dim=-1), normalize(read, dim=-1)

    def filled(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Captions with masks in them -> logits (B, T, V), the whole image in sight."""
        masked = self.text(input_ids=input_ids, attention_mask=attention_mask)
        return self.text.logits(self.text_reads(masked, self._seen(pixel_values), attention_mask, None))

    def matched(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (B, 2): they do not, or do, belong together."""
        seen = self._seen(pixel_values)
        read = self.text(input_ids=input_ids, attention_mask=attention_mask)
        states = self.image_reads(seen, read, None, attention_mask), self.text_reads(read, seen, attention_mask, None)
        return self.heads.matched(*(state[:, 0] for state in states))

    def painted(self, pixel_values: Tensor, hidden: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Images with the patches `hidden` (B, n) replaced -> the values of all patches (B, n, 3 P^2)."""
        read = self.text(input_ids=input_ids, attention_mask=attention_mask)
        masked = self._seen(self.heads.blank(pixel_values, hidden))
        found: Tensor = self.heads(self.image_reads(masked, read, None, attention_mask)[:, 1:])
        return found

    def _seen(self, pixel_values: Tensor) -> Tensor:
        states = self.image(pixel_values)
        return torch.cat([states.pooled[:, None], states.patches], dim=1)
