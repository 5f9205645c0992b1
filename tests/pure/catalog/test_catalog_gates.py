"""Each gate refuses the bad row that was once found in a public source, and none refuses a shipped one."""

from __future__ import annotations

import pytest

from keel.catalog.refresh import gates
from keel.catalog.rows import Offer
from keel.catalog.store import Catalogue


def offer(known: Catalogue, type_: str, region: str = "", **changes: object) -> Offer:
    """A known offer with some of its fields changed."""
    rows = [row for row in known.offers if row.type == type_ and row.usd_per_hour and region in ("", row.region)]
    return rows[0]._replace(**changes)  # type: ignore[arg-type]


def judged(known: Catalogue, row: Offer) -> tuple[str, int]:
    outcome, why, gate = gates.prices(row, [one for one in known.offers if one.type == row.type], [])
    assert why or outcome == "take"
    return outcome, gate


def test_no_gate_refuses_a_shipped_price(known: Catalogue) -> None:
    alike: dict[str, list[Offer]] = {}
    for row in known.offers:
        alike.setdefault(row.type, []).append(row)
    priced = [row for row in known.offers if row.usd_per_hour]
    assert [row for row in priced if gates.prices(row, alike[row.type], [])[0] != "take"] == []


def test_no_gate_refuses_a_shipped_chip_result_or_model(known: Catalogue) -> None:
    assert [row.id for row in known.accelerators.values() if gates.accelerator(row)[0] != "take"] == []
    assert [row for row in known.results if gates.result(row, known.results)[0] != "take"] == []
    for model in known.models.values():
        assert gates.model(model, model, {}, False)[:3] == ("take", "", 0)


def test_gate_1_a_committed_price_in_the_on_demand_column(known: Catalogue) -> None:
    # SkyPilot v8: 8 x H100 at 33.61 where others say 78.37 or more; 8 x H200 at 36.60 against 74.49.
    h100 = offer(known, "gcp:a3-highgpu-8g", usd_per_hour=33.61)
    assert judged(known, h100) == ("keep old", 1)
    assert judged(known, h100._replace(region="mars-1")) == ("keep old", 1)
    h200 = offer(known, "gcp:a3-ultragpu-8g")
    assert judged(known, h200._replace(usd_per_hour=36.60)) == ("keep old", 1)


def test_gate_1_a_price_that_moved_by_half(known: Catalogue) -> None:
    old = offer(known, "aws:p4d.24xlarge", "us-east-1")
    assert old.usd_per_hour is not None
    assert judged(known, old._replace(usd_per_hour=old.usd_per_hour * 1.51)) == ("keep old", 1)
    assert judged(known, old._replace(usd_per_hour=old.usd_per_hour / 1.51)) == ("keep old", 1)
    # p4d once fell by 33 % and p5 by 44 %: the first passes, the second is for a person to confirm.
    assert judged(known, old._replace(usd_per_hour=old.usd_per_hour * 0.67)) == ("take", 0)
    assert judged(known, old._replace(usd_per_hour=old.usd_per_hour * 0.56)) == ("keep old", 1)


def test_gate_1_lets_a_true_double_pass(known: Catalogue) -> None:
    # Azure in Brazil is 2.0 x its cheapest region.
    rows = [row for row in known.offers if row.type == "azure:Standard_ND96amsr_A100_v4" and row.usd_per_hour]
    dearest = max(rows, key=lambda row: row.usd_per_hour or 0)
    assert (dearest.usd_per_hour or 0) / min(row.usd_per_hour or 0 for row in rows) == pytest.approx(2.0, rel=0.01)
    assert judged(known, dearest) == ("take", 0)


@pytest.mark.parametrize("price", [700.0, 0.0, -1.0, float("nan"), float("inf")])
def test_gate_2_a_sentinel_is_no_price(known: Catalogue, price: float) -> None:
    assert judged(known, offer(known, "gcp:TPU v6e (per chip)", usd_per_hour=price)) == ("reject", 2)


def test_gate_2_spot_above_on_demand(known: Catalogue) -> None:
    # gpuhunt: a TPU v4 pod's spot of 3.686 above its on-demand price of 3.22.
    pod = next(row for row in known.offers if row.type == "gcp:TPU v4 pod (per chip)" and row.usd_per_hour == 3.22)
    assert judged(known, pod._replace(price_kind="spot", usd_per_hour=3.686)) == ("reject", 2)
    assert judged(known, pod._replace(price_kind="spot", usd_per_hour=1.2)) == ("take", 0)


