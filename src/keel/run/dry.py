"""`keel run --dry`: everything a run would need, built and checked, nothing trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from keel import objective
from keel.answer import Answer
from keel.corpus.look import source_of
from keel.corpus.shards import open_shards, prepare
from keel.errors import Problem, StudyError
from keel.model.families import library
from keel.model.shapes import SHAPES, Size
from keel.objective.cost import head_of
from keel.plan.spec import Spec, from_json
from keel.plan.verb import read_plan, stale
from keel.run.batches import Batches
from keel.run.parts import ids_of, vocabulary_of
from keel.run.samples import samples_of
from keel.study import Study


def dry(folder: Path, study: Study) -> Answer:
    """Build each size on the meta device, hold its parameters against the plan's, and form one real batch.

    Raises:
        StudyError: all that would fail later.
    """
    made = read_plan(folder)
    problems = stale(folder, study, made)
    if problems:
        raise StudyError.all(problems)
    shards = open_shards(prepare(folder, source_of(folder, study), made))
    lines = []
    for item in made["experiments"]:
        spec = from_json(item["spec"], item["id"])
        count = _meta_params(spec, ids_of(vocabulary_of(spec, shards)))
        if count != item["params"]["total"]:
            planned = item["params"]["total"]
            problems.append(Problem(f"{item['id']} would have {count} parameters", f"the plan says {planned}",
                                    "plan again", "plan.json"))  # fmt: skip
        lines.append(f"{item['id']:<28} {count:>12,} parameters")
    spec = from_json(made["experiments"][0]["spec"])
    context = int(spec.size["context"])
    loss = objective.load(spec.objective, spec.options, vocabulary_of(spec, shards))
    batches = Batches(samples_of(loss, shards, context), spec.batch_tokens // context, spec.seed)
    batch = batches.micro_batches(loss, 0, 0, 1, batches.batch)[0]
    lines.append(f"one batch: {', '.join(f'{count} {name} targets' for name, count in batch.counts.items())}")
    if problems:
        raise StudyError.all(problems)
    return Answer(
        result={"runs": len(made["experiments"]), "counts": dict(batch.counts)},
        text="\n".join(lines),
        reads=["plan.json"],
    )


def _meta_params(spec: Spec, ids: Mapping[str, Any]) -> int:
    """Parameters of the library's own model, built without memory; tied tables count once."""
    size = Size(**spec.size)
    head = head_of(spec.objective, spec.options, spec.family, size)
    with torch.device("meta"):
        made = library(spec.family, SHAPES[spec.family].shape(size), head=head, **ids)
    return sum(weight.numel() for weight in made.parameters())
