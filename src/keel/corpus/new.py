"""`keel new`: a first glance at a folder of data becomes a commented study.toml."""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel.answer import Answer
from keel.corpus.formats import ENDINGS, PLAIN
from keel.corpus.images.glance import Glance, glance
from keel.corpus.new_pairs import Files, fields_of, files_in, task_of
from keel.corpus.readers import Peek, peek
from keel.corpus.words import clean, quote, writable
from keel.errors import StudyError
from keel.files import write_text
from keel.units import show_bytes

LABELS = frozenset({"label", "labels", "class", "category", "categories"})
TIMES = frozenset({"date", "time", "datetime", "timestamp", "created", "published", "updated", "year"})
GROUPS = frozenset({
    "id", "url", "host", "domain", "source", "site", "author", "user", "product", "repo", "group", "session", "title",
})  # fmt: skip
UNIQUE = frozenset({"id", "uuid", "guid", "_id"})
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")
EXAMPLE_LENGTH, FIELDS_SHOWN = 60, 40

TEMPLATE = """# Written by `keel new`. Next, in this folder: keel look, keel plan, keel run.
# Seen: {seen}.
{fields}
[data]
{data}# encoding = "utf-8"

[[use_case]]
name = "general"
task = "{task}"  # a task name of the Hugging Face Hub
# weight = 1  # share of this use case among several
# eval = "eval/queries.jsonl"  # your own test of it
# metric = "accuracy"  # the score of that test
# fields = {{ answer = "label", group = "author" }}  # its fields, where their names do not tell
# accept = 0.8  # good enough: grow only while missed
# margin = 0.02  # how much worse a smaller model may be
# value_usd = 10_000  # yearly value of the gain
# serve = {{ accelerator = "t4", latency_ms = 20, queries_per_day = 1e5 }}  # how it will be used
{labelled}
[budget]
# time_s = "10 min"  # wall time of the ladder of small runs on this machine (default: 10 min)
# compute_usd = 1_000  # what may be spent
# people_days = 5  # working days of people
# deadline = "6 weeks"  # or an ISO date
# value_usd = 50_000  # yearly value of the gain, all use cases together

[limits]
# licence = "permissive"  # permissive | conditional | any
# hardware = []  # machines that may be used; empty: this one
# deployed = []  # models already in production

[start]
# from = "auto"  # auto | scratch | a model id | a folder | a run

[set]
# "train.seed" = 0  # any number that `keel plan` prints can be set here; it is then shown as yours
"""

LABEL_CASE = """
# {name} looks like a label. To predict it as well, remove the marks from these three lines:
# [[use_case]]
# name = {quoted}
# task = "text-classification"
"""


def new(folder: Path, to: Path | None) -> Answer:
    """Write ./NAME-study/study.toml (or `to`/study.toml) for a folder of data, reading first records only.

    Raises:
        StudyError: no data there; a study is there already; the folder's name is not UTF-8.
    """
    source = Path(os.path.abspath(folder))
    study = Path(os.path.abspath(to)) if to else Path.cwd() / f"{clean(_name(source)) or 'data'}-study"
    path = study / "study.toml"
    _check(source, path)
    train, lines = _relative(source, study), files_in(source)
    if not writable(train):
        raise StudyError("the folder's name is not UTF-8", why="study.toml is UTF-8 and could not name it",
                         fix="rename the folder", where=clean(train))  # fmt: skip
    if lines:
        return _of_lines(lines, train, path)
    if images := glance(Path.cwd(), str(folder)):
        return _of_images(images, train, path)
    seen = _peek(folder)
    write_text(path, template(seen, train))
    return Answer(
        result={"study": str(study), "format": seen.format, "files": len(seen.files), "bytes": seen.bytes,
                "fields": list(seen.fields), "text_field": seen.text_field},
        text=f"saw     {_seen(seen)}\nnext    cd {shlex.quote(clean(_shown(study)))} && keel look && keel plan",
        reads=[_shown(file) for file in seen.files[:1]], writes=[_shown(path)],
    )  # fmt: skip


