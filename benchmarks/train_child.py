"""A process of the training benchmark: builds one side, then runs a window for every line it is sent.

python benchmarks/train_child.py ROLE CELL PRECISION ROUNDS     (started by train_speed.py)
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from table import cores

from keel.model.shapes import Size, facts_of
from keel.objective.cost import special_tokens
from keel.plan.spec import Spec, example_spec

SEED = 0
LR = 1e-3
STEPS = 10**6  # a run's length as the spec states it; the windows below say how many steps are made
THREADS = "KEEL_BENCH_THREADS"  # threads of each process; all cores unless set


class Cell(NamedTuple):
    """One model and batch, with the steps of a warm-up and of a timed window."""

    name: str
    width: int
    layers: int
    head_width: int
    vocabulary: int
    context: int
    batch_tokens: int
    warm_up: int
    window: int
    loss: str = "clm"
    family: str = "llama"
    as_installed: str = ">= 2.3"
    like_for_like: str = ">= 1.04"

    @property
    def words(self) -> int:
        """Tokens of text: the vocabulary without the loss's special tokens."""
        return self.vocabulary - len(special_tokens(self.loss, {}, self.context))

    @property
    def size(self) -> Size:
        """The size as keel's spec has it."""
        return Size(width=self.width, layers=self.layers, vocabulary=self.vocabulary, context=self.context,
                    head_width=self.head_width)  # fmt: skip

    def spec(self, precision: str) -> Spec:
        """A run of this cell; `precision` reads "body/head"."""
        body, head = precision.split("/")
        return example_spec(
            objective=self.loss, family=self.family, size=self.size.json(),
            batch_tokens=self.batch_tokens, steps=STEPS, warmup_steps=1, decay_start=STEPS,
            lr_hidden=LR, lr_embedding=LR, precision={"body": body, "head": head}, seed=SEED,
        )  # fmt: skip

    def describe(self) -> str:
        """Name, exact counts and batch."""
        params = facts_of(self.family, self.size.json())[1]
        counts = f"{params.total:,} parameters (body {params.body:,} + tied table {params.embedding:,})"
        return f"{self.name}: {counts}, d {self.width}, L {self.layers}, T {self.context}, {self.batch_tokens} a step"


# Named by parameters as the comparison counts them: 1M is body + table, 10M is the body.
CELLS = (
    Cell("1M/8192", 96, 2, 32, 8192, 256, 2048, 8, 16),
    Cell("10M/50304", 384, 6, 64, 50304, 256, 1024, 2, 3),
    Cell("10M/50304x2048", 384, 6, 64, 50304, 256, 2048, 2, 2),
    Cell("2M/8192", 128, 5, 32, 8192, 256, 2048, 8, 12),
    Cell("mlm 1M/8192", 96, 2, 32, 8192, 256, 2048, 8, 16, "mlm", "bert", "", ">= 1.4"),
    Cell("mlm 10M/50304", 384, 6, 64, 50304, 256, 1024, 2, 3, "mlm", "bert", ">= 3.5", ">= 2.3"),
    Cell("mlm 10M/50304x2048", 384, 6, 64, 50304, 256, 2048, 2, 2, "mlm", "bert", ">= 3.5", ">= 2.3"),
)
DEFAULT_CELLS = ("1M/8192", "10M/50304", "mlm 1M/8192", "mlm 10M/50304", "mlm 10M/50304x2048")
PRECISIONS = ("fp32/fp32", "fp32/bf16", "bf16/bf16")


def peak_bytes() -> int:
    """Most memory this program held. Linux's ru_maxrss keeps the parent's from before exec, so VmHWM is asked first."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def cell_of(name: str) -> Cell:
    """A cell by its name."""
    return next(cell for cell in CELLS if cell.name == name)


def words(number: int) -> str:
    """tokenizer.json of so many made-up words, the separator first."""
    from tokenizers import Tokenizer, models

    known = {"<|end|>": 0} | {f"w{place}": place for place in range(1, number)}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<none>"))
    tokenizer.add_special_tokens(["<|end|>"])
    text: str = tokenizer.to_str()
    return text


class Tokens:
    """Zipf-like tokens in memory: shards for keel, windows for the Trainer."""

    def __init__(self, cell: Cell, windows: int = 4096) -> None:
        rng = np.random.default_rng(SEED)
        odds = 1.0 / np.arange(1, cell.words + 1)
        edges = np.cumsum(odds / odds.sum())
        self.num_tokens = windows * cell.context + 1
        self.tokens = np.minimum(np.searchsorted(edges, rng.random(self.num_tokens)), cell.words - 1).astype(np.uint16)

        self.folder = Path(tempfile.mkdtemp(prefix="keel-bench-"))
        self.tokenizer_path = self.folder / "tokenizer.json"
        self.tokenizer_path.write_text(words(cell.words), encoding="utf-8")

    def window(self, start: int, length: int) -> np.ndarray:
        """Tokens start ... start + length - 1."""
        return self.tokens[start : start + length]


def keel_step(cell: Cell, precision: str, tokens: Tokens) -> Callable[[], object]:
    """One optimiser step of keel's own loop."""
    from keel.run.train import Loop, Place

    loop = Loop(cell.spec(precision), Place(folder=Path(tempfile.gettempdir()) / "keel-no-such-run"), tokens)  # type: ignore[arg-type]
    return loop.one_step


