"""Whatever the bytes are, the outcome is documents or a StudyError; whatever the size, memory stays bounded."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from keel.corpus import formats
from keel.corpus.readers import open_source
from keel.errors import StudyError
from keel.study import Data

ROWS = [{"text": "some words here " * 5, "n": number} for number in range(50)]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)


def whole(folder: Path) -> dict[str, bytes]:
    """A good file of every ending."""
    table = pa.Table.from_pylist(ROWS)
    pq.write_table(table, folder / "x.parquet")
    with pa.OSFile(str(folder / "x.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
        out.write_table(table)
    rows = b"text,n\n" + b'"a ""b"", c",1\n' * 50
    made = {name: (folder / name).read_bytes() for name in ("x.parquet", "x.arrow")}
    return made | {
        "x.txt": b"text " * 100, "x.md": b"# text\n" * 50, "x.jsonl": LINES, "x.ndjson": LINES,
        "x.jsonl.gz": gzip.compress(LINES), "x.jsonl.zst": zstandard.compress(LINES), "x.csv": rows,
        "x.csv.gz": gzip.compress(rows),
    }  # fmt: skip


def test_every_ending_is_tried(tmp_path):
    assert {name.removeprefix("x") for name in whole(tmp_path)} == set(formats.ENDINGS)


@pytest.mark.parametrize("ending", sorted(formats.ENDINGS))
def test_any_bytes_give_documents_or_a_study_error(ending, tmp_path):
    good = whole(tmp_path)[f"x{ending}"]
    rng = random.Random(ending)
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / f"x{ending}"
    outcomes: set[object] = set()
    for round_ in range(60):
        damaged = bytearray(good)
        if round_ % 4 == 0:
            damaged = bytearray(rng.randbytes(rng.randrange(0, 400)))
        elif round_ % 4 == 1:
            damaged = damaged[: rng.randrange(len(damaged))]
        else:
            for _ in range(rng.choice((1, 3, 30))):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(bytes(damaged))
        encoding = rng.choice(("utf-8", "latin-1", "utf-16", "cp1252"))
        try:
            outcomes.add(len(list(open_source(tmp_path, Data(train="data", encoding=encoding)).documents())) > 0)
        except StudyError as error:
            outcomes.add("error" if all(item.what and item.why and item.fix for item in error.problems) else "poor")
    assert "error" in outcomes
    assert "poor" not in outcomes


def test_offsets_of_an_arrow_file_are_not_trusted(tmp_path):
    """Reading beyond the file would end Python itself, not raise."""
    data = whole(tmp_path)["x.arrow"]
    for name in tmp_path.iterdir():
        name.unlink()
    size = len(ROWS[0]["text"])
    offsets = b"".join((number * size).to_bytes(4, "little") for number in range(4))
    assert data.count(offsets) == 1
    far = b"".join(place.to_bytes(4, "little") for place in (1 << 30, 1 << 30, (1 << 30) + 8))
    damaged = data.replace(offsets, far + offsets[12:])
    (tmp_path / "x.arrow").write_bytes(damaged)
    with pytest.raises(StudyError, match="cannot be read"):
        open_source(tmp_path, Data(train="."))


MEASURE = """
import resource, sys
from pathlib import Path
from keel.corpus.readers import open_source
from keel.errors import StudyError
from keel.study import Data
source = open_source(Path(sys.argv[1]), Data(train=sys.argv[2], text=sys.argv[3] or None))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = size = 0
try:
    for document in source.documents():
        count, size = count + 1, size + len(document.text)
    print("read", count, size, end=" ")
except StudyError as error:
    print(error.problems[0].what, end=" ")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def measured(folder: Path, train: str, text: str = "") -> tuple[str, int]:
    """What reading said, and by how many MiB it grew."""
    command = [sys.executable, "-c", MEASURE, str(folder), train, text]
    *words, grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return " ".join(words), int(grown)


def test_a_single_line_of_200_mb_takes_little_memory(tmp_path):
    with (tmp_path / "x.txt").open("wb") as file:
        for _ in range(200):
            file.write(b"a" * 1_000_000)
    said, grown = measured(tmp_path, "x.txt")
    assert said == "read 48 200000000"
    assert grown < 64


@pytest.mark.parametrize(("name", "head"), [("x.jsonl", b'{"text": "a"}\n'), ("x.csv", b"text,n\na,1\n")])
def test_an_endless_line_is_refused_without_reading_it(name, head, tmp_path):
    with (tmp_path / name).open("wb") as file:
        file.write(head + (b'{"text": "' if name == "x.jsonl" else b'"'))
        file.write(b"b" * 10_000)
        file.truncate(2 << 30)  # a hole: two gibibytes that take no room on the disk
    said, grown = measured(tmp_path, name, "text")
    assert said == f"line {2 if name == 'x.jsonl' else 3} is longer than 64 MiB"
    assert grown < 200  # the 64 MiB line and what Python needs to grow into it


def test_a_csv_field_over_many_lines_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "LINE_BYTES", 10_000)
    (tmp_path / "x.csv").write_bytes(b'text\n"' + b"line\n" * 5000)
    with pytest.raises(StudyError) as caught:
        open_source(tmp_path, Data(train="x.csv"))
    assert "field larger" in caught.value.problems[0].why
    assert caught.value.problems[0].where.endswith("x.csv:2")
