"""Memory of one device: the papers' own numbers, keel's own counts beside, and the first change that makes it fit."""

from __future__ import annotations

import pytest

from keel.catalog.store import Catalogue
from keel.errors import StudyError
from keel.model.shapes import SHAPES
from keel.model.shapes.released import RELEASED
from keel.size.fit import USABLE, first_fix, fits
from keel.size.memory import (
    OPTIMISERS,
    Setup,
    activation_bytes,
    guessed,
    of_shape,
    serve,
    states_bytes,
    train,
)

GPT3 = Setup(175e9, 96, 12288, 96, 2048, 51200, micro_batch=1, kept="scores")
LLAMA = Setup(6.738e9, 32, 4096, 32, 4096, 32000)


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return Catalogue()


def test_zero_papers_example() -> None:
    # Rajbhandari et al. 2019, figure 1: 7.5 B parameters, 64 devices, 12 bytes of optimiser states.
    zero = Setup(7.5e9, 36, 4096, 32, 1024, 51200, devices=64)
    found = {way: states_bytes(zero._replace(sharding=way)) / 1e9 for way in ("ddp", "zero1", "zero2", "zero3")}
    assert found == pytest.approx({"ddp": 120, "zero1": 31.4, "zero2": 16.6, "zero3": 1.9}, abs=0.05)


@pytest.mark.parametrize(("precision", "gigabytes"), [("amp", 108), ("fp32", 108), ("bf16", 108)])
def test_sixteen_bytes_a_parameter_of_llama_2_7b(precision: str, gigabytes: float) -> None:
    assert states_bytes(LLAMA._replace(precision=precision)) / 1e9 == pytest.approx(gigabytes, rel=0.01)


def test_gradients_of_bf16_in_fp32_are_the_high_end() -> None:
    found = train(LLAMA).total
    assert found.high - found.value >= 2 * LLAMA.params
    assert states_bytes(GPT3) == pytest.approx(2.8e12)  # "2.8 TB of GPT-3"


def test_optimisers_differ_by_their_moments() -> None:
    whole = {name: states_bytes(LLAMA._replace(optimiser=name)) / LLAMA.params for name in OPTIMISERS}
    assert whole["adamw"] - whole["sgd"] == pytest.approx(4)
    assert whole["adamw"] - whole["adamw-8bit"] == pytest.approx(5.97)
    assert whole["adafactor"] < 8.1


@pytest.mark.parametrize(
    ("setup", "scores_share"),
    [(GPT3, 80), (Setup(530e9, 105, 20480, 128, 2048, 51200, kept="scores"), 64)],
)
def test_korthikanti_activations(setup: Setup, scores_share: float) -> None:
    # Korthikanti et al. 2022, section 5: 5 a s / h is 80 for GPT-3 and 64 for MT-NLG; selective saves 70 % and 65 %.
    values = setup.context * setup.width * setup.layers
    assert activation_bytes(setup) == pytest.approx(values * (34 + scores_share))
    saved = 1 - activation_bytes(setup._replace(kept="flash")) / activation_bytes(setup)
    assert saved == pytest.approx({80: 0.70, 64: 0.65}[int(scores_share)], abs=0.005)


def test_tensor_parallel_alone_leaves_ten_bytes_whole() -> None:
    # Equation 2: s b h (10 + 24 / t + 5 a s / (h t)).
    split = activation_bytes(GPT3._replace(tensor=8)) / (2048 * 12288 * 96)
    assert split == pytest.approx(10 + 24 / 8 + 80 / 8)


def test_recomputation_keeps_two_bytes_a_value_and_one_layer() -> None:
    values = 4096 * 4096
    assert activation_bytes(LLAMA._replace(kept="recompute")) == pytest.approx(values * (32 * 2 + 34))
    assert activation_bytes(LLAMA._replace(precision="fp32")) == 2 * activation_bytes(LLAMA)


@pytest.mark.parametrize("name", ["gpt2", "bert-base-uncased", "opt-1.3b", "ModernBERT-base", "roberta-large"])
def test_counts_of_real_modules_lie_between_the_formulas(name: str) -> None:
    # keel's own counts keep one copy of the scores; the paper's 34 keeps none, its 5 a s / h three with dropout.
    released = RELEASED[name]
    shapes = SHAPES[released.family]
    shape = shapes.shape(released.size)
    params = shapes.params(shape)
    own = shapes.memory_bytes(shape, 4 * shape.context, {"body": "bf16", "head": "bf16"})
    own -= 16 * params.total + 3 * 4 * 512 * shape.vocabulary
    setup = of_shape(shape, params, micro_batch=4, precision="amp")
    assert activation_bytes(setup) < own < activation_bytes(setup._replace(kept="scores"))
    assert states_bytes(setup) == 16 * params.total


