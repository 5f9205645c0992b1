"""Models that know: doubles of the library's modules, over bytes, that answer as a truth says they should."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from keel.corpus.tokenizer import load, train
from keel.corpus.vocabulary import vocabulary_of
from keel.evaluate.tasks.subject import Subject

BYTES = train(["a"], 257)  # no merges: a token is a byte, the separator has id 0
SURE = 20.0


class Reader(nn.Module):
    """An encoder whose states are one-hot tokens, so that a text's mean is its bag of bytes."""

    def __init__(self, states: Tensor | None = None) -> None:
        super().__init__()
        self.table = torch.eye(257) if states is None else states
        self.seen: list[Tensor] = []

    @property
    def base_model(self) -> Reader:
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        self.seen.append(input_ids * attention_mask - (1 - attention_mask))
        return SimpleNamespace(last_hidden_state=self.table[input_ids])


class Writer(nn.Module):
    """A decoder that goes on from the text so far with what `truth` says comes next, or with nothing in mind."""

    def __init__(self, truth: Callable[[str], str]) -> None:
        super().__init__()
        self.truth, self.tokenizer = truth, load(BYTES)
        self.table, self.config = nn.Embedding(257, 1), SimpleNamespace(eos_token_id=0)
        self.generation_config = None

    def get_input_embeddings(self) -> nn.Embedding:
        return self.table

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool = False) -> Any:
        logits = torch.zeros(*input_ids.shape, 257)
        for row, (ids, size) in enumerate(zip(input_ids.tolist(), attention_mask.sum(1).tolist())):
            for last in range(1, size + 1):
                rest = self.truth(self.tokenizer.decode(ids[1:last]))
                if rest:
                    logits[row, last - 1, self.tokenizer.encode(rest[0]).ids[0]] = SURE
        return SimpleNamespace(logits=logits)

    def generate(self, input_ids: Tensor, attention_mask: Tensor, generation_config: Any) -> Tensor:
        for _ in range(generation_config.max_new_tokens):
            best = self(input_ids, torch.ones_like(input_ids)).logits[:, -1].argmax(1)
            input_ids = torch.cat([input_ids, best[:, None]], 1)
        return input_ids


def subject(library: Any, kind: str, context: int = 64) -> Subject:
    return Subject(library, load(BYTES), vocabulary_of(BYTES), kind, context, "an oracle")
