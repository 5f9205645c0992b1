"""A study folder made of a formula, for tests of the report: believable in shape, true of nothing.

Bits per byte of the pretended runs follow 1.05 + 9 N^-0.29 + 60 D^-0.40, with a small fixed wobble.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from keel.files import sha256_file, write_json

SIZES = ((16, 14_000), (24, 28_000), (32, 48_000), (48, 110_000), (64, 203_000))
TOKENS = (200_000, 320_000, 510_000)
TOP_TOKENS = 1_600_000
FLOP_PER = 6.0
NAME = "fixture-study"


def law(params: float, tokens: float) -> float:
    """The formula."""
    return 1.05 + 9 * params**-0.29 + 60 * tokens**-0.40


def wobble(name: str, size: float = 0.004) -> float:
    """A fixed relative error for a name."""
    return size * (int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**31 - 1)


def points() -> list[tuple[str, int, int, int]]:
    """(id, width, params, tokens) of every branch, cheapest first, the held-out one last."""
    found = [(width, params, tokens) for width, params in SIZES[:-1] for tokens in TOKENS]
    found.sort(key=lambda point: point[1] * point[2])
    found.append((*SIZES[-1], TOP_TOKENS))
    return [(f"w{w}-L2-{tokens // 1000}k-{digest_of(w, tokens)}", w, n, tokens) for w, n, tokens in found]


def digest_of(*values: object) -> str:
    """Eight hex digits."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:8]


def trunk_of(width: int) -> str:
    """The id of a width's trunk."""
    return f"w{width}-L2-trunk-{digest_of(width)}"


def build(parent: Path, *, runs: int | None = None, fit: bool = True, miss: bool = False, name: str = NAME) -> Path:
    """A whole study, or one with only the first `runs` branches done (0: planned only)."""
    folder = parent / name
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(STUDY)
    write_json(folder / "evidence" / "corpus.json", "keel.corpus/1", corpus())
    write_json(folder / "evidence" / "machine.json", "keel.machine/1", machine())
    write_json(folder / "plan.json", "keel.plan/1", plan(folder))
    done = points() if runs is None else points()[:runs]
    for width in sorted({point[1] for point in done}):
        write_trunk(folder, width, [point for point in done if point[1] == width])
    for place, point in enumerate(done):
        write_branch(folder, point, seen=points()[:place], miss=miss and place == len(points()) - 1)
    if fit and done:
        write_json(folder / "fit.json", "keel.fit/1", fitted(done))
    return folder


STUDY = """
[data]
train = "texts/*.jsonl"
[[use_case]]
name = "draft replies"
task = "text-generation"
[budget]
time_s = "10 min"
compute_usd = 5
[set]
"train.seed" = 3
"""


