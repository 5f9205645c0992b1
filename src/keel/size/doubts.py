"""What is wrong with a question of size, and what its answer cannot say."""

from __future__ import annotations

import math
from collections.abc import Sequence

from keel.errors import Problem, StudyError
from keel.size.ask import CATEGORIES, Ask, LawSize
from keel.size.time import Estimate

WHERE = "size"
# What there is of each kind of data, the upper end of a 90 % interval.
MOST_TOKENS = 1e15
MOST_IMAGES = 2.3e13
CEILINGS = {
    "tokens": (MOST_TOKENS, "all public text of people is about 3e14 tokens (1e14 to 1e15): Villalobos et al. 2024, "
               "arXiv:2211.04325v2"),
    "images": (MOST_IMAGES, "all images are 8e12 to 2.3e13: Villalobos et al. 2022, arXiv:2211.04325v1"),
    "pairs": (MOST_IMAGES, "there are no more pairs than images, 8e12 to 2.3e13: Villalobos et al. 2022, "
              "arXiv:2211.04325v1"),
}  # fmt: skip
HARD_EPOCHS = 16.0
MOST_FLOP = 1e32


def wrong(ask: Ask) -> list[Problem]:
    """Every number that cannot be meant."""
    found = []
    if ask.category not in CATEGORIES:
        found.append(
            Problem(f"{ask.category!r} is no category", "unknown name", "one of: " + ", ".join(CATEGORIES), WHERE)
        )
    if ask.unit not in CEILINGS:
        found.append(
            Problem(f"{ask.unit!r} is no unit of data", "unknown name", "one of: " + ", ".join(CEILINGS), WHERE)
        )
    for name, given in (("the budget in FLOP", ask.flop), (f"unique {ask.unit}", ask.unique)):
        found += _not_positive(name, given)
    for name, number in (
        ("smallest_params", ask.smallest_params), ("most_params", ask.most_params),
        ("serving_tokens", ask.serving_tokens), ("max_epochs", ask.max_epochs),
    ):  # fmt: skip
        if number is not None and not (math.isfinite(number) and number > 0):
            found.append(_positive(name, number))
    if found:
        return found
    if ask.unique is not None and ask.unique.value > CEILINGS[ask.unit][0]:
        most, source = CEILINGS[ask.unit]
        found.append(Problem(f"{ask.unique.value:.3g} {ask.unit} is more than there is", source,
                             f"give what you have, at most {most:.3g}", WHERE))  # fmt: skip
    if ask.flop is not None and ask.flop.value > MOST_FLOP:
        found.append(Problem(f"{ask.flop.value:.3g} FLOP is no budget", "known training runs are below 1e27",
                             "check the unit: FLOP, not FLOP/s", WHERE))  # fmt: skip
    return found


def check(ask: Ask) -> None:
    """Refuse a question that cannot be meant.

    Raises:
        StudyError: all that is wrong with it.
    """
    if problems := wrong(ask):
        raise StudyError.all(problems)


def unsaid(ask: Ask) -> list[Problem]:
    """What was not given to `keel size`, and which option gives it."""
    found = []
    if ask.flop is None:
        found.append(Problem("no budget is given", "without one only the data bound the size",
                             "give a budget: --usd with --hardware, or --compute", WHERE))  # fmt: skip
    if ask.unique is None:
        found.append(Problem("no amount of data is given", "without it nothing is known of repeats",
                             "give --unique or --bytes, or run `keel look`", WHERE))  # fmt: skip
    return found


def doubts(ask: Ask, laws: Sequence[LawSize]) -> list[Problem]:
    """What the answer rests on too thinly."""
    found = []
    if ask.category == "encoder":
        found.append(Problem("no law of masked models has public constants",
                             "two sources of tokens a parameter, 21 to 2000: the band is wide and far outside what "
                             "was measured", "train the ladder: `keel plan`, `keel run`", WHERE))  # fmt: skip
    if ask.category == "encoder-decoder":
        found.append(Problem("no law of denoising encoder-decoders is published",
                             "decoders' laws, a factor 4 either way", "train the ladder: `keel plan`, `keel run`",
                             WHERE))  # fmt: skip
    if ask.category in ("vision", "vision-language"):
        found.append(Problem(f"no law sizes {ask.category} models",
                             "published ones have no constants that carry over, or give the error alone",
                             "follow a released model, or run a ladder", WHERE))  # fmt: skip
    if ask.max_epochs is not None and ask.max_epochs > HARD_EPOCHS and ask.category in ("decoder", "encoder-decoder"):
        found.append(Problem(f"{ask.max_epochs:g} epochs", "beyond about 16 little is left to learn from text "
                             "(Muennighoff et al. 2023, arXiv:2305.16264)", "collect data, or stop sooner",
                             WHERE))  # fmt: skip
    spread = [law.params for law in laws if law.in_band and law.params is not None]
    if len(spread) > 1 and max(spread) > 3 * min(spread):
        found.append(Problem(f"the laws disagree by a factor {max(spread) / min(spread):.2g}", "each saw other data "
                             "and settings", "read the table law by law; your own ladder decides", WHERE))  # fmt: skip
    return found


def _not_positive(name: str, given: Estimate | None) -> list[Problem]:
    if given is None:
        return []
    ends = (given.value, given.low, given.high)
    if not all(math.isfinite(end) and end > 0 for end in ends):
        return [_positive(name, given.value)]
    if not given.low <= given.value <= given.high:
        return [Problem(f"{name}: {given.low:.3g} to {given.high:.3g} does not hold {given.value:.3g}",
                        "an interval holds its value", "order them low, value, high", WHERE)]  # fmt: skip
    return []


def _positive(name: str, number: float) -> Problem:
    return Problem(f"{name} is {number:g}", "it must be positive and finite", "give a positive number", WHERE)
