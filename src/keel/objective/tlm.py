"""Translation language modelling: masked tokens of two texts that say the same, each a context of the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from keel.errors import StudyError
from keel.objective.base import Batch, Example, Rows, Sample, Window
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS, Known
from keel.objective.pairs import PairMLM, padded
from keel.objective.trained import BORDERS


class TLM(PairMLM):
    """L = sum over chosen t of -ln p(x_t | corrupted a, corrupted b), in nats; count = chosen tokens of both.

    start a separator b separator, masks on both. What the family has beside tokens is given: positions begin again with
    b (a table of absolute ones; relative and rotary ones see one text), a language for each token (XLM with
    `token_types` languages; the n-th of the option `languages`, or 0 and 1 by side where none are named), the side as
    token type. XLM itself puts its separator first too. Options: `languages`, and those of MLM.

    Reference: Lample and Conneau 2019, arXiv:1901.07291, section 3.3.
    """

    name: ClassVar[str] = "tlm"
    facts: ClassVar[Facts] = FACTS["tlm"]
    known: ClassVar[Known] = OPTIONS["tlm"]

    def window(self, context: int) -> Window:
        """The longest that each side may be."""
        most = (context - BORDERS) // 2
        return Window(most, most)

    def join(self, parts: dict[str, nn.Module]) -> dict[str, nn.Module]:
        """The model, if it has a row for each language.

        Raises:
            StudyError: it has fewer.
        """
        model: Any = parts["model"]
        needed, rows = max(2, len(self.options["languages"])), model.languages
        if 0 < rows < needed:
            raise StudyError(
                f"the model has rows for {rows} of {needed} languages", why="each token is given its own",
                fix=f"set model.token_types to {needed}, or to 0 for none", where="token_types",
            )  # fmt: skip
        return parts

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Both texts in one row, and the number of each token's language."""
        assert sample.second is not None, "a pair of texts"
        made = self.lay(sample.tokens, sample.second, rng)
        numbers = np.array(self._numbers(sample.languages))
        return {**made, "language": numbers[made["side"]]}

    def _numbers(self, languages: Sequence[str]) -> tuple[int, int]:
        known = list(self.options["languages"])
        if not known:
            return 0, 1
        missing = [name for name in languages if name not in known]
        if missing or len(languages) != 2:
            found = " and ".join(languages) or "not named"
            raise StudyError(f"the languages of a pair are {found}", why=f"known are {', '.join(known)}",
                             fix="name all languages of the corpus", where="options.languages")  # fmt: skip
        one, two = languages
        return known.index(one), known.index(two)

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """Rows padded at their ends."""
        made = super().collate(examples, ids)
        return Batch({**made.tensors, "language": padded(examples, "language", 0)}, made.counts, made.ids)

    def rows(self, parts: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Rows]:
        """The chosen positions of both texts."""
        model: Any = parts["model"]
        at = batch.tensors
        beside = model.beside(sides=at["side"], places=at["place"], languages=at["language"])
        hidden: torch.Tensor = model(input_ids=at["inputs"], attention_mask=at["attention_mask"], **beside)
        return {"mlm": Rows(hidden.flatten(0, 1)[at["places"]], at["targets"])}
