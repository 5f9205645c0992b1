"""`keel look`: measure the corpus and the machine; a new look keeps the old one beside it, dated."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keel import __version__
from keel.answer import Answer, Number
from keel.corpus import duplicates, languages, split, tokenizer
from keel.corpus.machine import machine
from keel.corpus.readers import Source, open_source
from keel.corpus.survey import Survey, survey, totals
from keel.errors import Problem, StudyError
from keel.files import digest, read_json, sha256_bytes, sha256_file, utc_now, write_json, write_text
from keel.progress import Progress
from keel.study import Study
from keel.units import show_bytes, show_count

CORPUS, MACHINE = "keel.corpus/1", "keel.machine/1"


def source_of(folder: Path, study: Study) -> Source:
    """The study's corpus as a source of documents."""
    return open_source(folder, study.data)


def look(folder: Path, study: Study) -> Answer:
    """Write evidence/corpus.json, evidence/machine.json and evidence/tokenizer.json."""
    source = source_of(folder, study)
    corpus, tokenizer_json = measure_corpus(source, study)
    computer = machine(folder)
    evidence = folder / "evidence"
    write_text(evidence / "tokenizer.json", tokenizer_json)
    _write(evidence / "corpus.json", CORPUS, corpus)
    _write(evidence / "machine.json", MACHINE, computer)
    return Answer(
        result={"corpus": corpus, "machine": computer}, text=show(corpus, computer), numbers=_numbers(corpus, computer),
        problems=[Problem(**problem) for problem in [*corpus["problems"], *computer.get("problems", [])]],
        reads=[item["path"] for item in corpus["files"]][:20],
        writes=["evidence/corpus.json", "evidence/machine.json", "evidence/tokenizer.json"],
    )  # fmt: skip


def _write(path: Path, schema: str, value: dict[str, Any]) -> None:
    """Put the earlier look aside under its own date, unless it says the same but for the date."""
    if path.exists():
        before = read_json(path, schema)
        if _undated(before) == _undated(value):
            return
        stamp = str(before.get("made_utc", "earlier")).replace(":", "").replace("-", "")
        shutil.copy2(path, path.with_name(f"{path.stem}-{stamp}.json"))
    write_json(path, schema, value)


def _undated(value: Mapping[str, Any]) -> str:
    return digest({name: item for name, item in value.items() if name not in ("made_utc", "schema")})


def measure_corpus(source: Source, study: Study) -> tuple[dict[str, Any], str]:
    """The content of corpus.json, and the tokenizer trained on the way.

    Raises:
        StudyError: no text, or nothing that could be held out.
    """
    by = "time" if study.data.time else "group" if study.data.group else "document"
    seen = survey(source, by)
    if by == "document" and seen.units.distinct() == 1:
        by = "piece"
        seen = survey(source, by)
        source.problems.append(
            Problem("the corpus is one document", "pieces of about 8 KiB of it are held out",
                    "nothing to do, or bring more documents", source.name(source.files[0]))
        )  # fmt: skip
    if seen.documents == 0:
        raise StudyError("the corpus holds no text", why=f"{len(source.files)} files, {source.empty} empty documents",
                         fix="check [data] train and [data] text", where="study.toml")  # fmt: skip
    alike, moved, across = _alike(seen, by)
    divided = split.choose(seen.units, by, moved, seen.scale)
    divided |= _sides(seen, divided)
    rows, tokenizer_json, trained_bytes, notes = _tokens(seen, divided, study)
    files = _files(source)
    corpus = {
        "made_utc": utc_now(), "keel": __version__,
        "data": {"patterns": list(study.data.patterns), "format": source.format, "text_field": source.text_field,
                 "group_field": study.data.group, "time_field": study.data.time, "encoding": study.data.encoding},
        "files": files, "data_sha256": _data_digest(source, files),
        **totals(seen), "sampled": _sampled(seen, source), "length_bytes": _quantiles(seen),
        "languages": languages.shares([document.text for document in seen.sample]),
        "languages_method": languages.METHOD,
        "duplicates": duplicates.report(alike, across, len(seen.sample), seen.documents), "split": divided,
        "tokenizer": {"file": "evidence/tokenizer.json", "sha256": sha256_bytes(tokenizer_json.encode()),
                      "vocabulary": rows[-1]["vocabulary"], "trained_on_bytes": trained_bytes},
        "tokens": rows,
        "problems": [note._asdict() for note in [*source.problems, *_empty(source), *_across(by, across), *notes]],
    }  # fmt: skip
    return corpus, tokenizer_json


