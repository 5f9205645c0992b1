"""Published answers, re-made: python benchmarks/reproduce.py [--draws 200]

Prints one row an answer: published, reproduced, difference. The published runs are read from KEEL_SCALING (else
../shared/scaling); what is published stands in tests/golden/reproduced.json, and tests hold this script to it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sets import SCALING, records

from keel.laws import Row
from keel.laws.beside.posterior import posterior
from keel.laws.classic import Classic, classic
from keel.laws.constants import constants
from keel.laws.design.isoflop import minima, power_law
from keel.laws.ensemble import build, coordinates
from keel.laws.forms import LAWS
from keel.laws.law import Floats, Frame
from keel.laws.learnt import learnt
from keel.laws.priors import priors
from keel.laws.published import PUBLISHED

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "reproduced.json"
Answers = Iterator[tuple[str, float]]
CORPORA = {"c4": "c4_original", "rpj": "rpj", "rw": "rw_original"}
PORIAN = (
    "base_long_kaplan_kaplan", "base_long_kaplan_standard", "base_short_kaplan_standard",
    "base_short_chinchilla_standard", "tuned_short_const_standard",
)  # fmt: skip


def column(found: list[dict[str, str]], name: str) -> Floats:
    return np.array([float(record[name]) for record in found])


def gadre_runs(corpus: str) -> tuple[Floats, Floats, Floats]:
    """Params, tokens and C4 loss of all runs on a corpus."""
    found = [r for r in records(SCALING / "gadre/runs.csv") if r["dataset"] == CORPORA[corpus]]
    return column(found, "N"), column(found, "D"), column(found, "loss_c4_val")


def gadre_fit(corpus: str) -> Classic:
    """As published: four sizes to 411M at 20 tokens per param and 11M at 320, least squares on the loss, a = b."""
    n, d, loss = gadre_runs(corpus)
    ratio = d / n
    seen = ((n < 5e8) & (np.abs(ratio - 20) < 1)) | ((n < 2e7) & (np.abs(ratio - 320) < 1))
    return classic(LAWS["tied"], loss[seen], params=n[seen], tokens=d[seen], delta=None, residual="plain")


def gadre() -> Answers:
    """Constants on three corpora, and the two forecasts at 300 times the compute."""
    for corpus in CORPORA:
        constants = gadre_fit(corpus).constants
        yield from ((f"gadre {corpus} {name}", constants[name]) for name in ("E", "A", "a"))
        yield f"gadre {corpus} q", constants["B"] * 6 ** (constants["a"] / 2)
    n, d, loss = gadre_runs("rpj")
    missed = 100 * np.abs(gadre_fit("rpj").at(params=n, tokens=d) / loss - 1)
    yield "gadre forecast 1.4B at 640, %", float(missed[(n > 1.2e9) & (d / n > 500)][0])
    yield "gadre forecast 6.9B at 20, %", float(missed[n > 6e9][0])


def porian() -> Answers:
    """The exponent of the best size in compute, from the published minima and from the sweeps themselves."""
    best = [r for r in records(SCALING / "porian/optima.csv") if r["params"]]
    sweeps = records(SCALING / "porian/isoflop_points.csv")
    for variant in PORIAN:
        at = [r for r in best if r["variant"] == variant]
        flop, size, sd = (column(at, name) for name in ("flops", "params", "params_logsd"))
        yield f"porian {variant}", power_law(flop, size).exponent
        yield f"porian {variant} weighted", power_law(flop, size, sd).exponent
        points = [r for r in sweeps if r["variant"] == variant]
        found = [m for m in minima(*(column(points, z) for z in ("flops", "params", "loss"))) if not m.at_edge]
        yield f"porian {variant} from sweeps", power_law([m.flop for m in found], [m.params for m in found]).exponent


def olmo() -> Answers:
    """Mean relative error of the additive law on the ladder's own 16 runs."""
    found = [
        r for r in records(SCALING / "olmo_ladder/runs.csv")
        if r["rerun"] == "0" and r["size"] != "3B" and float(r["chinchilla_multiple"]) >= 1
    ]  # fmt: skip
    n, d, loss = (column(found, name) for name in ("params", "tokens", "c4_loss_last5"))
    fitted = classic(LAWS["chinchilla"], loss, params=n, tokens=d)
    yield "olmo mean fit error, %", float(100 * np.abs(fitted.at(params=n, tokens=d) / loss - 1).mean())


def clark() -> Answers:
    """The law of size and experts on the last evaluation of S-Base, every second layer routed to one expert."""
    last: dict[str, dict[str, str]] = {}
    for record in records(SCALING / "routed_lm/curves.csv.gz"):
        if float(record["step"]) >= float(last.get(record["hyper_id"], record)["step"]):
            last[record["hyper_id"]] = record
    plain = {"k": "1", "routing_frequency": "0.5", "seed": "42"}
    found = [
        r for r in last.values()
        if r["router_type"] in ("S-Base", "Dense") and r["loss_validation"] and all(r[k] == v for k, v in plain.items())
    ]  # fmt: skip
    assert len(found) == 58
    fitted = classic(
        PUBLISHED["clark-s-base"], column(found, "loss_validation"), delta=None, num_starts=8,
        params=column(found, "dense_parameter_count"), experts=column(found, "num_experts"),
    )  # fmt: skip
    yield from ((f"clark {name}", constant) for name, constant in fitted.constants.items())
    yield "clark rmse of log10 L", float(np.sqrt(np.mean(fitted.residual**2)) / np.log(10))


