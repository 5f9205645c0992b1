"""A corpus of pairs, measured: both sides, their lengths against each other, languages, repeats, split, tokens.

What is written under the names of a corpus of documents means the same here, a pair being a document of two texts.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keel import __version__
from keel.corpus import duplicates, languages, measure, split, tokenizer
from keel.corpus.pair_source import PairSource
from keel.corpus.pair_writer import Pair, bytes_of, source_hash
from keel.corpus.split import MOST_UNITS, Units, key_hash
from keel.corpus.survey import SAMPLE_BYTES, SAMPLE_DOCUMENTS
from keel.errors import Problem, StudyError
from keel.files import digest, sha256_bytes, utc_now
from keel.progress import Progress
from keel.study import Study

# A pair outside this ratio is counted: one side is then more than three times as long as the other, in characters.
RATIO = 3.0
LEVELS = (("p1", 0.01), ("p5", 0.05), ("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


@dataclass
class Side:
    """One side of all pairs."""

    bytes: int = 0
    characters: int = 0
    words: int = 0
    sizes: array[int] = field(default_factory=lambda: array("q"))

    def add(self, text: str, noted: bool) -> None:
        """Count a text; `noted`: its length too."""
        size = len(text.encode())
        self.bytes, self.characters, self.words = (
            self.bytes + size, self.characters + len(text), self.words + len(text.split()),
        )  # fmt: skip
        if noted:
            self.sizes.append(size)


@dataclass
class Seen:
    """One pass over the pairs; lengths, repeats and the split rest on the first 5 million."""

    sides: tuple[Side, Side] = field(default_factory=lambda: (Side(), Side()))
    pairs: int = 0
    identical: int = 0
    units: Units = field(default_factory=Units)
    sources: array[int] = field(default_factory=lambda: array("Q"))
    wholes: array[int] = field(default_factory=lambda: array("Q"))
    ratios: array[float] = field(default_factory=lambda: array("f"))
    tasks: Counter[str] = field(default_factory=Counter)
    sample: list[Pair] = field(default_factory=list)
    sample_bytes: int = 0
    keep: float = 1.0

    @property
    def bytes(self) -> int:
        """Bytes of both sides."""
        return self.sides[0].bytes + self.sides[1].bytes

    @property
    def scale(self) -> float:
        """How many times larger the corpus is than what `units` hold."""
        return self.bytes / max(1, self.units.bytes)


def _survey(source: PairSource) -> Seen:
    seen, rng = Seen(), np.random.Generator(np.random.Philox(key=[0, 1]))
    progress = Progress("survey", source.bytes)
    for pair in source.pairs():
        _count(seen, pair)
        if rng.random() < seen.keep:
            seen.sample.append(pair)
            seen.sample_bytes += bytes_of(pair)
            _thin(seen, rng)
        progress.update(min(source.bytes, seen.bytes), f"{seen.pairs:,} pairs")
    progress.close(f"{seen.pairs:,} pairs")
    return seen


def _count(seen: Seen, pair: Pair) -> None:
    noted = seen.pairs < MOST_UNITS
    seen.pairs += 1
    seen.tasks[pair.task] += 1
    for side, text in zip(seen.sides, (pair.source, pair.target)):
        side.add(text, noted)
    seen.identical += " ".join(pair.source.split()) == " ".join(pair.target.split())
    if noted:
        seen.units.add(pair.unit, bytes_of(pair), timed=False)
        seen.sources.append(source_hash(pair))
        seen.wholes.append(int(key_hash(f"{pair.source}\0{pair.target}"), 16))
        seen.ratios.append(len(pair.target) / len(pair.source))


def _thin(seen: Seen, rng: np.random.Generator) -> None:
    """Keep the sample within its bounds by halving it, and the odds of later pairs with it: still fair."""
    while (seen.sample_bytes > SAMPLE_BYTES or len(seen.sample) > SAMPLE_DOCUMENTS) and len(seen.sample) > 1:
        kept = rng.random(len(seen.sample)) < 0.5
        seen.sample = [pair for pair, keep in zip(seen.sample, kept) if keep] or seen.sample[:1]
        seen.sample_bytes = sum(map(bytes_of, seen.sample))
        seen.keep /= 2


def measure_pairs(source: PairSource, study: Study) -> tuple[dict[str, Any], str]:
    """The content of corpus.json, and the tokenizer trained on both sides.

    Raises:
        StudyError: no pair has text on both sides, or nothing could be held out.
    """
    seen = _survey(source)
    if not seen.pairs:
        raise StudyError("the corpus holds no pair", why=f"{source.num_empty} pairs have an empty side",
                         fix="check [data]", where="study.toml: [data]")  # fmt: skip
    by = "group" if study.data.group else "pair"
    alike, moved, across = _alike(seen, by)
    divided = split.choose(seen.units, by, moved, seen.scale)
    divided |= measure.sides(seen.units, seen.scale, divided)
    learning = [(pair.source, pair.target) for pair in seen.sample if not split.is_heldout(divided, pair.unit)]
    if not learning:
        raise StudyError("no pair is left to train on", why="the sample holds only held-out pairs",
                         fix="bring more pairs", where="study.toml: [data]")  # fmt: skip
    size = tokenizer.wanted_vocabulary(study.overrides, seen.bytes)
    rows, tokenizer_json, trained_bytes, notes = measure.tokens(learning, size, divided["train_bytes"])
    files = measure.files_of(source)
    names, pairs = study.data.sides, _pairs(seen, source, divided)
    sides = [_side(seen, place, name) for place, name in enumerate(names)]
    data = {
        "patterns": list(study.data.patterns), "format": source.format, "text_field": None,
        "parallel": study.data.parallel, "templates": [list(each) for each in study.data.templates],
        "task_field": study.data.task, "group_field": study.data.group, "time_field": None,
        "encoding": study.data.encoding,
    }  # fmt: skip
    corpus = {
        "made_utc": utc_now(), "keel": __version__, "kind": source.kind, "data": data, "files": files,
        "data_sha256": digest([source.kind, list(names), data["parallel"] if study.data.train else None,
                               data["templates"], study.data.task, measure.keys_of(source, files)]),
        **_totals(seen), "sampled": _sampled(seen), "length_bytes": measure.quantiles(seen.units.sizes),
        "sides": sides, "pairs": pairs, "languages": _languages(sides), "languages_method": languages.METHOD,
        "duplicates": duplicates.report(alike, across, len(seen.sample), seen.pairs), "split": divided,
        "tokenizer": {"file": "evidence/tokenizer.json", "sha256": sha256_bytes(tokenizer_json.encode()),
                      "vocabulary": rows[-1]["vocabulary"], "trained_on_bytes": trained_bytes},
        "tokens": rows,
        "problems": [note._asdict() for note in [
            *source.problems, *_left_out(pairs), *_foreign(source, sides), *_odd(source, pairs), *notes]],
    }  # fmt: skip
    return corpus, tokenizer_json


def _alike(seen: Seen, by: str) -> tuple[duplicates.Clusters, dict[str, str], int]:
    """Clusters of alike sources; which keys move so that none straddles the split; how many would have.

    Groups stay as they are: common short lines would join them all. Their repeats are left out of what is judged.
    """
    clusters = duplicates.find([pair.source for pair in seen.sample])
    if not clusters.near or seen.units.distinct() < 2:
        return clusters, {}, 0
    plain = split.choose(seen.units, by, {}, seen.scale)
    sides = [{split.is_heldout(plain, seen.sample[number].unit) for number in cluster} for cluster in clusters.near]
    across = sum(len(side) > 1 for side in sides)
    if by == "group":
        return clusters, {}, across
    keys = ((key_hash(split.split_key(seen.sample[number].unit)) for number in cluster) for cluster in clusters.near)
    return clusters, split.together(keys), across


def _pairs(seen: Seen, source: PairSource, divided: dict[str, Any]) -> dict[str, Any]:
    """What is true of pairs alone."""
    ratios, sources = np.asarray(seen.ratios), np.asarray(seen.sources)
    held = split.mask(seen.units, divided)
    found = {
        "kept": seen.pairs, "empty": source.num_empty, "empty_at": source.empty, "identical": seen.identical,
        "repeated": len(seen.wholes) - len(np.unique(np.asarray(seen.wholes))),
        "repeated_sources": len(sources) - len(np.unique(sources)),
        "heldout_also_trained": int(np.isin(sources[held], sources[~held]).sum()),
        "length_ratio": {name: float(np.quantile(ratios, level)) for name, level in LEVELS},
        "length_ratio_is": "characters of the second side / characters of the first", "ratio_bound": RATIO,
        "outside_ratio": int(((ratios > RATIO) | (ratios < 1 / RATIO)).sum()),
    }  # fmt: skip
    return found | ({"tasks": dict(sorted(seen.tasks.items()))} if source.kind == "instructions" else {})


def _side(seen: Seen, place: int, name: str) -> dict[str, Any]:
    side = seen.sides[place]
    texts = [(pair.source, pair.target)[place] for pair in seen.sample]
    return {
        "name": name, "bytes": side.bytes, "characters": side.characters, "words": side.words,
        "length_bytes": measure.quantiles(side.sizes), "languages": languages.shares(languages.joined(texts)),
    }  # fmt: skip


def _languages(sides: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Languages of both sides together, by bytes."""
    whole, found = sum(side["bytes"] for side in sides), Counter[str]()
    for side in sides:
        for item in side["languages"]:
            found[item["code"]] += item["share"] * side["bytes"] / whole
    return [{"code": code, "share": share} for code, share in found.most_common()]


