"""Payloads in the shape that each source documents, read without a connection; dated files; nothing dropped unsaid."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from helpers import study_error

from keel.catalog import tables
from keel.catalog.refresh import fetch
from keel.catalog.refresh.verb import PROVIDERS, Wanted, refresh
from keel.catalog.store import Catalogue, of_study
from keel.files import read_json, sha256_file

DAY = "2026-11-28"
EC2 = {"operatingSystem": "Linux", "preInstalledSw": "NA", "tenancy": "Shared", "capacitystatus": "Used",
       "regionCode": "us-east-1"}  # fmt: skip


def offer_file(*products: tuple[str, str, dict[str, str], dict[str, str]]) -> dict[str, Any]:
    """AWS's offer file: (sku, product family, attributes, price by currency)."""
    return {
        "formatVersion": "v1.0", "offerCode": "AmazonEC2", "publicationDate": "2026-11-20T10:00:00Z",
        "products": {sku: {"sku": sku, "productFamily": family, "attributes": about}
                     for sku, family, about, _ in products},
        "terms": {"OnDemand": {sku: {f"{sku}.T": {"priceDimensions": {f"{sku}.T.D": {
            "unit": "Hrs", "pricePerUnit": price}}}} for sku, _, _, price in products}},
    }  # fmt: skip


def run(folder: Path, provider: str, payload: Any, *names: str, accept: bool = False):
    path = folder / "payload"
    path.write_text(payload if isinstance(payload, str) else json.dumps(payload), encoding="utf-8")
    known = of_study(folder)
    return refresh(known, Wanted((provider, *names), (path,), False, folder / "catalog", accept, "", DAY))


def test_ec2_prices_become_a_dated_file_that_is_laid_over(tmp_path: Path) -> None:
    shipped = sha256_file(tables.FOLDER / "instances.csv")
    answer = run(tmp_path, "aws", offer_file(
        ("A", "Compute Instance", EC2 | {"instanceType": "p4d.24xlarge"}, {"USD": "20.0000000000"}),
        ("B", "Compute Instance", EC2 | {"instanceType": "p4d.24xlarge", "tenancy": "Dedicated"}, {"USD": "1"}),
        ("C", "Compute Instance", EC2 | {"instanceType": "g5.xlarge", "operatingSystem": "Windows"}, {"USD": "1"}),
        ("D", "Compute Instance", EC2 | {"instanceType": "m9.large"}, {"USD": "0.1"}),
        ("E", "Compute Instance", EC2 | {"instanceType": "p5.48xlarge"}, {"USD": "700.00"}),
        ("F", "Compute Instance", EC2 | {"instanceType": "g5.xlarge"}, {"CNY": "9.1"}),
    ))  # fmt: skip
    assert answer.result["taken"] == 1
    assert [row["gate"] for row in answer.result["refused"]] == [2]
    assert any("1 instance types are not in the catalogue" in line for line in answer.result["passed_over"])
    assert any("1 products have no hourly price in USD" in line for line in answer.result["passed_over"])
    found = [row for row in of_study(tmp_path).offers if (row.type, row.region) == ("aws:p4d.24xlarge", "us-east-1")]
    assert [(row.usd_per_hour, row.usd_per_accelerator_hour, row.as_of, row.accelerators) for row in found] == [
        (20.0, 2.5, "2026-11-20", 8)
    ]
    assert found[0].kept == f"catalog/instances.{DAY}.aws.csv"
    assert sha256_file(tables.FOLDER / "instances.csv") == shipped
    log = read_json(tmp_path / "catalog" / f"instances.{DAY}.aws.json", "keel.refresh/1")
    assert [row["outcome"] for row in log["verdicts"]] == ["take", "reject"]
    of_study(tmp_path).check()


def test_a_second_region_of_the_same_day_does_not_undo_the_first(tmp_path: Path) -> None:
    for region, price in (("us-east-1", "20"), ("us-west-2", "21")):
        about = EC2 | {"instanceType": "p4d.24xlarge", "regionCode": region}
        run(tmp_path, "aws", offer_file(("A", "Compute Instance", about, {"USD": price})))
    rows = [row for row in of_study(tmp_path).offers if row.kept.endswith("aws.csv")]
    assert {(row.region, row.usd_per_hour) for row in rows} == {("us-east-1", 20.0), ("us-west-2", 21.0)}


