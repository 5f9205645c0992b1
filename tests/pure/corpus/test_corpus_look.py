"""corpus.json says what is there: counts, samples, repeats, split, tokens; and an earlier look is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keel.corpus import formats, tokenizer
from keel.corpus import look as look_module
from keel.corpus import survey as survey_module
from keel.corpus.look import look, measure_corpus, source_of
from keel.corpus.split import is_heldout
from keel.corpus.survey import survey, totals
from keel.errors import StudyError
from keel.files import read_json, sha256_file
from keel.study import Study, parse


def study(**data: Any) -> Study:
    return parse({"data": {"train": "data"} | data})


def corpus_of(folder: Path, **data: Any) -> dict[str, Any]:
    return measure_corpus(source_of(folder, study(**data)), study(**data))[0]


def write_rows(folder: Path, rows: list[dict[str, Any]], name: str = "x.jsonl") -> None:
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_counts_are_exact(tmp_path, speeches):
    texts = [path.read_text() for path in sorted(speeches.iterdir())]
    (speeches / "empty.txt").write_text(" \n")
    corpus = corpus_of(tmp_path)
    expected = {
        "documents": 40, "bytes": sum(len(text.encode()) for text in texts),
        "characters": sum(map(len, texts)), "words": sum(len(text.split()) for text in texts),
    }  # fmt: skip
    for name, value in expected.items():
        assert corpus[name] == {"value": value, "low": value, "high": value, "how": "counted"}
    sides = corpus["split"]
    assert sides["heldout_bytes"] + sides["train_bytes"] == expected["bytes"]
    assert sides["heldout_documents"] + sides["train_documents"] == 40
    assert corpus["sampled"] is None
    assert corpus["problems"][0]["what"] == "1 documents are empty"
    assert corpus["length_bytes"]["max"] == max(len(text) for text in texts)
    assert {item["path"]: item["sha256"] for item in corpus["files"]} == {
        f"data/{path.name}": sha256_file(path) for path in speeches.iterdir()
    }
    json.dumps(corpus, allow_nan=False)


def test_the_same_data_elsewhere_is_the_same_evidence(tmp_path, speeches):
    first = corpus_of(tmp_path)
    other = tmp_path / "far" / "away"
    other.mkdir(parents=True)
    shutil.copytree(speeches, tmp_path / "moved" / "speeches")
    second = corpus_of(other, train="../../moved/speeches")
    for name in ("data_sha256", "split", "tokenizer", "tokens", "duplicates", "languages"):
        assert first[name] == second[name]


def test_repeats_stay_on_one_side(tmp_path, prose):
    rows = [{"text": prose(200, number // 3)} for number in range(90)]
    write_rows(tmp_path, rows)
    corpus = corpus_of(tmp_path)
    assert corpus["duplicates"]["exact_documents"] == 60
    sides: dict[str, set[bool]] = {}
    for document in source_of(tmp_path, study()).documents():
        sides.setdefault(document.text, set()).add(is_heldout(corpus["split"], document))
    assert all(len(side) == 1 for side in sides.values())
    assert {True} in sides.values()


def test_repeats_across_a_date_are_said(tmp_path, prose):
    rows = [{"text": prose(100, number % 20), "day": f"2024-02-{1 + number:02d}"} for number in range(28)]
    write_rows(tmp_path, rows)
    corpus = corpus_of(tmp_path, time="day")
    assert corpus["split"]["by"] == "time"
    assert corpus["split"]["moved"] == {}
    assert corpus["duplicates"]["across_split"] > 0
    assert any("cross the split" in problem["what"] for problem in corpus["problems"])


@pytest.mark.parametrize("longest", [1 << 22, 50_000])
def test_one_document_is_cut_in_pieces(longest, tmp_path, prose, monkeypatch):
    """Also where it is so long that it was read in parts, which belong together."""
    monkeypatch.setattr(formats, "PIECE_CHARACTERS", longest)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/novel.txt").write_text(prose(40_000, 1))
    corpus = corpus_of(tmp_path)
    assert corpus["split"]["by"] == "piece"
    assert 0 < corpus["split"]["heldout_documents"] < corpus["split"]["train_documents"]
    assert any("pieces of about 8 KiB" in problem["why"] for problem in corpus["problems"])


def test_a_corpus_too_small_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/note.txt").write_text("a few words only")
    with pytest.raises(StudyError, match="nothing can be held out") as caught:
        corpus_of(tmp_path)
    assert "less than two pieces" in caught.value.problems[0].why


def test_no_text_at_all_is_refused(tmp_path):
    write_rows(tmp_path, [{"text": " "}, {"text": ""}])
    with pytest.raises(StudyError, match="holds no text"):
        corpus_of(tmp_path)


def test_groups(tmp_path, prose):
    write_rows(tmp_path, [{"text": prose(100, number), "site": number % 9} for number in range(90)])
    corpus = corpus_of(tmp_path, group="site")
    assert corpus["split"]["by"] == "group"
    assert corpus["split"]["heldout_documents"] % 10 == 0


def test_large_corpora_are_sampled_by_file(tmp_path, prose, monkeypatch, opened):
    (tmp_path / "data").mkdir()
    rng = np.random.default_rng(0)
    for number in range(60):
        write_rows(
            tmp_path, [{"text": prose(int(rng.integers(20, 200)), number * 9 + n)} for n in range(9)], f"{number}.jsonl"
        )
    whole = totals(survey(opened(), "document"))
    monkeypatch.setattr(survey_module, "FULL_BYTES", opened().bytes // 4)
    seen = survey(opened(), "document")
    part = totals(seen)
    for name in survey_module.QUANTITIES:
        assert part[name]["how"] == "sampled"
        assert part[name]["low"] <= part[name]["value"] <= part[name]["high"]
        assert part[name]["value"] == pytest.approx(whole[name]["value"], rel=0.1)
    corpus = corpus_of(tmp_path)
    assert 12 <= corpus["sampled"]["files_read"] <= 15
    sides = corpus["split"]
    assert sides["heldout_bytes"] + sides["train_bytes"] == pytest.approx(whole["bytes"]["value"], rel=0.1)


def test_files_are_sampled_evenly(tmp_path, prose, monkeypatch, opened):
    (tmp_path / "data").mkdir()
    for number in range(60):
        rows = (
            [{"text": prose(400, number)}] if number < 30 else [{"text": prose(12, number * 40 + n)} for n in range(33)]
        )
        write_rows(tmp_path, rows, f"{number:02d}.jsonl")
    monkeypatch.setattr(survey_module, "FULL_BYTES", opened().bytes // 4)
    part = totals(survey(opened(), "document"))
    assert part["documents"]["value"] == pytest.approx(30 + 30 * 33, rel=0.1)


def test_tokens_are_measured_on_text_that_taught_nothing(tmp_path, speeches, monkeypatch):
    seen: dict[str, list[str]] = {}
    train, measure = tokenizer.train, tokenizer.measure
    monkeypatch.setattr(tokenizer, "train", lambda texts, size: train(seen.setdefault("train", list(texts)), size))
    monkeypatch.setattr(
        tokenizer, "measure", lambda made, texts, *how: measure(made, seen.setdefault("measure", list(texts)), *how)
    )
    split = corpus_of(tmp_path)["split"]
    assert seen["train"]
    assert seen["measure"]
    assert not set(seen["train"]) & set(seen["measure"])
    held = {doc.text for doc in source_of(tmp_path, study()).documents() if is_heldout(split, doc)}
    assert not held & {*seen["train"], *seen["measure"]}


def test_the_sample_is_bounded_and_fair(tmp_path, prose, monkeypatch, opened):
    write_rows(tmp_path, [{"text": f"{number} " + prose(20, number)} for number in range(3000)])
    monkeypatch.setattr(survey_module, "SAMPLE_DOCUMENTS", 400)
    seen = survey(opened(), "document")
    numbers = np.array([int(document.text.split()[0]) for document in seen.sample])
    assert 100 < len(numbers) <= 400
    assert seen.documents == 3000
    assert abs(numbers.mean() - 1500) < 4 * 866 / len(numbers) ** 0.5


def test_survey_does_not_depend_on_a_second_reading(tmp_path, speeches, opened):
    source = opened()
    (speeches / "empty.txt").write_text("")
    source = opened()
    first, second = survey(source, "document"), survey(source, "document")
    assert first.counts() == second.counts()
    assert source.empty == 1


def test_the_vocabulary_can_be_set(tmp_path, speeches):
    wanted = parse({"data": {"train": "data"}, "set": {"tokenizer": {"vocabulary": 300}}})
    corpus, tokenizer_json = measure_corpus(source_of(tmp_path, wanted), wanted)
    assert corpus["tokenizer"]["vocabulary"] == len(json.loads(tokenizer_json)["model"]["vocab"]) == 300
    assert [row["vocabulary"] for row in corpus["tokens"]] == [300]


def test_a_small_text_gives_a_small_tokenizer_and_says_so(tmp_path, speeches):
    corpus = corpus_of(tmp_path)
    assert corpus["tokenizer"]["vocabulary"] < 512
    assert any("entries, not 512" in problem["what"] for problem in corpus["problems"])


def test_a_new_look_keeps_the_old_one(tmp_path, speeches, fake_machine, monkeypatch):
    monkeypatch.setattr(look_module, "machine", lambda folder: fake_machine)
    answer = look(tmp_path, study())
    evidence = tmp_path / "evidence"
    first = read_json(evidence / "corpus.json", "keel.corpus/1")
    assert "held out" in answer.text
    assert {number.name for number in answer.numbers} >= {"documents", "words", "cores_free"}
    assert all(number.source for number in answer.numbers)
    assert read_json(evidence / "machine.json", "keel.machine/1")["cpu"] == fake_machine["cpu"]
    assert sha256_file(evidence / "tokenizer.json") == first["tokenizer"]["sha256"]

    look(tmp_path, study())
    assert read_json(evidence / "corpus.json", "keel.corpus/1") == first
    assert sorted(path.name for path in evidence.iterdir()) == ["corpus.json", "machine.json", "tokenizer.json"]

    (speeches / "more.txt").write_text("and some more of it " * 50)
    look(tmp_path, study())
    (kept,) = evidence.glob("corpus-*.json")
    assert read_json(kept, "keel.corpus/1") == first
    assert read_json(evidence / "corpus.json", "keel.corpus/1")["documents"]["value"] == 41
