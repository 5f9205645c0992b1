"""What holds of every answer of `keel plan --json`, whatever was asked: complaints, none if all is well."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator

from known_cases import Case, Found, shipped

ROUTES = ("use", "fine-tune", "continue", "scratch", "collect")
CATEGORIES = ("encoder", "decoder", "encoder-decoder", "vision", "vision-language", "diffusion")
BINDS = ("data", "compute", "memory", "latency", "licence", "nothing")
KEYS = ("route", "category", "shortlist", "dropped", "losses", "size", "cost", "binds", "experiments")
SIZE = ("params_low", "params_high", "tokens", "low_set_by", "high_set_by", "laws")
COST = ("usd_low", "usd_high", "hours", "flop", "devices")
# Licence classes that a limit lets through; "any" still needs weights that can be had.
ALLOWED = {
    "permissive": ("permissive",), "conditional": ("permissive", "conditional"),
    "any": ("permissive", "conditional", "non-commercial", ""),
}  # fmt: skip
# Sentences that are false, and the requirement that says so.
FALSE = {
    r"encoders? compress|decoders? (expand|decompress)": "W1",
    r"disentangled objective|decoupled objective": "W3",
    r"decoder-only \(i\.e\. diffusion": "W6",
    r"flamingo[^.]*diffusion": "W7",
    r"compar\w+ the generated image": "W8",
    r"pixels? (are|as) tokens": "W13",
    r"kaplan[^.]*decoder-only (is|are) (the )?most": "W21",
}


def complaints(case: Case, found: Found) -> list[str]:
    """Every rule that the answer breaks."""
    if found.exit != 0:
        return list(_told(found))
    absent = [f"result has no '{key}'" for key in KEYS if key not in found.result]
    return absent or [text for rule in RULES for text in rule(case, found)]


def _told(found: Found) -> Iterator[str]:
    status = {2: "invalid", 3: "refused"}.get(found.exit)
    if found.tree["status"] != status:
        yield f"exit {found.exit} with status {found.tree['status']}"
    if not found.tree["problems"]:
        yield "nothing is said of what is wrong"
    for problem in found.tree["problems"]:
        yield from (f"a problem without '{key}': {problem}" for key in ("what", "why", "fix") if not problem[key])
    if "Traceback" in found.output:
        yield "a traceback"


def _names(case: Case, found: Found) -> Iterator[str]:
    result = found.result
    if result["route"] not in ROUTES:
        yield f"route {result['route']!r}"
    asked = "use_case" in tomllib.loads(case.study)
    if result["category"] not in CATEGORIES and (asked or result["category"] is not None):
        yield f"category {result['category']!r}"
    if result["binds"] not in BINDS:
        yield f"binds {result['binds']!r}"
    for name, keys in (("size", SIZE), ("cost", COST)):
        yield from (f"{name} has no '{key}'" for key in keys if key not in result[name])


def _lists(case: Case, found: Found) -> Iterator[str]:
    for name in ("shortlist", "dropped"):
        ids = found.ids(name)
        if len(ids) > len(set(ids)):
            yield f"{name} holds one twice: {sorted(id_ for id_ in set(ids) if ids.count(id_) > 1)}"
    for name in ("shortlist", "dropped", "losses"):
        yield from (f"{name}: {item['id']} has no reason" for item in found.listed(name) if not item.get("why"))
    yield from (f"{item['id']} has no {key}" for item in found.listed("shortlist") for key in ("covers", "score")
                if key not in item)  # fmt: skip
    if both := set(found.ids("shortlist")) & set(found.ids("dropped")):
        yield f"shortlisted and dropped: {sorted(both)}"
    own = case.files.get("catalog/models.csv", "") + case.study
    yield from (f"nobody knows {id_}" for id_ in found.ids("shortlist") if id_ not in shipped() and id_ not in own)


def _licences(case: Case, found: Found) -> Iterator[str]:
    limit = tomllib.loads(case.study).get("limits", {}).get("licence", "any")
    for id_ in found.ids("shortlist"):
        row = shipped().get(id_)
        if row and row["license_class"] not in ALLOWED[limit]:
            yield f"{id_} is {row['license_class'] or 'of no known licence'}, and the limit is {limit}"


def _smallest_first(case: Case, found: Found) -> Iterator[str]:
    """R13: a smaller sister is dropped for a fact: never in silence, nor as one to grow to."""
    study = tomllib.loads(case.study)
    if study.get("start", {}).get("from", "auto") != "auto":
        return
    dropped = {item["id"]: str(item["why"]) for item in found.listed("dropped")}
    for id_ in found.ids("shortlist"):
        for sister in _smaller_sisters(id_):
            if sister not in dropped and sister not in found.ids("shortlist"):
                yield f"{id_} is listed, and nothing is said of its smaller sister {sister}"
            elif re.search(r"\bgrow\b", dropped.get(sister, "")):
                yield f"{id_} is listed, and its smaller sister {sister} is kept to grow to: {dropped[sister]}"


def _smaller_sisters(id_: str) -> list[str]:
    mine = shipped().get(id_)
    if mine is None or not mine["params_total_m"]:
        return []
    family, size = mine["family"], float(mine["params_total_m"])
    sisters = {other: row for other, row in shipped().items() if row["family"] == family and row["params_total_m"]}
    return [other for other, row in sisters.items() if float(row["params_total_m"]) < size]


def _quantities(case: Case, found: Found) -> Iterator[str]:
    size, cost = found.result["size"], found.result["cost"]
    for tree, low, high in ((size, "params_low", "params_high"), (cost, "usd_low", "usd_high")):
        ends = tree[low], tree[high]
        if None not in ends and not 0 <= ends[0] <= ends[1]:
            yield f"{low} {ends[0]} above {high} {ends[1]}"
    for end in ("low", "high"):
        if size[f"params_{end}"] is not None and not size[f"{end}_set_by"]:
            yield f"params_{end} is set by nothing"
    usd = tomllib.loads(case.study).get("budget", {}).get("compute_usd")
    if usd is not None and cost["usd_high"] is not None and cost["usd_high"] > usd * 1.001:
        yield f"the plan costs {cost['usd_high']}, and the budget is {usd}"
    negative = [name for name in ("flop", "hours", "devices") if cost[name] is not None and cost[name] < 0]
    yield from (f"{name} is below nothing" for name in negative)


def _sources(case: Case, found: Found) -> Iterator[str]:
    for number in found.tree["numbers"]:
        if not number["source"] and not number["yours"]:
            yield f"the number '{number['name']}' has no source"
    stated = "stated" in tomllib.loads(case.study).get("data", {})
    if stated and "stated, not measured" not in found.said:
        yield "nothing is marked 'stated, not measured'"


def _truth(case: Case, found: Found) -> Iterator[str]:
    said = found.said.casefold()
    yield from (f"{name}: it says {found_[0]!r}" for rule, name in FALSE.items() if (found_ := re.search(rule, said)))


RULES: tuple[Callable[[Case, Found], Iterator[str]], ...] = (
    _names, _lists, _licences, _smallest_first, _quantities, _sources, _truth,
)  # fmt: skip
