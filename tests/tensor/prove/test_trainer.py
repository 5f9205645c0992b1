"""The grid's question put to the common trainer: is a step's gradient the same, however it is cut?

BertForMaskedLM takes `**kwargs` and ignores the number of targets in the step, so that transformers.Trainer neither
divides by it nor by the accumulation steps (huggingface/transformers #47688). docs/lab-notebook.md has the numbers.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from keel.model.families import library
from keel.model.shapes import SHAPES, Size
from keel.prove import world
from keel.prove.bench import Bench, build, flat
from keel.prove.grid import BOUND, Cell, Made, gap, made

pytest.importorskip("accelerate")
import transformers
from transformers import Trainer, TrainerCallback, TrainingArguments

pytestmark = pytest.mark.tensor


class Data(torch.utils.data.Dataset[Any]):
    """The bench's own masked windows, targets as the library wants them: -100 where there is none."""

    def __init__(self, bench: Bench) -> None:
        batch = bench.batch()
        self.inputs = batch.tensors["inputs"]
        self.labels = torch.full_like(self.inputs, -100).reshape(-1)
        self.labels[batch.tensors["places"]] = batch.tensors["targets"]
        self.labels = self.labels.view_as(self.inputs)
        # Samples in the order of their number of targets: micro-batches then differ in theirs.
        order = (self.labels >= 0).sum(1).argsort(stable=True)
        self.inputs, self.labels = self.inputs[order], self.labels[order]

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.inputs[index], "labels": self.labels[index]}


class Unshuffled(Trainer):  # type: ignore[misc]
    """The trainer on samples in the order given."""

    def _get_train_sampler(self, *_: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)


class Seen(TrainerCallback):  # type: ignore[misc]
    """The gradient as the optimiser gets it, and the loss as it is logged."""

    def on_pre_optimizer_step(self, *_: Any, model: Any = None, **__: Any) -> None:
        weights = list(model.parameters())
        self.gradient = flat([weight.grad for weight in weights], weights).numpy().copy()

    def on_log(self, *_: Any, logs: Any = None, **__: Any) -> None:
        if "loss" in logs:
            self.loss = float(logs["loss"])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = world.make(tmp_path_factory.mktemp("world"))
    return build(world.spec_of("mlm", {}, folder), folder)


def model(family: str, bench: Bench) -> Any:
    """The library's own model and head, the same weights every time, in fp64."""
    torch.manual_seed(0)
    size = Size(**bench.spec.size)
    special = bench.objective.vocabulary.special
    return library(family, SHAPES[family].shape(size), pad=special["pad"]).double()


def trained(family: str, bench: Bench, cut: tuple[int, int], folder: Path, **changes: Any) -> Made:
    """One step of the trainer over the 16 samples: `cut` is (accumulation steps, samples in each)."""
    arguments = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=cut[1], gradient_accumulation_steps=cut[0], max_steps=1,
        max_grad_norm=0.0, learning_rate=0.0, logging_steps=1, report_to=[], save_strategy="no", use_cpu=True,
        disable_tqdm=True, seed=0,
    )  # fmt: skip
    seen = Seen()
    module = model(family, bench)
    for name, value in changes.items():
        setattr(module, name, value)
    Unshuffled(module, arguments, train_dataset=Data(bench), callbacks=[seen]).train()
    return Made(seen.gradient, {"loss": seen.loss})


def honest(family: str, bench: Bench) -> Made:
    """The mean over all targets of the step, by the library's model and torch's own loss."""
    made, data = model(family, bench), Data(bench)
    logits = made(input_ids=data.inputs).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), data.labels.flatten(), ignore_index=-100)
    loss.backward()
    weights = list(made.parameters())
    return Made(flat([weight.grad for weight in weights], weights).numpy(), {"loss": float(loss.detach())})


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer's own prints and progress are not what is looked at."""
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "error")
    transformers.utils.logging.set_verbosity_error()
    assert "WORLD_SIZE" not in os.environ


CUTS = ((1, 16), (2, 8), (4, 4))


def gaps(family: str, bench: Bench, folder: Path, **changes: Any) -> dict[tuple[int, int], float]:
    """Each cut's gradient against that of the mean over all targets; what is printed stands in the notebook."""
    whole, found = honest(family, bench), {}
    for cut in CUTS:
        made = trained(family, bench, cut, folder, **changes)
        found[cut] = gap(whole.gradient, made.gradient)
        print(f"{family} {cut[0]}x{cut[1]}: loss {made.told['loss']:.4f} of {whole.told['loss']:.4f}, gradient norm "
              f"{np.linalg.norm(made.gradient):.4f} of {np.linalg.norm(whole.gradient):.4f}, "
              f"gap {found[cut]:.2g} {changes or ''}")  # fmt: skip
    return found


def test_the_trainer_scales_bert_by_the_accumulation(bench: Bench, tmp_path: Path) -> None:
    """The known bug, shown: were it mended, this fails, and the notebook's rows may go."""
    found = gaps("bert", bench, tmp_path)
    assert found[1, 16] < BOUND
    assert 0.5 < found[2, 8] < 1.5
    assert 2 < found[4, 4] < 4


def test_telling_the_trainer_leaves_a_mean_of_means(bench: Bench, tmp_path: Path) -> None:
    """The usual advice: right where every micro-batch has as many targets, wrong where not."""
    found = gaps("bert", bench, tmp_path, accepts_loss_kwargs=False)
    assert found[1, 16] < BOUND
    assert found[4, 4] > 0.01


def test_the_trainer_is_exact_where_the_model_counts(bench: Bench, tmp_path: Path) -> None:
    """The measure itself is sound: a model that divides by the step's targets passes it."""
    assert max(gaps("modernbert", bench, tmp_path).values()) < 1e-5


def test_the_engine_passes_where_the_trainer_fails(bench: Bench) -> None:
    """The same 16 samples in the trainer's worst cut."""
    assert gap(made(bench, Cell(1, 1), 0).gradient, made(bench, Cell(1, 4), 0).gradient) < BOUND
