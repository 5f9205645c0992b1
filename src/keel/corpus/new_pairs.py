"""`keel new` on pairs: two files that differ in a language's code, or records with a prompt and its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from keel.corpus import formats
from keel.errors import StudyError

# ISO 639-1.
ISO = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    "es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka "
    "kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng "
    "nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su "
    "sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
CODES = frozenset(ISO.split())
NAMED = re.compile(
    r"(?P<stem>.+)(?P<mark>[._-])(?P<code>[a-z]{2}(?:[-_][A-Z]{2})?)(?P<rest>(?:\.(?:txt|md))?(?:\.gz|\.zst)?)"
)
PROMPTS = ("prompt", "instruction", "question", "query", "input")
ANSWERS = ("answer", "response", "completion", "output", "target")
TASKS = ("task", "task_name", "category")
FIRST = "en"


class Files(NamedTuple):
    """Two languages, each with its file or glob (source first), how many files, what else lies there."""

    patterns: dict[str, str]
    paths: list[Path]
    others: int

    @property
    def seen(self) -> str:
        """What was seen, in words."""
        names = " and ".join(Path(pattern).name for pattern in self.patterns.values())
        more = f"; {self.others} other files are not read" if self.others else ""
        return f"{len(self.paths)} files of lines in {' and '.join(self.patterns)}: {names}{more}"


def files_in(folder: Path) -> Files | None:
    """Files of lines that differ in a language's code alone (help.en, help.de); None where that is not what lies there.

    Raises:
        StudyError: they are of more than two languages.
    """
    if not folder.is_dir():
        return None
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    matches = {path: NAMED.fullmatch(path.name) for path in paths}
    named = {path: match for path, match in matches.items() if match and match["code"][:2] in CODES}
    if any(formats.name_of(path) for path in paths if path not in named):
        return None
    sets: dict[str, set[str]] = {}
    for match in named.values():
        sets.setdefault(match["stem"], set()).add(match["code"])
    shapes = {(match["mark"], match["rest"]) for match in named.values()}
    languages = set().union(*sets.values()) if sets else set()
    if len(languages) < 2 or any(codes != languages for codes in sets.values()) or len(shapes) > 1:
        return None
    if len(languages) > 2:
        raise StudyError(f"files of lines in {len(languages)} languages", why=", ".join(sorted(languages)),
                         fix="put two of them in a folder of their own, or write study.toml yourself: "
                         'parallel = { en = "...", de = "..." }', where=str(folder))  # fmt: skip
    mark, rest = shapes.pop()
    ordered = sorted(languages, key=lambda code: (not code.startswith(FIRST), code))
    stem = "*" if len(sets) > 1 else next(iter(sets))
    patterns = {code: f"{stem}{mark}{code}{rest}" for code in ordered}
    return Files(patterns, list(named), len(paths) - len(named))


def fields_of(fields: Mapping[str, str]) -> dict[str, str]:
    """[data] for records whose fields look like languages, or like a prompt and its answer; else nothing.

    Example:
        >>> fields_of({"instruction": "Say hello", "output": "Hello"})
        {'prompt': 'instruction', 'answer': 'output'}
        >>> fields_of({"instruction": "Add", "input": "1 2", "output": "3"})["prompt"]
        '{instruction}\\n{input}'
        >>> fields_of({"de": "Hallo", "en": "Hello", "id": "3"}), fields_of({"text": "Hello"})
        ({'parallel.en': 'en', 'parallel.de': 'de'}, {})
    """
    plain = [name for name, value in fields.items() if not value.startswith(("[", "{"))]
    codes = sorted(sorted(set(plain) & CODES - {"id"}), key=lambda code: code != FIRST)
    prompt, answer = _first(PROMPTS, plain), _first(ANSWERS, plain)
    if prompt and answer:
        whole = "{instruction}\n{input}" if prompt == "instruction" and "input" in plain else prompt
        return {"prompt": whole, "answer": answer}
    return {f"parallel.{code}": code for code in codes} if len(codes) == 2 and "text" not in plain else {}


def task_of(fields: Mapping[str, str]) -> str | None:
    """A field that looks like the name of a record's task."""
    return _first(TASKS, list(fields))


def _first(names: Sequence[str], known: Sequence[str]) -> str | None:
    return next((name for name in names if name in known), None)
