"""Weights, gradients and moments split over two ranks give the numbers of one process, whoever saved a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sharding
from helpers import study_error
from safetensors.numpy import load_file
from sharded_ranks import BOUND, Ranks, agree, flat, read, work
from sharding import CASES, HARD, MIDDLE, RUNS, STEPS, THAW, Case

from keel.files import sha256_file
from keel.prove import world
from keel.prove.cells import gap
from keel.run import checkpoint, parallel

pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    return work(tmp_path_factory.mktemp("sharded"), HARD)


@pytest.mark.parametrize("name", HARD)
def test_the_gradient_is_that_of_one_process(name: str, ranks: Ranks) -> None:
    agree(name, ranks)


@pytest.mark.parametrize("name", ["mlm, bernoulli", "span_corruption", "translation", "coupled", "instruct"])
def test_and_its_ranks_have_unequal_counts(name: str, ranks: Ranks) -> None:
    bench = sharding.bench_of(CASES[name], ranks.folder)
    halves = bench.batches.micro_batches(bench.objective, bench.step, 0, 1, bench.batches.batch // 2)
    assert len({tuple(half.counts.values()) for half in halves}) == 2 or name == "coupled"


def test_a_mean_over_ranks_is_caught(ranks: Ranks) -> None:
    right, wrong = (read(ranks.folder / where / "clm.npz") for where in ("sharded", "averaged"))
    assert gap(flat(right), 2 * flat(wrong)) < BOUND < gap(flat(right), flat(wrong))


def test_each_rank_keeps_half_and_each_layer_is_gathered_by_itself(ranks: Ranks) -> None:
    first, second = (told["shares"] for told in ranks.told)
    for of in ("weights", "moments"):
        assert first[of][0] + second[of][0] == first[of][1] == second[of][1]
        assert 0.5 <= first[of][0] / first[of][1] < 0.55
    assert first["blocks"] == first["layers"] == second["blocks"]


def saved(ranks: Ranks, run: str, step: int) -> Path:
    return checkpoint.folder_of(ranks.folder / "runs" / run, step)


def weights(ranks: Ranks, run: str, step: int) -> dict[str, np.ndarray]:
    return load_file(saved(ranks, run, step) / "parts.safetensors")


def moments(ranks: Ranks, run: str, step: int) -> dict[str, np.ndarray]:
    return load_file(saved(ranks, run, step) / "optimiser.safetensors")


def assert_close(one: dict[str, np.ndarray], two: dict[str, np.ndarray], bound: float = BOUND) -> None:
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert value.shape == two[name].shape
        assert value.dtype == two[name].dtype
        assert np.abs(value - two[name]).max(initial=0.0) <= bound * max(1.0, np.abs(value).max(initial=0.0)), name


@pytest.mark.parametrize("name", RUNS)
def test_every_step_is_that_of_one_process(name: str, ranks: Ranks) -> None:
    alone = sharding.go(RUNS[name], ranks.folder, f"{name}-alone", STEPS, sharded=False)
    for told in ranks.told:
        assert np.array(told["runs"][name]["whole"]) == pytest.approx(np.array(alone), rel=BOUND)
    for of in (weights, moments):
        assert_close(of(ranks, f"{name}-alone", STEPS), of(ranks, f"{name}-sharded", STEPS))
        assert_close(of(ranks, f"{name}-one", MIDDLE), of(ranks, f"{name}-cut", MIDDLE))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_stopped_around_the_thaw_is_the_uninterrupted_one_to_the_bit(name: str, ranks: Ranks) -> None:
    for file in checkpoint.FILES:
        assert sha256_file(saved(ranks, f"{name}-cut", STEPS) / file) == sha256_file(
            saved(ranks, f"{name}-sharded", STEPS) / file
        )


@pytest.mark.parametrize("name", RUNS)
def test_another_way_of_execution_goes_on_with_it(name: str, ranks: Ranks) -> None:
    """From sharded ranks to one process and to replicas; from one process to sharded ranks."""
    sharding.take(ranks.folder, f"{name}-back", f"{name}-cut", MIDDLE)
    back = sharding.go(RUNS[name], ranks.folder, f"{name}-back", MIDDLE + 1, sharded=False)
    for told in ranks.told:
        expected = told["runs"][name]["whole"][MIDDLE]
        for made in (back, told["runs"][name]["replicas"], told["runs"][name]["split"]):
            assert made == [pytest.approx(expected, rel=BOUND)]
    for run in ("replicas", "split"):
        for of in (weights, moments):
            assert_close(of(ranks, f"{name}-back", MIDDLE + 1), of(ranks, f"{name}-{run}", MIDDLE + 1))


ENCODERS = {"late": "reader.", "within": "model.library.model.encoder."}


@pytest.mark.parametrize("name", RUNS)
def test_what_is_frozen_stands_still_and_has_no_moments_before_its_thaw(name: str, ranks: Ranks) -> None:
    first, thawing, after = (
        sharding.first(RUNS[name], ranks.folder),
        *(weights(ranks, f"{name}-cut", step) for step in (THAW, MIDDLE)),
    )
    still = {key for key in first if key.startswith(("model.", "reader.")) and np.array_equal(first[key], thawing[key])}
    assert {key for key in first if key.startswith(ENCODERS[name])} <= still
    moved = {key for key in still if not np.array_equal(first[key], after[key])}
    assert moved
    before, later = (moments(ranks, f"{name}-cut", step) for step in (THAW, MIDDLE))
    born = later.keys() - before.keys()
    assert {float(later[key]) for key in born if key.endswith(".step")} == {1.0}
    assert {float(later[key]) for key in before if key.endswith(".step")} == {float(MIDDLE)}
    assert len([key for key in born if key.endswith(".step")]) == len(moved)


@pytest.mark.parametrize("name", RUNS)
def test_a_mean_of_weights_follows(name: str, ranks: Ranks) -> None:
    now, then = (weights(ranks, f"{name}-cut", step) for step in (STEPS, MIDDLE))
    mean = [key for key in now if key.startswith("mean.")]
    assert mean
    for key in mean:
        assert np.array_equal(now[key], then[key]) == np.array_equal(now["model" + key[4:]], then["model" + key[4:]])


def test_the_log_says_that_norms_were_not_measured_and_the_first_rank_has_plain_modules(ranks: Ranks) -> None:
    trained = sharding.logged("rtd", ranks.folder, "logged-one", sharded=False)
    shapes = {name: list(weight.shape) for name, weight in checkpoint.part_state(trained.parts).items()}
    assert ranks.told[0]["logs"] == {"plain": True, "shapes": shapes}
    one, two = (
        [json.loads(line) for line in (ranks.folder / "runs" / run / "metrics.jsonl").read_text().splitlines()[1:]]
        for run in ("logged-one", "logged-sharded")
    )
    assert [line["step"] for line in two] == [line["step"] for line in one]
    for left, right in zip(one, two):
        assert right["grad_norms"] == {"mlm": None, "rtd": None}
        assert set(left["grad_norms"]) == {"mlm", "rtd"}
    assert two[0]["terms"] == pytest.approx(one[0]["terms"], rel=1e-5)
    results = [
        json.loads((ranks.folder / "runs" / f"logged-{run}" / "result.json").read_text()) for run in ("one", "sharded")
    ]
    assert results[0]["bits_per_byte"] == pytest.approx(results[1]["bits_per_byte"], rel=1e-2)


def test_what_the_first_rank_exports_is_what_was_saved(ranks: Ranks) -> None:
    exported = load_file(ranks.folder / "runs" / "logged-sharded" / "exported" / "model.safetensors")
    kept = weights(ranks, "logged-sharded", STEPS)
    names = {name.removeprefix("model.library.") for name in kept if name.startswith("model.")}
    assert names == exported.keys()
    assert all(np.array_equal(exported[name], kept[f"model.library.{name}"]) for name in names)


def test_a_micro_batch_without_a_gradient_is_told(ranks: Ranks) -> None:
    assert all("a micro-batch has no gradient" in told["refusals"] for told in ranks.told)


def test_what_cannot_be_sharded_is_refused(ranks: Ranks) -> None:
    bench = sharding.bench_of(CASES["clm"], ranks.folder)
    with study_error("one process has nothing to shard over", where=False):
        parallel.shard(bench.modules, bench.objective)
    mixture = sharding.bench_of(Case("mixture", world.EXAMPLES["mixture"]), ranks.folder)
    with study_error("Mixture cannot be sharded", where=False):
        parallel.shard(mixture.modules, mixture.objective)
