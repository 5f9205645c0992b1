"""The public sets as rows, and the splits of the forecast benchmark: a set is one recipe's runs, a family one source.

Splits (each gives the rows to fit and the rows held out):
    topC    hold out the top decile by compute, fit all others
    gap10   the same held-out runs, fitted only on runs with at most a tenth of their least compute
    pub     Gadre's published split: 1.4B at 640 tokens per param and 6.9B at 20, from at most 1/300 of the compute
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keel.laws import Row

SCALING = Path(os.environ.get("KEEL_SCALING") or Path(__file__).parents[1].parent / "shared" / "scaling")


class Set(NamedTuple):
    """One recipe's runs: `unit` of the values, `family` they come from."""

    name: str
    family: str
    rows: tuple[Row, ...]
    unit: str = "nats_per_token"


def records(path: Path) -> list[dict[str, Any]]:
    """CSV or JSON Lines, gzipped or not."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    if ".jsonl" in path.name:
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text, newline="")))


def rows_of(found: Iterable[dict[str, Any]], params: str, tokens: str, loss: str | Callable[[dict[str, Any]], float],
            flop: Callable[[dict[str, Any]], float] | None = None, **more: str) -> tuple[Row, ...]:  # fmt: skip
    """Rows from records; FLOP is 6 N D unless `flop` says it."""
    rows = []
    for i, r in enumerate(found):
        n, d = float(r[params]), float(r[tokens])
        value = loss(r) if callable(loss) else float(r[loss])
        extra = {k: float(r[v]) for k, v in more.items()}
        rows.append(Row(f"r{i}", n, d, flop(r) if flop else 6 * n * d, value, **extra))
    return tuple(rows)


def gadre() -> list[Set]:
    found = records(SCALING / "gadre/runs.csv")
    return [
        Set(f"gadre {short}", "gadre", rows_of((r for r in found if r["dataset"] == corpus), "N", "D", "loss_c4_val"))
        for corpus, short in (("c4_original", "c4"), ("rpj", "rpj"), ("rw_original", "rw"))
    ]


def olmo() -> list[Set]:
    found = records(SCALING / "olmo_ladder/runs.csv")
    return [Set("olmo ladder", "olmo", rows_of(found, "params", "tokens", "c4_loss_last5"))]


def gemstone(hot: bool = True) -> list[Set]:
    names = ("params_active_precise", "tokens", "final_loss")
    cool = records(SCALING / "gemstone/wandb_df_for_fitting_cool_end.jsonl")
    sets = [Set("gemstone cooled", "gemstone", rows_of(cool, *names))]
    if hot:
        warm = records(SCALING / "gemstone/wandb_df_for_fitting_hot_100b+_477.jsonl.gz")
        sets.append(Set("gemstone hot", "gemstone", rows_of(warm, *names)))
    return sets


def porian() -> list[Set]:
    found = records(SCALING / "porian/isoflop_points.csv")
    variants = list(dict.fromkeys(r["variant"] for r in found))
    return [
        Set(f"porian {v}", "porian", rows_of((r for r in found if r["variant"] == v), "params", "tokens", "loss"))
        for v in variants
    ]


def datablations() -> list[Set]:
    found = records(SCALING / "datablations/val_loss_C4.csv")
    clean = [r for r in found if "dedup" not in r["suffix"] and "opt" not in r["suffix"]]
    once = [r for r in clean if float(r["epochs"]) <= 1]
    names = ("N", "D", "loss")
    return [
        Set("datablations once", "datablations", rows_of(once, *names)),
        Set("datablations repeats", "datablations", rows_of(clean, *names, unique_tokens="U")),
    ]


def pythia() -> list[Set]:
    """Checkpoints of eight sizes on the Pile, and on its deduplicated text; early checkpoints are transient."""
    found = [r for r in records(SCALING / "pythia/zero_shot_evals.csv") if float(r["step"]) >= 13000]

    def loss(r: dict[str, Any]) -> float:
        return math.log(float(r["lambada_openai:ppl"]))

    return [
        Set(f"pythia {name}", "pythia", rows_of((r for r in found if ("deduped" in r["model"]) == deduped), "N_nonemb",
                                                "D", loss))
        for name, deduped in (("plain", False), ("deduplicated", True))
    ]  # fmt: skip


def opt() -> list[Set]:
    found = [r for r in records(SCALING / "opt/trajectories.csv") if float(r["tokens"]) >= 1e10]
    return [Set("opt", "opt", rows_of(found, "params", "tokens", "loss"))]


def tiny() -> list[Set]:
    """Ladders of tiny models: each seed and set of the plain recipe with its own widest size."""
    found = records(SCALING / "tiny_sotu/runs.csv")
    plain = [r for r in found if r["objective"] == "clm" and r["schedule"] == "wsd" and r["decay_fraction"] == "0.2"]
    kinds = sorted({(r["set"], r["seed"]) for r in plain})
    sets = []
    for kind, seed in kinds:
        rows = rows_of((r for r in plain if (r["set"], r["seed"]) == (kind, seed)), "params_total", "tokens",
                       "val_bits_per_byte")  # fmt: skip
        if len(rows) >= 10 and len({row.params for row in rows}) >= 4:
            sets.append(Set(f"tiny {kind} {seed}", "tiny", rows, "bits_per_byte"))
    return sets


# Looked at while the engine was built; what is learnt across sets leaves the judged set's family out.
FAMILIES: dict[str, Callable[[], list[Set]]] = {
    "gadre": gadre,
    "olmo": olmo,
    "gemstone": gemstone,
    "porian": porian,
    "datablations": datablations,
    "pythia": pythia,
    "opt": opt,
    "tiny": tiny,
}


def routed() -> list[Set]:
    """Dense decoders and three routed kinds, along one training each; N counts what a token meets."""
    found = [r for r in records(SCALING / "routed_lm/curves.csv.gz") if float(r["step"]) >= 20_000 and r["loss_c4"]]
    kinds = (("Dense", "1"), ("S-Base", "8"), ("RL-R", "64"), ("Hash", "512"))
    sets = []
    for router, experts in kinds:
        kept = [
            r | {"tokens": float(r["step"]) * 524_288}
            for r in found
            if (r["router_type"], r["num_experts"], r["k"]) == (router, experts, "1")
        ]
        rows = rows_of(kept, "dense_parameter_count", "tokens", "loss_c4")
        sets.append(Set(f"routed {router} {experts}", "routed", rows))
    return sets


VISION_PARAMS = {
    "ViT/S/16": 32e6, "ViT/B/16": 110e6, "BiT/50/1": 61e6, "BiT/101/3": 494e6, "MiX/B/16": 73e6, "MiX/L/16": 226e6
}  # fmt: skip


def vision() -> list[Set]:
    """Few-shot error of six image models (three architectures) along pretraining; D = images seen."""
    found = [r for r in records(SCALING / "revisiting/vision.csv.gz") if float(r["seen_examples"]) >= 1e8]
    sized = [r | {"params": VISION_PARAMS[r["model"]]} for r in found]
    return [
        Set(f"vision {task}", "vision", rows_of((r for r in sized if r["task"] == task), "params", "seen_examples",
                                                "loss"), "error")
        for task in sorted({r["task"] for r in sized})
    ]  # fmt: skip


def schedules() -> list[Set]:
    """Three sizes along one long run each, constant rate and cosine; steps stand for tokens (one batch for all)."""
    sets = []
    for schedule in ("constant", "cosine"):
        found = [
            r | {"params": float(size) * 1e6}
            for size in ("25", "100", "400")
            for r in records(SCALING / f"multi_power_law_curves/{size}M_{schedule}_72000.csv")
            if float(r["step"]) >= 5000
        ]
        sets.append(Set(f"schedules {schedule}", "schedules", rows_of(found, "params", "step", "loss")))
    return sets


# Kept for a single look, after everything else was frozen (docs/decisions/0004).
LOOK: dict[str, Callable[[], list[Set]]] = {"routed": routed, "vision": vision, "schedules": schedules}

Split = tuple[tuple[Row, ...], tuple[Row, ...]]


def topc(rows: tuple[Row, ...]) -> Split:
    flop = np.array([r.flop for r in rows])
    held = flop >= np.quantile(flop, 0.9)
    return tuple(r for r, out in zip(rows, held) if not out), tuple(r for r, out in zip(rows, held) if out)


def gap10(rows: tuple[Row, ...]) -> Split:
    _, held = topc(rows)
    least = min(r.flop for r in held)
    return tuple(r for r in rows if r.flop <= least / 10), held


def pub(rows: tuple[Row, ...]) -> Split:
    """Of a Gadre set: the two published targets, from runs at 1/300 of the lesser compute."""
    held = tuple(r for r in rows if (r.params > 1.2e9 and r.tokens / r.params > 500) or r.params > 6e9)
    least = min(r.flop for r in held)
    return tuple(r for r in rows if r.flop <= least / 300), held


SPLITS: dict[str, Callable[[tuple[Row, ...]], Split]] = {"topC": topc, "gap10": gap10, "pub": pub}
