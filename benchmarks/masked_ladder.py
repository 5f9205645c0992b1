"""The measured law of a masked model: a ladder through keel's own verbs, its law, and the tokens a parameter it wants.

`masked_ladder.py FOLDER --to DIR [--seeds 0 1] [--losses mlm clm] [--time MINUTES]`: a study a loss and seed, each with
a forecast that is sealed before its largest rung. It may be killed and run again. Token counts are those of
docs/lab-notebook.md; `--time` shortens or lengthens all runs alike until the plan predicts that time for a study.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keel.laws.design.optimum import optimum
from keel.laws.ensemble import Ensemble, build
from keel.laws.law import Row
from keel.laws.learnt import learnt
from keel.laws.read.table import read

WIDTHS = (16, 24, 32, 48)
TOP = 64
# Tokens of the widths below the top one, and of the top. A masked model is on the plateau of token frequencies for
# about its first million tokens; a decoder has none.
TOKENS: Mapping[str, Mapping[int, Sequence[float]]] = {
    "mlm": {16: (1.5e6, 2.4e6, 3.8e6, 6e6), 24: (1.5e6, 2.4e6, 3.8e6, 6e6), 32: (1.5e6, 2.4e6, 3.8e6, 6e6),
            48: (1.5e6, 2.4e6, 3.8e6), TOP: (6.5e6,)},
    "clm": {16: (0.3e6, 0.6e6, 1.2e6, 2.4e6), 24: (0.3e6, 0.6e6, 1.2e6, 2.4e6), 32: (0.3e6, 0.6e6, 1.2e6),
            48: (0.3e6, 0.6e6, 1.2e6), TOP: (2.4e6,)},
}  # fmt: skip
SHARED = {"tokenizer.vocabulary": 1024, "model.context": 64, "train.batch_tokens": 512}
WIDER = 3.0  # the priors were learnt on decoders: what do the runs say alone?
# Chosen after seeing seeds 0 and 1: shorter runs of one size differ by 3-21 % between seeds, as they leave the plateau.
PAST_TOKENS: Mapping[str, float] = {"mlm": 2.2e6, "clm": 0.0}
BUDGETS = (0.1, 0.3, 1.0, 3.0, 10.0)  # of the largest run's FLOP


def main() -> None:
    """Every loss and seed, then what each says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--losses", nargs="+", default=["mlm"], choices=sorted(TOKENS))
    parser.add_argument("--time", type=float, help="minutes of one study")
    asked = parser.parse_args()
    studies = [(loss, seed) for loss in asked.losses for seed in asked.seeds]
    for loss, seed in studies:
        _study(asked.to, loss, seed, asked.folder.resolve(), asked.time)
    for loss, seed in studies:
        print(f"\n## {loss}, seed {seed}\n")
        _tell(asked.to / f"{loss}-{seed}")
    for loss in asked.losses:
        _together(loss, [asked.to / f"{loss}-{seed}" for seed in asked.seeds])


def _study(root: Path, loss: str, seed: int, text: Path, minutes: float | None) -> None:
    """new, look, plan, run: what is there already is kept."""
    folder = root / f"{loss}-{seed}"
    if not (folder / "study.toml").exists():
        _keel("new", str(text), "--to", str(folder))
    first = next(iter(sorted(root.glob("*/evidence/machine.json"))), None)
    if first is None:
        _keel("look", "--study", str(folder))
    elif not (folder / "evidence").exists():
        shutil.copytree(first.parent, folder / "evidence")
    if not (folder / "plan.json").exists():
        _set(folder, loss, seed, 1.0)
        if minutes is not None:
            _keel("plan", "--study", str(folder))
            predicted_s = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["totals"]["s"]
            _set(folder, loss, seed, 60 * minutes / predicted_s)
        _keel("plan", "--study", str(folder))
    _keel("run", "--study", str(folder))


def _set(folder: Path, loss: str, seed: int, share: float) -> None:
    """[set] of a study: the loss, the seed, and token counts times `share`; all else is the plan's."""
    tokens = {width: [round(share * each) for each in counts] for width, counts in TOKENS[loss].items()}
    settings = {
        "train.loss": loss, "train.seed": seed, "ladder.widths": [*WIDTHS, TOP], **SHARED,
        **{f"ladder.tokens.{width}": counts for width, counts in tokens.items()},
        "ladder.top_tokens": tokens[TOP][0], "arms.losses": [],
    }  # fmt: skip
    path = folder / "study.toml"
    head = path.read_text(encoding="utf-8").partition("[set]")[0]
    lines = [f'"{name}" = {json.dumps(value)}' for name, value in settings.items()]
    path.write_text(head + "\n".join(["[set]", *lines, ""]), encoding="utf-8")


def _keel(*words: str) -> None:
    print("$ keel", *words, flush=True)
    done = subprocess.run([sys.executable, "-m", "keel", *words], check=False)
    if done.returncode:
        raise SystemExit(f"keel {words[0]}: exit {done.returncode}")


def _tell(folder: Path) -> None:
    """Runs, sealed forecast, law, and the tokens a parameter at a few budgets."""
    table = read(folder / "runs")
    results = {row.id: json.loads((folder / "runs" / row.id / "result.json").read_text()) for row in table.rows}
    print("| run | params | tokens | a param | FLOP | bits per byte | s.e. |\n|---|---|---|---|---|---|---|")
    for row in sorted(table.rows, key=lambda row: (row.params, row.tokens)):
        error = results[row.id]["standard_error"]
        shown = f"{error:.4f}" if error is not None else "-"
        print(f"| {row.id} | {row.params:.0f} | {row.tokens:.3g} | {row.tokens / row.params:.3g} | {row.flop:.3g} | "
              f"{row.value:.4f} | {shown} |")  # fmt: skip
    for item in table.excluded:
        print(f"\nleft out: {item['id']}: {item['why']}")
    _scored(folder)
    print("\n### Without a law: loss at equal FLOP")
    _direct(table.rows)


