"""What a loss costs on a family and a size: exact FLOP a token of a run, without torch.

A run's tokens are positions that the model sees: steps x samples x context, whatever a loss does with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.model.shapes import SHAPES, Params, Precision, Size
from keel.objective.fact import Model
from keel.objective.facts import FACTS, Facts
from keel.objective.held import PASSES, facts_of
from keel.objective.work import flop

WEIGHT_BYTES = 4.0


def flop_per_token(loss: str, options: Mapping[str, Any], family: str, size: Size) -> float:
    """Training FLOP of a sample over its context.

    A loss that nobody has counted, or the user's own, is taken to have a target at every position.

    Example:
        >>> size = Size(width=64, layers=2, vocabulary=4096, context=128, head_width=8)
        >>> clm, mlm = (flop_per_token(loss, {}, "bert", size) for loss in ("clm", "mlm"))
        >>> round(clm / mlm, 2)
        2.33
    """
    shapes = SHAPES[family]
    shape = shapes.shape(size)
    facts = _known(loss, options)
    if facts is not None and facts.models is not None:
        models = facts.models(options, family, size)
        return sum(_flop(model, family) for model in models) / size.context
    beside = facts.beside(options, size.context) if facts is not None and facts.beside else 0.0
    if facts is None or facts.work is None:
        return shapes.flop_per_token(shape) + beside / size.context
    return (flop(shapes, shape, facts.work(options, size.context)) + beside) / size.context


def _flop(model: Model, family: str) -> float:
    """One sample through one of a loss's models."""
    shapes = SHAPES[model.family or family]
    found = flop(shapes, shapes.shape(model.size), model.work, model.head)
    return (found if model.trained else found / PASSES) + model.more


def head_of(loss: str, options: Mapping[str, Any], family: str, size: Size) -> str:
    """The head of the model that a run gives: on tokens, but for losses that say otherwise.

    Example:
        >>> size = Size(width=64, layers=2, vocabulary=4096, context=128, head_width=16)
        >>> head_of("mlm", {}, "bert", size), head_of("rtd", {}, "electra", size)
        ('tokens', 'replaced')
    """
    facts = _known(loss, options)
    return facts.models(options, family, size)[0].head if facts is not None and facts.models is not None else "tokens"


def params(loss: str, options: Mapping[str, Any], family: str, size: Size) -> Params:
    """Parameters of what a run gives, heads included: all towers of a pair; a generator beside it is not counted.

    Example:
        >>> size = Size(width=64, layers=2, vocabulary=4096, context=128, head_width=16)
        >>> params("rtd", {}, "electra", size).total < params("mlm", {}, "electra", size).total
        True
    """
    return Params(
        *(sum(part) for part in zip(*(_params(model, family) for model in given(loss, options, family, size))))
    )


def given(loss: str, options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """The models of what a run gives.

    Example:
        >>> size = Size(width=64, layers=2, vocabulary=4096, context=128, head_width=16)
        >>> [model.head for model in given("rtd", {}, "electra", size)]
        ['replaced']
    """
    return tuple(model for model in _models(loss, options, family, size) if model.given)


def _models(loss: str, options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    facts = _known(loss, options)
    if facts is None or facts.models is None:
        return (Model(head_of(loss, options, family, size), size, ()),)
    return facts.models(options, family, size)


def memory_bytes(
    loss: str, options: Mapping[str, Any], family: str, size: Size, batch_tokens: int, precision: Precision
) -> float:  # fmt: skip
    """Of training, a step at once: the sum over a loss's models, each with as many samples.

    Of a model that is not trained, its weights alone are kept; another pass through the same weights keeps its states.

    Example:
        >>> size = Size(width=64, layers=2, vocabulary=0, context=64, head_width=16, patch=8, classes=10)
        >>> one, two, ten = (memory_bytes(loss, {}, "vit", size, 2048, {"body": "fp32", "head": "fp32"})
        ...                  for loss in ("classify", "simclr", "dino"))
        >>> one < two < ten
        True
    """
    total = 0.0
    for model in _models(loss, options, family, size):
        shapes, tokens = SHAPES[model.family or family], batch_tokens * model.size.context // size.context
        if model.trained:
            shape = shapes.shape(model.size)
            held = shapes.memory_bytes(shape, 0, precision) if model.again else 0.0
            total += shapes.memory_bytes(shape, tokens, precision) - held
        else:
            total += WEIGHT_BYTES * _params(model, family).total
    return total


def _params(model: Model, family: str) -> Params:
    """Those of one of a loss's models; what belongs to no family is counted with its body."""
    shapes = SHAPES[model.family or family]
    found = shapes.params(shapes.shape(model.size), model.head)
    return found._replace(body=found.body + model.free_params)


def special_tokens(loss: str, options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """Roles that a tokenizer of keel's own must be given for this loss: it has the separator alone.

    Example:
        >>> special_tokens("clm", {}, 128), special_tokens("mlm", {}, 128)
        ((), ('mask', 'pad', 'start'))
    """
    facts = _known(loss, options)
    roles = facts.roles(options, context) if facts is not None else ()
    return tuple(role for role in dict.fromkeys(roles) if role != "separator")


def _known(loss: str, options: Mapping[str, Any]) -> Facts | None:
    """Facts of a loss of keel's own, or of the user's (reading module:Name takes torch); None where nobody knows."""
    return facts_of(loss, options) if loss in FACTS or ":" in loss else None
