"""What one device reaches: its precision, both 100 % lines, and the MFU of published runs."""

from __future__ import annotations

from typing import Any

import pytest

from keel.catalog.store import Catalogue
from keel.errors import StudyError
from keel.size.hardware import find, here
from keel.size.mfu import device_hours, published, usual
from keel.size.speed import both_lines, speed
from keel.size.time import Estimate


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return Catalogue()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("1.3M H100-80GB GPU-hours", ("h100-sxm", 1.3e6)),
        ("96 A100 40GB, 2160 h", ("a100-sxm-80", 96 * 2160)),
        ("128 A100 (16 p4d.24xlarge), 2880 h", ("a100-sxm-80", 128 * 2880)),
        ("6,250 A100 GPU-days (PixArt table)", ("a100-sxm-80", 150_000)),
        ("128 A100-40GB, 36 h (4,600 GPU-h)", ("a100-sxm-80", 128 * 36)),
        ("512 H100 (last phase), 278 h (Epoch)", None),
        ("6144 TPU v4, 1200 h + 3072 TPU v4, 336 h", None),
        ("512 H100 (stage 1)", None),
        ("1M steps per module", None),
    ],
)
def test_hours_are_read_from_the_text_or_not_at_all(said: str, found: tuple[str, float] | None) -> None:
    assert device_hours(said) == found


def test_mfu_of_published_runs(known: Catalogue) -> None:
    # Golden: 6 x 6.738e9 x 2e12 / (184,320 h x 3600 x 312e12) and so on, worked by hand from the models' own cards.
    runs = {run.model_id: run.mfu for run in published(known)}
    golden = {"llama-2-7b": 0.3905, "llama-2-70b": 0.4284, "llama-3-70b": 0.2787, "llama-3.1-405b": 0.3327,
              "bloom": 0.319, "gpt-neox-20b": 0.243, "tinyllama-1.1b": 0.5077, "opt-175b": 0.345}  # fmt: skip
    assert {name: runs[name] for name in golden} == pytest.approx(golden, rel=0.01)
    # Distilled, encoder-decoder, or hours of a part only: 6ND says nothing of them.
    assert not {"llama-3.2-1b", "alexatm-20b", "t5-11b", "mpt-30b", "palm-540b"} & runs.keys()


def test_a100_and_h100_are_apart(known: Catalogue) -> None:
    older, newer = usual(known.accelerators["a100-sxm-80"]), usual(known.accelerators["h100-sxm"])
    assert older.low < older.value < older.high
    assert newer.value < 0.8 * older.value
    assert "llama-2-7b" in older.source
    assert "llama-2-7b" not in newer.source


def test_small_encoders_reach_less_and_count_only_where_asked(known: Catalogue) -> None:
    chip = known.accelerators["h100-sxm"]
    assert usual(chip, masked=True).low < 0.11 < usual(chip).low


def test_a_chip_without_runs_takes_them_as_shares_of_the_measured_matmul(known: Catalogue) -> None:
    # MI300X reaches 51 % of its datasheet in a bare matmul: an A100's MFU of the datasheet is out of its reach.
    amd, nvidia = usual(known.accelerators["mi300x"]), usual(known.accelerators["a100-sxm-80"])
    assert amd.high < 0.511
    assert amd.value < 0.7 * nvidia.value


def test_no_bf16_is_fp16_with_a_warning(known: Catalogue) -> None:
    for name, peak in (("t4", 65e12), ("v100-sxm-16", 125e12)):
        found = speed(find(known, name))
        assert (found.precision, found.peak_flop_s) == ("fp16", peak)
        assert "has no bf16" in found.warnings[0]
        assert "loss scaling" in found.warnings[0]
    assert "sustained clocks" in speed(find(known, "t4")).warnings[1]


def test_the_a10g_has_no_tensor_peak_and_a_wide_range(known: Catalogue) -> None:
    found = speed(find(known, "aws:g5.12xlarge"))
    assert found.precision == "bf16"
    assert not found.peak_known
    assert "empty" in found.warnings[0]
    # 31.5 fp32 at the least; at the most the A10's ratio, 125 / 31.2. AWS's own 70 TFLOP/s lies inside.
    assert found.flop_s.low == pytest.approx(31.5e12 * found.mfu.low)
    assert found.flop_s.high == pytest.approx(31.5e12 * 125 / 31.2 * found.mfu.high)
    assert 31.5e12 < 70e12 < found.flop_s.high / found.mfu.high
    assert "by its datasheet" not in both_lines(found)


def test_both_hundred_per_cent_lines_are_there(known: Catalogue) -> None:
    found = speed(find(known, "h100-sxm"), Estimate(0.4, 0.4, 0.4, "stated"))
    assert found.mfu_of_measured
    assert found.mfu_of_measured.value == pytest.approx(0.4 * 989 / 794.5)
    assert both_lines(found) == (
        "989 TFLOP/s bf16 by its datasheet, 794 measured (80 %); runs reach 40 % of the one, 50 % of the other"
    )


def test_no_known_peak_is_an_error_that_says_what_to_do(known: Catalogue) -> None:
    with pytest.raises(StudyError) as raised:
        speed(find(known, "cpu-generic"))
    assert "keel look" in raised.value.problems[0].fix


def test_this_machine_has_its_measured_peak(fake_machine: dict[str, Any]) -> None:
    found = speed(here(fake_machine))
    assert (found.precision, found.peak_flop_s) == ("fp32", 4e10)
    assert found.flop_s.low < found.flop_s.value < found.flop_s.high