def _empty(source: Source) -> list[Problem]:
    if not source.empty:
        return []
    return [
        Problem(f"{source.empty} documents are empty", "they hold no text, or only white space", "they are left out")
    ]


def _across(by: str, across: int) -> list[Problem]:
    """Only a split by time cannot keep repeats on one side."""
    if by != "time" or not across:
        return []
    return [Problem(f"{across} groups of alike documents cross the split", "a split by time keeps its date",
                    "expect the held-out loss to be too low; remove the repeats from the data")]  # fmt: skip


def _files(source: Source) -> list[dict[str, Any]]:
    """Path, bytes and sha256 of every file."""
    progress, done, found = Progress("checksums", source.bytes), 0, []
    for path in source.files:
        size = path.stat().st_size
        found.append({"path": source.name(path), "bytes": size, "sha256": sha256_file(path)})
        done += size
        progress.update(done)
    return found


def _data_digest(source: Source, files: list[dict[str, Any]]) -> str:
    """What the data is, wherever it lies: paths count from the data's own folder."""
    keys = (source.found.key(path) for path in source.files)
    return digest(sorted((key, item["sha256"]) for key, item in zip(keys, files)))


def _sampled(seen: Survey, source: Source) -> dict[str, Any] | None:
    if seen.keep == 1.0 and len(seen.per_file) == len(source.files):
        return None
    return {
        "documents": len(seen.sample), "of_bytes": seen.bytes,
        "files_read": len(seen.per_file), "files": len(source.files),
        "why": "duplicates, languages and tokens are measured on a fair sample of at most 64 MB and 20,000 documents",
    }  # fmt: skip


def _quantiles(seen: Survey) -> dict[str, int]:
    levels = (("p5", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95), ("max", 1.0))
    values = np.quantile(np.asarray(seen.units.sizes), [level for _, level in levels])
    return {name: int(value) for (name, _), value in zip(levels, values)}


def _alike(seen: Survey, by: str) -> tuple[duplicates.Clusters, dict[str, str], int]:
    """Clusters of alike documents; which units move so that none straddles the split; how many would have."""
    clusters = duplicates.find([document.text for document in seen.sample])
    if not clusters.near or seen.units.distinct() < 2:
        return clusters, {}, 0
    plain = split.choose(seen.units, by, {}, seen.scale)
    sides = [{split.is_heldout(plain, seen.sample[number]) for number in cluster} for cluster in clusters.near]
    across = sum(len(side) > 1 for side in sides)
    if by == "time":
        return clusters, {}, across
    keys = ((split.key_hash(split.split_key(seen.sample[number])) for number in cluster) for cluster in clusters.near)
    return clusters, split.together(keys), across


def _tokens(
    seen: Survey, divided: Mapping[str, Any], study: Study
) -> tuple[list[dict[str, Any]], str, int, list[Problem]]:
    """Train the tokenizer on one part of the training sample, measure on another."""
    texts = [document.text for document in seen.sample if not split.is_heldout(divided, document)]
    if not texts:
        raise StudyError("no text is left to train on", why="the sample holds only held-out documents",
                         fix="bring more documents", where="[data]")  # fmt: skip
    size = tokenizer.wanted_vocabulary(study.overrides, seen.bytes * seen.scale)
    progress = Progress("tokenizer", 1.0)
    learning, rest, used = _shares(texts)
    trained = tokenizer.train(learning, size)
    rows = tokenizer.measure(trained, rest or learning, divided["train_bytes"])
    progress.close(f"{used:,} bytes, vocabulary {rows[-1]['vocabulary']}")
    notes = []
    if not rest:
        notes.append(Problem("tokens were measured on the text that trained the tokenizer",
                             "there is one document of it", "expect slightly more tokens than stated"))  # fmt: skip
    if rows[-1]["vocabulary"] < size:
        notes.append(Problem(f"the tokenizer has {rows[-1]['vocabulary']} entries, not {size}",
                             "the text holds no more pairs to merge", "nothing to do, or bring more text"))  # fmt: skip
    return rows, trained, used, notes


