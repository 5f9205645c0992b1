"""Losses that hold other losses: what their options say, and the facts that follow from the held ones. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, NamedTuple

from keel import objective
from keel.errors import Problem, StudyError, nearest
from keel.model.shapes import SHAPES, Size, folder
from keel.objective.fact import Facts
from keel.objective.facts import FACTS
from keel.objective.work import Work, flop, mixed

# Between names: of a part of a mixture and its term, of that part and its tensors.
TERM, TENSOR = ".", "/"
PASSES = 3  # a forward pass is a third of a training step: the backward pass has twice its products
FIELDS = ("loss", "options", "share", "weight")


NEEDED = frozenset(one.name for one in fields(Size) if one.default is MISSING)  # without which there is no size


class Held(NamedTuple):
    """One loss of a mixture: its name there, what it is, the share of samples that it gets, the weight of its terms."""

    name: str
    loss: str
    options: Mapping[str, Any]
    share: float
    weight: float


def facts_of(loss: str, options: Mapping[str, Any]) -> Facts:
    """The facts of a loss with these options; of a loss that holds others they follow from those.

    Raises:
        StudyError: no such loss, or options that leave nothing that could serve it.

    Example:
        >>> facts_of("mixture", {"of": {"a": {"loss": "mlm", "share": 1}, "b": {"loss": "rtd", "share": 1}}}).families
        ('electra',)
    """
    facts = FACTS[loss] if loss in FACTS else objective.kind(loss).facts
    return facts if facts.of is None else facts.of(options)


def mixture_of(options: Mapping[str, Any]) -> tuple[Held, ...]:
    """The losses of a mixture; shares are relative, and made to add to 1; a weight is the share unless given.

    Raises:
        StudyError: no losses, a name with "." or "/", an unknown field, a share or weight that is no positive number;
            all of them.

    Example:
        >>> of = {"a": {"loss": "clm", "share": 3}, "b": {"loss": "prefix_lm", "share": 1}}
        >>> [(one.name, one.share, one.weight) for one in mixture_of({"of": of})]
        [('a', 0.75, 0.75), ('b', 0.25, 0.25)]
    """
    given = options.get("of")
    if not isinstance(given, Mapping) or not given:
        raise StudyError("a mixture holds no losses", why=f"found of = {given!r}", where="options.of",
                         fix='write of.a = {loss = "clm", share = 0.8}, one line for each loss')  # fmt: skip
    problems = [problem for name, entry in given.items() for problem in _problems(str(name), entry, FIELDS, FIELDS[2:])]
    if problems:
        raise StudyError.all(problems)
    total = sum(float(entry["share"]) for entry in given.values())
    shares = {name: float(entry["share"]) / total for name, entry in given.items()}
    return tuple(
        Held(name, entry["loss"], entry.get("options", {}), shares[name], float(entry.get("weight", shares[name])))
        for name, entry in given.items()
    )


def one_of(options: Mapping[str, Any]) -> Held:
    """The one loss that another holds: of = {loss = "clm", options = {}}.

    Raises:
        StudyError: none is named, or with unknown fields.
    """
    entry = options.get("of")
    problems = list(_problems("", entry, FIELDS[:2], ()))
    if problems:
        raise StudyError.all(problems)
    assert isinstance(entry, Mapping)
    return Held("", entry["loss"], entry.get("options", {}), 1.0, 1.0)


def _problems(name: str, entry: Any, fields: Sequence[str], numbers: Sequence[str]) -> Iterable[Problem]:
    """All that is wrong with one entry of `of`."""
    where = f"options.of.{name}" if name else "options.of"
    if TERM in name or TENSOR in name:
        yield Problem(f"a loss of the mixture is called '{name}'", f"'{TERM}' and '{TENSOR}' join names to others",
                      "call it something else", where)  # fmt: skip
    if not isinstance(entry, Mapping):
        yield Problem(f"found {entry!r}", "a held loss has fields", 'write {loss = "clm"}', where)
        return
    for field in entry:
        if field not in fields:
            yield Problem(f"a held loss has no field '{field}'", f"it has {', '.join(fields)}", nearest(field, fields),
                          where)  # fmt: skip
    if not isinstance(entry.get("loss"), str):
        yield Problem(f"its loss is {entry.get('loss')!r}", "a loss is held by its name", 'write loss = "clm"', where)
    if not isinstance(entry.get("options", {}), Mapping):
        yield Problem(f"its options are {entry['options']!r}", "options have names", "write options = {}", where)
    for number in numbers:
        value = entry.get(number, 1.0 if number == "weight" else None)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            yield Problem(f"its {number} is {value!r}", "it says how much of the whole", "write a positive number",
                          where)  # fmt: skip


def teacher_of(options: Mapping[str, Any], context: int) -> tuple[str, Size]:
    """Family and size of a teacher: as given, else, of a release, as its folder says (`context` where it does not).

    Raises:
        StudyError: no teacher, an unknown family or field, or a size that is neither given nor known.
    """
    given, where = options.get("teacher"), "options.teacher"
    if not isinstance(given, Mapping) or not isinstance(given.get("start"), Mapping):
        raise StudyError("no teacher is named", why=f"found teacher = {given!r}", where=where,
                         fix='write teacher.start = {kind = "run", run = "..."}, or kind = "released"')  # fmt: skip
    known = ("start", "family", "size")
    if odd := [name for name in given if name not in known]:
        raise StudyError.all(Problem(f"a teacher has no field '{name}'", f"it has {', '.join(known)}",
                                     nearest(name, known), where) for name in odd)  # fmt: skip
    start = given["start"]
    if "family" not in given and "size" not in given and start.get("kind") == "released":
        if not isinstance(start.get("folder"), str) or not start["folder"]:
            raise StudyError("the teacher's start names no folder", why=f"found {start.get('folder')!r}",
                             fix='write teacher.start = {kind = "released", folder = "..."}',
                             where=f"{where}.start.folder")  # fmt: skip
        found = folder.read(Path(start["folder"]))
        return found.family, found.size(found.context() or context)
    return _teacher_as_given(given, where)


def _teacher_as_given(given: Mapping[str, Any], where: str) -> tuple[str, Size]:
    family, size = given.get("family"), given.get("size")
    if family not in SHAPES:
        raise StudyError(f"the teacher's family is {family!r}", why="its architecture must be known to plan with it",
                         fix=nearest(str(family), SHAPES), where=f"{where}.family")  # fmt: skip
    given_size = size if isinstance(size, Mapping) else {}
    missing, unknown = sorted(NEEDED - set(given_size)), sorted(set(given_size) - {one.name for one in fields(Size)})
    odd = sorted(name for name, value in given_size.items() if not isinstance(value, int) or isinstance(value, bool))
    if missing or unknown or odd:
        found = {"missing": missing, "unknown": unknown, "no whole numbers": odd}
        why = "; ".join(f"{what}: {', '.join(names)}" for what, names in found.items() if names)
        raise StudyError("the teacher's size is not known", why=why, where=f"{where}.size",
                         fix="give width, layers, vocabulary, context and head_width")  # fmt: skip
    made = Size(**given_size)
    if problems := SHAPES[str(family)].problems(made):
        raise StudyError.all(problem._replace(where=f"{where}.size") for problem in problems)
    return str(family), made


def mixture_facts(options: Mapping[str, Any]) -> Facts:
    """Facts of a mixture: one model serves all losses, is judged as the first of them, and may be used as any of them.

    Raises:
        StudyError: losses that no family serves together, that read samples of other kinds, or whose samples must stay
            together in groups.
    """
    held = mixture_of(options)
    facts = {one.name: facts_of(one.loss, one.options) for one in held}
    first, pairs = facts[held[0].name], [(one, facts[one.name]) for one in held]
    families = tuple(name for name in first.families if all(name in one.families for one in facts.values()))
    problems = []
    if not families:
        problems.append(Problem("no family serves all losses of the mixture",
                                "; ".join(f"{name}: {', '.join(one.families)}" for name, one in facts.items()),
                                "mix losses of one kind of model", "options.of"))  # fmt: skip
    if len({one.reads for one in facts.values()}) > 1:
        problems.append(Problem("the losses of the mixture read other kinds of samples",
                                "; ".join(f"{name}: {one.reads}" for name, one in facts.items()),
                                "mix losses that read one kind", "options.of"))  # fmt: skip
    problems += [
        Problem(f"'{name}' needs groups of {one.group} samples", "a mixture sends each its own way",
                "train that loss alone", "options.of")
        for name, one in facts.items() if one.group > 1
    ]  # fmt: skip
    if problems:
        raise StudyError.all(problems)
    unlocks = {use: cite for one in reversed(facts.values()) for use, cite in one.unlocks.items()}
    precludes = {use: cite for one in reversed(facts.values()) for use, cite in one.precludes.items()}
    return first._replace(
        needs=frozenset().union(*(one.needs for one in facts.values())), unlocks=unlocks, families=families, of=None,
        precludes={use: cite for use, cite in precludes.items() if use not in unlocks},
        roles=_roles(pairs), work=_work(pairs), beside=_beside(pairs),
    )  # fmt: skip


def _roles(held: Sequence[tuple[Held, Facts]]) -> Callable[[Mapping[str, Any], int], tuple[str, ...]]:
    """Those of all, in order."""

    def roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
        return tuple(dict.fromkeys(role for one, facts in held for role in facts.roles(one.options, context)))

    return roles


def _work(held: Sequence[tuple[Held, Facts]]) -> Callable[[Mapping[str, Any], int], Work] | None:
    """By their shares; unknown where one of them is."""
    if any(facts.work is None for _, facts in held):
        return None

    def work(options: Mapping[str, Any], context: int) -> Work:
        return mixed((one.share, facts.work(one.options, context)) for one, facts in held if facts.work)

    return work


def _beside(held: Sequence[tuple[Held, Facts]]) -> Callable[[Mapping[str, Any], int], float] | None:
    """By their shares."""
    if not any(facts.beside for _, facts in held):
        return None

    def beside(options: Mapping[str, Any], context: int) -> float:
        return sum(one.share * facts.beside(one.options, context) for one, facts in held if facts.beside)

    return beside


def distil_facts(options: Mapping[str, Any]) -> Facts:
    """Facts of the loss that a student is taught, with the teacher's forward pass beside it."""
    held = one_of(options)
    facts = facts_of(held.loss, held.options)

    def beside(options: Mapping[str, Any], context: int) -> float:
        family, size = teacher_of(options, context)
        shapes = SHAPES[family]
        shape = shapes.shape(size)
        own = facts.beside(held.options, context) if facts.beside else 0.0
        work = facts.work(held.options, context) if facts.work else ((1.0, shapes.full_use(shape)),)
        return own + flop(shapes, shape, work) / PASSES

    return facts._replace(roles=_roles([(held, facts)]), work=_work([(held, facts)]), of=None, beside=beside)
