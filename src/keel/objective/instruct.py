"""Instructions: a prompt is read, its answer is learnt; many tasks in many templates, as continued training.

Legend: B rows, T positions of the longest, n targets in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from keel.errors import StudyError
from keel.model.shapes import FEATURES, Size
from keel.objective.base import Batch, Example, Part, Rows, Sample, Start, Window
from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS
from keel.objective.packing import blocks_mask, pack
from keel.objective.prefix_lm import KINDS
from keel.objective.room import text_room
from keel.objective.seq2seq import Seq2Seq


class Instruct(Seq2Seq):
    """L = sum over the answer and its end token of -ln p(y_t | y_<t, prompt), in nats; the prompt is given.

    `stacks` 1: a decoder reads separator, prompt, answer, each document seeing itself alone; `packed`: several share a
    row, padded to the longest either way, which changes the time and not the loss. 2: an encoder reads the prompt, a
    decoder writes the answer, padded (`packed` is of one stack only). `cap`: the most examples of a task in a round, 0
    for none (`corpus.instructions.slots`). `too_long`: what becomes of pairs longer than the context: refuse, or leave
    out.

    Reference: Wei et al. 2021, arXiv:2109.01652, section 2; Chung et al. 2022, arXiv:2210.11416, section 2.2 (loss on
    the target alone).

    Raises:
        StudyError: an option is unknown or has no such value; all of them.
    """

    facts: ClassVar[Facts] = FACTS["instruct"]
    terms = ("instruct",)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.options = OPTIONS["instruct"].checked(self.options, "instruct")

    def parts(self, family: str, size: Size, start: Start) -> Mapping[str, Part]:
        """One model, with as many stacks as were asked for.

        Raises:
            StudyError: a family of another kind; rows that hold several documents where positions cannot begin anew.
        """
        features, stacks = FEATURES[family], self.options["stacks"]
        if features.kind != KINDS[stacks]:
            fits = [each for each in self.facts.families if FEATURES[each].kind == KINDS[stacks]]
            raise StudyError(f"stacks is {stacks}", why=f"a {family} is one of kind '{features.kind}'",
                             fix=f"set stacks to {3 - stacks}, or choose {', '.join(fits)}",
                             where="model.family")  # fmt: skip
        if stacks == 1 and self.options["packed"] and not (features.rotary or features.position_offset is not None):
            raise StudyError(f"documents cannot share a row of a {family}", where="options.packed",
                             why="its attention counts positions along the row, across documents",
                             fix="set packed to false, or choose llama, gpt2 or opt")  # fmt: skip
        return super().parts(family, size, start)

    def window(self, context: int) -> Window:
        """Tokens of prompt and answer together (one stack) or of either (two), beside one special token."""
        text = text_room(context, 1)
        return Window(text, text)

    def example(self, sample: Sample, rng: np.random.Generator) -> Example:
        """One pair; of one stack the targets stand at the end of its row.

        Raises:
            StudyError: the sample is one text.
        """
        if sample.second is None:
            raise StudyError(f"sample {sample.id} has no answer", why="it is one text and not a prompt and its answer",
                             fix="write the data with keel.corpus.instructions.write", where="[data]")  # fmt: skip
        prompt, answer = (np.asarray(text, np.int64) for text in (sample.tokens, sample.second))
        if self.options["stacks"] == 2:
            return self.pack(prompt, answer)
        end = self.vocabulary.id_of("separator")
        return {"inputs": np.concatenate([[end], prompt, answer]), "targets": np.append(answer, end)}

    def collate(self, examples: Sequence[Example], ids: Sequence[int]) -> Batch:
        """One stack: documents in rows as long as the longest, with the number and the place of each token's own."""
        if self.options["stacks"] == 2:
            return super().collate(examples, ids)
        lengths = [len(example["inputs"]) for example in examples]
        width = max(lengths)
        rows = pack(lengths, width) if self.options["packed"] else [[place] for place in range(len(examples))]
        inputs = torch.full((len(rows), width), self.vocabulary.id_of("separator"))
        document = torch.full((len(rows), width), len(examples))
        position = torch.zeros((len(rows), width), dtype=torch.int64)
        places, targets = [], []
        for row, members in enumerate(rows):
            first = 0
            for member in members:
                tokens, answer = (torch.from_numpy(examples[member][name]) for name in ("inputs", "targets"))
                last = first + len(tokens)
                inputs[row, first:last], document[row, first:last] = tokens, member
                position[row, first:last] = torch.arange(len(tokens))
                places.append(row * width + torch.arange(last - len(answer), last))
                targets.append(answer)
                first = last
        tensors = {"inputs": inputs, "document": document, "position": position, "places": torch.cat(places),
                   "targets": torch.cat(targets)}  # fmt: skip
        return Batch(tensors, {"instruct": len(tensors["targets"])}, tuple(ids))

    def rows(self, parts: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Rows]:
        """The states before each token of an answer."""
        if self.options["stacks"] == 2:
            return super().rows(parts, batch)
        model, at = parts["model"], batch.tensors
        hidden = model(input_ids=at["inputs"], **self._apart(model, at))
        return {"instruct": Rows(hidden.flatten(0, 1)[at["places"]], at["targets"])}

    def _apart(self, model: nn.Module, at: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What keeps documents of a row apart; padding behind the only one needs nothing."""
        if not self.options["packed"]:
            return {}
        dtype = next(model.parameters()).dtype
        return {"attention_mask": blocks_mask(at["document"], dtype), "position_ids": at["position"]}
