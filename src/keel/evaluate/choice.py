"""Scores of the ladder's models on a use case -> the smallest one that will do, or what is missing to say so. No torch.

For each size the model trained longest stands; each is held against the best-scoring larger one, on the same rows.
Picking the best of the larger ones by its score makes a smaller one look worse, never better. Of K such comparisons
each is made at the level 1 - .05 / K, so that all answers hold together with 95 % (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keel.evaluate.noninferior import noninferior, noninferior_labels
from keel.evaluate.tasks.result import HEADROOM
from keel.evaluate.uses.case import Case
from keel.units import show_count

LEVEL = 0.95
RULE = "of each size the model trained longest, held against the best-scoring larger one, on the same rows"


class Judged(NamedTuple):
    """A model and what a task found (`Result.json()`), or why it was not judged; `recipe` says what trained it."""

    run: str
    params: int
    tokens: int
    recipe: str
    result: Mapping[str, Any] | None
    why_not: str = ""


def longest(models: Sequence[Any]) -> list[Any]:
    """Of each size and recipe the model trained on most tokens, the first of equals, smallest first."""
    best: dict[tuple[int, str], Any] = {}
    for model in models:
        at = model.params, model.recipe
        if at not in best or model.tokens > best[at].tokens:
            best[at] = model
    return sorted(best.values(), key=lambda model: model.params)


def accepted(found: Mapping[str, float], accept: float | None) -> str | None:
    """Whether a score meets the bar: "met" or "missed" where its whole interval does, else "open".

    Example:
        >>> accepted({"value": .7, "low": .65, "high": .75}, .62), accepted({"value": .6, "low": .5, "high": .7}, .62)
        ('met', 'open')
    """
    if accept is None:
        return None
    return "met" if found["low"] >= accept else "missed" if found["high"] < accept else "open"


def choose(case: Case, models: Sequence[Judged], level: float = LEVEL) -> dict[str, Any]:
    """All of a use case as plain values: scores, comparisons, the model to choose and a sentence that says it."""
    scored = [model for model in models if model.result is not None]
    standing = longest(scored)
    rows = {model.run: _row(case, model) | {"stands": model in standing} for model in models}
    found: dict[str, Any] = {
        "name": case.name, "task": case.task, "how": case.how, "metric": case.metric, "margin": case.margin,
        "margin_source": case.margin_source, "accept": case.accept, "rule": RULE, "level": level, "comparisons": 0,
        "level_each": None, "baseline": None, "headroom": None, "chosen": None,
    }  # fmt: skip
    if standing:
        found |= _beside(case, standing[-1])
        if found["headroom"]:
            pairs = _pairs(case, standing, rows)
            found["comparisons"] = len(pairs)
            found["level_each"] = 1 - (1 - level) / len(pairs) if pairs else None
            for small, big in pairs:
                rows[small.run]["compared"] = _compared(case, small, big, found["level_each"])
            found["chosen"] = _chosen(standing, rows)
    found["models"] = sorted(rows.values(), key=lambda row: (row["params"], row["tokens"]))
    found["said"] = said(found)
    return found


def _row(case: Case, model: Judged) -> dict[str, Any]:
    score = model.result["measures"][case.metric] if model.result else None
    return {
        "run": model.run, "params": model.params, "tokens": model.tokens, "score": score,
        "accept": accepted(score, case.accept) if score else None, "why_not": model.why_not, "compared": None,
    }  # fmt: skip


def _beside(case: Case, model: Judged) -> dict[str, Any]:
    """The baseline, which is the same for every model."""
    assert model.result is not None, "a model without a score"
    beside = model.result["beside"][case.metric]
    return {
        "baseline": {"name": model.result["baseline"], **beside}, "headroom": beside["value"] <= HEADROOM,
        "train": model.result["train"], "test": model.result["test"], "grouped": bool(model.result["groups"]),
    }  # fmt: skip


def _pairs(case: Case, standing: Sequence[Judged], rows: Mapping[str, Any]) -> list[tuple[Judged, Judged]]:
    """Each model that has a larger one, with the best-scoring of these."""
    pairs = []
    for small in standing:
        larger = [model for model in standing if model.params > small.params]
        if larger:
            pairs.append((small, max(larger, key=lambda model: rows[model.run]["score"]["value"])))
    return pairs


def _compared(case: Case, small: Judged, big: Judged, level: float) -> dict[str, Any]:
    mine, theirs = small.result, big.result
    assert mine is not None, "a model without a score"
    assert theirs is not None, "a model without a score"
    groups = [str(group) for group in mine["groups"]]
    if case.metric in mine["scores"]:
        made = noninferior(mine["scores"][case.metric], theirs["scores"][case.metric], case.margin, level, groups)
    else:
        truth, given, other = (np.asarray(each) for each in (*mine["labels"], theirs["labels"][1]))
        made = noninferior_labels(truth, given, other, case.margin, level, groups)
    return {"with": big.run, **made._asdict(), "difference": made.difference._asdict()}


def _chosen(standing: Sequence[Judged], rows: Mapping[str, Any]) -> str | None:
    """The smallest that is not worse; the largest where every smaller one is; none where that is not known."""
    answers = {model.run: rows[model.run]["compared"] for model in standing}
    for run, compared in answers.items():
        if compared and compared["answer"] == "not worse":
            return run
    lone = [run for run, compared in answers.items() if compared is None]
    decided = all(compared["answer"] == "worse" for compared in answers.values() if compared)
    return max(lone, key=lambda run: rows[run]["score"]["value"]) if decided and len(answers) > len(lone) else None


def said(found: Mapping[str, Any]) -> str:
    """The outcome in a sentence or two."""
    rows = {row["run"]: row for row in found["models"]}
    scored = [row for row in rows.values() if row["score"]]
    head = f"{found['name']}: "
    if not scored:
        why = next((row["why_not"] for row in rows.values() if row["why_not"]), "no model of this plan is exported yet")
        return f"{head}not judged: {why}"
    best, beside = max(scored, key=lambda row: row["score"]["value"]), found["baseline"]
    if not found["headroom"]:
        return f"{head}this task cannot rank models: {beside['name']} is at {beside['value']:.3f} already"
    words = [_answer(found, rows, best)]
    if best["score"]["value"] <= beside["value"]:
        words.append(f"no model is above {beside['name']} ({beside['value']:.3f})")
    if found["accept"] is not None:
        words.append(_acceptance(found, scored))
    return head + "; ".join(words)


def _answer(found: Mapping[str, Any], rows: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    if not found["comparisons"]:
        return f"one size was judged: {_named(best)}, and nothing to compare it with"
    sure = f"{found['comparisons']} comparisons, each at level {found['level_each']:.3f}"
    chosen = rows.get(found["chosen"])
    open_ = [row for row in rows.values() if row["compared"] and row["compared"]["answer"] == "unknown"]
    if chosen is None:
        return f"not known whether a smaller model will do ({sure}); {_more(open_[0], found['grouped'])}"
    if chosen["compared"] is None:
        return f"{_named(chosen)} is needed: every smaller one is worse by more than {found['margin']:g} ({sure})"
    big = rows[chosen["compared"]["with"]]
    smaller = [row for row in open_ if row["params"] < chosen["params"]]
    more = f"; {_more(smaller[0], found['grouped'])}" if smaller else ""
    return f"{_named(chosen)} is at most {found['margin']:g} worse than {_named(big)} ({sure}){more}"


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['run']} ({show_count(row['params'])} params, {row['score']['value']:.3f})"


def _more(row: Mapping[str, Any], grouped: bool) -> str:
    more = row["compared"]["more"]
    of = " of new groups" if grouped else ""
    items = f"about {more:,} more rows{of} to be judged by" if more else "no known number of rows"
    return f"{items} would tell of {_named(row)}"


def _acceptance(found: Mapping[str, Any], scored: Sequence[Mapping[str, Any]]) -> str:
    met = [row for row in scored if row["accept"] == "met"]
    if met:
        return f"accept {found['accept']:g} is met from {_named(min(met, key=lambda row: row['params']))} on"
    if any(row["accept"] == "open" for row in scored):
        return f"whether accept {found['accept']:g} is met is open"
    return f"accept {found['accept']:g} is missed by every model"