def test_sagemaker_reads_training_instances_alone(tmp_path: Path) -> None:
    about = {"instanceName": "ml.p4d.24xlarge", "regionCode": "us-west-2"}
    answer = run(tmp_path, "aws-sagemaker", offer_file(
        ("A", "ML Instance", about | {"component": "Training"}, {"USD": "25.25"}),
        ("B", "ML Instance", about | {"component": "Hosting"}, {"USD": "1"}),
    ))  # fmt: skip
    assert (answer.result["taken"], answer.result["refused"]) == (1, [])


def test_azure_prices_are_linux_on_demand_by_the_hour(tmp_path: Path) -> None:
    item = {"currencyCode": "USD", "retailPrice": 98.0, "armRegionName": "eastus", "unitOfMeasure": "1 Hour",
            "armSkuName": "Standard_ND96isr_H100_v5", "productName": "Virtual Machines NDsr H100 v5 Series",
            "skuName": "ND96isr H100 v5", "meterName": "ND96isr H100 v5", "type": "Consumption"}  # fmt: skip
    others = [{"skuName": "ND96isr H100 v5 Spot"}, {"productName": "Virtual Machines NDsr H100 v5 Series Windows"},
              {"type": "Reservation"}, {"currencyCode": "EUR"}, {"armSkuName": "Standard_D2_v5"}]  # fmt: skip
    answer = run(
        tmp_path, "azure", {"Items": [item, *(item | other for other in others)], "NextPageLink": None, "Count": 6}
    )
    assert (answer.result["taken"], answer.result["refused"]) == (1, [])
    assert len(answer.result["passed_over"]) == 2
    row = next(row for row in of_study(tmp_path).offers if row.kept != "shipped")
    assert (row.region, row.usd_per_hour, row.usd_per_accelerator_hour) == ("eastus", 98.0, 12.25)


HUB = {"id": "EleutherAI/pythia-160m", "lastModified": "2026-10-01T00:00:00.000Z",
       "cardData": {"license": "apache-2.0"}, "safetensors": {"parameters": {"F16": 162322944, "U8": 50331648},
                                                              "total": 212654592}}  # fmt: skip


def test_the_hub_renews_a_model_and_keeps_what_it_does_not_say(tmp_path: Path, known: Catalogue) -> None:
    answer = run(tmp_path, "hugging-face", HUB)
    assert answer.result["taken"] == 1
    old, new = known.models["pythia-160m"], of_study(tmp_path).models["pythia-160m"]
    assert (new.params, new.as_of, new.licence_class) == (162_322_944, DAY, "permissive")
    assert new.kept == f"catalog/models.{DAY}.hugging-face.csv"
    assert (new.layers, new.vocabulary, new.data, new.family) == (old.layers, old.vocabulary, old.data, old.family)


def test_a_changed_licence_waits_for_the_flag(tmp_path: Path, known: Catalogue) -> None:
    changed = HUB | {"cardData": {"license": "other", "license_name": "house-licence"}}
    answer = run(tmp_path, "hugging-face", changed)
    assert [(row["outcome"], row["gate"]) for row in answer.result["refused"]] == [("needs a flag", 4)]
    assert of_study(tmp_path).models["pythia-160m"] == known.models["pythia-160m"]
    run(tmp_path, "hugging-face", changed, accept=True)
    taken = of_study(tmp_path).models["pythia-160m"]
    assert (taken.licence, taken.licence_class) == ("house-licence", "unclear")


def test_a_model_that_the_catalogue_lacks_is_said(tmp_path: Path) -> None:
    answer = run(tmp_path, "hugging-face", [HUB | {"id": "me/mine"}, HUB | {"id": "QuanSun/EVA-CLIP"}])
    assert answer.result["taken"] == 0
    assert "'me/mine' is the hub id of 0 rows" in answer.result["passed_over"][0]
    assert "2 rows" in answer.result["passed_over"][1]


