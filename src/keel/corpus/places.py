"""Which files a study's `train` patterns mean: folders walked, globs expanded, links followed but never in a circle."""

from __future__ import annotations

import glob
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keel.corpus import formats
from keel.errors import Problem, StudyError

OWN = ("runs", "evidence")


@dataclass
class Found:
    """Sorted files, the folder their stable names count from, and what was seen but not taken."""

    files: list[Path]
    base: Path
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[Problem] = field(default_factory=list)

    def key(self, path: Path) -> str:
        """A file's name below the data's own folder: the same wherever the study and the data lie."""
        return Path(os.path.relpath(path, self.base)).as_posix()


def find(root: Path, patterns: tuple[str, ...], endings: Mapping[str, str] = formats.ENDINGS) -> Found:
    """Files of known endings under each pattern, each once, sorted.

    Raises:
        StudyError: a pattern that matches nothing usable, a circle of links, a folder that may not be read.
    """
    found, problems = Found([], _base(root, patterns)), []
    known = ", ".join(sorted(endings))
    files: dict[Path, None] = {}
    for pattern in patterns:
        seen = [file for path in _matches(root, pattern) for file in _walk(path, root, found, ())]
        usable = [path for path in seen if formats.name_of(path, endings)]
        other = [path for path in seen if not formats.name_of(path, endings)]
        found.left_out.update(path.suffix.lower() or path.name for path in other)
        if not usable:
            problems.append(_nothing(root, pattern, other, known))
        files |= dict.fromkeys(usable)
    if problems:
        raise StudyError.all(problems)
    found.files = sorted(files)
    if found.left_out:
        most = ", ".join(f"{count} {kind}" for kind, count in found.left_out.most_common(5))
        found.notes.append(Problem(f"{found.left_out.total()} files are not read", f"their kind is not known: {most}",
                                   f"known kinds: {known}", ", ".join(patterns)))  # fmt: skip
    return found


def _nothing(root: Path, pattern: str, other: list[Path], known: str) -> Problem:
    kinds = sorted({path.suffix.lower() or path.name for path in other})[:8]
    why = f"{len(other)} files, none of a known kind ({', '.join(kinds)})" if other else "nothing is there"
    if not other and not (root / pattern).exists():
        why = "nothing matches"
    return Problem(f"no data at '{pattern}'", why, f"known kinds: {known}", str(root / pattern))


def _matches(root: Path, pattern: str) -> list[Path]:
    """The path itself where it exists (its name may hold a bracket), else what the glob matches."""
    start = root / pattern
    if start.exists():
        return [start]
    try:
        return [root / name for name in sorted(glob.glob(pattern, root_dir=root, recursive=True))]
    except (ValueError, OSError) as error:
        raise StudyError(f"'{pattern}' is not a path", why=str(error), fix="name a folder, a file or a glob",
                         where="study.toml: [data] train") from error  # fmt: skip


def _base(root: Path, patterns: tuple[str, ...]) -> Path:
    """The deepest folder above all that the patterns can match, from their words alone."""
    folders = []
    for pattern in patterns:
        start = root / pattern
        if not start.exists():
            parts = Path(pattern).parts
            fixed = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
            start = root.joinpath(*parts[:fixed])
        folders.append(os.path.abspath(start if start.is_dir() else start.parent))
    return Path(os.path.commonpath(folders))


def _walk(path: Path, root: Path, found: Found, above: tuple[str, ...]) -> list[Path]:
    """Files at or below a path but for hidden ones; links to folders are followed, `above` is where we came from."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        found.left_out["(broken link)" if path.is_symlink() else "(not a plain file)"] += 1
        return []
    real = os.path.realpath(path)
    if real in above:
        raise StudyError("a link leads back to a folder above it", why=f"{path} is {real}", fix="remove the link",
                         where=str(path))  # fmt: skip
    try:
        names = sorted(name for name in os.listdir(path) if not name.startswith("."))
    except OSError as error:
        raise StudyError(f"folder {path.name} cannot be read", why=error.strerror or str(error),
                         fix="change its permissions, or name another folder", where=str(path)) from error  # fmt: skip
    if "state.json" in names or "dataset_dict.json" in names:
        names = _saved(path, names, found)
    inside = [path / name for name in names if not _is_own(path / name, root)]
    return [file for item in inside for file in _walk(item, root, found, (*above, real))]


def _is_own(path: Path, root: Path) -> bool:
    """The study's own runs and evidence are no data, should the study lie within its data."""
    return path.name in OWN and path.parent.resolve() == root.resolve() and (root / "study.toml").exists()


def _saved(path: Path, names: list[str], found: Found) -> list[str]:
    """The parts of a data set that `datasets` saved: what its own list names, not the caches beside it."""
    if "dataset_dict.json" in names:
        splits = [name for name in names if (path / name).is_dir()]
        if len(splits) > 1:
            fix = f'to read one, write [data] train = ".../{path.name}/{splits[-1]}"'
            note = Problem(f"{path.name} holds the splits {', '.join(splits)}", "all are read", fix, str(path))
            found.notes.append(note)
        return splits
    try:
        listed = [str(item["filename"]) for item in json.loads((path / "state.json").read_bytes())["_data_files"]]
    except (ValueError, KeyError, TypeError):
        return [
            name for name in names if name not in ("state.json", "dataset_info.json")
        ]  # another program's state.json
    missing = [name for name in listed if not (path / name).is_file()]
    if missing:
        raise StudyError(f"the saved data set {path.name} is not whole", why=f"missing: {', '.join(missing[:5])}",
                         fix="copy the folder again", where=str(path))  # fmt: skip
    return listed
