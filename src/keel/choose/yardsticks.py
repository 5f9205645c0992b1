"""Which published results say something of a use case, and what a model scored there.

One group (data set, metric, setting) is never set beside another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keel.catalog.results import lower_is_better
from keel.catalog.rows import SHIPPED, Model, Result
from keel.catalog.store import Catalogue
from keel.objective.fact import Use

Group = tuple[str, str, str]  # dataset, metric, setting
ADAPTED: Group = ("MTEB(eng, v2)", "mean of 41 tasks", "best published adaptation of this base, not the base itself")
MNLI: Group = ("MNLI-m", "acc", "fine-tuned dev")
SQUAD: Group = ("SQuAD2.0", "F1", "fine-tuned dev")
XNLI: Group = ("XNLI", "acc avg", "zero-shot cross-lingual")
HELLASWAG: Group = ("HellaSwag", "acc %", "few-shot base model (Open LLM Leaderboard settings)")
MMLU: Group = ("MMLU", "acc %", "few-shot base model (Open LLM Leaderboard settings)")
T5_SUPERGLUE: Group = ("SuperGLUE", "avg", "fine-tuned (T5 paper, via Epoch benchmark data)")
COCO: Group = ("COCO T2I", "R@1 %", "zero-shot, 5k test")
SUITE: Group = ("Avg38", "avg %", "zero-shot, 38 datasets")
CAPTION: Group = ("COCO caption", "CIDEr", "4-shot")
FID: Group = ("COCO FID-30k", "FID", "zero-shot")

ENGLISH = frozenset({ADAPTED, MNLI, SQUAD, HELLASWAG, MMLU, T5_SUPERGLUE})
EMBEDDED: tuple[Group, ...] = (ADAPTED,)
UNDERSTOOD: tuple[Group, ...] = (MNLI, XNLI, T5_SUPERGLUE)
WRITTEN: tuple[Group, ...] = (HELLASWAG, MMLU, T5_SUPERGLUE)
# The one in which most candidates have a score is used, the first of equals.
OF: Mapping[Use, tuple[Group, ...]] = {
    **{use: EMBEDDED for use in ("retrieval", "reranking", "text-ranking", "clustering", "sts", "sentence-similarity",
                                 "pair-classification", "bitext-mining", "feature-extraction")},
    **{use: UNDERSTOOD for use in ("text-classification", "token-classification", "fill-mask")},
    **{use: (SQUAD, HELLASWAG, T5_SUPERGLUE) for use in ("question-answering", "table-question-answering")},
    **{use: WRITTEN for use in ("text-generation", "summarization", "zero-shot-classification", "translation")},
    "image-text-retrieval": (COCO,), "zero-shot-image-classification": (SUITE,), "image-to-text": (CAPTION,),
    "image-text-to-text": (CAPTION,), "visual-question-answering": (CAPTION,), "text-to-image": (FID,),
}  # fmt: skip


class Score(NamedTuple):
    """A score of a model within one group; `recorded` on the user's own use case."""

    value: float
    group: Group
    source: str
    recorded: bool = False

    @property
    def better(self) -> float:
        """The value, turned so that more is better."""
        return self.turned(self.value)

    def turned(self, value: float) -> float:
        """A value of this metric, turned so that more is better."""
        return -value if lower_is_better(self.group[1]) else value


def scores(known: Catalogue, models: Sequence[Model], use: Use, languages: Sequence[str]) -> Mapping[str, Score]:
    """Scores of models by id in the one group that most of them have, of those that speak of the use case.

    English scores say nothing of data that is in other languages too.
    """
    english = all(code.split("-")[0].lower() == "en" for code in languages)
    tables = [_table(known, models, group) for group in OF.get(use, ()) if english or group not in ENGLISH]
    return max(tables, key=len, default={})


def _table(known: Catalogue, models: Sequence[Model], group: Group) -> dict[str, Score]:
    ids = {model.id for model in models}
    if group == ADAPTED:
        return {model.id: Score(model.best_adapted_mteb, group, f"{model.best_adapted_model}; {model.source}")
                for model in models if model.best_adapted_mteb is not None}  # fmt: skip
    return {row.model_id: Score(row.value, group, row.source)
            for row in known.results if row.group == group and row.model_id in ids}  # fmt: skip


class Record(NamedTuple):
    """Scores on the user's own use case, by model, in one group; `left`: rows that stand in another one, and why."""

    scores: Mapping[str, Score]
    left: tuple[str, ...]


def recorded(known: Catalogue, case: str, metric: str | None) -> Record:
    """Scores on the user's own use case: rows of the overlay whose data set is its name.

    Of several groups the one with most models is used, the first of equals.
    """
    tables: dict[Group, dict[str, Score]] = {}
    other = list[str]()
    for row in known.results:
        if row.dataset != case or row.kept == SHIPPED:
            continue
        if metric is not None and _plain(row.metric) != _plain(metric):
            other.append(f"{_said(row)}: the use case asks for {metric}")
            continue
        group = (row.dataset, _plain(row.metric), row.group[2])
        tables.setdefault(group, {})[row.model_id] = Score(row.value, row.group, row.source, recorded=True)
    used = max(tables, key=lambda group: len(tables[group]), default=None)
    if used is None:
        return Record({}, tuple(other))
    other += [f"{name} {score.value:g} {group[1]} ({group[2]}): the others are {used[1]} ({used[2]})"
              for group, table in tables.items() if group != used for name, score in table.items()]  # fmt: skip
    return Record(tables[used], tuple(other))


def _plain(metric: str) -> str:
    """Case, "_" and spaces do not count, as for the judges."""
    return metric.strip().casefold().replace("_", "-").replace(" ", "-")


def _said(row: Result) -> str:
    return f"{row.model_id} {row.value:g} {row.metric} ({row.setting})"
