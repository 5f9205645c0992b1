"""Tables that two encoders share: one and the same, or apart by a difference that one of them learns (GDES)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import embedding

# Tables in the library's `embeddings` that the sources share; token types are each model's own.
TABLES = ("word_embeddings", "position_embeddings")


class Disentangled(nn.Embedding):
    """E_D = stopgrad(E_G) + delta, delta = 0 at first: what E_D's loss asks for moves delta alone.

    `weight` is delta; the source is looked at and never owned, so it stays out of `parameters()`.

    Reference: He et al. 2021, arXiv:2111.09543, section 3.2.3.
    """

    def __init__(self, source: nn.Embedding) -> None:
        rows, width = source.weight.shape
        super().__init__(rows, width, device=source.weight.device, dtype=source.weight.dtype)
        nn.init.zeros_(self.weight)
        self._source = (source,)

    def forward(self, input: Tensor) -> Tensor:
        """Rows of stopgrad(E_G) + delta."""
        return embedding(input, self._source[0].weight.detach()) + embedding(input, self.weight)

    def whole(self) -> Tensor:
        """E_G + delta as one table, for a model that goes on alone."""
        return self._source[0].weight.detach() + self.weight.detach()


def shared(library: Any, other: Any) -> list[str]:
    """Which tables both have."""
    mine, others = library.base_model.embeddings, other.base_model.embeddings
    return [
        name for name in TABLES if getattr(mine, name, None) is not None and getattr(others, name, None) is not None
    ]


def tie(library: Any, source: Any) -> None:
    """Give `library` the tables of `source`, its output table too where that is tied to them."""
    for name in shared(library, source):
        table = getattr(source.base_model.embeddings, name).weight
        _replace(library, getattr(library.base_model.embeddings, name).weight, table)


def disentangle(library: Any, source: Any) -> None:
    """Let the tables of `library` be those of `source` plus a difference of its own.

    A table's difference is learnt where that table is read; the output table of `library` must not be tied to it.
    """
    for name in shared(library, source):
        table = Disentangled(getattr(source.base_model.embeddings, name))
        setattr(library.base_model.embeddings, name, table)


def fold(library: Any) -> dict[str, Tensor]:
    """The state of `library` with each difference added to its source: what a stranger can load."""
    state: dict[str, Tensor] = library.state_dict()
    whole = {f"{name}.weight": part.whole() for name, part in library.named_modules() if isinstance(part, Disentangled)}
    return state | whole


def _replace(library: nn.Module, old: Tensor, new: nn.Parameter) -> None:
    """Put `new` wherever `old` stands."""
    assert old.shape == new.shape, "tables of one shape"
    for part in library.modules():
        for name, weight in part.named_parameters(recurse=False):
            if weight is old:
                setattr(part, name, new)
