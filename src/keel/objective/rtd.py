"""Replaced token detection (ELECTRA): a small generator fills the masks, the model tells which tokens it made up.

Legend: B samples, T positions, n chosen positions, m judged ones, d width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from keel.corpus.vocabulary import SPECIAL
from keel.model.shapes import Size
from keel.model.sharing import disentangle, tie
from keel.objective.base import (
    Batch,
    Carry,
    Example,
    Features,
    Key,
    Objective,
    Part,
    Scratch,
    Start,
    Stats,
    Sums,
    stack,
)
from keel.objective.draws import categorical, uniforms
from keel.objective.facts import FACTS, Facts
from keel.objective.heads import check_head
from keel.objective.mlm import MLM
from keel.objective.options import OPTIONS, Known
from keel.objective.trained import generator_size


def _apart(model: Any, generator: Any) -> None:
    """Each has tables of its own."""


def _tied(model: Any, generator: Any) -> None:
    tie(generator, model)


def _disentangled(model: Any, generator: Any) -> None:
    disentangle(model, generator)


SHARING: Mapping[str, Callable[[Any, Any], None]] = {"tied": _tied, "none": _apart, "gdes": _disentangled}
OPTIMISERS: Mapping[int, tuple[str, str]] = {1: ("main", "main"), 2: ("discriminator", "generator")}


class RTD(MLM):
    """L = L_mlm(generator) + `weight` L_rtd, each mean over its own count.

        x' = x with each chosen token drawn from the generator's softmax there (T = 1, no gradient through the draw)
        L_rtd = sum over ordinary t of -ln p(y_t | x'),  y_t = 1 where x'_t differs from x_t, else 0

    A draw that hits the token itself is no replacement: its label is 0. Special tokens, which are never replaced, are
    not judged (ELECTRA judges all that is not padding). "model" is the discriminator, and what a run gives.

    Options: those of MLM, with every chosen token masked (`mask` 1): so the paper says; the released code masks 85 % of
    them and leaves the rest, which `mask` .85 does, and draws positions with replacement, which leaves 14 % of 15 %
    (this does not). `generator_width` is its share of heads, one at least, each as wide; `generator_depth` its share of
    layers. `sharing`: "tied" tables of tokens and positions, "none", or "gdes" (see `rtd_v3`). `optimisers`: 1, or 2
    with a clipping of their own; a tied table is moved by the discriminator's. `enhanced`: the generator has DeBERTa's
    mask decoder.

    Reference: Clark et al. 2020, arXiv:2003.10555, sections 2 and 3.2 (weight 50, widths 1/4 to 1/2).
    """

    name: ClassVar[str] = "rtd"
    facts: ClassVar[Facts] = FACTS["rtd"]
    terms = ("mlm", "rtd")
    rows = Objective.rows  # "model" tells tokens apart and predicts none
    known: ClassVar[Known] = OPTIONS["rtd"]

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """The discriminator, and a generator of the same family; a discriminator's folder holds no generator.

        Raises:
            StudyError: the family has no such head, or no generator of that size.
        """
        at = self.options
        ours, theirs = OPTIMISERS[at["optimisers"]]
        head = "enhanced" if at["enhanced"] else "tokens"
        for needed in ("replaced", head):
            check_head(self.name, family, needed)
        first = start if start.kind in ("scratch", "branch") else Scratch()
        return {
            "model": Part(family=family, size=size, start=start, head="replaced", optimiser=ours),
            "generator": Part(
                family=family, size=generator_size(at, family, size), start=first, head=head, optimiser=theirs
            ),
        }

    def join(self, parts: dict[str, nn.Module]) -> dict[str, nn.Module]:
        """Share the tables of tokens and positions as `sharing` says."""
        model: Any = parts["model"]
        generator: Any = parts["generator"]
        SHARING[self.options["sharing"]](model.library, generator.library)
        return parts

    def weights(self, step: int) -> Mapping[str, float]:
        """The discriminator's weight: a step of two Adams barely feels it, but through clipping and epsilon."""
        return {"rtd": float(self.options["weight"])}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Beside MLM's: the text as it was, and which of its tokens are judged."""
        made = super().collate(examples, ids)
        tokens = stack(examples, "tokens")
        judged = torch.from_numpy(self.vocabulary.kind != SPECIAL)[tokens]
        counts = {**made.counts, "rtd": int(judged.sum())}
        return Batch({**made.tensors, "tokens": tokens, "judged": judged}, counts, made.ids)

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sums of both terms; `replaced` counts the tokens that are not the text's."""
        generator: Any = parts["generator"]
        at = batch.tensors
        hidden = generator(input_ids=at["inputs"]).flatten(0, 1)[at["places"]]
        draws = uniforms(key, at["inputs"].shape[1], hidden.device).flatten()[at["places"]]
        found = self.detect(parts, batch, categorical(generator, hidden, draws))
        return {"mlm": generator.nll(hidden, at["targets"]), "rtd": found[0]}, None, {"replaced": found[1]}

    def detect(self, parts: Mapping[str, nn.Module], batch: Batch, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """The discriminator's sum and the number of replaced tokens, for tokens `drawn` (n,) at the chosen places."""
        model: Any = parts["model"]
        at = batch.tensors
        shown = at["tokens"].flatten().index_copy(0, at["places"], drawn).view_as(at["tokens"])
        labels = replaced(shown, at["tokens"])[at["judged"]]
        logits = model.replaced(model(input_ids=shown))[at["judged"]]
        total = binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="sum")
        return total, labels.sum().to(logits.dtype)


def replaced(shown: Tensor, tokens: Tensor) -> Tensor:
    """Labels: true where what is shown is not the text's, whatever was chosen or drawn."""
    return shown != tokens
