"""The loop: resumed or branched, the numbers are those of one uninterrupted run, bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import study_error

from keel.corpus.shards import Shards
from keel.errors import Preempted
from keel.evaluate.bits_per_byte import unigram_bits_per_byte
from keel.plan.spec import Spec
from keel.run import checkpoint, optimiser
from keel.run.finish import finish
from keel.run.train import Loop, Place, Trained, train

pytestmark = pytest.mark.tensor
Make = Callable[..., Spec]


def never() -> bool:
    return False


def after(steps: int) -> Callable[[], bool]:
    """Ask to stop after so many steps."""
    left = iter(range(1, steps))
    return lambda: next(left, None) is None


def go(
    spec: Spec, folder: Path, shards: Shards, until: int | None = None, keep: set[int] | None = None, **place: Any
) -> Trained:
    stop = place.pop("stop", never)
    return train(spec, Place(folder=folder, **place), shards, until or spec.steps, keep or set(), lambda _: None, stop)


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in checkpoint.part_state(trained.parts).items()}


def same(one: Trained, other: Trained) -> bool:
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stops", [(1,), (7,), (15,), (3, 4, 9)])
def test_a_resumed_run_is_the_uninterrupted_one(
    stops: tuple[int, ...], tiny_spec: Make, shards: Shards, tmp_path: Path
) -> None:
    spec = tiny_spec()
    whole = go(spec, tmp_path / "whole", shards)
    done = 0
    for stop in stops:
        with pytest.raises(Preempted):
            go(spec, tmp_path / "cut", shards, stop=after(stop - done))
        assert checkpoint.steps(tmp_path / "cut")[-1] == stop
        done = stop
    assert same(whole, go(spec, tmp_path / "cut", shards))
    timeless = [
        [{name: value for name, value in line.items() if name in ("step", "tokens", "loss", "lr", "grad_norm")}
         for line in lines(folder)] for folder in (tmp_path / "whole", tmp_path / "cut")
    ]  # fmt: skip
    assert timeless[0] == timeless[1]
    assert [line.get("step") for line in timeless[0]] == [None, *range(1, 21)]


def test_a_kill_after_the_checkpoint_leaves_no_line_twice(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    spec = tiny_spec()
    whole = go(spec, tmp_path / "whole", shards)
    go(spec, tmp_path / "cut", shards, until=12, keep={8})
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 13, "lo')
    assert same(whole, go(spec, tmp_path / "cut", shards))
    assert [line.get("step") for line in lines(tmp_path / "cut")] == [None, *range(1, 21)]


def test_a_decay_branch_is_the_full_run(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    whole = go(tiny_spec(), tmp_path / "whole", shards)
    trunk = tiny_spec(steps=18, decay_start=18)
    go(trunk, tmp_path / "trunk", shards, keep={15, 18})
    branch = tiny_spec(start={"kind": "branch", "run": trunk.run_id, "step": 15})
    ended = go(branch, tmp_path / "branch", shards, parent=tmp_path / "trunk")
    assert same(whole, ended)
    assert lines(tmp_path / "branch")[1]["step"] == 16
    assert checkpoint.steps(tmp_path / "trunk") == [15, 18]


def test_micro_batches_give_nearly_the_same_run(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    whole = weights(go(tiny_spec(), tmp_path / "a", shards))
    cut = weights(go(tiny_spec(), tmp_path / "b", shards, micro_samples=2))
    for name, weight in whole.items():
        torch.testing.assert_close(weight, cut[name], rtol=1e-3, atol=1e-4, msg=name)


def test_the_seed_changes_the_run(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    assert not same(go(tiny_spec(), tmp_path / "a", shards), go(tiny_spec(seed=1), tmp_path / "b", shards))


def test_a_loss_that_is_not_finite_ends_the_run_with_its_gate(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    spec = tiny_spec(lr_hidden=1e25, lr_embedding=1e25)
    trained = go(spec, tmp_path, shards)
    assert trained.failed is not None
    assert "gradient norm" in trained.failed
    assert trained.step < spec.steps
    result = finish(spec, tmp_path, shards, trained)
    assert result["ok"] is False
    assert result["gate"] == {"name": "diverged", "why": trained.failed}
    assert result["bits_per_byte"] is None
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("damage", ["flip", "shorten", "remove", "state"])
def test_a_damaged_checkpoint_is_refused_by_name(damage: str, tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    spec = tiny_spec()
    go(spec, tmp_path, shards, until=5, keep={5})
    path = checkpoint.folder_of(tmp_path, 5) / ("state.json" if damage == "state" else "parts.safetensors")
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data[:-10] if damage in ("shorten", "state") else data)
    with study_error(str(checkpoint.folder_of(tmp_path, 5))):
        go(spec, tmp_path, shards)


def test_another_runs_checkpoint_is_refused(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    go(tiny_spec(), tmp_path, shards, until=5, keep={5})
    with study_error("a checkpoint is another run's"):
        go(tiny_spec(seed=1), tmp_path, shards)


def test_a_half_written_checkpoint_does_not_count(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    spec = tiny_spec()
    whole = go(spec, tmp_path / "whole", shards)
    go(spec, tmp_path / "cut", shards, until=9, keep={4, 9})
    newest = checkpoint.folder_of(tmp_path / "cut", 9)
    newest.rename(newest.with_name(f".{newest.name}"))
    (newest.with_name(f".{newest.name}") / "state.json").unlink()
    assert checkpoint.steps(tmp_path / "cut") == [4]
    assert same(whole, go(spec, tmp_path / "cut", shards))


def test_checkpoints_that_nobody_needs_are_removed(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    go(tiny_spec(), tmp_path, shards, keep={3, 11})
    assert checkpoint.steps(tmp_path) == [3, 11]
    checkpoint.prune(tmp_path, {11})
    assert checkpoint.steps(tmp_path) == [11]


def test_a_checkpoint_reads_back_whole(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    loop = Loop(tiny_spec(), Place(folder=tmp_path), shards)
    for _ in range(3):
        loop.one_step()
    loop.save()
    again = Loop(tiny_spec(), Place(folder=tmp_path), shards)
    assert again.step == 3
    for name, value in optimiser.state(loop.optimisers).items():
        assert torch.equal(value, optimiser.state(again.optimisers)[name]), name


def test_the_first_line_binds_spec_and_forecast(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    spec = tiny_spec()
    go(spec, tmp_path, shards, until=2, forecast_sha256="ab")
    assert lines(tmp_path)[0] == {"spec_sha256": spec.digest(), "forecast_sha256": "ab"}
    assert lines(tmp_path)[1]["lr"] == pytest.approx(spec.lr_hidden / 3)


def test_a_finished_branch_is_judged_and_loads(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trunk = tiny_spec(steps=90, decay_start=90, warmup_steps=5)
    go(trunk, tmp_path / "trunk", shards, keep={90})
    spec = tiny_spec(steps=110, decay_start=90, warmup_steps=5, start={"kind": "branch", "run": "t", "step": 90})
    results = []
    for name in ("one", "two"):
        trained = go(spec, tmp_path / name / "run", shards, parent=tmp_path / "trunk")
        result = finish(spec, tmp_path / name / "run", shards, trained)
        results.append((tmp_path / name / "run" / "result.json").read_bytes())
    assert results[0] == results[1]
    assert result["ok"], result["gate"]
    bar = unigram_bits_per_byte(shards.token_counts(), shards.heldout, shards.heldout_bytes)
    assert 0 < result["bits_per_byte"] < bar
    assert result["tokens"] == spec.tokens
    assert not {"time", "seconds", "tokens_per_s", "path"} & set(result)
    folder = tmp_path / "two" / "run" / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer("bana kilo", return_tensors="pt").input_ids
    assert tokenizer.decode(ids[0]) == "bana kilo"
    assert loaded(input_ids=ids).logits.shape == (1, ids.shape[1], 300)
    assert result["id"] in (folder / "README.md").read_text()


def test_a_run_no_better_than_frequencies_is_stalled(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    spec = tiny_spec(steps=1, warmup_steps=1, decay_start=1, lr_hidden=1e-9, lr_embedding=1e-9)
    result = finish(spec, tmp_path, shards, go(spec, tmp_path, shards))
    assert (result["ok"], result["gate"]["name"], result["kind"]) == (False, "stalled", "trunk")


def test_progress_is_reported_with_where_it_ends(tiny_spec: Make, shards: Shards, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    train(tiny_spec(), Place(folder=tmp_path), shards, 4, set(), seen.append, never)
    assert [(item["progress"]["step"], item["until"]) for item in seen] == [(4, 4)]
    shutil.rmtree(tmp_path)