def _together(loss: str, folders: Sequence[Path]) -> None:
    """The law of all seeds, of all runs and of those past the plateau; and how much of it the priors are."""
    tables = [read(folder / "runs") for folder in folders]
    rows = [row for table in tables for row in table.rows]
    past = [row for row in rows if row.tokens >= PAST_TOKENS[loss]]
    known = learnt()
    wide = known._replace(floor_sd=WIDER * known.floor_sd, rate_sd=WIDER * known.rate_sd)
    for name, chosen, priors in (
        ("all runs", rows, known), (f"runs of {PAST_TOKENS[loss]:.2g} tokens and more", past, known),
        (f"the same, priors {WIDER:g} times as wide", past, wide),
    ):  # fmt: skip
        print(f"\n## {loss}, {len(folders)} seeds, {name}: {len(chosen)} runs\n")
        _law(build(chosen, tables[0].unit, known=priors), max(rows, key=lambda row: row.flop))


def _scored(folder: Path) -> None:
    for path in sorted((folder / "runs").glob("*/score.json")):
        score = json.loads(path.read_text())
        sealed = json.loads((path.parent / "forecast.json").read_text())
        print(f"\nSealed: {score['value']:.4f}, 90 % {score['low']:.4f}-{score['high']:.4f}, "
              f"{10 ** sealed['distance']:.1f}x the compute of the largest run seen; measured {score['measured']:.4f}: "
              f"{'hit' if score['hit'] else 'miss'} ({100 * score['error']:+.2f} %)")  # fmt: skip


def _law(ensemble: Ensemble, largest: Row) -> None:
    """Laws that count, and the optimum at budgets around the largest run's."""
    for member in sorted(ensemble.members, key=lambda each: -each.weight):
        if member.weight < 0.02:
            continue
        cloud = member.law.constants_of(member.draws, ensemble.frame)
        shown = ", ".join(f"{name} {float(np.median(draws)):.3g} ({np.quantile(draws, 0.05):.3g} to "
                          f"{np.quantile(draws, 0.95):.3g})" for name, draws in cloud.items())  # fmt: skip
        print(f"- {member.law.name}, weight {member.weight:.2f}: {member.law.formula}; {shown}; "
              f"back-test {100 * member.backtest_error:.2g} %")  # fmt: skip
    print("\n| FLOP | best params | best tokens | tokens a param | 90 % | sizes within .2 % |\n"
          "|---|---|---|---|---|---|")  # fmt: skip
    best = {share: optimum(ensemble, share * largest.flop) for share in BUDGETS}
    for share, found in best.items():
        _row(found, share)
    for doubt in sorted({found["valid"] for found in best.values() if found and found["valid"]}):
        print(f"\n! {doubt}")


def _direct(rows: Sequence[Row]) -> None:
    """No law: at equal FLOP each size's loss between its own runs, log loss straight in log tokens."""
    sizes: dict[float, list[Row]] = {}
    for row in rows:
        sizes.setdefault(row.params, []).append(row)
    curves = {params: sorted(found, key=lambda row: row.flop) for params, found in sorted(sizes.items())}
    curves = {params: found for params, found in curves.items() if len(found) > 1}
    ends = [(found[0].flop, found[-1].flop) for found in curves.values()]
    print("\n| FLOP | " + " | ".join(f"{params:.0f} params" for params in curves) + " | best, tokens a param |")
    print("|---" * (len(curves) + 2) + "|")
    for flop in np.geomspace(min(low for low, _ in ends), max(high for _, high in ends), 9):
        losses = {params: _between(found, flop) for params, found in curves.items()}
        known = {params: loss for params, loss in losses.items() if loss is not None}
        if len(known) < 3:
            continue
        best = min(known, key=lambda params: known[params])
        ratio = np.interp(np.log(flop), [np.log(row.flop) for row in curves[best]],
                          [np.log(row.tokens) for row in curves[best]])  # fmt: skip
        cells = " | ".join("-" if loss is None else f"{loss:.4f}" for loss in losses.values())
        side = " (an end)" if best in (min(known), max(known)) else ""
        print(f"| {flop:.2g} | {cells} | {best:.0f}, {np.exp(ratio) / best:.0f}{side} |")


def _between(found: Sequence[Row], flop: float) -> float | None:
    if not found[0].flop <= flop <= found[-1].flop:
        return None
    logs = [np.log(row.flop) for row in found]
    return float(np.exp(np.interp(np.log(flop), logs, [np.log(row.value) for row in found])))


def _row(best: Mapping[str, Any] | None, share: float) -> None:
    if best is None:
        print(f"| {share:g} of the largest run | no law tells sizes apart | | | | |")
        return
    low, high = best["tokens_per_param_low"], best["tokens_per_param_high"]
    print(f"| {best['compute']:.2g} ({share:g} of the largest) | {best['params']:.3g} | {best['tokens']:.3g} | "
          f"{best['tokens_per_param']:.3g} | {low:.3g} to {high:.3g} | {best['same_loss_params_low']:.3g} to "
          f"{best['same_loss_params_high']:.3g} |")  # fmt: skip


if __name__ == "__main__":
    main()
