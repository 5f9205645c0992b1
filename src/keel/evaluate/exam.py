"""What a judge is given, and the judges: each reads the held-out text with the forward pass of the library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from keel.corpus.shards import Shards
from keel.corpus.vocabulary import SPECIAL, Vocabulary
from keel.evaluate import bits_per_byte, targets
from keel.evaluate import masked as filling
from keel.evaluate import replaced as detecting
from keel.evaluate.bits_per_byte import Judgement, unigram_bits_per_byte
from keel.objective.base import Objective, Sample


class Exam(NamedTuple):
    """A trained loss with its parts, the text, the positions that the model sees, and held-out samples of that loss.

    `heldout` is made as it is read; judges of a stream of text never read it.
    """

    parts: Mapping[str, Any]
    objective: Objective
    shards: Shards
    context: int
    heldout: Iterable[Sample] = ()

    @property
    def model(self) -> Any:
        """The Trunk that a run gives."""
        return self.parts["model"]

    @property
    def vocabulary(self) -> Vocabulary:
        """What its ids mean."""
        return self.objective.vocabulary


def causal(exam: Exam) -> Judgement:
    """Bits per byte of next-token prediction, in fp32: what a user who loads the model will find."""
    library, shards = exam.model.library, exam.shards

    def logits_of(tokens: Tensor) -> Tensor:
        hidden = library.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        flat: Tensor = hidden.reshape(-1, hidden.shape[-1]) @ library.get_output_embeddings().weight.T
        return flat

    found = bits_per_byte.judge(logits_of, shards.heldout, shards.heldout_bytes, exam.context, shards.separator)
    counts = shards.token_counts()
    return found._replace(bar=unigram_bits_per_byte(counts, shards.heldout, shards.heldout_bytes, shards.separator))


def masked(exam: Exam) -> Judgement:
    """Bits per byte of filling in."""
    held, size = exam.shards.heldout, exam.shards.heldout_bytes
    found = filling.judge(exam.model, exam.vocabulary, held, size, exam.context)
    asked = held[exam.vocabulary.kinds(held) != SPECIAL]
    return found._replace(bar=unigram_bits_per_byte(exam.shards.token_counts(), asked, size))


def replaced(exam: Exam) -> Judgement:
    """Bits per byte of telling replaced tokens."""
    shards = exam.shards
    return detecting.judge(
        exam.model, exam.vocabulary, shards.heldout, shards.heldout_bytes, exam.context, shards.token_counts()
    )  # fmt: skip


def target(exam: Exam) -> Judgement:
    """Bits per byte of what the loss has its model write."""
    shards = exam.shards
    known = targets.piece_bytes(exam.vocabulary)[shards.heldout].sum()
    scale = shards.heldout_bytes / known if known else 1.0
    return targets.judge(exam.parts, exam.objective, exam.heldout, shards.token_counts(), float(scale))
