"""Speed of other losses against a plain loop, the cost of corruption, and the memory of a head.

    python benchmarks/loss_speed.py [--quick]

"plain loop": the library's own models from the same weights, fed with the very batches that keel forms, trained by a
loop as one writes it: logits of every position, the library's loss, clip, fused AdamW, the same precision and
allocator, windows in turns in one process. What keel gains there is its heads, which meet target rows only.
"corruption": seconds that forming a batch takes, as a share of the whole step, at about 1M parameters.
"head": memory above what was there before, of the loss over 2,048 rows and its gradients, each in its own process.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from table import Row, machine, markdown
from train_child import Cell, Tokens, peak_bytes, seconds, threads

from keel.run.pool import ALLOCATOR, QUIET

CELLS = (
    Cell("rtd 1M/8192", 96, 2, 32, 8192, 256, 2048, 4, 8, "rtd", "electra"),
    Cell("span_corruption 1M/8192", 96, 2, 32, 8192, 256, 2048, 4, 8, "span_corruption", "t5"),
)
CORRUPTED = ("mlm", "rtd", "span_corruption", "bart", "ul2", "alexatm")
FAMILIES = {"mlm": "bert", "rtd": "electra", "span_corruption": "t5", "bart": "bart", "ul2": "t5", "alexatm": "alexatm"}
SHAPES = ((384, 50304), (128, 8192))
ROWS, CLIP, LR, RTD_WEIGHT = 2048, 1.0, 1e-3, 50.0
PRECISION = "bf16/bf16"


def plain_rtd(models: Any, at: Any) -> Any:
    """ELECTRA by the library: generator and discriminator, every position through both heads."""
    import torch

    labels = torch.full_like(at["tokens"].flatten(), -100).index_copy(0, at["places"], at["targets"])
    made = models["generator"](input_ids=at["inputs"], labels=labels.view_as(at["tokens"]))
    with torch.no_grad():
        odds = made.logits.flatten(0, 1)[at["places"]].float().softmax(-1)
        drawn = torch.multinomial(odds, 1).squeeze(1)
        shown = at["tokens"].flatten().index_copy(0, at["places"], drawn).view_as(at["tokens"])
    told = models["model"](input_ids=shown, labels=(shown != at["tokens"]).float())
    return made.loss + RTD_WEIGHT * told.loss


def plain_seq2seq(models: Any, at: Any) -> Any:
    """An encoder-decoder by the library: padded labels, logits of every decoder position."""
    import torch

    labels = torch.full_like(at["decoder_inputs"].flatten(), -100).index_copy(0, at["places"], at["targets"])
    return models["model"](
        input_ids=at["inputs"], attention_mask=at["attention_mask"], decoder_input_ids=at["decoder_inputs"],
        labels=labels.view_as(at["decoder_inputs"]),
    ).loss  # fmt: skip


PLAIN: dict[str, Callable[[Any, Any], Any]] = {"rtd": plain_rtd, "span_corruption": plain_seq2seq}


def loop_of(cell: Cell, precision: str = PRECISION) -> Any:
    """keel's own loop on a cell."""
    from keel.run.train import Loop, Place

    place = Place(folder=Path(tempfile.gettempdir()) / "no-runs" / "no-such-run")
    return Loop(cell.spec(precision), place, Tokens(cell))  # type: ignore[arg-type]


def batch_of(loop: Any, step: int) -> Any:
    """The one micro-batch of a step."""
    return loop.batches.micro_batches(loop.objective, step, 0, 1, loop.batches.batch)[0]


def plain_step(loop: Any, loss: str) -> Callable[[], object]:
    """A step of the plain loop over copies of the loop's own library models."""
    import torch

    models = copy.deepcopy({name: part.library for name, part in loop.parts.items()})
    for model in models.values():
        model.get_input_embeddings().sparse = False
        model.train()
    weights = list(dict.fromkeys(weight for model in models.values() for weight in model.parameters()))
    optimiser, done = torch.optim.AdamW(weights, lr=LR, weight_decay=0.1, fused=True), [0]

    def step() -> None:
        batch = batch_of(loop, done[0])
        with torch.autocast("cpu", torch.bfloat16):
            value = PLAIN[loss](models, batch.tensors)
        value.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        done[0] += 1

    return step


