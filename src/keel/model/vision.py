"""Families that see images with their torch half: a shape and a seed -> a trunk with initial weights; and the way out.

Legend: B images, n patches, d width of the states, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn
from torch.nn.functional import linear

from keel.errors import Problem, StudyError, nearest
from keel.model import visible
from keel.model.head import DTYPES, nll_sum
from keel.model.shapes import VISION, Precision, Shape
from keel.model.shapes.vision_released import VISION_RELEASED
from keel.model.vision_configs import OURS, VISION_BUILDS
from keel.model.vision_init import initialise

POOLS = {"mean-classes": "mean"}


class States(NamedTuple):
    """States of the patches (B, n, d) and of the whole image (B, d), both behind the last norm, in fp32 at least."""

    patches: Tensor
    pooled: Tensor


def library(family: str, shape: Shape, *, head: str = "", given: Any = None) -> Any:
    """The library's module of a shape under a head, the family's first where none is named.

    Raises:
        StudyError: an unknown family or head, or a classifier of no class.

    Example:
        >>> from keel.model.shapes.vision_released import VISION_RELEASED
        >>> shape = VISION["vit"].shape(VISION_RELEASED["ViT-B/16"].size)
        >>> with torch.device("meta"):
        ...     sum(weight.numel() for weight in library("vit", shape).parameters())
        86567656
    """
    if found := list(_problems(family, shape, head)):
        raise StudyError.all(found)
    head = head or next(iter(VISION[family].heads))
    kind, made = _named(VISION_BUILDS[family].classes[head]), config(family, shape, head) if given is None else given
    bare = {"add_pooling_layer": False} if issubclass(kind, transformers.ViTModel) else {}
    return kind(made, **bare)


def config(family: str, shape: Shape, head: str) -> Any:
    """The library's config of a shape; where the class is ours, ours."""
    build = VISION_BUILDS[family]
    name = f"{OURS}OwnViTConfig" if build.classes[head].startswith(OURS) else build.config
    pool = {"pool": POOLS[head]} if head in POOLS else {}
    classes = {"num_labels": shape.classes} if VISION[family].heads[head] and shape.classes else {}
    return _named(name)(**build.fields(shape), **build.fixed, **pool, **classes)


def _named(name: str) -> Any:
    module, _, kind = name.rpartition(".")
    return getattr(import_module(module) if module else transformers, kind)


def _problems(family: str, shape: Shape, head: str) -> Iterator[Problem]:
    if family not in VISION:
        yield Problem(f"unknown family '{family}'", "no such architecture here sees images", nearest(family, VISION),
                      "family")  # fmt: skip
        return
    heads = VISION[family].heads
    if head and head not in heads:
        yield Problem(f"a {family} has no head '{head}'", f"it has {', '.join(heads)}",
                      "choose another family or objective", "head")  # fmt: skip
    elif (head or next(iter(heads))).endswith("classes") and shape.classes < 2:
        yield Problem(f"classes is {shape.classes}", "a classifier chooses between two at least",
                      "give the number of classes, or take the head 'body'", "classes")  # fmt: skip


