"""What each loss may be told: options with defaults, kinds and ranges, without torch. A plan refuses what a run would.

docs/losses.md says what each is and where its default comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any, Literal, NamedTuple, get_args

from keel.errors import Problem, StudyError, nearest
from keel.objective import corrupt, facts_clusters, facts_mae, facts_maskvlm, held, masks, pixels, room
from keel.objective.checks import one_of, problems_of, settle, shares
from keel.objective.denoisers import prefixes
from keel.objective.facts_captions import CAPTIONING, COCA
from keel.objective.facts_captions import problems as caption_problems
from keel.objective.facts_images import POOLS
from keel.objective.pixels import PIXELS
from keel.objective.sentences import How
from keel.objective.spans import check as spans
from keel.objective.towers import PAIRS
from keel.objective.towers import problems as pair_problems
from keel.objective.trained import RTD, RTD_V3
from keel.objective.views import DINO, SIMCLR, dino_problems, simclr_problems

Given = Mapping[str, Any]
Found = list[Problem]
Direction = Literal["forward", "backward", "both"]
TooLong = Literal["refuse", "leave out"]
SHARING = ("tied", "none", "gdes")
STACKS = (1, 2)
MLM: Given = {
    "rate": 0.15, "unit": "token", "count": "exact", "ngram": 3, "mask": 0.8, "random": 0.1, "masks": 0,
}  # fmt: skip
BART: Given = {"share": 0.3, "mean_span": 3.0, "random": 0.0, "permute": True}


class Known(NamedTuple):
    """The options of a loss with their defaults, and what is out of range among given ones of the right kind."""

    defaults: Given
    problems: Callable[[Given], Found]

    def checked(self, given: Given, loss: str) -> dict[str, Any]:
        """`given` with the defaults.

        Raises:
            StudyError: an option that the loss does not have, of another kind, or out of its range; all of them.

        Example:
            >>> OPTIONS["span_corruption"].checked({"density": 0.5}, "span_corruption")
            {'density': 0.5, 'mean_span': 3.0, 'roll': False}
        """
        fine, found = settle(given, self.defaults, loss)
        found += [problem for problem in self.problems(fine) if _name(problem) not in map(_name, found)]
        if found:
            raise StudyError.all(found)
        return fine


def _name(problem: Problem) -> str:
    """The option that a problem is about."""
    return (problem.where or problem.what).removeprefix("options.")


def check(loss: str, given: Given, where: str = "") -> None:
    """Nothing where a loss and all that it holds can be told so; the user's own losses see to themselves.

    Raises:
        StudyError: options that a run would refuse; all of them.

    Example:
        >>> check("mlm", {"rate": 0.3})
    """
    problems = [
        Problem(problem.what, problem.why, problem.fix, f"{where}{_name(problem)}") for problem in _all(loss, given)
    ]  # fmt: skip
    if problems:
        raise StudyError.all(problems)


def _all(loss: str, given: Given) -> Iterator[Problem]:
    """Problems of a loss, then of those that it holds."""
    if loss not in OPTIONS:
        return
    known = OPTIONS[loss]
    yield from problems_of(known.checked, given, loss)
    if loss in ("mixture", "distil") and not problems_of(known.checked, given, loss):
        inner = held.mixture_of(given) if loss == "mixture" else (held.one_of(given),)
        for one in inner:
            place = f"of.{one.name}.options" if one.name else "of.options"
            for problem in _all(one.loss, one.options):
                yield problem._replace(where=f"{place}.{_name(problem)}")


def nothing(at: Given) -> Found:
    """Any value of the right kind will do."""
    return []


def masked(at: Given) -> Found:
    """Which tokens are hidden, what stands in their place, how many masks a sample has."""
    found = problems_of(masks.check, at["rate"], at["unit"], at["count"], at["ngram"])
    found += problems_of(corrupt.check, at["mask"], at["random"])
    if at["masks"] < 0:
        what, why = f"'masks' is {at['masks']!r}", "it counts the masks that a sample has, one an epoch in turn"
        fix = "write a whole number such as 10, or 0 for a new mask every epoch"
        found.append(Problem(what, why, fix, "options.masks"))
    return found


def replaced(at: Given) -> Found:
    """Those of masks, and the generator's."""
    found = [
        Problem(f"'{name}' is {at[name]!r}", why, fix, f"options.{name}")
        for name, fine, why, fix in (
            ("weight", isfinite(at["weight"]) and at["weight"] > 0, "it weighs a loss", "write 50, as ELECTRA does"),
            ("generator_width", 0 < at["generator_width"] <= 1, "it is a share of heads", "write .25 to .5"),
            ("generator_depth", 0 < at["generator_depth"] <= 1, "it is a share of layers", "write .5 or 1"),
            ("optimisers", at["optimisers"] in (1, 2), "both models have one, or each its own", "write 1 or 2"),
        ) if not fine
    ]  # fmt: skip
    if at["sharing"] not in SHARING:
        why = f"tables are shared in one of three ways; {nearest(at['sharing'], SHARING)}"
        found.append(Problem(f"'sharing' is {at['sharing']!r}", why, "write tied, none or gdes", "options.sharing"))
    return masked(at) + found


def infilled(at: Given) -> Found:
    """Spans, and the masks that are random tokens."""
    return problems_of(spans, at["share"], at["mean_span"], "share") + shares(at, "random")


