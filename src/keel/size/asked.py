"""What was asked of `keel size`, read from its options: every number with its unit, and all that is wrong at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keel.errors import Problem, StudyError, nearest
from keel.objective.facts import FACTS
from keel.size.ask import CATEGORIES
from keel.size.time import Estimate
from keel.units import parse_count, parse_duration_s

UNITS: Mapping[str, str] = {"vision": "images", "diffusion": "images", "vision-language": "pairs"}
CATEGORY_OF_LOSS: Mapping[str, str] = {
    "clm": "decoder", "instruct": "decoder", "distil": "decoder", "mlm": "encoder", "nsp": "encoder", "sop": "encoder",
    "tlm": "encoder", "rtd": "encoder", "rtd-v3": "encoder", "span_corruption": "encoder-decoder",
    "ul2": "encoder-decoder", "bart": "encoder-decoder", "mbart": "encoder-decoder", "pegasus": "encoder-decoder",
    "alexatm": "encoder-decoder", "prefix_lm": "decoder", "translation": "encoder-decoder",
    "mixture": "encoder-decoder",
    **dict.fromkeys(("classify", "mae", "simclr", "dino", "deepcluster", "deepercluster"), "vision"),
    **dict.fromkeys(("clip", "siglip", "coca", "captioning", "maskvlm"), "vision-language"),
}  # fmt: skip
MOST_TOKENS_SEEN = 16e15  # 16 epochs of all public text


class Asked(NamedTuple):
    """The options, typed; None where one was not given."""

    category: str
    loss: str
    compute: float | None
    params: float | None
    tokens: float | None
    usd: float | None
    hardware: str
    nodes: int | None
    deadline_s: float | None
    mfu: Estimate | None
    region: str
    unique: float | None
    bytes: float | None
    languages: tuple[str, ...]
    serve_tokens: float | None
    max_epochs: float | None
    reserves: Mapping[str, float]
    licence: str

    @property
    def unit(self) -> str:
        """What the data are counted in."""
        return UNITS.get(self.category, "tokens")


COUNTS = {
    "compute": "flop", "params": "parameters", "tokens": "tokens", "usd": "US dollars",
    "unique": "tokens, images or pairs", "bytes": "bytes", "serve_tokens": "tokens", "max_epochs": "epochs",
}  # fmt: skip
SOURCES = ("compute", "params", "tokens", "usd", "unique", "bytes")  # at least one of them, or nodes and a deadline
CEILINGS = {
    "tokens": (MOST_TOKENS_SEEN, "16 epochs of all public text, about 1e15 tokens at most (Villalobos et al. 2024, "
               "arXiv:2211.04325v2)"),
    "compute": (1e32, "known training runs are below 1e27 flop"),
    "params": (1e17, "no model of so many parameters has been made or planned"),
}  # fmt: skip


def read(given: Mapping[str, str | None], languages: Sequence[str], reserves: Sequence[str]) -> Asked:
    """The options as numbers.

    Raises:
        StudyError: everything that is wrong, at once.

    Example:
        >>> read({"usd": "20k", "hardware": "aws:p4d.24xlarge", "deadline": "2 weeks"}, [], []).deadline_s
        1209600.0
    """
    problems: list[Problem] = []
    numbers = {name: _count(name, given.get(name), problems) for name in COUNTS}
    deadline = _deadline(given.get("deadline"), problems)
    nodes = _nodes(given.get("nodes"), problems)
    mfu = _mfu(given.get("mfu"), problems)
    category, loss = _category(given, problems)
    shares = _shares(reserves, problems)
    hardware = (given.get("hardware") or "").strip()
    licence = (given.get("licence") or "any").strip()
    if licence not in ("permissive", "conditional", "any"):
        problems.append(Problem(f"--licence {licence} is no limit", "unknown name", "permissive, conditional or any",
                                "--licence"))  # fmt: skip
    if numbers["unique"] is not None and numbers["bytes"] is not None:
        problems.append(Problem("--unique and --bytes are both given", "each says how much data there is",
                                "give one of them", "--bytes"))  # fmt: skip
    if numbers["bytes"] is not None and UNITS.get(category):
        problems.append(Problem(f"--bytes with {category}", "bytes are turned into tokens of text alone",
                                f"give --unique, in {UNITS[category]}", "--bytes"))  # fmt: skip
    problems += _without_hardware(numbers["usd"], nodes, deadline, mfu, given.get("region"), hardware)
    if not problems and not any(numbers[name] for name in SOURCES) and not (nodes and deadline):
        problems.append(Problem("nothing is given to size from", "keel invents no budget",
                                "--compute 1e21, --params 7e9 --tokens 1e12, --usd 20000 --hardware "
                                "aws:p4d.24xlarge, or --unique 4.3e9", "keel size"))  # fmt: skip
    if problems:
        raise StudyError.all(problems)
    return Asked(
        category, loss, numbers["compute"], numbers["params"], numbers["tokens"], numbers["usd"], hardware, nodes,
        deadline, mfu, (given.get("region") or "").strip(), numbers["unique"], numbers["bytes"], tuple(languages),
        numbers["serve_tokens"], numbers["max_epochs"], shares, licence,
    )  # fmt: skip


def _count(name: str, text: str | None, problems: list[Problem]) -> float | None:
    """A positive count; a problem where it is none, or more than there can be."""
    where = f"--{name.replace('_', '-')}"
    if text is None:
        return None
    try:
        value = parse_count(text, where)
    except StudyError as error:
        problems += error.problems
        return None
    if not (math.isfinite(value) and value > 0):
        problems.append(
            Problem(f"{text} is no amount", f"{COUNTS[name]} must be positive", "give a number above zero", where)
        )
        return None
    if name in CEILINGS and value > CEILINGS[name][0]:
        most, why = CEILINGS[name]
        problems.append(Problem(f"{value:.3g} is more than there can be", why, f"give at most {most:.3g}", where))
        return None
    return value


def _deadline(text: str | None, problems: list[Problem]) -> float | None:
    if text is None:
        return None
    try:
        seconds = parse_duration_s(text, "--deadline")
    except StudyError as error:
        problems += error.problems
        return None
    if not seconds > 0:
        problems.append(Problem(f"{text} is no time", "time runs forward", 'write "6 weeks"', "--deadline"))
        return None
    return seconds


def _nodes(text: str | None, problems: list[Problem]) -> int | None:
    if text is None:
        return None
    if text.strip().isdigit() and int(text) > 0:
        return int(text)
    problems.append(
        Problem(f"{text} is no number of nodes", "a whole number of nodes is needed", "write 1 or more", "--nodes")
    )
    return None


def _mfu(text: str | None, problems: list[Problem]) -> Estimate | None:
    """ ".4" or a range ".3-.5"."""
    if text is None:
        return None
    try:
        ends = [float(part) for part in text.split("-")]
    except ValueError:
        ends = []
    if len(ends) not in (1, 2) or not all(0 < end <= 1 for end in ends) or ends != sorted(ends):
        problems.append(
            Problem(f"{text} is no MFU", "a share of the dense peak, in (0, 1]", "write .4 or .3-.5", "--mfu")
        )
        return None
    return Estimate(sum(ends) / len(ends), ends[0], ends[-1], "yours (--mfu)")


def _category(given: Mapping[str, str | None], problems: list[Problem]) -> tuple[str, str]:
    """The kind of model: said, or that of the loss; a decoder where nothing is said (and the text says so)."""
    said, loss = given.get("category"), given.get("loss") or ""
    if loss and loss not in CATEGORY_OF_LOSS:
        problems.append(Problem(f"'{loss}' is no loss", "unknown name", nearest(loss, FACTS), "--loss"))
    if said and said not in CATEGORIES:
        problems.append(Problem(f"'{said}' is no category", "unknown name", "one of: " + ", ".join(CATEGORIES),
                                "--category"))  # fmt: skip
    implied = CATEGORY_OF_LOSS.get(loss, "")
    if said and implied and said != implied:
        problems.append(Problem(f"--loss {loss} trains an {implied}, not a {said}", "the two contradict each other",
                                "give one of them", "--category"))  # fmt: skip
    return said or implied or "decoder", loss


def _shares(texts: Sequence[str], problems: list[Problem]) -> dict[str, float]:
    found = {}
    for text in texts:
        name, _, share = text.partition("=")
        try:
            found[name.strip()] = float(share)
        except ValueError:
            problems.append(Problem(f"--reserve {text} says no share", "written NAME=SHARE", "write ladder=0.1",
                                    "--reserve"))  # fmt: skip
    return found


def _without_hardware(
    usd: float | None,
    nodes: int | None,
    deadline: float | None,
    mfu: Estimate | None,
    region: str | None,
    hardware: str,
) -> list[Problem]:
    """Options that say nothing without a machine."""
    if hardware:
        return []
    named = {"--usd": usd, "--nodes": nodes, "--deadline": deadline, "--mfu": mfu, "--region": region}
    return [
        Problem(f"{name} without --hardware", "it takes a machine to turn it into compute",
                "add --hardware aws:p4d.24xlarge, or say the compute itself: --compute 1e21", name)
        for name, value in named.items() if value
    ]  # fmt: skip
