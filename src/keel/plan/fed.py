"""What the data can feed, and what a loss asks of them: labels too, where its models can be judged by nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.model.shapes import Size
from keel.objective.cost import head_of
from keel.objective.fact import Facts, Judge
from keel.objective.options import OPTIONS
from keel.study import Study

LABELS = "labels"
BY_LABELS: frozenset[Judge] = frozenset({"class_nats", "probe_nats"})
WHY_LABELS = (
    "models are compared by how well held-out labels are told: no value of a loss without labels compares sizes"
)


def fed_by(study: Study, corpus: Mapping[str, Any] | None = None) -> frozenset[str]:
    """The kind of the data, and labels where images have two classes or more; unmeasured, where the study names some.

    Example:
        >>> data = {"train": "a", "image": "file", "label": "folder"}
        >>> sorted(fed_by(Study.model_validate({"data": data})))
        ['images', 'labels']
        >>> sorted(fed_by(Study.model_validate({"data": data}), {"classes": {"count": 1}}))
        ['images']
    """
    named = study.data.label is not None and (corpus is None or classes_in(corpus) > 1)
    return frozenset({study.data.kind, LABELS} if named else {study.data.kind})


def classes_in(corpus: Mapping[str, Any]) -> int:
    """Classes that were counted."""
    return int((corpus.get("classes") or {}).get("count") or 0)


def asks(facts: Facts) -> frozenset[str]:
    """What a loss needs to be trained and judged."""
    return facts.needs | ({LABELS} if facts.judge in BY_LABELS else set())


def with_judge(loss: str, options: Mapping[str, Any], fed: frozenset[str]) -> Mapping[str, Any]:
    """Options of a loss that may be judged in two ways: by a probe of labels where there are some, unless it is said.

    Example:
        >>> with_judge("mae", {}, frozenset({"images", "labels"})), with_judge("mae", {}, frozenset({"images"}))
        ({'judged': 'probe'}, {})
    """
    known = OPTIONS[loss].defaults if loss in OPTIONS else {}
    if "judged" not in known or "judged" in options or LABELS not in fed:
        return options
    return {**options, "judged": "probe"}


def with_counts(options: Mapping[str, Any], facts: Facts, corpus: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Options that follow from the number of images to train on, unless they are said.

    Example:
        >>> from keel.objective.facts import FACTS
        >>> with_counts({}, FACTS["deepcluster"], {"split": {"train_images": 1280}}), with_counts({}, FACTS["mae"], {})
        ({'clusters': 10}, {})
    """
    open_ones = {name: rule for name, rule in facts.counted.items() if not options.get(name)}
    if not open_ones or corpus is None:
        return options
    images = int(corpus["split"]["train_images"])
    return {**options, **{name: rule.of(options, images) for name, rule in open_ones.items()}}


def classes_of(corpus: Mapping[str, Any], loss: str, options: Mapping[str, Any], family: str, size: Size) -> int:
    """Classes that a model of this loss tells apart: those of the images, none where it has no classifier."""
    return classes_in(corpus) if head_of(loss, options, family, size).endswith("classes") else 0
