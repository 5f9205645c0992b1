"""MaskVLM: a masked image is told from its whole caption, a masked caption from its whole image.

Legend: B pairs, n patches, T positions of captions, d width of the image's states, e of the text's, k = 3 P^2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from keel.corpus.vocabulary import Vocabulary
from keel.model import masked_pair
from keel.model.patches import patchify
from keel.model.shapes import Size
from keel.objective import facts_maskvlm
from keel.objective.base import Batch, Carry, Example, Features, Key, Part, Rows, Sample, Start, Stats, Sums
from keel.objective.contrastive import CLIP
from keel.objective.corrupt import corrupt
from keel.objective.draws import uniforms
from keel.objective.facts import FACTS, Facts
from keel.objective.masks import choose
from keel.objective.negatives import drawn, others
from keel.objective.text_towers import Fresh


class Both(Fresh):
    """A text encoder that sees both sides, with its head on tokens: the state of the start token is projected."""

    def parts(self, image: Size, start: Start, vocabulary: Vocabulary) -> dict[str, Part]:
        """The encoder and the layer behind it."""
        size = facts_maskvlm.text_size(self.at, image, vocabulary.size)
        across = Size(width=size.width, layers=1, vocabulary=0, context=1, head_width=size.width,
                      embedding_width=image.embedding_width)  # fmt: skip
        return {
            "text": Part(family=facts_maskvlm.TEXT, size=size, start=start),
            "projection": Part(family="projection", size=across, start=start, head="joint"),
        }

    def pad(self, vocabulary: Vocabulary) -> int:
        """Padding."""
        return vocabulary.id_of("pad")

    def export(self, parts: Mapping[str, nn.Module], folder: Path) -> None:
        """Each by itself: `model.masked_pair.MaskedPair` puts them together."""
        masked_pair.export(parts, folder)


class Seen(NamedTuple):
    """Both sides whole: states of an image (B, 1 + n, d), of a caption (B, T, e), and which tokens are no padding."""

    image: Tensor
    text: Tensor
    there: Tensor


class MaskVLM(CLIP):
    """L = L_mim + L_mlm + L_itc + L_itm, each with a weight of its own (1 unless said) and a mean over its own count.

        mim: sum over hidden patches of (1 / k) |x_hat - x|, the rest of the image and the whole caption in sight
        mlm: sum over hidden tokens of -ln p(x_t | the rest of the caption, the whole image)
        itc: CLIP's, on whole images and captions; all pairs of a step
        itm: -ln p(do they match?) of each pair, of its image with another caption, of its caption with another image

    The other ones are drawn among the pairs of a group whose captions differ, by the softmax of similarities: a draw
    hangs on seed, step and sample. Special tokens are never hidden (ALBEF's code hides [SEP] too). An image's hidden
    patches are learned values of pixels. Options: CLIP's; `image_rate`, `text_rate` (shares hidden); `mask`, `random`
    (what stands in place of a token); `cross_layers` (0: a quarter of the image tower's); `group` (pairs that stay
    together, among which negatives are drawn; ALBEF draws among a batch); a weight for each term.

    Ours, where the paper's text is not at hand: pre-norm layers between the sides, the depth of these, one linear layer
    on both first states for matches, values of pixels as they are scaled.

    Reference: Kwon et al. 2022, arXiv:2208.02131, section 3 (rates .6 and .3); Li et al. 2021, arXiv:2107.07651,
    section 3.2 (matches with hard negatives).
    """

    name: ClassVar[str] = "maskvlm"
    term = "itc"
    facts: ClassVar[Facts] = FACTS["maskvlm"]
    fills = "text"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.terms = ("mim", "mlm", "itc", "itm")

    def text_tower(self, at: Mapping[str, Any]) -> Both:
        """Its own."""
        return Both(at)

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """Both towers and the scale; layers in which each side reads the other; heads on pixels and matches."""
        found = dict(super().parts(family, size, start))
        seeing, reading = facts_maskvlm.cross_sizes(self.options, size, found["text"].size)
        heads = facts_maskvlm.heads_size(size, found["text"].size)
        return found | {
            "image_reads": Part(family=facts_maskvlm.CROSS, size=seeing, start=start, head="body"),
            "text_reads": Part(family=facts_maskvlm.CROSS, size=reading, start=start, head="body"),
            "heads": Part(family="pair-heads", size=heads, start=start, head="body"),
        }

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """CLIP's; which tokens and patches are hidden, and what the text tower reads in place of these tokens."""
        made, at = super().example(sample, rng), self.options
        tokens = made["tokens"]
        chosen = choose(tokens, rng, self.vocabulary, rate=at["text_rate"])
        inputs = corrupt(tokens, chosen, rng, self.vocabulary, mask=at["mask"], random=at["random"])
        patches = (made["pixels"].shape[-1] // sample.patch) ** 2
        hidden = np.zeros(patches, np.bool_)
        hidden[rng.permutation(patches)[: facts_maskvlm.hidden_patches(patches, at["image_rate"])]] = True
        return {**made, "chosen": chosen, "inputs": inputs, "hidden": hidden}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """CLIP's, with what is hidden of either side; how many negatives there are follows from the captions."""
        made = super().collate(examples, ids)
        tokens = made.tensors["tokens"]
        inputs, chosen = tokens.clone(), torch.zeros_like(tokens, dtype=torch.bool)
        for row, example in enumerate(examples):
            length = len(example["tokens"])
            inputs[row, :length] = torch.from_numpy(example["inputs"])
            chosen[row, :length] = torch.from_numpy(example["chosen"])
        hidden = torch.from_numpy(np.stack([example["hidden"] for example in examples]))
        with_others = int(others(made.tensors["digests"], self.facts.group).any(1).sum())
        counts = {
            "mim": int(hidden.sum()), "mlm": int(chosen.sum()), **made.counts, "itm": len(examples) + 2 * with_others,
        }  # fmt: skip
        return Batch({**made.tensors, "inputs": inputs, "chosen": chosen, "hidden": hidden}, counts, made.ids)

    def losses(
        self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key
    ) -> tuple[Sums, Features | None, Stats]:
        """Sums of what hangs on one pair or its group, and CLIP's features; stats: pairs that were matched right."""
        whole = self._whole(parts, batch)
        features = self._features(parts, batch, whole)
        text: Any = parts["text"]
        matched, right = self._matched(parts, batch, whole, features, key)
        filled = self._rows(parts, batch, whole)
        sums = {"mim": self._painted(parts, batch, whole), "mlm": text.nll(*filled), "itm": matched}
        return sums, features, {"matched": right}

    def features(self, parts: Mapping[str, nn.Module], batch: Batch, carry: Carry, key: Key) -> Features:
        """CLIP's, of whole images and captions."""
        return self._features(parts, batch, self._whole(parts, batch))

    def rows(self, parts: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Rows]:
        """The hidden tokens of captions, each with its whole image in sight."""
        return {"mlm": self._rows(parts, batch, self._whole(parts, batch))}

    def weights(self, step: int) -> Mapping[str, float]:
        """As the options say."""
        return {name.removesuffix("_weight"): float(self.options[name]) for name in facts_maskvlm.WEIGHTS}

    def _whole(self, parts: Mapping[str, nn.Module], batch: Batch) -> Seen:
        """Both sides, nothing hidden."""
        mask = batch.tensors["mask"]
        read = parts["text"](input_ids=batch.tensors["tokens"], attention_mask=mask)
        return Seen(_states(parts["model"](batch.tensors["images"])), read, mask)

    def _features(self, parts: Mapping[str, nn.Module], batch: Batch, whole: Seen) -> Features:
        image: Any = parts["model"]
        seen, read = image.joint(whole.image[:, 0]), parts["projection"](whole.text[:, 0])
        caption = batch.tensors["digests"]
        return {"image": normalize(seen, dim=-1), "text": normalize(read, dim=-1), "caption": caption}

    def _painted(self, parts: Mapping[str, nn.Module], batch: Batch, whole: Seen) -> Tensor:
        """The sum over hidden patches, told from the rest and the whole caption."""
        heads: Any = parts["heads"]
        images, hidden = batch.tensors["images"], batch.tensors["hidden"]
        masked = _states(parts["model"](heads.blank(images, hidden)))
        told = parts["image_reads"](masked, whole.text, None, whole.there)[:, 1:][hidden]
        wanted = patchify(images, heads.patch)[hidden]
        wrong: Tensor = (heads(told) - wanted.to(told.dtype)).abs()
        return wrong.mean(-1).sum()

    def _rows(self, parts: Mapping[str, nn.Module], batch: Batch, whole: Seen) -> Rows:
        """States of the hidden tokens, told from the rest and the whole image."""
        at = batch.tensors
        masked = parts["text"](input_ids=at["inputs"], attention_mask=at["mask"])
        told = parts["text_reads"](masked, whole.image, whole.there, None)
        return Rows(told[at["chosen"]], at["tokens"][at["chosen"]])

    def _matched(
        self, parts: Mapping[str, nn.Module], batch: Batch, whole: Seen, features: Features, key: Key
    ) -> tuple[Tensor, Tensor]:
        """The sum over pairs that belong together and those that do not, and how many are told right."""
        heads: Any = parts["heads"]
        image, text = self.pairs(parts, batch, features, key)
        seen, read, there = whole.image[image], whole.text[text], whole.there[text]
        states = parts["image_reads"](seen, read, None, there), parts["text_reads"](read, seen, there, None)
        logits = heads.matched(*(state[:, 0] for state in states))
        labels = (torch.arange(len(image), device=image.device) < len(batch.ids)).long()
        right = (logits.argmax(1) == labels).sum().to(logits.dtype)
        return cross_entropy(logits, labels, reduction="sum"), right

    def pairs(
        self, parts: Mapping[str, nn.Module], batch: Batch, features: Features, key: Key
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Places of images and of captions: all pairs, then images with another caption, then captions with another."""
        allowed = others(features["caption"], self.facts.group)
        has = allowed.any(1).nonzero().squeeze(1)
        with torch.no_grad():
            logits = parts["scale"](features["image"].detach() @ features["text"].detach().T)
        draws = uniforms(key, 2, logits.device)[has]
        text = drawn(logits[has], allowed[has], draws[:, 0])
        image = drawn(logits.T[has], allowed[has], draws[:, 1])
        every = torch.arange(len(allowed), device=logits.device)
        return torch.cat([every, has, image]), torch.cat([every, text, has])


def _states(states: Any) -> Tensor:
    """(B, 1 + n, d): that of the whole image first."""
    return torch.cat([states.pooled[:, None], states.patches], dim=1)
