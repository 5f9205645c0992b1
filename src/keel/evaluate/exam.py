"""What a judge is given, and the judges: each reads the held-out text with the forward pass of the library."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from keel.corpus.shards import Shards
from keel.corpus.vocabulary import Vocabulary
from keel.evaluate import bits_per_byte
from keel.evaluate import masked as filling
from keel.evaluate.bits_per_byte import Judgement


class Exam(NamedTuple):
    """A trained model (a Trunk), what its ids mean, the text, and the positions that it sees."""

    model: Any
    vocabulary: Vocabulary
    shards: Shards
    context: int


def causal(exam: Exam) -> Judgement:
    """Bits per byte of next-token prediction, in fp32: what a user who loads the model will find."""
    library = exam.model.library

    def logits_of(tokens: Tensor) -> Tensor:
        hidden = library.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        flat: Tensor = hidden.reshape(-1, hidden.shape[-1]) @ library.get_output_embeddings().weight.T
        return flat

    return bits_per_byte.judge(logits_of, exam.shards.heldout, exam.shards.heldout_bytes, exam.context)


def masked(exam: Exam) -> Judgement:
    """Bits per byte of filling in."""
    held = exam.shards.heldout
    return filling.judge(exam.model, exam.vocabulary, held, exam.shards.heldout_bytes, exam.context)
