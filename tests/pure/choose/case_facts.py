"""What a known case can expect of an answer: each fact by a function; all that fail are told.

Words and names are regular expressions and ignore case; a name must match an id whole. Where one value is asked for, a
list means "any of these".

    exit = 3                            the exit code (default 0)
    route, category, binds = "..."      the answer's own fields
    first = { kind = "encoder" }        the first of the shortlist, by its row in the shipped catalogue: any column of
                                        models.csv, and `kind` (encoder, decoder, encoder-decoder, vision,
                                        vision-language, diffusion, speech)
    first_id = "coca.*"                 the same by its id
    first_covers, first_covers_not      use cases by name
    some, none = { kind = "decoder" }   at least one of the shortlist, not one of it
    has, lacks = ["id"]                 the same by ids
    dropped = { "opt-125m" = "non-com" }    dropped, for a reason that says so
    not_dropped_for = { "bloom" = "licen" } dropped for another reason or not at all
    why_of = { "t5-base" = "..." }      what the shortlist's reason says
    losses, losses_lack = ["mlm"]       ids of the proposed losses
    laws = ["kaplan"]                   laws shown beside each other
    laws_not_matching = ["kaplan"]      such a law is not there, or says that it is of another modality
    set_by_not = "kaplan|hoffmann"      what no bound of the size may be set by
    null = ["cost.usd_low"]             unknown, and said so: None
    experiments_say = ["self-supervised"]   each within one experiment
    says, says_not = ["words"]          in any sentence of the answer; a list within is "any of these"
    problems_say = ["words"]            in the problems alone
    problems_least, problems_most = 3   so many problems at once
    yours = ["mfu"]                     numbers marked as the user's own
    X_above, X_below = 1e21, X_between = [1e9, 2e9]   of flop, usd_low, usd_high, hours, devices, tokens, params_low,
                                        params_high
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from known_cases import Case, Found, shipped

NUMBERS = {
    "flop": ("cost", "flop"), "usd_low": ("cost", "usd_low"), "usd_high": ("cost", "usd_high"),
    "hours": ("cost", "hours"), "devices": ("cost", "devices"), "tokens": ("size", "tokens"),
    "params_low": ("size", "params_low"), "params_high": ("size", "params_high"),
}  # fmt: skip


def _is(pattern: str, text: object) -> bool:
    return re.fullmatch(pattern, str(text), re.IGNORECASE) is not None


def _within(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


def _any(wanted: Any) -> list[Any]:
    return list(wanted) if isinstance(wanted, list) else [wanted]


def _row_is(id_: str, wanted: Mapping[str, Any]) -> bool:
    row = shipped().get(id_, {})
    return all(any(_is(str(each), row.get(column, "")) for each in _any(value)) for column, value in wanted.items())


def _first(found: Found) -> Mapping[str, Any]:
    return (found.listed("shortlist") or [{"id": "(none)"}])[0]


def covered(item: Mapping[str, Any]) -> str:
    """The names of the use cases that a shortlisted model serves at all, as one text."""
    covers = item.get("covers") or {}
    return "\n".join(name for name, strength in covers.items() if strength > 0)


# Every check gives a complaint, or nothing.
Check = Callable[[Found, Any], Iterator[str]]


def _field(name: str) -> Check:
    def check(found: Found, wanted: Any) -> Iterator[str]:
        if found.at(name) not in _any(wanted):
            yield f"{name} is {found.at(name)!r}, expected {wanted!r}"

    return check


def _check_exit(found: Found, wanted: Any) -> Iterator[str]:
    if found.exit not in _any(wanted):
        yield f"exit {found.exit}, expected {wanted}: {found.problems or found.output[-1500:]}"


def _check_first(found: Found, wanted: Mapping[str, Any]) -> Iterator[str]:
    if not _row_is(_first(found)["id"], wanted):
        yield f"the first is {_first(found)['id']}, expected {dict(wanted)}; shortlist: {found.ids('shortlist')}"


def _check_first_id(found: Found, wanted: Any) -> Iterator[str]:
    if not any(_is(each, _first(found)["id"]) for each in _any(wanted)):
        yield f"the first is {_first(found)['id']}, expected {wanted}; shortlist: {found.ids('shortlist')}"


def _check_covers(found: Found, wanted: Sequence[str]) -> Iterator[str]:
    yield from (f"the first does not cover '{name}'" for name in wanted if not _within(name, covered(_first(found))))


def _check_covers_not(found: Found, wanted: Sequence[str]) -> Iterator[str]:
    yield from (f"the first covers '{name}'" for name in wanted if _within(name, covered(_first(found))))


def _check_some(found: Found, wanted: Any) -> Iterator[str]:
    for row in _any(wanted):
        if not any(_row_is(id_, row) for id_ in found.ids("shortlist")):
            yield f"the shortlist has no {dict(row)}: {found.ids('shortlist')}"


def _check_none(found: Found, wanted: Any) -> Iterator[str]:
    for row in _any(wanted):
        if bad := [id_ for id_ in found.ids("shortlist") if _row_is(id_, row)]:
            yield f"the shortlist has {dict(row)}: {bad}"


def _check_has(found: Found, wanted: Sequence[str]) -> Iterator[str]:
    ids = found.ids("shortlist")
    yield from (f"the shortlist lacks {each}: {ids}" for each in wanted if not any(_is(each, id_) for id_ in ids))


def _check_lacks(found: Found, wanted: Sequence[str]) -> Iterator[str]:
    yield from (f"the shortlist has {id_}" for id_ in found.ids("shortlist") if any(_is(each, id_) for each in wanted))


def _reasons(found: Found, name: str, wanted: Mapping[str, Any]) -> Iterator[str]:
    for pattern, words in wanted.items():
        reasons = [str(item["why"]) for item in found.listed(name) if _is(pattern, item["id"])]
        if not reasons:
            yield f"{pattern} is not in {name}"
        elif not any(all(_within(word, reason) for word in _any(words)) for reason in reasons):
            yield f"{name}: {pattern} does not say {words!r}: {reasons}"


def _check_dropped(found: Found, wanted: Mapping[str, Any]) -> Iterator[str]:
    yield from _reasons(found, "dropped", wanted)


def _check_why_of(found: Found, wanted: Mapping[str, Any]) -> Iterator[str]:
    yield from _reasons(found, "shortlist", wanted)


def _check_not_dropped_for(found: Found, wanted: Mapping[str, str]) -> Iterator[str]:
    for pattern, word in wanted.items():
        for item in found.listed("dropped"):
            if _is(pattern, item["id"]) and _within(word, item["why"]):
                yield f"{item['id']} is dropped for {word!r}: {item['why']}"


def _check_losses(found: Found, wanted: Sequence[str]) -> Iterator[str]:
    ids = found.ids("losses")
    yield from (f"no loss is {each}: {ids}" for each in wanted if not any(_is(each, id_) for id_ in ids))


def _check_losses_lack(found: Found, wanted: Sequence[str]) -> Iterator[str]:
    yield from (f"the losses have {id_}" for id_ in found.ids("losses") if any(_is(each, id_) for each in wanted))


def _laws(found: Found) -> list[tuple[str, str, bool]]:
    laws = found.at("size.laws") or ()
    return [(str(law.get("law")), json.dumps(law), bool(law.get("modality_match"))) for law in laws]


def _check_laws(found: Found, wanted: Sequence[str]) -> Iterator[str]:
    names = [name for name, _, _ in _laws(found)]
    yield from (f"no law is {each}: {names}" for each in wanted if not any(_within(each, name) for name in names))


def _check_laws_not_matching(found: Found, wanted: Sequence[str]) -> Iterator[str]:
    for name, whole, match in _laws(found):
        if match and any(_within(each, name) for each in wanted):
            yield f"the law {name} is said to match the modality: {whole}"


def _check_set_by_not(found: Found, wanted: str) -> Iterator[str]:
    for end in ("size.low_set_by", "size.high_set_by"):
        if _within(wanted, str(found.at(end) or "")):
            yield f"{end} is {found.at(end)!r}"


def _check_null(found: Found, wanted: Sequence[str]) -> Iterator[str]:
    for name in wanted:
        table = name.split(".")[0]
        if not isinstance(found.at(table), Mapping) or found.at(name) is not None:
            yield f"{name} is {found.at(name)!r} in {found.at(table)!r}, expected None"


def _check_experiments(found: Found, wanted: Sequence[Any]) -> Iterator[str]:
    texts = [json.dumps(item) for item in found.listed("experiments")]
    for each in wanted:
        if not any(_within(word, text) for word in _any(each) for text in texts):
            yield f"no experiment says {each!r}: {[text[:200] for text in texts]}"


def _check_says(found: Found, wanted: Sequence[Any]) -> Iterator[str]:
    said = found.said
    yield from (f"it does not say {each!r}" for each in wanted if not any(_within(word, said) for word in _any(each)))


def _check_says_not(found: Found, wanted: Sequence[str]) -> Iterator[str]:
    for line in found.said.splitlines():
        yield from (f"it says {each!r}: {line}" for each in wanted if _within(each, line))


def _check_problems_say(found: Found, wanted: Sequence[Any]) -> Iterator[str]:
    for each in wanted:
        if not any(_within(word, found.problems) for word in _any(each)):
            yield f"no problem says {each!r}: {found.problems}"


def _check_problems_least(found: Found, wanted: int) -> Iterator[str]:
    if len(found.tree["problems"]) < wanted:
        yield f"{len(found.tree['problems'])} problems, expected {wanted}: {found.problems}"


def _check_problems_most(found: Found, wanted: int) -> Iterator[str]:
    if len(found.tree["problems"]) > wanted:
        yield f"{len(found.tree['problems'])} problems, expected {wanted} at most: {found.problems}"


def _check_yours(found: Found, wanted: Sequence[str]) -> Iterator[str]:
    yours = [number["name"] for number in found.tree["numbers"] if number["yours"]]
    yield from (f"{each} is not marked yours: {yours}" for each in wanted if each not in yours)


def _number(path: tuple[str, str], inside: Callable[[float, Any], bool]) -> Check:
    def check(found: Found, wanted: Any) -> Iterator[str]:
        value = found.at(".".join(path))
        if not isinstance(value, (int, float)) or not inside(value, wanted):
            yield f"{'.'.join(path)} is {value!r}, expected {wanted!r}"

    return check


FACTS: dict[str, Check] = {
    "exit": _check_exit, "route": _field("route"), "category": _field("category"), "binds": _field("binds"),
    "first": _check_first, "first_id": _check_first_id, "first_covers": _check_covers,
    "first_covers_not": _check_covers_not, "some": _check_some, "none": _check_none, "has": _check_has,
    "lacks": _check_lacks, "dropped": _check_dropped, "not_dropped_for": _check_not_dropped_for,
    "why_of": _check_why_of, "losses": _check_losses, "losses_lack": _check_losses_lack, "laws": _check_laws,
    "laws_not_matching": _check_laws_not_matching, "set_by_not": _check_set_by_not, "null": _check_null,
    "experiments_say": _check_experiments, "says": _check_says, "says_not": _check_says_not,
    "problems_say": _check_problems_say, "problems_least": _check_problems_least,
    "problems_most": _check_problems_most, "yours": _check_yours,
    **{f"{name}_below": _number(path, lambda value, limit: value < limit) for name, path in NUMBERS.items()},
    **{f"{name}_above": _number(path, lambda value, limit: value > limit) for name, path in NUMBERS.items()},
    **{f"{name}_between": _number(path, lambda value, ends: ends[0] <= value <= ends[1])
       for name, path in NUMBERS.items()},
}  # fmt: skip


def complaints(case: Case, found: Found) -> list[str]:
    """Everything that the case expected and the answer does not hold."""
    expected = {"exit": 0, **case.expect}
    if unknown := [f"the case asks for '{name}', which no function knows" for name in expected if name not in FACTS]:
        return unknown
    if wrong := list(_check_exit(found, expected.pop("exit"))):
        return wrong
    return [text for name, wanted in expected.items() for text in FACTS[name](found, wanted)]
