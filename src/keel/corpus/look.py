"""`keel look`: measure the corpus and the machine; a new look keeps the old one beside it, dated."""

from __future__ import annotations

import shutil
import time
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
from keel.files import digest, read_json, sha256_bytes, sha256_file, write_json, write_text
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
        result={"corpus": corpus, "machine": computer}, text=show(corpus, computer), numbers=_numbers(corpus),
        problems=[Problem(**problem) for problem in corpus["problems"]],
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
    if seen.documents == 1 and by == "document":
        by = "piece"
        seen = survey(source, by)
        source.problems.append(Problem("the corpus is one document", "it was cut into pieces of about 8 KiB to hold some out",
                                       "nothing to do, or bring more documents", source.name(source.files[0])))  # fmt: skip
    if seen.documents == 0:
        raise StudyError("the corpus holds no text", why=f"{len(source.files)} files, {source.empty} empty documents",
                         fix="check [data] train and [data] text", where="study.toml")  # fmt: skip
    alike, moved, across = _alike(seen, by)
    divided = split.choose(seen.items, by, moved)
    rows, tokenizer_json, trained_bytes, notes = _tokens(seen, divided, study)
    parts = _sides(seen, divided)
    files = [{"path": source.name(path), "bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in source.files]
    if source.empty:
        notes.append(Problem(f"{source.empty} documents are empty", "they hold only white space", "they are left out", ""))
    sampled = None if seen.keep == 1.0 and seen.files_read == len(source.files) else {
        "documents": len(seen.sample), "of_bytes": seen.bytes, "files_read": seen.files_read, "files": len(source.files),
        "why": "duplicates, languages and tokens are measured on a fair sample of at most 64 MB and 20,000 documents",
    }  # fmt: skip
    corpus = {
        "made_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "keel": __version__,
        "data": {"patterns": list(study.data.patterns), "format": source.format, "text_field": source.text_field,
                 "group_field": study.data.group, "time_field": study.data.time, "encoding": study.data.encoding},
        "files": files, "data_sha256": digest(sorted((item["path"], item["sha256"]) for item in files)),
        **totals(seen, source), "sampled": sampled,
        "length_bytes": {name: int(np.quantile(seen.lengths, q)) for name, q in
                         (("p5", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95), ("max", 1.0))},
        "languages": languages.shares([document.text for document in seen.sample]), "languages_method": languages.METHOD,
        "duplicates": duplicates.report(alike, across, len(seen.sample), seen.documents),
        "split": divided | parts,
        "tokenizer": {"file": "evidence/tokenizer.json", "sha256": sha256_bytes(tokenizer_json.encode()),
                      "vocabulary": rows[-1]["vocabulary"], "trained_on_bytes": trained_bytes},
        "tokens": rows, "problems": [problem._asdict() for problem in [*source.problems, *notes]],
    }  # fmt: skip
    return corpus, tokenizer_json


def _alike(seen: Survey, by: str) -> tuple[duplicates.Clusters, dict[str, str], int]:
    """Clusters of alike documents; which units move so that none straddles the split; how many would have."""
    clusters = duplicates.find([document.text for document in seen.sample])
    if by == "time":
        return clusters, {}, 0
    moved: dict[str, str] = {}
    for cluster in clusters.near:
        keys = sorted({split.key_hash(split.split_key(seen.sample[number])) for number in cluster})
        canonical = min(moved.get(key, key) for key in keys)
        targets = {moved.get(key, key) for key in keys}
        moved = {key: canonical if target in targets else target for key, target in moved.items()}
        moved |= {key: canonical for key in keys if key != canonical}
    plain = split.choose(seen.items, by, {}) if len({item.key for item in seen.items}) > 1 else None
    across = 0
    for cluster in clusters.near if plain else ():
        across += len({split.is_heldout(plain or {}, seen.sample[number]) for number in cluster}) > 1
    return clusters, moved, across


def _tokens(
    seen: Survey, divided: Mapping[str, Any], study: Study
) -> tuple[list[dict[str, Any]], str, int, list[Problem]]:
    """Train the tokenizer on one part of the training sample, measure on another."""
    texts = [document.text for document in seen.sample if not split.is_heldout(divided, document)]
    if not texts:
        raise StudyError("no text is left to train on", why="the sample holds only held-out documents",
                         fix="bring more documents", where="[data]")  # fmt: skip
    wanted = study.overrides.get("tokenizer.vocabulary")
    size = max(int(wanted), 260) if isinstance(wanted, int) else tokenizer.largest_vocabulary(seen.bytes)
    progress = Progress("tokenizer", 1.0)
    learning, rest, used = _shares(texts)
    trained = tokenizer.train(learning, size)
    progress.close(f"{used:,} bytes, vocabulary {size}")
    notes = []
    if not rest:
        rest = learning
        notes.append(Problem("tokens were measured on the text that trained the tokenizer", "there is one document of it",
                             "expect slightly more tokens than stated", ""))  # fmt: skip
    train_bytes = _sides(seen, divided)["train_bytes"]
    return tokenizer.measure(trained, rest, train_bytes), trained, used, notes


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
    """Documents and bytes on either side, over the documents that were read."""
    held = documents = 0
    for item in seen.items:
        if divided["by"] == "time":
            out = (item.time or "") >= divided["threshold"]
        else:
            hashed = split.key_hash(item.key)
            out = split.place(divided["moved"].get(hashed, hashed)) < divided["threshold"]
        held, documents = held + out * item.bytes, documents + out
    return {"heldout_documents": documents, "heldout_bytes": held, "train_documents": seen.documents - documents,
            "train_bytes": seen.bytes - held}  # fmt: skip


def _numbers(corpus: Mapping[str, Any]) -> list[Number]:
    counts = [
        Number(name, corpus[name]["value"], low=corpus[name]["low"], high=corpus[name]["high"], source=corpus[name]["how"])
        for name in ("documents", "bytes", "characters", "words")
    ]
    return counts + [
        Number(f"tokens at vocabulary {row['vocabulary']}", row["train_tokens"], "tokens", row["train_tokens_low"],
               row["train_tokens_high"], "training bytes / bytes per token", {"bytes_per_token": row["bytes_per_token"]},
               "measured by the tokenizer on documents it was not trained on") for row in corpus["tokens"]
    ]  # fmt: skip


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
    lines += [f"tokens     {show_count(row['train_tokens'])} ({show_count(row['train_tokens_low'])}-"
              f"{show_count(row['train_tokens_high'])}) at vocabulary {row['vocabulary']}: {row['bytes_per_token']:.2f} bytes each"
              for row in corpus["tokens"]]  # fmt: skip
    peaks = ", ".join(f"{row['precision']} x{row['threads']} {row['flop_per_s'] / 1e9:.0f}" for row in computer["gemm"]
                      if row["m"] == row["n"])  # fmt: skip
    lines += [
        f"machine    {computer['cores_free']} of {computer['cores']} cores free, {show_bytes(computer['memory_free_bytes'])} "
        f"of memory free, disk {show_bytes(computer['disk_free_bytes'])}",
        f"GEMM       {peaks} GFLOP/s",
        f"precision  body {computer['precision']['body']}, head {computer['precision']['head']}: {computer['precision']['why']}",
    ]
    return "\n".join(lines)


