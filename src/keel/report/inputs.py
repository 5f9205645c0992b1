"""What the answer rests on: the study, the plan's numbers, the corpus, the machine, the software, the sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keel.report.artefacts import Artefacts
from keel.report.markup import bullets, code, esc, facts, folded, linked, paragraph, section, table, tag
from keel.report.words import number, percent, plural, show, show_named, sig_interval
from keel.study import flatten
from keel.units import show_bytes, show_count, show_duration, show_usd

# Not sources: the fit itself, and what the user set.
OWN = ("fit", "yours", "", None)


def intent(found: Artefacts) -> str:
    """What the user wants and may spend."""
    study, budget = found.study, found.study.budget
    uses = [f"{esc(use.name)} ({esc(use.task)})" for use in study.use_case]
    spend = [
        show_usd(budget.compute_usd) + " of compute" if budget.compute_usd is not None else "",
        show(budget.compute, "flop") if budget.compute is not None else "",
        show_duration(budget.time_s) + " on this machine" if budget.time_s is not None else "",
        f"{budget.people_days:g} days of people" if budget.people_days is not None else "",
        f"deadline {budget.deadline}" if budget.deadline else "",
    ]
    yours = [f"{code(name)} = {esc(show(value))}" for name, value in study.overrides.items()]
    return section("The study", facts([
        ("data", ", ".join(code(pattern) for pattern in study.data.patterns)),
        ("use cases", ", ".join(uses)),
        ("budget", esc(", ".join(part for part in spend if part))),
        ("licence", esc(study.limits.licence)),
        ("start from", esc(study.start.start_from)),
        ("set by you", "<br>".join(yours)),
    ]))  # fmt: skip


def numbers(found: Artefacts) -> str:
    """The plan's numbers: each with formula, inputs, source, range, how far outside, and whether it is the user's."""
    items = "".join(_number(item) for item in found.numbers)
    route = (found.plan or {}).get("route")
    pairs = []
    if isinstance(route, Mapping):
        pairs.append(("route", f"<b>{esc(route.get('value'))}</b> {linked(route.get('why') or '')}"))
    pairs += [(name, esc((found.plan or {}).get(name) or "")) for name in ("family", "objective")]
    targets = [item for item in (found.plan or {}).get("targets") or () if isinstance(item, Mapping)]
    pairs += [("target", esc(_target(item))) for item in targets]
    return section("The plan's numbers", facts(pairs), f'<ul class="numbers">{items}</ul>' if items else "")


def _target(item: Mapping[str, Any]) -> str:
    """The bigger run that the plan prepares."""
    parts = [f"{show_named(name, item.get(name))} {unit}".strip() for name, unit in
             (("params", "params"), ("tokens", "tokens"), ("flop", "")) if item.get(name)]  # fmt: skip
    return "; ".join([", ".join(parts), *(str(item[name]) for name in ("warning", "why") if item.get(name))])


def _source(item: Mapping[str, Any]) -> str:
    """Where a number comes from; the user's own carry a mark in place of it."""
    if item.get("yours"):
        return ""
    return f"source: {linked(item['source'])}" if item.get("source") else "no source"


def _number(item: Mapping[str, Any]) -> str:
    unit = str(item.get("unit") or "")
    ends = sig_interval(number(item, "low"), number(item, "high"), "\u2013")
    marks = [tag("yours", "hit")] if item.get("yours") else []
    marks += [tag("outside", "bad")] if item.get("outside") else []
    given = item.get("inputs")
    inputs = ", ".join(f"{k} = {show(v)}" for k, v in given.items()) if isinstance(given, Mapping) else ""
    how = [
        code(item["formula"]) if item.get("formula") else "",
        f"with {esc(inputs)}" if inputs else "",
        _source(item),
        f"covers {linked(item['valid'])}" if item.get("valid") else "",
        f'<span class="bad">outside: {esc(item["outside"])}</span>' if item.get("outside") else "",
    ]
    value = f"<b>{esc(show(item.get('value'), unit))}</b>" + (f" ({ends})" if ends != "?" else "")
    said = " &#183; ".join(part for part in how if part)
    return f'<li>{esc(item.get("name"))} {value} {" ".join(marks)}<span class="how">{said}</span></li>'


