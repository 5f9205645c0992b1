"""`keel look`: measure the corpus and the machine; a new look keeps the old one beside it, dated."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel.answer import Answer, Number
from keel.corpus.images.items import ImageSource, open_images
from keel.corpus.look_pairs import measure_pairs
from keel.corpus.look_text import measure_text
from keel.corpus.machine import machine
from keel.corpus.pair_source import PairSource, open_pairs
from keel.corpus.readers import Source, open_source
from keel.data import OF_IMAGES
from keel.errors import Problem
from keel.files import digest, read_json, write_json, write_text
from keel.study import Study
from keel.units import show_bytes, show_count

SYSTEM = (("cores_free", "cores"), ("memory_free_bytes", "bytes"), ("disk_free_bytes", "bytes"))
CORPUS, MACHINE = "keel.corpus/1", "keel.machine/1"


def source_of(folder: Path, study: Study) -> Source | PairSource | ImageSource:
    """The study's corpus as a source of documents, of pairs, or of images."""
    if study.data.kind in OF_IMAGES:
        return open_images(folder, study.data)
    return text_source(folder, study)


def text_source(folder: Path, study: Study) -> Source | PairSource:
    """The study's corpus as a source of documents, or of pairs."""
    return open_source(folder, study.data) if study.data.kind == "text" else open_pairs(folder, study.data)


def measure_corpus(source: Source | PairSource, study: Study) -> tuple[dict[str, Any], str]:
    """The content of corpus.json, and the tokenizer trained on the way.

    Raises:
        StudyError: no text, or nothing that could be held out.
    """
    return measure_text(source, study) if isinstance(source, Source) else measure_pairs(source, study)


def look(folder: Path, study: Study) -> Answer:
    """Write evidence/corpus.json, evidence/machine.json and evidence/tokenizer.json; of images, images.json."""
    if study.data.kind in OF_IMAGES:
        return _look_images(folder, study)
    source = text_source(folder, study)
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


def _look_images(folder: Path, study: Study) -> Answer:
    """Write evidence/images.json and evidence/machine.json; of captions evidence/tokenizer.json."""
    from keel.corpus.images.caption_tokens import FILE
    from keel.corpus.images.look import SCHEMA, measured
    from keel.corpus.images.show import show as shown

    source = open_images(folder, study.data)
    (found, tokenizer_json), computer = measured(source, study), machine(folder, study.data.kind)
    if tokenizer_json is not None:
        write_text(folder / FILE, tokenizer_json)
    _write(folder / "evidence" / "images.json", SCHEMA, found)
    _write(folder / "evidence" / "machine.json", MACHINE, computer)
    counted, unit = "counted by keel look", found["size"]["unit"]
    return Answer(
        result={"images": found, "machine": computer}, text="\n".join([*shown(found), *_show_machine(computer)]),
        numbers=[Number(unit, found["images"], unit, source=counted),
                 Number("bytes", found["bytes"], "bytes", source=counted),
                 *(Number(name, computer[name], of, source="the system, now") for name, of in SYSTEM)],
        problems=[Problem(**problem) for problem in [*found["problems"], *computer.get("problems", [])]],
        reads=[source.name(path) for path in source.files[:20]],
        writes=["evidence/images.json", "evidence/machine.json", *([FILE] if tokenizer_json is not None else [])],
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
    return counts + tokens + [Number(name, computer[name], unit, source="the system, now") for name, unit in SYSTEM]


def show(corpus: Mapping[str, Any], computer: Mapping[str, Any]) -> str:
    """The evidence as a person reads it."""
    found, sides, alike = corpus["data"], corpus["split"], corpus["duplicates"]
    field = f", text in '{found['text_field']}'" if found["text_field"] else ""
    spoken = ", ".join(f"{item['code']} {100 * item['share']:.0f} %" for item in corpus["languages"][:5])
    units = "pairs" if corpus.get("sides") else "documents"
    lines = [
        f"corpus     {len(corpus['files'])} {found['format']} files{field}: {show_bytes(corpus['bytes']['value'])}, "
        f"{corpus['documents']['value']:,.0f} {units}, {show_count(corpus['words']['value'])} words"
        + (" (sampled)" if corpus["bytes"]["how"] == "sampled" else ""),
        *_show_pairs(corpus),
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


def _show_pairs(corpus: Mapping[str, Any]) -> list[str]:
    """What is true of pairs alone; nothing of plain text."""
    if not corpus.get("sides"):
        return []
    pairs, lines = corpus["pairs"], []
    for side in corpus["sides"]:
        told = ", ".join(f"{item['code']} {100 * item['share']:.0f} %" for item in side["languages"][:3])
        lines.append(
            f"side       {side['name']}: {show_bytes(side['bytes'])}, {show_count(side['words'])} words, "
            f"middle half {side['length_bytes']['p25']}-{side['length_bytes']['p75']} bytes; reads as {told}"
        )
    ratio = pairs["length_ratio"]
    lines.append(
        f"lengths    second / first side {ratio['p50']:.2f} (nine in ten {ratio['p5']:.2f}-{ratio['p95']:.2f}); "
        f"{pairs['outside_ratio']} pairs beyond {pairs['ratio_bound']:g} times"
    )
    lines.append(
        f"pairs      {pairs['empty']} with an empty side, {pairs['identical']} alike on both sides, "
        f"{pairs['repeated']} repeated, {pairs['repeated_sources']} with a source seen before"
    )
    if "tasks" in pairs and list(pairs["tasks"]) != [""]:
        most = sorted(pairs["tasks"].items(), key=lambda item: -item[1])[:5]
        lines.append(f"tasks      {len(pairs['tasks'])}: " + ", ".join(f"{name} {count:,}" for name, count in most))
    return lines


def _show_machine(computer: Mapping[str, Any]) -> list[str]:
    square = [row for row in computer["gemm"] if row["m"] == row["n"]]
    peaks = ", ".join(f"{row['precision']} x{row['threads']} {row['flop_per_s'] / 1e9:.0f}" for row in square)
    chosen = computer["precision"]
    return [
        f"machine    {computer['cores_free']} of {computer['cores']} cores free, "
        f"{show_bytes(computer['memory_free_bytes'])} of memory free, disk {show_bytes(computer['disk_free_bytes'])}",
        f"GEMM       {peaks} GFLOP/s",
        *(
            f"precision  body {one['body']}, head {one['head']}: {one['why']}"
            for one in (chosen, *chosen.get("wider", ()))
        ),
    ]