def run_trainer(cell: Cell, bf16: bool, tokens: Tokens, windows: int, between: Callable[[float], None]) -> None:
    """Trainer.train() over a warm-up and `windows` windows; `between` hears each one's seconds, first 0."""
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from keel import model
    from keel.run import parts

    family, vocabulary = model.load(cell.family), parts.vocabulary_of(cell.spec("fp32/fp32"), tokens)  # type: ignore[arg-type]
    built = family.build(family.shape(cell.size), {"body": "fp32", "head": "fp32"}, SEED, parts.ids_of(vocabulary))
    built.library.get_input_embeddings().sparse = False
    rows = tokens.tokens[:-1].reshape(-1, cell.context).astype(np.int64)
    data = [{"input_ids": row, "labels": row} for row in torch.from_numpy(rows)]
    collator = None if cell.loss == "clm" else masking(tokens, vocabulary)

    class Clock(TrainerCallback):
        start_s = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            done = state.global_step - cell.warm_up
            if done < 0 or done % cell.window:
                return
            between(time.perf_counter() - self.start_s if done else 0.0)
            self.start_s = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=cell.warm_up + windows * cell.window, bf16=bf16, use_cpu=True, seed=SEED,
            per_device_train_batch_size=cell.batch_tokens // cell.context, learning_rate=LR, weight_decay=0.1,
            logging_strategy="no", save_strategy="no", eval_strategy="no", report_to="none", disable_tqdm=True,
            dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = Trainer(
            model=built.library, args=arguments, train_dataset=data, data_collator=collator, callbacks=[Clock()]
        )
        with open(os.devnull, "w") as null:
            out, sys.stdout = sys.stdout, null  # its closing summary is not for the parent
            try:
                trainer.train()
            finally:
                sys.stdout = out


def masking(tokens: Tokens, vocabulary: Any) -> Any:
    """The library's own collator at its defaults (15 %, 80/10/10), over the same tokens."""
    from tokenizers import Tokenizer
    from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

    from keel.corpus.tokenizer import spelling, with_special

    text = with_special(tokens.tokenizer_path.read_text(encoding="utf-8"), vocabulary.special)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(text), mask_token=spelling("mask"), pad_token=spelling("pad"),
        sep_token=spelling("separator"), cls_token=spelling("start"),
    )  # fmt: skip
    return DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)


def threads() -> int:
    """Threads of each process."""
    return int(os.environ.get(THREADS, cores()))


def seconds(step: Callable[[], object], times: int) -> float:
    """Seconds that `times` steps take."""
    start = time.perf_counter()
    for _ in range(times):
        step()
    return time.perf_counter() - start


def serve(role: str, cell: Cell, precision: str, rounds: int) -> None:
    """Do one role; everything said goes to the real stdout."""
    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(threads())
    out, sys.stdout = sys.stdout, sys.stderr
    tokens = Tokens(cell)

    def say(**values: Any) -> None:
        out.write(json.dumps(values | {"peak": peak_bytes()}) + "\n")
        out.flush()

    def wait(spent_s: float) -> None:
        say(s=spent_s)
        sys.stdin.readline()

    if role == "keel":
        step = keel_step(cell, precision, tokens)
        seconds(step, cell.warm_up)
        wait(0.0)
        for _ in range(rounds):
            wait(seconds(step, cell.window))
    elif role == "trainer":
        run_trainer(cell, precision.startswith("bf16"), tokens, rounds, wait)
    elif role == "both":
        step, ours, theirs = keel_step(cell, precision, tokens), [], []
        seconds(step, cell.warm_up)

        def ours_too(spent_s: float) -> None:
            theirs.append(spent_s)
            ours.append(seconds(step, cell.window))

        run_trainer(cell, precision.startswith("bf16"), tokens, rounds, ours_too)
        say(ours=ours[1:], theirs=theirs[1:])
    elif role == "choose":
        say(precision=choose(cell, tokens, rounds))


def choose(cell: Cell, tokens: Tokens, turns: int) -> str:
    """The fastest precision of this cell; as in keel.run.probe, each bf16 part has to pay by more than 5 %."""
    steps = [keel_step(cell, precision, tokens) for precision in PRECISIONS]
    spent: list[list[float]] = [[] for _ in steps]
    for turn in range(turns + 2):
        for step, times in zip(steps, spent):
            took = seconds(step, 1)
            if turn >= 2:
                times.append(took)
    best = 0
    for place, times in enumerate(spent):
        if statistics.median(times) * 1.05 < statistics.median(spent[best]):
            best = place
    return PRECISIONS[best]


if __name__ == "__main__":
    role, cell_name, precision, rounds = sys.argv[1:]
    serve(role, cell_of(cell_name), precision, int(rounds))
