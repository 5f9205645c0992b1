"""keel: decide, with evidence, what to pretrain before anyone pays for it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Answer": "keel.answer",
    "Fit": "keel.fitted",
    "Forecast": "keel.laws.forecast",
    "Problem": "keel.errors",
    "Refusal": "keel.errors",
    "Refused": "keel.errors",
    "Row": "keel.laws.law",
    "Spec": "keel.plan.spec",
    "Study": "keel.study",
    "StudyError": "keel.errors",
    "fit": "keel.notebook",
    "forecast": "keel.laws.forecast",
    "look": "keel.corpus.look",
    "new": "keel.corpus.new",
    "plan": "keel.plan.verb",
    "report": "keel.report.page",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    """Names are loaded when first used, so that `import keel` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'keel' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