def _totals(seen: Seen) -> dict[str, dict[str, Any]]:
    counts = {"documents": seen.pairs} | {
        name: sum(getattr(side, name) for side in seen.sides) for name in ("bytes", "characters", "words")
    }
    return {name: {"value": value, "low": value, "high": value, "how": "counted"} for name, value in counts.items()}


def _sampled(seen: Seen) -> dict[str, Any] | None:
    if seen.keep == 1.0 and seen.pairs <= MOST_UNITS:
        return None
    return {
        "documents": len(seen.sample), "of_bytes": seen.bytes, "pairs_for_the_split": min(seen.pairs, MOST_UNITS),
        "why": "near duplicates, languages and tokens are measured on a fair sample of at most 64 MB and 20,000 pairs; "
               "lengths, repeats and the split on the first 5 million",
    }  # fmt: skip


# ---- what is said aloud ----


def _left_out(pairs: dict[str, Any]) -> list[Problem]:
    found = []
    if pairs["empty"]:
        shown = ", ".join(pairs["empty_at"]) + (" ..." if pairs["empty"] > len(pairs["empty_at"]) else "")
        found.append(Problem(f"{pairs['empty']} pairs have an empty side", shown,
                             "they are left out; fill them in if they should not be", "[data]"))  # fmt: skip
    if pairs["heldout_also_trained"]:
        found.append(Problem(f"{pairs['heldout_also_trained']} held-out pairs repeat a source of another group",
                             "that group is trained on", "they are left out of what is judged",
                             "[data] group"))  # fmt: skip
    return found