def speed(name: str, rounds: int) -> dict[str, Any]:
    """Windows of both in turns: seconds."""
    cell = next(cell for cell in CELLS if cell.name == name)
    loop = loop_of(cell)
    sides = {"ours": loop.one_step, "theirs": plain_step(loop, cell.loss)}
    for side in sides.values():
        seconds(side, cell.warm_up)
    found: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        for who, side in sides.items():
            found[who].append(seconds(side, cell.window))
    return found


def corruption(loss: str, rounds: int) -> dict[str, Any]:
    """Seconds of forming batches, and of whole steps, in turns."""
    loop = loop_of(Cell(loss, 96, 2, 32, 8192, 256, 2048, 4, 8, loss, FAMILIES[loss]))
    seconds(loop.one_step, 4)
    made, whole = [], []
    for _ in range(rounds):
        made.append(seconds(lambda: batch_of(loop, loop.step), 8))
        whole.append(seconds(loop.one_step, 8))
    return {"made": made, "whole": whole}


def head(side: str, width: int, vocabulary: int) -> dict[str, Any]:
    """Bytes above what was there: the sum of nats over all rows, and its gradients."""
    import torch

    from keel.model.head import nll_sum

    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(ROWS, width, generator=generator, requires_grad=True)
    table = (torch.randn(vocabulary, width, generator=generator) / 50).requires_grad_()
    targets = torch.randint(vocabulary, (ROWS,), generator=generator)
    before = peak_bytes()
    if side == "ours":
        nll_sum(hidden, table, targets).backward()
    else:
        torch.nn.functional.cross_entropy(hidden @ table.T, targets, reduction="sum").backward()
    return {"bytes": peak_bytes() - before}


ROLES: dict[str, Callable[..., dict[str, Any]]] = {"speed": speed, "corruption": corruption, "head": head}


def child(role: str, *words: Any) -> Any:
    """What a role finds in a process of its own, with the allocator that `keel run` gives its workers."""
    env = os.environ | ALLOCATOR | QUIET | {"OMP_NUM_THREADS": str(threads()), "MKL_NUM_THREADS": str(threads())}
    command = [sys.executable, __file__, "--role", json.dumps([role, *words])]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(quick: bool = False) -> list[Row]:
    """All rows."""
    rounds, rows = 3 if quick else 7, []
    for cell in CELLS:
        found = child("speed", cell.name, rounds)
        tokens, (ours, theirs) = cell.window * cell.batch_tokens, (found["ours"], found["theirs"])
        rows.append(Row(f"train {cell.name}, like for like {PRECISION}, plain loop", tokens / statistics.median(ours),
                        tokens / statistics.median(theirs), "tokens/s",
                        tuple(b / a for a, b in zip(ours, theirs)), ">= 1.0"))  # fmt: skip
    for loss in CORRUPTED:
        found = child("corruption", loss, rounds)
        made, whole = (1e3 / 8 * statistics.median(found[name]) for name in ("made", "whole"))
        shares = tuple(a / b for a, b in zip(found["made"], found["whole"]))
        rows.append(Row(f"corruption of {loss} in a step at 1M", made, whole, "ms", shares, "<= 0.05"))
    for width, vocabulary in SHAPES:
        ours, full = (child("head", side, width, vocabulary)["bytes"] / 1e6 for side in ("ours", "full"))
        rows.append(Row(f"head {width} -> {vocabulary}, {ROWS} rows, against full logits", ours, full, "MB",
                        (ours / full,), "<= 0.5"))  # fmt: skip
    return rows


def main() -> None:
    """Print the table, or do one role."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.role:
        import torch

        warnings.filterwarnings("ignore")
        torch.set_num_threads(threads())
        role, *words = json.loads(chosen.role)
        print(json.dumps(ROLES[role](*words)))
        return
    print(markdown(measure(chosen.quick)), machine(), sep="\n\n")


if __name__ == "__main__":
    main()