def _shares(texts: list[str]) -> tuple[list[str], list[str], int]:
    """Every other document teaches the tokenizer, up to 4 MB; the others (at most 4 MB) measure it."""
    learning, rest = [], []
    used = measured = 0
    for number, text in enumerate(texts):
        if number % 2 == 0 and used < tokenizer.SAMPLE_BYTES:
            learning.append(text[: tokenizer.SAMPLE_BYTES])
            used += len(learning[-1].encode())
        elif number % 2 and measured < tokenizer.SAMPLE_BYTES:
            rest.append(text)
            measured += len(text.encode())
    return learning, rest, used


def _sides(seen: Survey, divided: Mapping[str, Any]) -> dict[str, int]:
    """Documents and bytes on either side; scaled up from what was read where that was not all."""
    held = split.mask(seen.units, divided)
    sizes = np.asarray(seen.units.sizes)
    sides = {"heldout_documents": held.sum(), "heldout_bytes": sizes[held].sum(),
             "train_documents": (~held).sum(), "train_bytes": sizes[~held].sum()}  # fmt: skip
    return {name: round(float(value) * seen.scale) for name, value in sides.items()}


def _numbers(corpus: Mapping[str, Any], computer: Mapping[str, Any]) -> list[Number]:
    counts = [
        Number(name, corpus[name]["value"], low=corpus[name]["low"], high=corpus[name]["high"],
               source=f"{corpus[name]['how']} by keel look")
        for name in ("documents", "bytes", "characters", "words")
    ]  # fmt: skip
    tokens = [
        Number(f"tokens at vocabulary {row['vocabulary']}", row["train_tokens"], "tokens", row["train_tokens_low"],
               row["train_tokens_high"], "train_bytes / bytes_per_token",
               {"train_bytes": corpus["split"]["train_bytes"], "bytes_per_token": row["bytes_per_token"]},
               "the tokenizer on documents it was not trained on; 95 % by resampling documents")
        for row in corpus["tokens"]
    ]  # fmt: skip
    names = (("cores_free", "cores"), ("memory_free_bytes", "bytes"), ("disk_free_bytes", "bytes"))
    return counts + tokens + [Number(name, computer[name], unit, source="the system, now") for name, unit in names]


def show(corpus: Mapping[str, Any], computer: Mapping[str, Any]) -> str:
    """The evidence as a person reads it."""
    found, sides, alike = corpus["data"], corpus["split"], corpus["duplicates"]
    field = f", text in '{found['text_field']}'" if found["text_field"] else ""
    spoken = ", ".join(f"{item['code']} {100 * item['share']:.0f} %" for item in corpus["languages"][:5])
    lines = [
        f"corpus     {len(corpus['files'])} {found['format']} files{field}: {show_bytes(corpus['bytes']['value'])}, "
        f"{corpus['documents']['value']:,.0f} documents, {show_count(corpus['words']['value'])} words"
        + (" (sampled)" if corpus["bytes"]["how"] == "sampled" else ""),
        f"languages  {spoken}",
        f"repeats    {alike['exact_documents']} exact, {alike['near_documents']} near of {alike['sampled_documents']} "
        f"documents; {alike['across_split']} groups would have crossed the split",
        f"held out   {sides['heldout_documents']} documents, {show_bytes(sides['heldout_bytes'])}, by {sides['by']}",
    ]
    lines += [
        f"tokens     {show_count(row['train_tokens'])} ({show_count(row['train_tokens_low'])}-"
        f"{show_count(row['train_tokens_high'])}) at vocabulary {row['vocabulary']}: "
        f"{row['bytes_per_token']:.2f} bytes each"
        for row in corpus["tokens"]
    ]
    return "\n".join([*lines, *_show_machine(computer)])


def _show_machine(computer: Mapping[str, Any]) -> list[str]:
    square = [row for row in computer["gemm"] if row["m"] == row["n"]]
    peaks = ", ".join(f"{row['precision']} x{row['threads']} {row['flop_per_s'] / 1e9:.0f}" for row in square)
    chosen = computer["precision"]
    return [
        f"machine    {computer['cores_free']} of {computer['cores']} cores free, "
        f"{show_bytes(computer['memory_free_bytes'])} of memory free, disk {show_bytes(computer['disk_free_bytes'])}",
        f"GEMM       {peaks} GFLOP/s",
        f"precision  body {chosen['body']}, head {chosen['head']}: {chosen['why']}",
    ]
