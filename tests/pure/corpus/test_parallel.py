"""Two files of lines, or a table, as pairs of token arrays: aligned, checked, nothing lost unsaid."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import study_error

from keel.corpus import parallel
from keel.corpus.parallel import Pair, from_files, from_table, open_bitext, write
from keel.corpus.tokenizer import load, train

TOKENIZER = train(["the cat sat", "die Katze sass"], 270)
LANGUAGES = ("en", "de")


def two(folder: Path, source: str, target: str) -> tuple[Path, Path]:
    for name, text in (("a.en", source), ("b.de", target)):
        (folder / name).write_bytes(text.encode())
    return folder / "a.en", folder / "b.de"


def many(number: int) -> list[Pair]:
    return [Pair(n + 1, f"the cat {n}", f"die Katze {n} sass") for n in range(number)]


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    """`splitlines` sees five lines in the source, and every pair behind would be one off."""
    source = "one\u2028still one\x0cand\x85so\r\ntwo\nthree"
    assert len(source.splitlines()) > 3
    found = list(from_files(*two(tmp_path, source, "eins\nzwei\ndrei\n")))
    assert [(pair.number, pair.source[:3], pair.target) for pair in found] == [
        (1, "one", "eins"), (2, "two", "zwei"), (3, "thr", "drei"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [("a\nb\nc\n", "a\n", "a.en has 3 and b.de 1"), ("a\n", "a\nb\nc\nd", "a.en has 1 and b.de 4"),
     ("", "a\n", "a.en has 0 and b.de 1")],
)  # fmt: skip
def test_unequal_numbers_are_refused_and_both_counted(tmp_path: Path, source: str, target: str, said: str) -> None:
    with study_error("unequal numbers of lines", said):
        list(from_files(*two(tmp_path, source, target)))


def test_packed_files_and_wrong_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"x\ny\n"))
    assert [pair.target for pair in from_files(path, path)] == ["x", "y"]
    bad = tmp_path / "bad"
    bad.write_bytes(b"x\n\xff\xfe\xff\n")
    with study_error("bad"):
        list(from_files(bad, path))


def test_tables_of_two_fields(tmp_path: Path) -> None:
    lines = [{"en": "a\nb", "de": "c", "x": 1}, {"en": "d", "de": "e"}]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert list(from_table(tmp_path / "t.jsonl", LANGUAGES)) == [Pair(1, "a\nb", "c"), Pair(2, "d", "e")]
    (tmp_path / "t.tsv").write_text("a\tc\nd\te\n")
    assert list(from_table(tmp_path / "t.tsv")) == [Pair(1, "a", "c"), Pair(2, "d", "e")]
    with study_error("no text in 'dee'", "did you mean 'de'?"):
        list(from_table(tmp_path / "t.jsonl", ("en", "dee")))
    with study_error("no two fields are named"):
        list(from_table(tmp_path / "t.jsonl"))
    (tmp_path / "u.tsv").write_text("a\tb\nc\n")
    with study_error("not two columns", "u.tsv:2"):
        list(from_table(tmp_path / "u.tsv"))


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    given = many(400)
    write(tmp_path / "bitext", given, TOKENIZER, LANGUAGES, heldout_share=0.1)
    found, tokenizer = open_bitext(tmp_path / "bitext"), load(TOKENIZER)
    assert found.languages == LANGUAGES
    assert found.vocabulary == tokenizer.get_vocab_size()
    assert found.problems == []
    pairs = []
    for source, target in (found.train, found.heldout):
        assert len(source) == len(target)
        assert [int(n) for n in source.lengths] == [len(source[i]) for i in range(len(source))]
        pairs += [(tokenizer.decode(source[i]), tokenizer.decode(target[i])) for i in range(len(source))]
    assert sorted(pairs) == sorted((pair.source, pair.target) for pair in given)
    assert 20 <= len(found.heldout[0]) <= 60
    with pytest.raises(IndexError):
        found.train[0][len(found.train[0])]


def test_equal_sources_are_never_on_both_sides(tmp_path: Path) -> None:
    write(tmp_path / "bitext", [*many(60), *many(60)], TOKENIZER, LANGUAGES, heldout_share=0.3)
    found = open_bitext(tmp_path / "bitext")
    sides = [{side[0][i].tobytes() for i in range(len(side[0]))} for side in (found.train, found.heldout)]
    assert not sides[0] & sides[1]
    assert len(found.train[0]) + len(found.heldout[0]) == 120


def test_empty_sides_are_left_out_and_named(tmp_path: Path) -> None:
    pairs = [*many(100), Pair(101, "", "x"), Pair(102, "x", " \t"), Pair(103, "y", "z")]
    write(tmp_path / "bitext", pairs, TOKENIZER, LANGUAGES, heldout_share=0.2)
    found = open_bitext(tmp_path / "bitext")
    assert len(found.train[0]) + len(found.heldout[0]) == 101
    (problem,) = found.problems
    assert (problem.what[:7], problem.why) == ("2 pairs", "lines 101, 102")
    write(tmp_path / "more", [*many(100), *(Pair(n, "", "") for n in range(200, 300))], TOKENIZER, LANGUAGES, 0.2)
    assert open_bitext(tmp_path / "more").problems[0].why.endswith("204 ...")


def test_nothing_left_is_said_for_both_parts(tmp_path: Path) -> None:
    with study_error("no pair is left to train on", "no pair is held out"):
        write(tmp_path / "bitext", [Pair(1, "", "")], TOKENIZER, LANGUAGES)


def test_an_edited_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "bitext", many(100), TOKENIZER, LANGUAGES, heldout_share=0.2)
    data = bytearray((tmp_path / "bitext" / "train.target.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "bitext" / "train.target.bin").write_bytes(data)
    with study_error("train.target.bin is not what was written"):
        open_bitext(tmp_path / "bitext")


def test_lines_are_encoded_in_order_across_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "one", many(50), TOKENIZER, LANGUAGES, heldout_share=0.2)
    monkeypatch.setattr(parallel, "BATCH_LINES", 7)
    write(tmp_path / "seven", many(50), TOKENIZER, LANGUAGES, heldout_share=0.2)
    one, seven = open_bitext(tmp_path / "one"), open_bitext(tmp_path / "seven")
    for left, right in zip(one.train + one.heldout, seven.train + seven.heldout):
        np.testing.assert_array_equal(left.tokens, right.tokens)
        np.testing.assert_array_equal(left.ends, right.ends)