def test_what_is_beside_the_model_counts() -> None:
    plain = train(LLAMA).total.value
    assert train(LLAMA._replace(ema=True)).total.value - plain == pytest.approx(4 * LLAMA.params)
    assert train(LLAMA._replace(frozen_params=1e9)).total.value - plain == pytest.approx(2e9)
    assert train(LLAMA._replace(pairs=32768, micro_batch=2)).parts["pairs"] == 12 * 32768 * 2
    masked, every = train(LLAMA._replace(head_share=0.15)), train(LLAMA)
    assert masked.parts["logits"] == pytest.approx(0.15 * every.parts["logits"])


def test_full_sharding_holds_a_whole_layer_for_a_moment() -> None:
    spread = train(LLAMA._replace(devices=8, sharding="zero3"))
    assert spread.parts["states"] == pytest.approx(2 * LLAMA.params)
    assert spread.parts["a whole layer"] == pytest.approx(6.738e9 / 32 * 6)


def test_serving_holds_weights_and_kept_keys_and_values() -> None:
    # Llama-2 7B in 16 bits: 13.5 GB and half a megabyte a token.
    assert serve(6.738e9, 32, 4096, 1).parts["keys and values"] == 524_288
    assert serve(8.03e9, 32, 4096, 8192, kv_share=0.25).parts["keys and values"] == pytest.approx(1.07e9, rel=0.01)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(StudyError) as raised:
        train(LLAMA._replace(precision="bf17", optimiser="adamv", devices=0))
    assert [problem.where for problem in raised.value.problems] == ["precision", "optimiser", "devices"]
    assert "bf16" in raised.value.problems[0].fix


def test_the_first_change_is_the_smallest_one(known: Catalogue) -> None:
    a100 = known.accelerators["a100-sxm-80"]
    small = guessed(1e9, 2048, micro_batch=64)
    assert first_fix(small._replace(micro_batch=1), a100).what == "none needed"
    assert first_fix(small, a100).what == "a micro-batch of 16 instead of 64"
    assert first_fix(guessed(2.5e9, 65536), a100).what == "recompute activations"
    assert first_fix(guessed(7e9, 2048, devices=8), a100).what.startswith("spread the optimiser over 8")
    assert first_fix(guessed(20e9, 2048, devices=16), a100).what.startswith("spread weights")


def test_changes_add_up_where_one_is_not_enough(known: Catalogue) -> None:
    a100 = known.accelerators["a100-sxm-80"]
    both = first_fix(guessed(30e9, 8192, devices=8, micro_batch=8), a100)
    assert both.what.startswith("a micro-batch of 1 instead of 8, then recompute")
    assert both.fit.fits
    many = first_fix(guessed(175e9, 2048), a100)
    assert many.what == "recompute activations, then 64 devices that share all (FSDP, ZeRO-3)"
    assert many.fit.fits
    assert not fits(many.setup._replace(devices=many.setup.devices // 2), a100).fits


def test_an_honest_no_says_by_how_much_and_what_fits_at_most(known: Catalogue) -> None:
    t4 = known.accelerators["t4"]
    alone = fits(guessed(7e9, 2048), t4)
    assert alone.short_bytes == pytest.approx(alone.need_bytes - USABLE * 16e9)
    assert "too much" in alone.note
    most = first_fix(guessed(7e9, 2048), t4, most_devices=1)
    assert "a model of at most" in most.what
    assert fits(most.setup, t4).fits
    assert not fits(most.setup._replace(params=1.02 * most.setup.params), t4).fits
    never = first_fix(guessed(1e8, 10_000_000), t4, most_devices=1)
    assert never.what.startswith("nothing")
    assert not never.fit.fits


def test_unknown_memory_stays_unknown(known: Catalogue) -> None:
    assert fits(LLAMA, known.accelerators["a30"]).fits is None
    assert "unknown" in first_fix(LLAMA, known.accelerators["a30"]).what
