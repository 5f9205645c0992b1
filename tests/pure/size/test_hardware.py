"""A node by name: its price over regions, what is no price, its links; each trap of the price tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keel.catalog.store import Catalogue
from keel.errors import StudyError
from keel.size.hardware import find, here
from keel.size.links import network

HEADER = (
    "provider,instance,region,accelerator_id,accelerator_count,accelerator_memory_gb_total,vcpus,host_memory_gib,"
    "interconnect,price_usd_per_hour,price_per_accelerator_hour,price_kind,source,as_of,notes\n"
)


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return Catalogue()


@pytest.fixture
def overlaid(tmp_path: Path) -> Callable[[str], Catalogue]:
    def write(*lines: str) -> Catalogue:
        (tmp_path / "instances.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        return Catalogue(tmp_path)

    return write


def test_the_price_is_the_asked_regions_else_us_east_1(known: Catalogue) -> None:
    home, asked = find(known, "aws:p4d.24xlarge"), find(known, "aws:p4d.24xlarge", "eu-west-1")
    assert home.usd_per_hour
    assert asked.usd_per_hour
    assert (home.usd_per_hour.value, home.region) == (21.9576, "us-east-1")
    assert (asked.usd_per_hour.value, asked.region) == (23.7157, "eu-west-1")
    assert (home.usd_per_hour.low, home.usd_per_hour.high) == (asked.usd_per_hour.low, asked.usd_per_hour.high)
    assert home.usd_per_hour.high == 35.5569
    away = find(known, "aws:p4d.24xlarge", "eu-west-3").usd_per_hour
    assert away
    assert away.value == 21.9576
    assert away.source.startswith("no price in eu-west-3")


def test_another_provider_has_the_median_over_its_regions(known: Catalogue) -> None:
    cost = find(known, "azure:Standard_ND96isr_H100_v5").usd_per_hour
    assert cost
    assert cost.low == 98.32
    assert cost.low < cost.value < cost.high
    assert "median of 23 offers" in cost.source


def test_a_superseded_price_is_shown_and_never_used(known: Catalogue) -> None:
    node = find(known, "aws-sagemaker:ml.p4d.24xlarge")
    assert node.usd_per_hour
    assert node.usd_per_hour.high < 37
    assert any("superseded" in note and "37.69" in note for note in node.notes)


def test_the_gpu_part_alone_is_a_floor_and_no_price(known: Catalogue) -> None:
    node = find(known, "gcp:a3-ultragpu-8g")
    assert node.usd_per_hour is None
    assert node.floor_usd_per_hour == pytest.approx(74.4939)
    assert any("floor" in note for note in node.notes)


def test_no_listed_price_stays_none(known: Catalogue) -> None:
    node = find(known, "aws:p5e.48xlarge")
    assert node.usd_per_hour is None
    assert node.floor_usd_per_hour is None
    assert any("without a public price" in note for note in node.notes)


def test_sagemaker_elsewhere_is_ec2_times_the_types_own_mark_up(known: Catalogue) -> None:
    cost = find(known, "aws-sagemaker:ml.p4d.24xlarge", "eu-west-1").usd_per_hour
    assert cost
    assert cost.value == pytest.approx(23.7157 * 25.2513 / 21.9576)
    assert cost.source.startswith("estimate")


def test_sagemaker_without_any_price_is_a_range(known: Catalogue) -> None:
    ec2, cost = find(known, "aws:g6e.xlarge").usd_per_hour, find(known, "aws-sagemaker:ml.g6e.xlarge").usd_per_hour
    assert ec2
    assert cost
    assert (cost.low, cost.high) == pytest.approx((1.15 * ec2.value, 1.40 * ec2.value))
    assert cost.source.startswith("estimate")


def test_a_price_of_one_gpu_is_a_node_of_one(known: Catalogue) -> None:
    node = find(known, "runpod:A100 SXM4 80 GB per GPU")
    assert node.usd_per_hour
    assert (node.devices, node.usd_per_hour.value) == (1, 1.89)


def test_a_bare_accelerator_has_no_price(known: Catalogue) -> None:
    node = find(known, "a100-sxm-80")
    assert (node.devices, node.usd_per_hour, node.network_bytes_s) == (1, None, None)


@pytest.mark.parametrize(
    ("name", "link", "net"),
    [
        ("aws:p4d.24xlarge", 300e9, 50e9),  # NVLink3: 600 GB/s in both directions; 400 Gbps
        ("aws:p5.48xlarge", 450e9, 400e9),
        ("aws:p3.16xlarge", 150e9, 3.125e9),
        ("aws:g5.12xlarge", 16e9 * 16 * 128 / 130 / 8, 5e9),  # no link: PCIe 4.0 x16
        ("aws:g4dn.12xlarge", 8e9 * 16 * 128 / 130 / 8, 6.25e9),
        ("azure:Standard_NC80adis_H100_v5", 32e9 * 16 * 128 / 130 / 8, None),  # a bridge joins pairs only
        ("aws:trn1.32xlarge", None, 100e9),  # NeuronLink: no rate in the catalogue
    ],
)
def test_links_are_bytes_a_second_in_one_direction(
    known: Catalogue, name: str, link: float | None, net: float | None
) -> None:
    node = find(known, name)
    assert node.link_bytes_s == (link if link is None else pytest.approx(link))
    assert node.network_bytes_s == (net if net is None else pytest.approx(net))


def test_a_burst_rate_is_said_to_be_one() -> None:
    assert network("Up to 25 Gigabit").bytes_s == 3.125e9
    assert "burst" in network("Up to 25 Gigabit").why
    assert network("").bytes_s is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [("aws:p4d.24xlarg", "aws:p4d.24xlarge"), ("a100", "a100-sxm-80"), ("sagemaker:ml.p4d.24xlarge", "ml.p4d")],
)  # fmt: skip
def test_a_miss_names_the_nearest(known: Catalogue, name: str, hint: str) -> None:
    with pytest.raises(StudyError) as raised:
        find(known, name)
    assert hint in raised.value.problems[0].fix


def test_an_instance_whose_chip_is_unknown_is_said(known: Catalogue) -> None:
    with pytest.raises(StudyError, match=r"what is in 'aws:g7\.2xlarge' is unknown"):
        find(known, "aws:g7.2xlarge")


def test_an_unknown_region_names_the_nearest(known: Catalogue) -> None:
    with pytest.raises(StudyError) as raised:
        find(known, "aws:p4d.24xlarge", "eu-wst-1")
    assert "eu-west-1" in raised.value.problems[0].fix


def test_the_users_own_price_goes_first(overlaid: Callable[..., Catalogue]) -> None:
    cost = find(overlaid("aws,p4d.24xlarge,us-east-1,a100-sxm-40,8,320,,,,12.5,,private offer,ours,2026-11-01,"),
                "aws:p4d.24xlarge").usd_per_hour  # fmt: skip
    assert cost
    assert (cost.value, cost.low, cost.high) == (12.5, 12.5, 12.5)
    assert "from your overlay" in cost.source


def test_bad_prices_are_listed_all_at_once(overlaid: Callable[..., Catalogue]) -> None:
    ours = overlaid(
        "mine,box,here,t4,1,16,,,,0,,on-demand,ours,2026-11-01,", "mine,box,there,t4,1,16,,,,3,,on-demand,ours,,"
    )
    with pytest.raises(StudyError) as raised:
        find(ours, "mine:box")
    assert [problem.what for problem in raised.value.problems] == [
        "the price of mine:box is 0", "the price of mine:box has no date",
    ]  # fmt: skip


def test_this_machine_is_a_node_of_what_was_measured(fake_machine: dict[str, object]) -> None:
    node = here(fake_machine)
    assert (node.devices, node.usd_per_hour, node.accelerator.memory_bytes) == (1, None, 8e9)
    assert node.accelerator.fp32_flop_s == 4e10


def test_every_offer_whose_chip_is_known_can_be_found(known: Catalogue) -> None:
    types = {row.type for row in known.offers if row.accelerator_id and row.accelerators}
    assert len(types) > 150
    for name in types:
        assert find(known, name).devices >= 1
