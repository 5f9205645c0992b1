"""The user's tasks: a model and labelled rows -> a measure with its interval, and beside it a linear bag of words.

`TASKS` is read, not registered into. Each task is a function of a `Subject` (a model as it is asked) and rows.
"""

from __future__ import annotations

from collections.abc import Mapping

TASKS: Mapping[str, str] = {
    "probe": "keel.evaluate.tasks.probe:probe",
    "fine-tune": "keel.run.tune:fine_tune",  # it trains, so it stands with what trains
    "tagging": "keel.evaluate.tasks.tagging:tagging",
    "few-shot": "keel.evaluate.tasks.labels:few_shot",
    "retrieval": "keel.evaluate.tasks.retrieval:retrieval",
    "generation": "keel.evaluate.tasks.generation:generation",
    "translation": "keel.evaluate.tasks.generation:translation",
}
