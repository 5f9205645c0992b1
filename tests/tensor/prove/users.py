"""A user's loss, and what goes wrong with losses: one broken in every way that a check is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from keel.objective.base import Batch, Objective, Sample, Window, stack
from keel.objective.facts import FACTS
from keel.objective.mlm import MLM


class Suffix(Objective):
    """-ln p of the tokens behind a random cut, given all before them."""

    facts = FACTS["clm"]

    def window(self, context: int) -> Window:
        return Window(context + 1, context)

    def example(self, sample: Sample, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        cut = rng.integers(len(sample.tokens) - 1)
        return {"tokens": sample.tokens, "wanted": np.arange(len(sample.tokens) - 1) >= cut}

    def collate(self, examples: Sequence[Any], ids: Sequence[int]) -> Batch:
        tokens, wanted = stack(examples, "tokens"), stack(examples, "wanted").bool()
        targets = tokens[:, 1:][wanted]
        tensors = {"inputs": tokens[:, :-1], "wanted": wanted, "targets": targets}
        return Batch(tensors, {"suffix": len(targets)}, tuple(ids))

    def losses(self, parts: Any, batch: Batch, carry: Any, key: Any) -> tuple[Any, None, Any]:
        hidden = parts["model"](input_ids=batch.tensors["inputs"])[batch.tensors["wanted"]]
        return {"suffix": parts["model"].nll(hidden, batch.tensors["targets"])}, None, {}


class Misnamed(Suffix):
    """contract: a sum that nobody counted."""

    def losses(self, *given: Any) -> tuple[Any, None, Any]:
        return {"sufix": super().losses(*given)[0]["suffix"]}, None, {}


class Mean(Suffix):
    """sums: divides by its own count."""

    def losses(self, parts: Any, batch: Batch, *given: Any) -> tuple[Any, None, Any]:
        sums = super().losses(parts, batch, *given)[0]
        return {name: term / batch.counts[name] for name, term in sums.items()}, None, {}


class AllPositions(Suffix):
    """counts: all positions, of which only some are targets."""

    def collate(self, examples: Sequence[Any], ids: Sequence[int]) -> Batch:
        made = super().collate(examples, ids)
        return Batch(made.tensors, {"suffix": made.tensors["inputs"].numel()}, made.ids)


class DividesByNothing(MLM):
    """empty: a mean, multiplied again; without a target that is 0 / 0."""

    def losses(self, parts: Any, batch: Batch, *given: Any) -> tuple[Any, Any, Any]:
        number = torch.tensor(float(batch.counts["mlm"]))
        sums, *_ = super().losses(parts, batch, *given)
        return {"mlm": sums["mlm"] / number * number}, None, {}


class AnyGenerator(Suffix):
    """randomness: cuts where numpy's global generator says."""

    def example(self, sample: Sample, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        return super().example(sample, np.random.default_rng(np.random.randint(1 << 30)))


class Dropout(Suffix):
    """randomness: torch's global generator, on the device."""

    def losses(self, parts: Any, batch: Batch, *given: Any) -> tuple[Any, None, Any]:
        sums = super().losses(parts, batch, *given)[0]
        return {"suffix": sums["suffix"] * torch.rand(())}, None, {}


class AnyToken(MLM):
    """statistics: separators and the start are hidden too."""

    def example(self, sample: Sample, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        made = dict(super().example(sample, rng))
        made["chosen"] = rng.random(len(made["tokens"])) < 0.15
        made["inputs"] = np.where(made["chosen"], self.vocabulary.id_of("mask"), made["tokens"])
        return made


class TwiceBack(Suffix):
    """gradient: doubled on its way back."""

    def losses(self, parts: Any, batch: Batch, *given: Any) -> tuple[Any, None, Any]:
        sums = super().losses(parts, batch, *given)[0]
        return {"suffix": 2 * sums["suffix"] - sums["suffix"].detach()}, None, {}


class Detached(Suffix):
    """gradient: the body gets none."""

    def losses(self, parts: Any, batch: Batch, *given: Any) -> tuple[Any, None, Any]:
        hidden = parts["model"](input_ids=batch.tensors["inputs"])[batch.tensors["wanted"]].detach()
        return {"suffix": parts["model"].nll(hidden, batch.tensors["targets"])}, None, {}


class OnPadding(Suffix):
    """padding: texts of unequal length, and the padding behind the short ones is predicted as well."""

    facts = FACTS["clm"]._replace(roles=lambda options, context: ("pad",))

    def example(self, sample: Sample, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        return {"tokens": sample.tokens[: 3 + sample.id % 17]}

    def collate(self, examples: Sequence[Any], ids: Sequence[int]) -> Batch:
        longest, pad = max(len(example["tokens"]) for example in examples), self.vocabulary.id_of("pad")
        padded = [np.pad(one["tokens"], (0, longest - len(one["tokens"])), constant_values=pad) for one in examples]
        wanted = [self.wanted(row, pad) for row in padded]
        return super().collate([{"tokens": row, "wanted": want} for row, want in zip(padded, wanted)], ids)

    def wanted(self, row: np.ndarray, pad: int) -> np.ndarray:
        return np.ones(len(row) - 1, bool)


class NotOnPadding(OnPadding):
    """The same, mended."""

    def wanted(self, row: np.ndarray, pad: int) -> np.ndarray:
        return row[1:] != pad


class BatchStatistics(Suffix):
    """invariance: states are centred over the micro-batch."""

    def losses(self, parts: Any, batch: Batch, *given: Any) -> tuple[Any, None, Any]:
        hidden = parts["model"](input_ids=batch.tensors["inputs"])
        centred = (hidden - hidden.mean(0))[batch.tensors["wanted"]]
        return {"suffix": parts["model"].nll(centred, batch.tensors["targets"])}, None, {}


class StateOfItsOwn(Suffix):
    """resume: a weight that grows with the steps of this process."""

    steps = 0

    def weights(self, step: int) -> Mapping[str, float]:
        return {"suffix": 1.0 + 0.1 * self.steps}

    def after_step(self, parts: Any, carry: Any, stats: Any, step: int) -> Any:
        self.steps += 1
        return carry


class Raises(Suffix):
    """contract: an exception of the user's own."""

    def losses(self, *given: Any) -> tuple[Any, None, Any]:
        return {"suffix": {}["nothing"]}, None, {}