class VisionTrunk(nn.Module):
    """Pixels (B, 3, H, H) -> states; logits of the classes in fp32 at least."""

    def __init__(self, library: Any, precision: Precision) -> None:
        super().__init__()
        self.library = library
        self.placed = hasattr(library.config, "patch_size") and hasattr(library.config, "num_attention_heads")
        self.body_dtype, self.head_precision = DTYPES[precision["body"]], precision["head"]

    def forward(self, pixel_values: Tensor, seen: Tensor | None = None) -> States:
        """States behind the last norm; of a ViT, with `seen` (B, m), those of the patches at these places alone."""
        mixed = self.body_dtype != torch.float32
        pixel_values = pixel_values.to(next(self.parameters()).dtype)
        with torch.autocast(pixel_values.device.type, dtype=self.body_dtype, enabled=mixed):
            found = self.plain(pixel_values) if seen is None else self._some(pixel_values, seen)
        return States(*(state.float() for state in found)) if mixed else found

    def _some(self, pixel_values: Tensor, seen: Tensor) -> States:
        hidden = visible.hidden_of(self.library.base_model, pixel_values, seen)
        return States(hidden[:, 1:], hidden[:, 0])

    def plain(self, pixel_values: Tensor) -> States:
        """States in the weights' own precision."""
        # Networks of stages take any side; the others have a vector for each place of a side of their own.
        side = getattr(self.library.config, "image_size", pixel_values.shape[-1])
        other = {"interpolate_pos_encoding": True} if self.placed and side != pixel_values.shape[-1] else {}
        out = self.library.base_model(pixel_values, **other)
        hidden: Tensor = out.last_hidden_state
        pooled: Any = getattr(out, "pooler_output", None)
        if hidden.dim() == 4:
            return States(hidden.flatten(2).transpose(1, 2), pooled.flatten(1))
        patches = hidden[:, 1:]
        if pooled is None:
            pooled = patches.mean(1) if getattr(self.library.config, "pool", "cls") == "mean" else hidden[:, 0]
        return States(patches, pooled)

    @property
    def classifier(self) -> nn.Linear:
        """The layer d -> C."""
        found = self.library.classifier
        last = found[-1] if isinstance(found, nn.Sequential) else found
        assert isinstance(last, nn.Linear), "this model has no classifier"
        return last

    def joint(self, pooled: Tensor) -> Tensor:
        """(B, d) -> (B, e): a tower's states in the space that it shares with text."""
        found: Tensor = self.library.visual_projection(pooled)
        return found

    def logits(self, pooled: Tensor) -> Tensor:
        """(B, d) -> (B, C), in fp32 at least."""
        return linear(pooled, self.classifier.weight, self.classifier.bias)

    def nll(self, pooled: Tensor, labels: Tensor) -> Tensor:
        """Sum of -ln p(label) over images (B, d) and labels (B,), in nats."""
        return nll_sum(pooled, self.classifier.weight, labels, self.head_precision, self.classifier.bias)


class Vision:
    """A family by name: shape, parameters and FLOP (no torch), and build, export."""

    def __init__(self, name: str) -> None:
        self.name, shapes = name, VISION[name]
        self.shape, self.params, self.flop_per_token = shapes.shape, shapes.params, shapes.flop_per_token

    def build(
        self, shape: Shape, precision: Precision, seed: int, ids: Mapping[str, int | None] | None = None,
        head: str = "", given: Any = None,
    ) -> VisionTrunk:  # fmt: skip
        """Fresh weights from `seed`; images have no special tokens, so `ids` say nothing here."""
        trunk = VisionTrunk(self.module(shape, head, ids, given), precision)
        initialise(trunk.library, seed)
        return trunk

    def module(
        self, shape: Shape, head: str = "", ids: Mapping[str, int | None] | None = None, given: Any = None
    ) -> Any:
        """The library's own module."""
        return library(self.name, shape, head=head, given=given)

    def export(self, trunk: VisionTrunk, folder: Path) -> None:
        """Write weights and config as the library itself would."""
        trunk.library.save_pretrained(folder)


def table() -> Iterator[str]:
    """Every released model of images: family, size, pixels / patch, our count, the library's count of its module."""
    yield f"{'model':<40}{'family':<17}{'d x L':>10}{'pixels':>12}{'ours':>16}{'library':>16}"
    for name, (family, size, _, head) in VISION_RELEASED.items():
        shape = VISION[family].shape(size)
        with torch.device("meta"):
            theirs = sum(weight.numel() for weight in library(family, shape, head=head).parameters())
        pixels = f"{shape.image} / {shape.patch}"
        yield (f"{name:<40}{family:<17}{f'{size.width} x {size.layers}':>10}{pixels:>12}"
               f"{VISION[family].params(shape, head).total:>16,}{theirs:>16,}")  # fmt: skip