def tagged(at: Given) -> Found:
    """A language, and BART's."""
    return problems_of(room.language_of, at) + infilled(at)


def span_corruption(at: Given) -> Found:
    """Density and mean span."""
    return problems_of(spans, at["density"], at["mean_span"])


def ul2(at: Given) -> Found:
    """A mixture that there is."""
    return problems_of(room.mixture, at)


def pegasus(at: Given) -> Found:
    """A share, and a way to choose."""
    return problems_of(spans, at["share"], 1, "share") + one_of(at, "how", get_args(How))


def alexatm(at: Given) -> Found:
    """Spans, the share of the two tasks, the prefix, the thaw."""
    late = [] if at["thaw_step"] >= 0 else [
        Problem(f"thaw_step is {at['thaw_step']}", "steps are counted from 0", "write 0 or more", "thaw_step")
    ]  # fmt: skip
    found = problems_of(spans, at["share"], at["mean_span"], "share") + shares(at, "clm")
    return found + problems_of(prefixes, 2, at["low"], at["high"]) + late


def prefix_lm(at: Given) -> Found:
    """Where a prefix ends, and how many stacks there are."""
    return problems_of(prefixes, 2, at["low"], at["high"]) + one_of(at, "stacks", STACKS)


def translation(at: Given) -> Found:
    """Two languages, a direction, what becomes of long pairs."""
    found = problems_of(room.languages_of, at) + one_of(at, "direction", get_args(Direction))
    return found + one_of(at, "too_long", get_args(TooLong))


def instruct(at: Given) -> Found:
    """Stacks, what becomes of long pairs, the cap."""
    bad_cap = [Problem("'cap' is wrong", f"found {at['cap']}", "write a number of examples, 0 for no cap", "cap")]
    found = one_of(at, "stacks", STACKS) + one_of(at, "too_long", get_args(TooLong))
    return found + (bad_cap if at["cap"] < 0 else [])


def distil(at: Given) -> Found:
    """Numbers outside their range, and what is held."""
    rules = {
        "alpha": (0 <= at["alpha"] <= 1, "a share from 0 to 1"),
        "temperature": (0 < at["temperature"] < float("inf"), "a positive number"),
        "cosine": (0 <= at["cosine"] < float("inf"), "a weight, 0 for none"),
        "top": (at["top"] >= 0, "a number of tokens, 0 for all"),
    }  # fmt: skip
    found = [Problem(f"'{name}' is wrong", f"found {at[name]!r}", f"write {words}", f"options.{name}")
             for name, (fits, words) in rules.items() if not fits]  # fmt: skip
    return found + problems_of(held.one_of, at)


def classify(at: Given) -> Found:
    """What the head stands on, and what is done to images."""
    return one_of(at, "pool", tuple(POOLS)) + pixels.problems(at)


def contrastive(at: Given) -> Found:
    """The towers' options, and what is done to images."""
    return pair_problems(at) + pixels.problems(at)


def mixture(at: Given) -> Found:
    """What is held."""
    return problems_of(held.mixture_of, at)


OPTIONS: Mapping[str, Known] = {
    "alexatm": Known({"share": 0.15, "mean_span": 3.0, "clm": 0.2, "low": 0.2, "high": 0.8, "thaw_step": 0}, alexatm),
    "bart": Known(BART, infilled),
    "captioning": Known(CAPTIONING, caption_problems),
    "classify": Known({"pool": "own", **PIXELS}, classify),
    "clip": Known(PAIRS, contrastive),
    "clm": Known({}, nothing),
    "coca": Known(COCA, caption_problems),
    "deepcluster": Known(facts_clusters.DEEPCLUSTER, facts_clusters.problems),
    "deepercluster": Known(facts_clusters.DEEPERCLUSTER, facts_clusters.problems),
    "dino": Known(DINO, dino_problems),
    "distil": Known({"of": {}, "teacher": {}, "alpha": 0.5, "temperature": 2.0, "top": 0, "cosine": 0.0, "map": {}},
                    distil),
    "instruct": Known({"stacks": 1, "packed": True, "cap": 0, "too_long": "refuse"}, instruct),
    "mae": Known(facts_mae.MAE, facts_mae.problems),
    "maskvlm": Known(facts_maskvlm.MASKVLM, facts_maskvlm.problems),
    "mbart": Known({"language": "", **BART, "share": 0.35, "mean_span": 3.5}, tagged),
    "mixture": Known({"of": {}}, mixture),
    "mlm": Known(MLM, masked),
    "nsp": Known(MLM, masked),
    "pegasus": Known({"share": 0.3, "how": "principal"}, pegasus),
    "prefix_lm": Known({"low": 0.0, "high": 1.0, "stacks": 1}, prefix_lm),
    "rtd": Known(RTD, replaced),
    "rtd-v3": Known(RTD_V3, replaced),
    "siglip": Known(PAIRS, contrastive),
    "simclr": Known(SIMCLR, simclr_problems),
    "sop": Known(MLM, masked),
    "span_corruption": Known({"density": 0.15, "mean_span": 3.0, "roll": False}, span_corruption),
    "tlm": Known({**MLM, "languages": ()}, masked),
    "translation": Known({"languages": (), "direction": "forward", "too_long": "refuse"}, translation),
    "ul2": Known({"mixture": "ul2"}, ul2),
}  # fmt: skip