def corpus(found: Artefacts) -> str:
    """What was measured of the data."""
    tree = found.corpus
    if tree is None:
        return ""
    languages = [f"{esc(item.get('code'))} {percent(number(item, 'share'))}" for item in tree.get("languages") or ()]
    length, split, tokenizer = (_tree(tree, key) for key in ("length_bytes", "split", "tokenizer"))
    quantiles = ", ".join(f"{esc(name)} {show(value)}" for name, value in length.items())
    entries = show(tokenizer.get("vocabulary"))
    listed = facts([
        ("bytes", _counted(tree, "bytes")), ("documents", _counted(tree, "documents")),
        ("characters", _counted(tree, "characters")), ("words", _counted(tree, "words")),
        ("languages", ", ".join(languages)), ("document bytes", quantiles),
        ("duplicates", _duplicates(_tree(tree, "duplicates"))), ("held out", _split(split)),
        ("sampled", _sampled(tree.get("sampled"))),
        ("tokenizer", f"{code(tokenizer['file'])}, {entries} entries" if tokenizer.get("file") else ""),
        ("digest", code(tree.get("data_sha256"))), ("measured", esc(tree.get("made_utc") or "")),
    ])  # fmt: skip
    return section("The corpus", listed, _tokens(tree), _files(tree))


