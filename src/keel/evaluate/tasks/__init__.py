"""The user's tasks: a model and labelled rows -> a measure with its interval, and beside it what knows no model.

`TASKS` is read, not registered into. Each task is a function of a model as it is asked (a `Subject` reads texts, a
`Seen` sees images) and rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from keel.errors import StudyError

TASKS: Mapping[str, str] = {
    "probe": "keel.evaluate.tasks.probe:probe",
    "fine-tune": "keel.run.tune:fine_tune",  # it trains, so it stands with what trains
    "tagging": "keel.evaluate.tasks.tagging:tagging",
    "few-shot": "keel.evaluate.tasks.labels:few_shot",
    "retrieval": "keel.evaluate.tasks.retrieval:retrieval",
    "generation": "keel.evaluate.tasks.generation:generation",
    "translation": "keel.evaluate.tasks.generation:translation",
    "image-probe": "keel.evaluate.tasks.image_probe:image_probe",
    "image-fine-tune": "keel.run.tune:image_fine_tune",
    "zero-shot": "keel.evaluate.tasks.zero_shot:zero_shot",
    "image-retrieval": "keel.evaluate.tasks.image_retrieval:image_retrieval",
    "captioning": "keel.evaluate.tasks.captioning:captioning",
}
# What opens the model of a run, by what an evaluator sees.
SUBJECTS: Mapping[str, str] = {
    "texts": "keel.evaluate.tasks.subject:of_run",
    "images": "keel.evaluate.tasks.seen:of_run",
}


class Unfit(StudyError):
    """The model is of another kind than the task: nothing is damaged, and nothing will mend it."""