def _of_lines(lines: Files, train: str, path: Path) -> Answer:
    """A study of two files of lines."""
    folder = train if len(lines.paths) == len(lines.patterns) else glob.escape(train)
    named = {code: f"{folder}/{pattern}" for code, pattern in lines.patterns.items()}
    total = sum(file.stat().st_size for file in lines.paths)
    write_text(path, TEMPLATE.format(
        seen=f"{clean(lines.seen)}, {show_bytes(total)}", fields="", task="translation", labelled="",
        data=_parallel(named) + "#   line n of one file says what line n of the other does\n",
    ))  # fmt: skip
    return _told(path, clean(lines.seen), lines.paths[:2], {
        "format": "lines", "files": len(lines.paths), "bytes": total, "parallel": named})  # fmt: skip


def _told(path: Path, seen: str, reads: list[Path], result: Mapping[str, Any]) -> Answer:
    """What was seen, and what to do next."""
    return Answer(
        result={"study": str(path.parent), "fields": [], "text_field": None, **result},
        text=f"saw     {seen}\nnext    cd {shlex.quote(clean(_shown(path.parent)))} && keel look && keel plan",
        reads=[_shown(file) for file in reads], writes=[_shown(path)],
    )  # fmt: skip


def _of_images(seen: Glance, train: str, path: Path) -> Answer:
    """A study of images, with captions where they have some."""
    fields = [
        ("image", seen.image, '"file", or the field, column or ending of a tar that holds the image'),
        ("label", seen.label, 'an image\'s class: "folder", or a field'),
        ("text", seen.text, 'its caption: "twin" (a .txt beside it), or a field'),
        ("group", None, "images of one group are never split across held-out"),
        ("background", None, "what shows through transparent images (default: white)"),
    ]
    lines = [f"{name} = {quote(value)}  # {why}" if value else f'# {name} = "..."  # {why}'
             for name, value, why in fields]  # fmt: skip
    task = "image-text-retrieval" if seen.text else "image-classification"
    data = f"train = {quote(train)}  # a folder, a file, a glob, or a list of them; relative to this file\n"
    said = f"{clean(seen.seen)}, {show_bytes(seen.bytes)}"
    write_text(path, TEMPLATE.format(seen=said, fields="", task=task, labelled="", data=data + "\n".join(lines) + "\n"))
    return _told(path, said, seen.found.files[:1], {
        "format": seen.kind, "files": len(seen.found.files), "bytes": seen.bytes, "text_field": seen.text,
        "image": seen.image, "label": seen.label})  # fmt: skip


def _parallel(named: Mapping[str, str]) -> str:
    sides = ", ".join(f"{quote(code) if '_' in code else code} = {quote(value)}" for code, value in named.items())
    return f"parallel = {{ {sides} }}  # the source first: exchange them if it is the other way\n"


def _peek(folder: Path) -> Peek:
    """What is there; where several kinds lie together, say how to name one of them here."""
    try:
        return peek(Path.cwd(), (str(folder),))
    except StudyError as error:
        kinds = [kind for kind in error.problems[0].why.split(", ") if kind in ENDINGS.values()]
        if len(kinds) > 1 and folder.is_dir():
            ending = next((kind for kind in kinds if kind not in PLAIN), kinds[0])
            pattern = f"{glob.escape(clean(str(folder)))}/**/*.{ending}"
            fix = f"name one of them: keel new {shlex.quote(pattern)}"
            raise StudyError.all([error.problems[0]._replace(fix=fix), *error.problems[1:]]) from error
        raise


def template(seen: Peek, train: str) -> str:
    """The text of study.toml for what was seen; `train` is relative to the study.

    Example:
        >>> print(template(Peek("txt", [Path("a.txt")], 9, {}, None), "../texts").splitlines()[1])
        # Seen: 1 txt file, 9 B.
    """
    usable = {name: clean(value) for name, value in seen.fields.items() if writable(name)}
    others = {name: value for name, value in usable.items() if name != seen.text_field}
    labels = [name for name in others if LABELS & set(_words(name))]
    times = [name for name, value in others.items() if TIMES & set(_words(name)) or ISO_DATE.fullmatch(value)]
    groups = [
        name for name in others
        if GROUPS & set(_words(name)) and name.lower() not in UNIQUE and name not in times
    ]  # fmt: skip
    group = _candidates("group", groups, others, "its documents are never split across held-out", bool(others))
    data = f"train = {quote(train)}  # a folder, a file, a glob, or a list of them; relative to this file\n"
    if pairs := fields_of(usable):
        sides = {name.removeprefix("parallel."): field for name, field in pairs.items()}
        said = _parallel(sides) if "prompt" not in pairs else _asked(pairs, task_of(usable))
        task = "text-generation" if "prompt" in pairs else "translation"
        return TEMPLATE.format(seen=_seen(seen, tuple(pairs.values())), fields=_fields(seen), data=data + said + group,
                               task=task, labelled="")  # fmt: skip
    text = f"text = {quote(seen.text_field)}  # the field that holds the text\n" if seen.text_field in usable else ""
    time = _candidates("time", times, others, "a time split instead: the latest are held out", bool(others))
    return TEMPLATE.format(
        seen=_seen(seen), fields=_fields(seen), data=data + text + group + time, task="text-generation",
        labelled="".join(LABEL_CASE.format(name=quote(name), quoted=quote(f"predict {name}")) for name in labels[:1]),
    )  # fmt: skip