def _tree(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = tree.get(key)
    return found if isinstance(found, Mapping) else {}


def _counted(tree: Mapping[str, Any], key: str) -> str:
    """A count, with its interval where it was sampled."""
    item = _tree(tree, key)
    value, low, high = (number(item, part) for part in ("value", "low", "high"))
    if value is None:
        return ""
    exact = low is None or high is None or low == high
    said = show_bytes(value) if key == "bytes" else f"{value:,.0f}" if exact else show_count(value)
    ends = (
        f" ({show_count(low)}\u2013{show_count(high)})" if low is not None and high is not None and low < high else ""
    )
    return f'{said}{ends} <span class="muted">{esc(item.get("how") or "")}</span>'


def _duplicates(item: Mapping[str, Any]) -> str:
    if not item:
        return ""
    exact, near = (show(item.get(key)) for key in ("exact_documents", "near_documents"))
    said = f"{exact} documents exact, {near} near (similarity over {show(item.get('threshold'))})"
    return esc(
        f"{said}, {show(item.get('across_split'))} across the split, by {item.get('method') or 'a method not named'}"
    )


def _split(item: Mapping[str, Any]) -> str:
    if not item:
        return ""
    documents, size = number(item, "heldout_documents"), number(item, "heldout_bytes")
    said = f"{show(documents)} documents, {show(size, 'bytes')}, by {item.get('by')}"
    return esc(f"{said} ({percent(number(item, 'fraction'))})")


def _sampled(item: Any) -> str:
    if not isinstance(item, Mapping):
        return ""
    return esc(f"{show(item.get('documents'))} documents of {show(item.get('of_bytes'), 'bytes')}: {item.get('why')}")


def _tokens(tree: Mapping[str, Any]) -> str:
    rows = []
    for item in tree.get("tokens") or ():
        low, high, value = (number(item, key) for key in ("low", "high", "bytes_per_token"))
        few, many, count = (number(item, f"train_tokens{end}") for end in ("_low", "_high", ""))
        ends = f" ({show_count(few)}\u2013{show_count(many)})" if few is not None and many is not None else ""
        rows.append([show(item.get("vocabulary")), f"{show(value)} ({sig_interval(low, high, chr(0x2013))})",
                     (show_count(count) if count is not None else "?") + ends])  # fmt: skip
    return table(("vocabulary", "bytes per token", "training tokens"), rows, frozenset({1, 2})) if rows else ""


def _files(tree: Mapping[str, Any], most: int = 100) -> str:
    files = [item for item in tree.get("files") or () if isinstance(item, Mapping)]
    rows = [
        [code(item.get("path")), show(item.get("bytes"), "bytes"), code(str(item.get("sha256"))[:16])]
        for item in files[:most]
    ]
    more = f"and {len(files) - most} more, all in evidence/corpus.json" if len(files) > most else ""
    listed = table(("file", "bytes", "sha256 begins"), rows, frozenset({1})) + paragraph(more, "muted")
    return folded(f"The {plural(len(files), 'file')}", listed) if rows else ""


def machine(found: Artefacts) -> str:
    """What was measured of the machine."""
    tree = found.machine
    if tree is None:
        return ""
    precision = _tree(tree, "precision")
    chosen = [precision, *(one for one in precision.get("wider") or () if isinstance(one, Mapping))]
    kinds = "; ".join(f"body {one.get('body')}, head {one.get('head')}: {one.get('why')}" for one in chosen)
    memory = [show(tree.get(name), "bytes") for name in ("memory_free_bytes", "memory_bytes")]
    listed = facts([
        ("processor", esc(tree.get("cpu") or "")), ("platform", esc(tree.get("platform") or "")),
        ("cores", esc(f"{show(tree.get('cores_free'))} free of {show(tree.get('cores'))}")),
        ("memory", esc(f"{memory[0]} free of {memory[1]}")),
        ("disk", esc(f"{show(tree.get('disk_free_bytes'), 'bytes')} free")),
        ("torch", esc(tree.get("torch") or "not installed")),
        ("precision", esc(kinds) if precision else ""),
        ("measured", esc(tree.get("made_utc") or "")),
    ])  # fmt: skip
    steps = [item for item in tree.get("steps") or () if isinstance(item, Mapping)]
    rows = [
        [
            show(item.get("width")),
            show(item.get("vocabulary")),
            show(item.get("threads")),
            show_count(number(item, "tokens_per_s") or 0),
        ]
        for item in steps
    ]
    speeds = table(("width", "vocabulary", "threads", "tokens per s"), rows, frozenset({1, 2, 3})) if rows else ""
    return section("The machine", listed, speeds)


def environment(found: Artefacts) -> str:
    """What the runs ran on: every distinct value, so that a change between runs shows."""
    skip = {"schema", "seconds", "started_utc", "ended_utc", "tokens_per_s"}
    values: dict[str, list[str]] = {}
    for run in found.runs:
        for name, value in flatten(dict(run.execution or {})).items():
            if name.split(".")[0] not in skip and value is not None:
                seen = values.setdefault(name.removeprefix("versions."), [])
                seen += [text for text in [show(value)] if text not in seen]
    return section(
        "The environment", facts((name.replace("_", " "), esc(", ".join(seen))) for name, seen in values.items())
    )


def sources(found: Artefacts) -> str:
    """Everything that was cited by what was used, once."""
    cited: Iterable[Any] = [
        *(item.get("source") for item in found.laws),
        *(item.get("source") for item in found.numbers),
    ]
    return section(
        "Sources", bullets(linked(text) for text in dict.fromkeys(str(text) for text in cited if text not in OWN))
    )


def reproduce(found: Artefacts) -> str:
    """The commands that make this page again, and the digests of what the plan read."""
    command = (found.plan or {}).get("command")
    made = command if isinstance(command, str) and command else "keel plan"
    lines = ["keel look", made, "keel run", "keel fit", "keel report"]
    reads = (found.plan or {}).get("reads")
    rows = [[code(name), code(value)] for name, value in reads.items()] if isinstance(reads, Mapping) else []
    pinned = "<h3>What the plan read</h3>" + table(("file", "sha256"), rows) if rows else ""
    as_of = (found.plan or {}).get("as_of")
    dated = facts([("as of", esc(as_of or ""))])
    return section("To make this again", f"<pre><code>{esc(chr(10).join(lines))}</code></pre>", dated, pinned)
