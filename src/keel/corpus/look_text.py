"""A corpus of documents, measured: counts, lengths, languages, repeats, the held-out split, tokens."""

from __future__ import annotations

from typing import Any

from keel import __version__
from keel.corpus import duplicates, languages, measure, split, tokenizer
from keel.corpus.readers import Source
from keel.corpus.survey import Survey, survey, totals
from keel.errors import Problem, StudyError
from keel.files import digest, sha256_bytes, utc_now
from keel.study import Study


def measure_text(source: Source, study: Study) -> tuple[dict[str, Any], str]:
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
    divided |= measure.sides(seen.units, seen.scale, divided)
    texts = [(document.text,) for document in seen.sample if not split.is_heldout(divided, document)]
    if not texts:
        raise StudyError("no text is left to train on", why="the sample holds only held-out documents",
                         fix="bring more documents", where="[data]")  # fmt: skip
    size = tokenizer.wanted_vocabulary(study.overrides, seen.bytes * seen.scale)
    rows, tokenizer_json, trained_bytes, notes = measure.tokens(texts, size, divided["train_bytes"])
    files = measure.files_of(source)
    corpus = {
        "made_utc": utc_now(), "keel": __version__, "kind": "text",
        "data": {"patterns": list(study.data.patterns), "format": source.format, "text_field": source.text_field,
                 "group_field": study.data.group, "time_field": study.data.time, "encoding": study.data.encoding},
        "files": files, "data_sha256": digest(measure.keys_of(source, files)),
        **totals(seen), "sampled": _sampled(seen, source), "length_bytes": measure.quantiles(seen.units.sizes),
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


def _sampled(seen: Survey, source: Source) -> dict[str, Any] | None:
    if seen.keep == 1.0 and len(seen.per_file) == len(source.files):
        return None
    return {
        "documents": len(seen.sample), "of_bytes": seen.bytes,
        "files_read": len(seen.per_file), "files": len(source.files),
        "why": "duplicates, languages and tokens are measured on a fair sample of at most 64 MB and 20,000 documents",
    }  # fmt: skip


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