def _asked(pairs: Mapping[str, str], task: str | None) -> str:
    """Fields of a prompt and its answer; of the task, as a comment, where one looks like it."""
    prompt = f'prompt = {quote(pairs["prompt"])}  # a field, or a template of fields: "Q: {{question}}"\n'
    named = f"# task = {quote(task)}  # the field that names a record's task\n" if task else ""
    return f"{prompt}answer = {quote(pairs['answer'])}\n{named}"


def _seen(seen: Peek, pairs: tuple[str, ...] = ()) -> str:
    field = f", text in {quote(seen.text_field)}" if seen.text_field and writable(seen.text_field) else ""
    field = f", pairs in {' and '.join(map(quote, pairs))}" if pairs else field
    count = len(seen.files)
    plural = "s" if count != 1 else ""
    return f"{count:,} {seen.format} file{plural}, {show_bytes(seen.bytes)}{field}"


def _fields(seen: Peek) -> str:
    """The first record's fields with an example each, as comments."""
    if not seen.fields:
        return ""
    lines = ["# Fields of the first record:"]
    for name, value in list(seen.fields.items())[:FIELDS_SHOWN]:
        shown = clean(value)
        cut = shown[:EXAMPLE_LENGTH] + ("..." if len(shown) > EXAMPLE_LENGTH else "")
        lines.append(f"#   {clean(quote(name))} = {cut}".rstrip())
    if len(seen.fields) > FIELDS_SHOWN:
        lines.append(f"#   and {len(seen.fields) - FIELDS_SHOWN} more")
    return "\n".join(lines) + "\n"


def _candidates(role: str, names: list[str], values: Mapping[str, str], why: str, has_fields: bool) -> str:
    """Comment lines that offer fields for a role, or say how to name one; none where there are no fields."""
    if not has_fields:
        return ""
    if not names:
        return f'# {role} = "..."  # {why}; no field looks like one\n'
    examples = {name: values[name][:EXAMPLE_LENGTH] for name in names[:3]}
    return "".join(f"# {role} = {quote(name)}  # {why}; e.g. {example}\n" for name, example in examples.items())


def _words(name: str) -> list[str]:
    """The words of a field's name, in lower case.

    Example:
        >>> _words("productID"), _words("created_at")
        (['product', 'id'], ['created', 'at'])
    """
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def _check(source: Path, path: Path) -> None:
    if not source.exists() and not glob.glob(str(source), recursive=True):
        raise StudyError("there is no such folder", why="nothing is there", fix="check the path",
                         where=clean(str(source)))  # fmt: skip
    if os.path.lexists(path):
        raise StudyError("a study is there already", why="study.toml is never overwritten", where=clean(str(path)),
                         fix="go on with that study, or choose another place with --to")  # fmt: skip


def _name(source: Path) -> str:
    """What the study is called after: the folder, the file without its ending, or the folder of a glob."""
    if not source.exists():
        while glob.escape(source.name) != source.name:
            source = source.parent
    return (source.name if source.is_dir() else source.name.split(".")[0]) or "data"


def _relative(source: Path, study: Path) -> str:
    """The data as seen from the study, links resolved since `..` does not lead back through a link."""
    try:
        return Path(os.path.relpath(source.resolve(), study.resolve())).as_posix()
    except ValueError:
        return source.as_posix()  # another drive


def _shown(path: Path) -> str:
    """A path as a person would type it from here, where that is shorter."""
    try:
        near = os.path.relpath(path)
    except ValueError:
        return str(path)
    return near if len(near) < len(str(path)) else str(path)
