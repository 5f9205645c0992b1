"""Which evaluators serve a task of the study, what each measures, reads and takes. Literal dicts, no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from keel.errors import StudyError, nearest
from keel.study import TASKS


class Evaluator(NamedTuple):
    """`metrics` are what it gives, the first unless said otherwise; `text` and `answer` the usual names of its fields.

    `takes`: settings of a use case -> arguments of the evaluator. `modules` are those of the extra 'eval' that it
    needs. `splits`: rows are split into those to learn from and those to be judged by. `costly`: it trains the whole
    model, so not every model is judged. `depth`: it gives recall at any k. `sees`: what a row's `text` is, itself or
    the path of an image beside the file. `prompts`: what its prompt holds (see `template.CHECKS`).
    """

    metrics: tuple[str, ...]
    text: tuple[str, ...]
    answer: tuple[str, ...]
    takes: Mapping[str, str] = {}
    modules: tuple[str, ...] = ("sklearn",)
    reads: Literal["classes", "texts", "sentences"] = "texts"
    splits: bool = True
    costly: bool = False
    depth: bool = False
    sees: Literal["texts", "images"] = "texts"
    prompts: Literal["texts", "names"] = "texts"


TEXTS = ("text", "sentence", "content", "body", "document", "prompt", "question", "input")
LABELS = ("label", "labels", "class", "category", "target", "answer")
CLASSES = ("accuracy", "macro-F1")
OVERLAP = ("rouge_score", "sacrebleu")
IMAGES = ("image", "file", "path", "file_name", "filename", "image_path")
CAPTIONS = ("caption", "text", "sentence", "alt", "answer")

# The names of `evaluate.tasks.TASKS`.
EVALUATORS: Mapping[str, Evaluator] = {
    "probe": Evaluator(CLASSES, TEXTS, LABELS, reads="classes"),
    "fine-tune": Evaluator(CLASSES, TEXTS, LABELS, reads="classes", costly=True),
    "few-shot": Evaluator(CLASSES, TEXTS, LABELS, {"shots": "each", "prompt": "form"}, reads="classes"),
    "tagging": Evaluator(CLASSES, ("tokens", "words"), ("tags", "ner_tags", "labels"), reads="sentences"),
    "retrieval": Evaluator(
        ("MRR", "recall@1", "recall@10"), ("query", "text", "question", "source"),
        ("answer", "document", "passage", "positive", "target", "translation"), {"ks": "ks"}, splits=False, depth=True,
    ),
    "generation": Evaluator(
        ("ROUGE-L", "chrF"), TEXTS, ("answer", "summary", "target", "output", "completion"),
        {"shots": "each", "prompt": "form"}, OVERLAP,
    ),
    "translation": Evaluator(
        ("chrF", "ROUGE-L"), ("text", "source"), ("answer", "translation", "target"),
        {"shots": "each", "languages": "languages"}, OVERLAP,
    ),
    "image-probe": Evaluator(CLASSES, IMAGES, LABELS, modules=("sklearn", "PIL"), reads="classes", sees="images"),
    "image-fine-tune": Evaluator(
        CLASSES, IMAGES, LABELS, modules=("sklearn", "PIL"), reads="classes", costly=True, sees="images"
    ),
    "zero-shot": Evaluator(
        CLASSES, IMAGES, LABELS, {"prompt": "forms"}, ("PIL",), reads="classes", splits=False, sees="images",
        prompts="names",
    ),
    "image-retrieval": Evaluator(
        ("recall@1", "recall@10", "MRR"), IMAGES, CAPTIONS, {"ks": "ks"}, ("PIL",), splits=False, depth=True,
        sees="images",
    ),
    "captioning": Evaluator(
        ("CIDEr-D", "ROUGE-L", "chrF", "exact"), IMAGES, CAPTIONS, modules=(*OVERLAP, "PIL"), sees="images"
    ),
}  # fmt: skip

ANSWERED = "{text}\nAnswer: {answer}"
LABELLED = "{text}\nLabel: {answer}"
NAMED = "a photo of a {answer}."  # Radford et al. 2021, arXiv:2103.00020, section 3.1.4
# Evaluators of a task with their prompt, the first unless said otherwise.
USES: Mapping[str, Mapping[str, str]] = {
    "text-classification": {"probe": "", "fine-tune": "", "few-shot": LABELLED},
    "zero-shot-classification": {"few-shot": LABELLED},
    "feature-extraction": {"probe": ""},
    "token-classification": {"tagging": ""},
    "retrieval": {"retrieval": ""},
    "bitext-mining": {"retrieval": ""},
    "summarization": {"generation": "{text}\nTL;DR: {answer}"},
    "question-answering": {"generation": ANSWERED},
    "text-generation": {"generation": ANSWERED},
    "translation": {"translation": ""},
    "image-classification": {"image-probe": "", "image-fine-tune": ""},
    "image-feature-extraction": {"image-probe": ""},
    "zero-shot-image-classification": {"zero-shot": NAMED},
    "image-text-retrieval": {"image-retrieval": ""},
    "image-to-text": {"captioning": ""},
}
UNSERVED = tuple(task for task in TASKS if task not in USES)
_DEPTH = re.compile(r"recall@([1-9]\d{0,5})")


def metric_of(how: str, wanted: str | None) -> str:
    """The metric as the evaluator calls it; case, "_" and spaces do not count.

    Raises:
        StudyError: it gives no such metric.

    Example:
        >>> metric_of("probe", "macro_f1"), metric_of("retrieval", "recall@5"), metric_of("translation", None)
        ('macro-F1', 'recall@5', 'chrF')
    """
    given = EVALUATORS[how]
    if wanted is None:
        return given.metrics[0]
    plain = wanted.strip().casefold().replace("_", "-").replace(" ", "-")
    for name in given.metrics:
        if name.casefold() == plain:
            return name
    if given.depth and _DEPTH.fullmatch(plain):
        return plain
    names = ", ".join(given.metrics) + (", or recall@k for any k" if given.depth else "")
    raise StudyError(f"'{how}' gives no metric '{wanted}'", why=f"it gives: {names}",
                     fix=nearest(plain, given.metrics), where="[[use_case]] metric")  # fmt: skip


def depths(metric: str) -> tuple[int, ...]:
    """The k at which recall is taken, the metric's own among them.

    Example:
        >>> depths("MRR"), depths("recall@5")
        ((1, 10), (1, 5, 10))
    """
    found = _DEPTH.fullmatch(metric)
    return tuple(sorted({1, 10, *([int(found[1])] if found else [])}))
