"""`keel run --dry`: everything a run would need, built and checked, nothing trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from keel import model, objective
from keel.answer import Answer
from keel.corpus.look import source_of
from keel.corpus.store import Corpus, open_corpus, prepare
from keel.errors import StudyError
from keel.files import digest
from keel.model.shapes import SHAPES, Size
from keel.objective.cost import given
from keel.plan.spec import Spec, from_json
from keel.plan.verb import read_ladder, runs_of, stale
from keel.run import asked
from keel.run.batches import Batches
from keel.run.parts import ids_of, vocabulary_of
from keel.run.pictures import want_of
from keel.run.samples import samples_of
from keel.study import Study


def dry(folder: Path, study: Study) -> Answer:
    """Build each size on the meta device, hold its parameters against the plan's, and form one real batch.

    Raises:
        StudyError: all that would fail later.
    """
    made = read_ladder(folder)
    problems = stale(folder, study, made)
    if problems:
        raise StudyError.all(problems)
    asked.check(folder, study)
    items, corpora, source = runs_of(made), dict[str, Corpus](), source_of(folder, study)
    lines, counts = [], dict[str, dict[str, int]]()
    for item in items:
        spec, name = from_json(item["spec"], item["id"]), digest(item["spec"]["data"])
        if name not in corpora:
            corpora[name] = open_corpus(prepare(folder, source, spec.data))
        try:
            lines.append(f"{item['id']:<28} {_checked_params(item, spec, corpora[name]):>12,} parameters")
            if spec.objective not in counts:
                counts[spec.objective] = one_batch(spec, corpora[name])
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError.all(problems)
    lines += [f"one batch of {loss}: {', '.join(f'{count} {name} targets' for name, count in found.items())}"
              for loss, found in counts.items()]  # fmt: skip
    result = {"runs": len(items), "counts": counts[made["objective"]], "counts_of": counts}
    return Answer(result=result, text="\n".join(lines), reads=["plan.json"])


def one_batch(spec: Spec, corpus: Corpus) -> dict[str, int]:
    """The targets of the first batch, by term.

    Raises:
        StudyError: the loss's options are wrong, or the data cannot fill a batch.
    """
    context = int(spec.size["context"])
    loss = objective.load(spec.objective, spec.options, vocabulary_of(spec, corpus))
    shape = model.load(spec.family).shape(Size(**spec.size))
    samples = samples_of(loss, corpus, want_of(shape, spec.seed))
    batches = Batches(samples, spec.batch_tokens // context, spec.seed)
    return dict(batches.micro_batches(loss, 0, 0, 1, batches.batch)[0].counts)


def _checked_params(item: Mapping[str, Any], spec: Spec, corpus: Corpus) -> int:
    count, planned = _meta_params(spec, ids_of(vocabulary_of(spec, corpus))), item["params"]["total"]
    if count != planned:
        raise StudyError(f"{item['id']} would have {count} parameters", why=f"the plan says {planned}",
                         fix="plan again", where="plan.json")  # fmt: skip
    return count


def _meta_params(spec: Spec, ids: Mapping[str, Any]) -> int:
    """Parameters of all that a run gives, built without memory; tied tables count once."""
    total = 0
    for part in given(spec.objective, spec.options, spec.family, Size(**spec.size)):
        family = part.family or spec.family
        with torch.device("meta"):
            made = model.load(family).build(SHAPES[family].shape(part.size), spec.precision, 0, ids, part.head)
        total += part.free_params + sum(weight.numel() for weight in made.parameters())
    return total