def test_timm_and_open_clip_renew_the_checkpoints_that_results_name(tmp_path: Path) -> None:
    name = "convnext_tiny.fb_in1k"  # the values are those of its in22k sibling, which the catalogue does not hold
    timm = f"model,img_size,top1,top5\n{name},224,82.90,96.6\n{name},288,78.95,94.7\nmine,224,99,99\n"
    answer = run(tmp_path, "timm", timm)
    assert (answer.result["taken"], [row["gate"] for row in answer.result["refused"]]) == (1, [6])
    assert "1 of 3 rows" in answer.result["passed_over"][0]
    clip = "name,pretrained,params (M),FLOPs (B),ImageNet 1k\nViT-B-32,openai,151.28,14.78,0.6332\n" \
           "coca_ViT-B-32,laion2b_s13b_b90k,253.56,33.34,0.0079\n"  # fmt: skip
    answer = run(tmp_path, "open-clip", clip)
    assert (answer.result["taken"], [row["gate"] for row in answer.result["refused"]]) == (1, [6])
    of_study(tmp_path).check()


def test_own_columns_pass_the_same_gates(tmp_path: Path) -> None:
    head = "provider,instance,region,accelerator_id,accelerator_count,price_usd_per_hour,price_kind,as_of\n"
    rows = "me,box,dc,t4,1,0.5,on-demand,2026-11-01\nme,box2,dc,t4,1,0.5,on-demand,\n" \
           "me,box3,dc,t44,1,0.5,on-demand,2026-11-01\n"  # fmt: skip
    answer = run(tmp_path, "instances", head + rows)
    assert answer.result["taken"] == 1
    assert ["has no date" in row["why"] or "no accelerator" in row["why"] for row in answer.result["refused"]] == [
        True,
        True,
    ]


def test_every_row_is_taken_refused_or_said_to_be_passed_over(tmp_path: Path) -> None:
    with (tables.FOLDER / "instances.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    text = (tables.FOLDER / "instances.csv").read_text(encoding="utf-8")
    answer = run(tmp_path, "instances", text)
    assert answer.result["taken"] + len(answer.result["refused"]) == len(rows)
    assert {row["why"] for row in answer.result["refused"]} == {"it has no price"}


@pytest.mark.parametrize("provider", ["aws", "azure", "hugging-face"])
@pytest.mark.parametrize("payload", ["not json", "3"])
def test_a_payload_of_another_shape_is_told(tmp_path: Path, provider: str, payload: str) -> None:
    with study_error("payload"):
        run(tmp_path, provider, payload)


def test_the_network_is_asked_only_when_it_is_said(known: Catalogue, tmp_path: Path) -> None:
    for provider in PROVIDERS:
        with study_error("nothing to read", "keel opens no connection by itself"):
            refresh(known, Wanted((provider,), (), False, tmp_path, False, "", DAY))
    with study_error("no provider is named"):
        refresh(known, Wanted((), (), False, tmp_path, False, "", DAY))
    with study_error("did you mean 'azure'?"):
        refresh(known, Wanted(("azur",), (), False, tmp_path, False, "", DAY))
    with study_error("no region is named"):
        refresh(known, Wanted(("azure",), (), True, tmp_path, False, "", DAY))
    with study_error("did you mean 'roberta-base'"):
        refresh(known, Wanted(("hugging-face", "roberta-bas"), (), True, tmp_path, False, "", DAY))
    with study_error("exclude each other"):
        refresh(known, Wanted(("aws",), (tmp_path / "x",), True, tmp_path, False, "", DAY))
    with study_error("x is not there"):
        refresh(known, Wanted(("aws",), (tmp_path / "x",), False, tmp_path, False, "", DAY))
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_cannot_be_read_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(b"here")
    assert fetch.get((tmp_path / "page").as_uri()) == b"here"
    with study_error("could not be read", "--from FILE"):
        fetch.get((tmp_path / "gone").as_uri())
