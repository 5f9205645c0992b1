"""How much of a reference stands in what was written: ROUGE-L and chrF, by their own libraries. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from keel.errors import StudyError
from keel.evaluate.tasks.linear import words
from keel.evaluate.tasks.result import Scores


def rouge_l(written: Sequence[str], wanted: Sequence[str]) -> Scores:
    """F-measure in [0, 1] of the longest common subsequence of words, each text as one.

    Words are lower case, of any script: the library's own tokenizer keeps a to z and digits only, so that a Greek or
    Chinese text would have none. Reference: Lin 2004, ROUGE, section 3.1; the library rouge-score.

    Example:
        >>> rouge_l(["the cat sat", "\\u4e2d\\u6587"], ["The cat", "\\u4e2d\\u6587"]).round(3).tolist()
        [0.8, 1.0]
    """
    scorer = _rouge()
    found = [scorer.score(want, text)["rougeL"].fmeasure for text, want in zip(written, wanted, strict=True)]
    return np.asarray(found, np.float64)


def chrf(written: Sequence[str], wanted: Sequence[str]) -> Scores:
    """chrF2 of each text, characters up to six, within [0, 1] (the library says it in hundredths).

    Reference: Popovic 2015, chrF, WMT 15; the library sacrebleu.

    Example:
        >>> chrf(["abc", "abc"], ["abc", "xyz"]).tolist()
        [1.0, 0.0]
    """
    scorer = _chrf()
    found = [scorer.sentence_score(text, [want]).score / 100 for text, want in zip(written, wanted, strict=True)]
    return np.clip(np.asarray(found, np.float64), 0.0, 1.0)


class Words:
    """The library's tokenizer protocol over our words."""

    def tokenize(self, text: str) -> list[str]:
        """Lower-case words and marks."""
        return words(text.lower())


@lru_cache(maxsize=1)
def _rouge() -> Any:
    try:
        from rouge_score import rouge_scorer
    except ImportError as error:
        raise _missing("rouge-score", "ROUGE-L", error) from None
    return rouge_scorer.RougeScorer(["rougeL"], tokenizer=Words())


@lru_cache(maxsize=1)
def _chrf() -> Any:
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise _missing("sacrebleu", "chrF", error) from None
    return CHRF()


def _missing(library: str, measure: str, error: ImportError) -> StudyError:
    return StudyError(f"{library} is not installed", why=f"{measure} is its measure ({error})",
                      fix="pip install 'keel[eval]'", where="environment")  # fmt: skip


MEASURES: Mapping[str, Callable[[Sequence[str], Sequence[str]], Scores]] = {"ROUGE-L": rouge_l, "chrF": chrf}
