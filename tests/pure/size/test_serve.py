"""Latency held against published tables; the largest model under a limit; devices and USD a year."""

from __future__ import annotations

import pytest

from keel.catalog.store import Catalogue
from keel.errors import StudyError
from keel.size.hardware import find
from keel.size.serve import largest, latency_ms, service

BASE, LARGE = (85e6, 12), (302e6, 24)


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return Catalogue()


@pytest.mark.parametrize(
    ("chip", "size", "tokens", "published_ms"),
    [
        # TensorRT fp16, batch 1, mean. Source: NVIDIA TensorRT demo/BERT/README.md (A100 40 GB, T4).
        ("t4", BASE, 128, 1.95), ("t4", BASE, 384, 4.04), ("t4", LARGE, 128, 5.53), ("t4", LARGE, 384, 12.45),
        ("a100-sxm-40", BASE, 128, 0.67), ("a100-sxm-40", BASE, 384, 1.31),
        ("a100-sxm-40", LARGE, 128, 1.64), ("a100-sxm-40", LARGE, 384, 3.12),
        # FasterTransformer, TorchScript fp16, batch 1. Source: NVIDIA FasterTransformer docs/bert_guide.md (T4, A10).
        ("t4", BASE, 128, 2.05), ("t4", BASE, 384, 3.78), ("t4", BASE, 128, 10.51), ("t4", BASE, 384, 10.37),
        ("a10", BASE, 128, 1.02), ("a10", BASE, 384, 2.30), ("a10", BASE, 128, 4.38), ("a10", BASE, 384, 4.09),
    ],
)  # fmt: skip
def test_published_latencies_lie_in_the_range(
    known: Catalogue, chip: str, size: tuple[float, int], tokens: int, published_ms: float
) -> None:
    found = latency_ms(known.accelerators[chip], size[0], tokens, layers=size[1])
    assert found.low <= published_ms <= found.high
    assert found.low < found.value < found.high


def test_a_bert_base_answers_within_40_ms_on_a_t4_and_a_7b_does_not(known: Catalogue) -> None:
    t4 = known.accelerators["t4"]
    assert latency_ms(t4, 85e6, 128).high < 40
    assert latency_ms(t4, 6.6e9, 128).low > 40


def test_the_largest_within_a_limit_takes_the_limit(known: Catalogue) -> None:
    t4 = known.accelerators["t4"]
    most = largest(t4, 40, 128)
    assert latency_ms(t4, most.value, 128).value == pytest.approx(40, rel=1e-3)
    assert latency_ms(t4, most.low, 128).high == pytest.approx(40, rel=1e-3)
    assert latency_ms(t4, most.high, 128).low == pytest.approx(40, rel=1e-3)
    assert largest(t4, 80, 128).value > most.value > largest(t4, 40, 512).value


def test_a_limit_below_one_kernel_fits_nothing(known: Catalogue) -> None:
    assert largest(known.accelerators["t4"], 1e-3, 128).value == 0


def test_generated_tokens_are_bound_by_reading_the_weights(known: Catalogue) -> None:
    chip = known.accelerators["a100-sxm-80"]
    token = latency_ms(chip, 6.6e9, 1, 100).value - latency_ms(chip, 6.6e9, 1, 99).value
    assert token > 1e3 * 2 * 6.6e9 / 2039e9
    assert token < 3e3 * 2 * 6.6e9 / 2039e9


def test_a_chip_without_16_bits_reads_four_bytes(known: Catalogue) -> None:
    slow = latency_ms(known.accelerators["apple-m1-ultra"], 1e9, 1)
    assert slow.low >= 1e3 * 4 * 1e9 / 800e9


def test_unknown_bandwidth_is_said(known: Catalogue) -> None:
    with pytest.raises(StudyError, match="memory of RTX 6000 Ada"):
        latency_ms(known.accelerators["rtx-6000-ada"], 1e8, 128)


def test_service_is_whole_nodes_at_the_busiest_hour(known: Catalogue) -> None:
    node = find(known, "aws:g4dn.12xlarge")
    found = service(node, 85e6, 1e8, 128)
    assert found.usd_a_year
    assert node.usd_per_hour
    assert found.devices.low <= found.devices.value <= found.devices.high
    assert found.nodes.high == -(-found.devices.high // 4)
    assert found.usd_a_year.high == pytest.approx(found.nodes.high * node.usd_per_hour.value * 8765.9, rel=1e-3)
    assert service(node, 85e6, 1, 128).devices.high == 1
    assert service(find(known, "t4"), 85e6, 1e8, 128).usd_a_year is None
