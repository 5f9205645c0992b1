"""Any good: judges that compare sizes fairly. `JUDGES` is read, not registered into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from keel.errors import StudyError

if TYPE_CHECKING:
    from keel.evaluate.exam import Exam

JUDGES: Mapping[str, str] = {
    "bits_per_byte": "keel.evaluate.exam:causal",
    "masked_bits_per_byte": "keel.evaluate.exam:masked",
    "replaced_bits_per_byte": "keel.evaluate.exam:replaced",
    "target_bits_per_byte": "keel.evaluate.exam:target",
    "masked_caption_bits_per_byte": "keel.evaluate.exam:captions",
    "class_nats": "keel.evaluate.exam:classes",
    "probe_nats": "keel.evaluate.exam:probe",
    "pixel_error": "keel.evaluate.exam:pixels",
    "retrieval_nats": "keel.evaluate.exam:retrieved",
    "caption_bits_per_byte": "keel.evaluate.exam:writing",
}
# Held-out samples that a judge reads, those whose keys have the least digests; of others it reads all.
MOST: Mapping[str, int] = {
    "retrieval_nats": 1000, "masked_caption_bits_per_byte": 1000, "caption_bits_per_byte": 1000,
}  # fmt: skip
# The fields of a result that a judge fills.
TEXT_FIELDS = ("loss_nats_per_token", "bits_per_byte", "standard_error")
FIELDS: Mapping[str, tuple[str, ...]] = {
    "class_nats": ("class_nats", "standard_error", "accuracy"),
    "probe_nats": ("probe_nats", "standard_error", "accuracy", "knn", "random", "probe"),
    "pixel_error": ("pixel_error", "standard_error", "floor"),
    "retrieval_nats": ("retrieval_nats", "standard_error", "own_temperature_nats", "candidates", "recall"),
    "caption_bits_per_byte": (*TEXT_FIELDS, "captions", "candidates", "recall"),
}


class Judged(Protocol):
    """What every judge finds: a value to compare sizes by, what knowing nothing reaches and in words, and all of it."""

    @property
    def value(self) -> float: ...

    @property
    def bar(self) -> float | None: ...

    @property
    def floor(self) -> str: ...

    def told(self) -> dict[str, Any]: ...


def unjudged(name: str) -> dict[str, None]:
    """The part of a result that a judge would have filled.

    Example:
        >>> unjudged("class_nats")
        {'class_nats': None, 'standard_error': None, 'accuracy': None}
    """
    return dict.fromkeys(FIELDS.get(name, TEXT_FIELDS))


def judge(name: str) -> Callable[[Exam], Judged]:
    """The judge of this name: a trained model and held-out data -> a judgement.

    Raises:
        StudyError: nobody has written it yet.
    """
    if name not in JUDGES:
        raise StudyError(f"there is no judge '{name}'", why=f"known: {', '.join(JUDGES)}",
                         fix="train with a loss that one of these judges, or judge the exported model yourself",
                         where="objective.facts")  # fmt: skip
    module, _, attribute = JUDGES[name].partition(":")
    found: Any = getattr(import_module(module), attribute)
    return found  # type: ignore[no-any-return]