def muennighoff() -> Answers:
    """The two vectors of the law of repeated data, and how its printed constants stand to the released runs."""
    law = PUBLISHED["muennighoff"]
    for size, seen in ((6.34e9, 242e9), (8.67e9, 178e9)):
        name = f"muennighoff {size / 1e9:.2f}B, {seen / 1e9:.0f}B of 25B"
        yield name, float(law.at(params=size, tokens=seen, unique_tokens=25e9))
    found = [
        r for r in records(SCALING / "datablations/val_loss_C4.csv")
        if "dedup" not in r["suffix"] and "opt" not in r["suffix"]
    ]  # fmt: skip
    n, d, unique, loss = (column(found, name) for name in ("N", "D", "U", "loss"))
    c = law.constants
    values = {
        "mean error": law.at(params=n, tokens=d, unique_tokens=unique),
        "repeats ignored": c["E"] + c["A"] * n ** -c["a"] + c["B"] * d ** -c["a"],
    }
    for name, value in values.items():
        yield f"muennighoff on its runs, {name}, %", float(100 * np.abs(value / loss - 1).mean())


# Besiroglu: points like those read off Hoffmann's figure (245 of them, 57M to 16B params, 1.4e18 to 1.3e22 FLOP). Their
# log10 C has mean 19.94 and SD .83; log10 N is .524 log10 C - 1.51 with SD .29; the residuals of log L about the refit
# follow Student's t with 2.7 degrees of freedom and scale .0040 (measured on epoch-research/analyzing-chinchilla).
NUM_POINTS, NOISE_NU, NOISE_SCALE = 245, 2.7, 0.0040
LEVEL, NATS = 0.9, "nats_per_token"


def besiroglu_points() -> tuple[Floats, Floats]:
    """Params and tokens like the paper's, the same at every call."""
    rng = np.random.default_rng(0)
    log_flop = np.clip(19.94 + 0.83 * rng.standard_normal(NUM_POINTS), 18.15, 22.1)
    size = np.clip(10 ** (0.524 * log_flop - 1.51 + 0.29 * rng.standard_normal(NUM_POINTS)), 57e6, 16.2e9)
    return size, 10**log_flop / 6 / size


def besiroglu_table(seed: int) -> tuple[Row, ...]:
    """One noisy table from the law."""
    n, d = besiroglu_points()
    noise = NOISE_SCALE * np.random.default_rng(seed).standard_t(NOISE_NU, NUM_POINTS)
    loss = PUBLISHED["chinchilla-besiroglu"].at(params=n, tokens=d) * np.exp(noise)
    return tuple(Row(f"r{i}", *z, 6 * z[0] * z[1], y) for i, (z, y) in enumerate(zip(zip(n, d), loss)))


def of_law(rows: tuple[Row, ...]) -> tuple[Floats, Frame]:
    """Draws of the additive law alone: its priors, all runs alike."""
    law, points, y = LAWS["chinchilla"], coordinates(rows), np.array([row.value for row in rows])
    frame = Frame.of(points, y)
    x = np.log(points) - frame.centre
    mean, sd = priors(law, NATS, frame, learnt())
    return posterior(lambda theta: law.curve(theta, x), np.log(y) - frame.log_value, mean, sd).cloud, frame


def of_ensemble(rows: tuple[Row, ...]) -> tuple[Floats, Frame]:
    """Draws of the additive law as a member of the ensemble, as `keel fit` prints its constants."""
    ensemble = build(rows, NATS, laws=[LAWS["chinchilla"]])
    return constants(ensemble, ensemble.members[0]).draws, ensemble.frame


def besiroglu(num: int, fit: Callable[[tuple[Row, ...]], tuple[Floats, Frame]] = of_law) -> dict[str, float]:
    """Share of `num` noisy tables whose own interval holds each true constant, and the exponent of the best size."""
    truth = dict(PUBLISHED["chinchilla-besiroglu"].constants)
    truth["a_opt"] = truth["b"] / (truth["a"] + truth["b"])
    hits = dict.fromkeys(truth, 0)
    for seed in range(num):
        found = LAWS["chinchilla"].constants_of(*fit(besiroglu_table(seed)))
        found["a_opt"] = found["b"] / (found["a"] + found["b"])
        for name, known in truth.items():
            low, high = np.quantile(found[name], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            hits[name] += bool(low <= known <= high)
    return {name: hit / num for name, hit in hits.items()}


PARTS: dict[str, Callable[[], Answers]] = {
    "gadre": gadre, "porian": porian, "olmo": olmo, "clark": clark, "muennighoff": muennighoff,
}  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200, help="noisy tables for Besiroglu's constants")
    num = parser.parse_args().draws
    golden = json.loads(GOLDEN.read_text())["values"]
    print("| answer | published | reproduced | difference |", "|---|---|---|---|", sep="\n")
    for part in PARTS.values():
        for name, value in part():
            wanted = golden[name]["value"]
            print(f"| {name} | {wanted:.6g} | {value:.6g} | {value - wanted:+.2g} |")
    for kind, fit in (("law alone", of_law), ("in the ensemble", of_ensemble)):
        for name, share in besiroglu(num, fit).items():
            row = f"besiroglu {name} inside its 90 % interval ({kind}, {num} tables)"
            print(f"| {row} | 0.9 | {share:.3f} | {share - LEVEL:+.2g} |")


if __name__ == "__main__":
    main()