def test_gate_2_a_machine_without_its_gpus(known: Catalogue) -> None:
    # An a2-highgpu-1g of 12 vCPUs and 85 GiB without its A100, at GCP's list price of both.
    like = offer(known, "aws:p4d.24xlarge")
    bare = like._replace(provider="gcp", instance="a2-highgpu-1g", region="us-central1", accelerators=1, vcpus=12.0,
                         host_memory_bytes=85 * 2.0**30, usd_per_hour=12 * 0.031611 + 85 * 0.004237)  # fmt: skip
    assert judged(known, bare) == ("reject", 2)
    assert judged(known, bare._replace(usd_per_hour=3.673)) == ("take", 0)


def test_gate_3_buffers_that_the_hub_counts(known: Catalogue) -> None:
    # A seed repository of Pythia-160M: 162.3M weights and 12 x 2048 x 2048 bytes of masks, 213M together.
    model = known.models["pythia-160m"]
    counts = {"F16": 162_322_944.0, "U8": 50_331_648.0}
    assert gates.hub_count(counts) == 162_322_944
    assert gates.model(model, model, counts, False) == ("take", "", 0, 162_322_944)
    outcome, why, gate, params = gates.model(model, model, {"F32": 212_654_592.0}, False)
    assert (outcome, gate) == ("take", 3)
    assert "the shape's is taken" in why
    assert params == pytest.approx(162.3e6, rel=1e-3)


def test_gate_3_a_total_that_is_wrong(known: Catalogue) -> None:
    # huggingface_hub #4221: a total of 333,312 for 7.6B parameters.
    model = known.models["qwen2.5-7b"]
    _, why, gate, params = gates.model(model, model, {"BF16": 333_312.0}, False)
    assert gate == 3
    assert params == pytest.approx(7.6e9, rel=0.01)
    _, why, gate, params = gates.model(model, model, {"U8": 333_312.0}, False)
    assert (gate, params) == (3, model.params)
    assert "not used" in why


@pytest.mark.parametrize(("name", "old", "new"), [
    ("falcon-7b", "tii-falcon-llm", "apache-2.0"), ("phi-2", "microsoft-research-license", "mit"),
])  # fmt: skip
def test_gate_4_a_licence_that_changed_needs_a_flag(known: Catalogue, name: str, old: str, new: str) -> None:
    now = known.models[name]._replace(licence=new, as_of="2026-11-28")
    before = known.models[name]._replace(licence=old)
    outcome, why, gate, _ = gates.model(now, before, {}, accepted=False)
    assert (outcome, gate) == ("needs a flag", 4)
    for words in (old, new, "2026-11-24", "2026-11-28", "--accept-licences"):
        assert words in why
    outcome, why, gate, _ = gates.model(now, before, {}, accepted=True)
    assert (outcome, gate) == ("take", 4)
    assert old in why


def test_gate_5_a_peak_that_counts_sparsity(known: Catalogue) -> None:
    # NVIDIA's pages print 1979 for bf16 of an H100; dense is half. fp8 of 3958 is sparse as well.
    h100 = known.accelerators["h100-sxm"]
    assert gates.accelerator(h100._replace(bf16_flop_s=1979e12))[::2] == ("reject", 5)
    assert gates.accelerator(h100._replace(fp8_flop_s=3958e12))[::2] == ("reject", 5)


def test_gate_5_knows_its_one_exception(known: Catalogue) -> None:
    chip = known.accelerators["trainium3"]
    assert chip.fp8_flop_s is not None
    assert chip.bf16_flop_s is not None
    assert chip.fp8_flop_s / chip.bf16_flop_s == pytest.approx(3.75, rel=0.01)
    assert gates.accelerator(chip) == ("take", "", 0)
    assert gates.accelerator(chip._replace(id="trainium9"))[::2] == ("reject", 5)


def test_gate_6_an_evaluation_that_is_broken(known: Catalogue) -> None:
    # open_clip: coca_ViT-B-32 tuned on COCO captions has .79 % on ImageNet.
    coca = next(row for row in known.results if row.model_id == "coca-b32" and "ImageNet" in row.dataset)
    assert gates.result(coca._replace(value=0.79), known.results)[::2] == ("reject", 6)


def test_gate_6_a_larger_resolution_that_is_worse(known: Catalogue) -> None:
    # timm: convnext_tiny in22k has 82.90 at 224 px and 78.95 at 288 px.
    at_224 = next(row for row in known.results if row.model_id == "convnext-tiny" and "@224" in row.setting)
    at_288 = at_224._replace(setting=at_224.setting.replace("@224", "@288"), value=78.95)
    rows = [*known.results, at_224._replace(value=82.90)]
    assert gates.result(at_288, rows)[::2] == ("reject", 6)
    assert gates.result(at_288._replace(value=84.1), rows) == ("take", "", 0)