def _foreign(source: PairSource, sides: Sequence[dict[str, Any]]) -> list[Problem]:
    """A side that does not read as the language that is named."""
    if source.kind != "parallel":
        return []
    found = []
    for side in sides:
        code, first = side["name"].lower().replace("_", "-").split("-")[0], side["languages"][0]
        share = next((item["share"] for item in side["languages"] if item["code"] == code), 0.0)
        if first["code"] != code:
            why = f"{first['code']} is {first['share']:.0%} of its bytes, {code} {share:.0%} (py3langid)"
            found.append(Problem(f"the side '{side['name']}' reads as another language", why,
                                 "check that the sides are not exchanged; short lines are told badly",
                                 "[data] parallel"))  # fmt: skip
    return found


def _odd(source: PairSource, pairs: dict[str, Any]) -> list[Problem]:
    """Pairs that may be no translations: counted, and kept."""
    if source.kind != "parallel":
        return []
    found = []
    if pairs["identical"]:
        found.append(Problem(f"{pairs['identical']} pairs have the same text on both sides", "they look untranslated",
                             "they are kept; remove them if they are no names", "[data] parallel"))  # fmt: skip
    if pairs["outside_ratio"]:
        found.append(Problem(f"{pairs['outside_ratio']} pairs have a side over {RATIO:g} times as long as the other",
                             "they may be badly aligned", "kept; look at some", "[data] parallel"))  # fmt: skip
    return found