def corpus() -> dict[str, Any]:
    """evidence/corpus.json."""
    whole = {"how": "counted"}
    return {
        "made_utc": "2026-01-02T10:00:00Z", "keel": "0.1.0",
        "data": {"patterns": ["texts/*.jsonl"], "format": "jsonl", "text_field": "text", "encoding": "utf-8"},
        "files": [{"path": f"texts/part-{n}.jsonl", "bytes": 1_700_000 + n, "sha256": sha(n)} for n in range(3)],
        "data_sha256": sha("data"),
        "documents": {"value": 2412, "low": 2412, "high": 2412, **whole},
        "bytes": {"value": 5_100_003, "low": 5_100_003, "high": 5_100_003, **whole},
        "characters": {"value": 5_000_000, "low": 4_950_000, "high": 5_050_000, "how": "sampled"},
        "words": {"value": 900_000, "low": 880_000, "high": 920_000, "how": "sampled"},
        "sampled": {"documents": 1000, "of_bytes": 2_000_000, "why": "the look was kept under a minute"},
        "length_bytes": {"p5": 210, "p25": 900, "p50": 1800, "p75": 2900, "p95": 5400, "max": 20100},
        "languages": [{"code": "en", "share": 0.93}, {"code": "da", "share": 0.07}], "languages_method": "fixture",
        "duplicates": {"exact_documents": 12, "near_documents": 31, "threshold": 0.8, "across_split": 0,
                       "sampled_documents": None, "method": "MinHash"},
        "split": {"by": "document", "salt": "s", "fraction": 0.05, "threshold": 0.05, "heldout_documents": 120,
                  "heldout_bytes": 254_000, "train_documents": 2292, "train_bytes": 4_846_003, "moved": {}},
        "tokenizer": {"file": "evidence/tokenizer.json", "sha256": sha("t"), "vocabulary": 2048,
                      "trained_on_bytes": 4e6},
        "tokens": [{"vocabulary": v, "bytes_per_token": b, "low": b * 0.99, "high": b * 1.01,
                    "train_tokens": 4_846_003 / b, "train_tokens_low": 4_846_003 / b * 0.99,
                    "train_tokens_high": 4_846_003 / b * 1.01} for v, b in ((512, 2.1), (1024, 2.5), (2048, 3.0))],
        "problems": [{"what": "12 documents are copies", "why": "byte for byte", "fix": "they count once"}],
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """evidence/machine.json."""
    return {
        "made_utc": "2026-01-02T10:01:00Z", "cores": 2, "cores_free": 2, "memory_bytes": 8e9, "memory_free_bytes": 6e9,
        "disk_free_bytes": 5e10, "cpu": "a pretended processor", "platform": "Linux", "torch": "2.9.0",
        "compiler": True,
        "gemm": [{"precision": "fp32", "threads": 1, "m": 512, "k": 512, "n": 512, "flop_per_s": 6e10}],
        "steps": [{"width": w, "vocabulary": 1024, "threads": 1, "precision": {"body": "fp32", "head": "fp32"},
                   "tokens_per_s": 4e6 / w} for w, _ in SIZES],
        "precision": {"body": "fp32", "head": "fp32", "why": "bf16 is slower here"},
    }  # fmt: skip


def plan(folder: Path) -> dict[str, Any]:
    """plan.json."""
    experiments = [planned(trunk_of(w), w, n, TOKENS[-1] if w < 64 else TOP_TOKENS, "trunk") for w, n in SIZES]
    experiments += [planned(name, w, n, tokens, "branch") for name, w, n, tokens in points()]
    experiments.sort(key=lambda item: item["cost"]["flop"])
    files = ("study.toml", "evidence/corpus.json", "evidence/machine.json")
    return {
        "route": {"value": "scratch", "why": "no released model knows this language well enough"},
        "family": "llama", "objective": "clm", "tokenizer": {"vocabulary": 1024}, "numbers": numbers(),
        "experiments": experiments, "reads": {name: sha256_file(folder / name) for name in files},
        "as_of": "2026-01-02", "command": "keel plan --set train.seed=3",
    }  # fmt: skip


def planned(name: str, width: int, params: int, tokens: int, kind: str) -> dict[str, Any]:
    """One experiment of the plan."""
    flop = FLOP_PER * params * tokens
    own = flop if kind == "trunk" else 0.2 * flop
    return {
        "id": name, "kind": kind, "trunk": None if kind == "trunk" else trunk_of(width),
        "spec": {"size": {"width": width, "layers": 2, "vocabulary": 1024}}, "held_out": width == 64,
        "why": "the held-out rung: it tests the forecast" if width == 64 else "a point of the law",
        "gate": "better than token frequencies", "params": {"body": params // 2, "total": params}, "tokens": tokens,
        "cost": {"flop": flop, "own_flop": own, "s": own / 5e9, "memory_bytes": 1e8, "usd": own / 5e9 * 1e-4},
    }  # fmt: skip


def numbers() -> list[dict[str, Any]]:
    """The plan's numbers."""
    blank = {
        "low": None,
        "high": None,
        "formula": "",
        "inputs": {},
        "source": "",
        "valid": "",
        "outside": "",
        "yours": False,
    }
    return [
        blank | {"name": "batch", "value": 8192, "unit": "tokens", "formula": "512 (D / 1.6e6)^.571",
                 "inputs": {"D": 1_600_000}, "source": "Step Law, arXiv:2503.04715", "valid": "D 0.2M-1.6M"},
        blank | {"name": "learning rate", "value": 0.0125, "low": 0.009, "high": 0.018,
                 "formula": "1.79 N^-0.713 D^0.307",
                 "inputs": {"N": 203_000, "D": 1_600_000}, "source": "Step Law, arXiv:2503.04715, section 4",
                 "valid": "N 60M-1B", "outside": "N is 300x below it"},
        blank | {"name": "train.seed", "value": 3, "yours": True, "source": "yours"},
        blank | {"name": "clip", "value": 1.0},
        blank | {"name": "time of the ladder", "value": 412.0, "unit": "s", "formula": "sum of flop / speed",
                 "source": "https://example.org/timing?a=1&b=2"},
    ]  # fmt: skip


def write_trunk(folder: Path, width: int, branches: list[tuple[str, int, int, int]]) -> None:
    """A trunk's files."""
    params, tokens = branches[0][2], max(point[3] for point in branches)
    write_run(folder, trunk_of(width), "trunk", width, params, tokens, 1.04 * law(params, tokens), start=0, seal=None)


def write_branch(folder: Path, point: tuple[str, int, int, int], seen: list[Any], miss: bool) -> None:
    """A branch's files, with a sealed and scored forecast once three runs can be seen."""
    name, width, params, tokens = point
    value = law(params, tokens) * (1 + wobble(name)) * (1.06 if miss else 1.0)
    seal = None
    if len(seen) >= 9:
        seal = write_forecast(folder / "runs" / name, point, seen)
    write_run(folder, name, "branch", width, params, tokens, value, start=int(0.8 * tokens), seal=seal)
    if seal:
        middle = law(params, tokens)
        low, high = 0.975 * middle, 1.03 * middle
        write_json(folder / "runs" / name / "score.json", "keel.score/1", {
            "measured": value, "value": middle, "low": low, "high": high, "level": 0.9, "hit": low <= value <= high,
            "error": value / middle - 1, "forecast_sha256": seal, "scored_utc": "2026-01-02T11:00:00Z",
        })  # fmt: skip


def write_forecast(run: Path, point: tuple[str, int, int, int], seen: list[Any]) -> str:
    """forecast.json; gives its sha256."""
    name, _, params, tokens = point
    middle = law(params, tokens)
    rows = [{"id": i, "params": n, "tokens": d, "flop": FLOP_PER * n * d, "value": law(n, d) * (1 + wobble(i))}
            for i, _, n, d in seen]  # fmt: skip
    flop = FLOP_PER * params * tokens
    return write_json(run / "forecast.json", "keel.forecast/1", {
        "sealed_utc": "2026-01-02T10:30:00Z", "run": name, "params": params, "tokens": tokens, "flop": flop,
        "unit": "bits_per_byte", "value": middle, "low": 0.975 * middle, "high": 1.03 * middle, "level": 0.9,
        "distance": math.log10(flop / max(row["flop"] for row in rows)),
        "width_parts": {"parameter": 0.03, "law": 0.02, "backtest": 0.04},
        "warnings": ["the target is further than any back-test reached"], "runs_seen": rows, "runs_sha256": sha("rows"),
        "laws": [{"name": "chinchilla", "weight": 0.8}, {"name": "kaplan", "weight": 0.2}],
        "naive": {"nearest_run": rows[-1]["value"]},
    })  # fmt: skip


def write_run(
    folder: Path, name: str, kind: str, width: int, params: int, tokens: int, value: float, start: int, seal: str | None
) -> None:
    """spec.json, metrics.jsonl, execution.json and result.json of one run."""
    run = folder / "runs" / name
    write_json(run / "spec.json", "keel.spec/1", {"size": {"width": width, "layers": 2}, "seed": 3})
    lines: list[dict[str, Any]] = [{"forecast_sha256": seal, "spec_sha256": sha(name)}]
    end = value * 2.08
    for step in range(1, 301):
        at = start + (tokens - start) * step / 300
        fall = (6.9 - end) * math.exp(-9 * at / TOKENS[-1]) if kind == "trunk" else 0.04 * end * (1 - step / 300)
        lines.append({"step": step, "tokens": at, "loss": end + fall + wobble(f"{name}{step}", 0.05), "lr": 0.01,
                      "grad_norm": 0.5, "tokens_per_s": 1e5, "flop_per_s": 4e9, "time": 1.0 * step})  # fmt: skip
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_json(run / "execution.json", "keel.execution/1", {
        "threads": 1, "device": "cpu", "ranks": 1, "seconds": FLOP_PER * params * (tokens - start) / 5e9,
        "started_utc": "2026-01-02T10:31:00Z", "ended_utc": "2026-01-02T10:58:00Z",
        "versions": {"keel": "0.1.0", "torch": "2.9.0", "python": "3.11.9"}, "platform": "Linux",
    })  # fmt: skip
    write_json(run / "result.json", "keel.result/1", {
        "id": name, "kind": kind, "family": "llama", "objective": "clm", "tokens": tokens, "steps": 300,
        "params": {"body": params // 2, "embedding": params - params // 2, "head": 0, "total": params},
        "flop": FLOP_PER * params * tokens, "loss_nats_per_token": end, "bits_per_byte": value,
        "heldout": {"bytes": 254_000, "tokens": 101_600, "sha256": sha("h")}, "ok": True, "gate": None,
        "spec_sha256": sha(name),
    })  # fmt: skip


def fitted(done: list[tuple[str, int, int, int]]) -> dict[str, Any]:
    """fit.json."""
    rows = []
    for name, width, params, tokens in done:
        value, fit = law(params, tokens) * (1 + wobble(name)), law(params, tokens)
        rows.append({"id": name, "params": params, "tokens": tokens, "flop": FLOP_PER * params * tokens, "value": value,
                     "weight": 1.0, "fitted": fit, "residual": value - fit, "held_out": width == 64})  # fmt: skip
    curve = []
    for place in range(25):
        share = place / 24
        n, d = 14_000 * (640_000 / 14_000) ** share, 510_000 * (5_100_000 / 510_000) ** share**2
        reach = 0.004 + 0.04 * share**2
        middle = law(n, d)
        curve.append({"flop": FLOP_PER * n * d, "params": n, "tokens": d, "value": middle,
                      "low": middle * (1 - reach), "high": middle * (1 + reach)})  # fmt: skip
    return {
        "unit": "bits_per_byte", "count": "total", "rows": rows, "curve": curve, "down_weighted": [
            {"id": done[0][0], "why": "its residual is three times the others'"}],
        "laws": [{"name": "chinchilla", "formula": "E + A N^-alpha + B D^-beta", "weight": 0.8, "backtest_error": 0.011,
                  "params": {"E": {"value": 1.05, "low": 0.9, "high": 1.2}, "A": {"value": 9, "low": 7, "high": 12},
                             "alpha": {"value": 0.29, "low": 0.25, "high": 0.33}},
                  "coords": ["N total", "D tokens"], "source": "Hoffmann et al. 2022, arXiv:2203.15556, approach 3"},
                 {"name": "kaplan", "formula": "((Nc/N)^(a/b) + Dc/D)^b", "weight": 0.2, "backtest_error": 0.03,
                  "params": {"a": {"value": 0.08, "low": None, "high": None}}, "coords": ["N", "D"],
                  "source": "Kaplan et al. 2020, arXiv:2001.08361"}],
        "forecasts": [{"params": 640_000, "tokens": 5.1e6, "flop": 1.95e13, "unit": "bits_per_byte", "value": 1.37,
                       "low": 1.30, "high": 1.44, "level": 0.9, "distance": 1.8}],
        "optimum": {"flop": 4.8e14, "params": 2.1e6, "tokens": 3.8e7},
        "next": {"width": 96, "tokens": 2_400_000, "why": "halves the widest part"},
    }  # fmt: skip


def sha(value: object) -> str:
    """A digest that stands for something."""
    return hashlib.sha256(repr(value).encode()).hexdigest()
