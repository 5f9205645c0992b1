"""EC2 and SageMaker by AWS's public offer files (Price List bulk API); no key is needed.

Format: products {sku: {productFamily, attributes}}, terms {OnDemand: {sku: {term: {priceDimensions}}}}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keel.catalog.refresh.candidate import Candidate
from keel.catalog.refresh.payload import cells_of, mapping, parsed
from keel.catalog.store import Catalogue
from keel.catalog.tables import OFFERS

HOST = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws"
# By provider: offer code, product family, the attribute that names the type, other attributes, kind of price.
Shape = tuple[str, str, str, Mapping[str, str], str]
SHAPES: Mapping[str, Shape] = {
    "aws": ("AmazonEC2", "Compute Instance", "instanceType",
            {"operatingSystem": "Linux", "preInstalledSw": "NA", "tenancy": "Shared", "capacitystatus": "Used"},
            "on-demand"),
    "aws-sagemaker": ("AmazonSageMaker", "ML Instance", "instanceName", {"component": "Training"},
                      "on-demand (SageMaker)"),
}  # fmt: skip


def url(provider: str, region: str) -> str:
    """The offer file of a region; EC2's has hundreds of megabytes.

    Example:
        >>> url("aws", "eu-west-1")
        'https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonEC2/current/eu-west-1/index.json'
    """
    return f"{HOST}/{SHAPES[provider][0]}/current/{region}/index.json"


def parse(provider: str, data: bytes, name: str, known: Catalogue, day: str) -> tuple[list[Candidate], list[str]]:
    """Prices of the types that the catalogue knows, and what was passed over, in words."""
    tree = mapping(parsed(data, name), name)
    _, family, key, wanted, kind = SHAPES[provider]
    published = str(tree.get("publicationDate", ""))[:10] or day
    types = {row["instance"]: row for row in cells_of(known, OFFERS).values() if row["provider"] == provider}
    found, unknown, other = [], set(), 0
    for sku, product in mapping(tree.get("products"), name).items():
        about = product.get("attributes", {})
        if product.get("productFamily") != family or any(about.get(k) != v for k, v in wanted.items()):
            continue
        instance, region = str(about.get(key, "")), str(about.get("regionCode", ""))
        if instance not in types:
            unknown.add(instance)
            continue
        usd = list(_hourly(tree, sku))
        other += not usd
        found += [_candidate(types[instance], provider, region, kind, price, published, name) for price in usd]
    return found, _passed(unknown, other)


def _hourly(tree: Mapping[str, Any], sku: str) -> Iterator[str]:
    """On-demand prices in USD by the hour; China's regions are in CNY and give none."""
    for term in tree.get("terms", {}).get("OnDemand", {}).get(sku, {}).values():
        for price in term.get("priceDimensions", {}).values():
            if price.get("unit") == "Hrs" and "USD" in price.get("pricePerUnit", {}):
                yield str(price["pricePerUnit"]["USD"])


def _candidate(
    like: Mapping[str, str], provider: str, region: str, kind: str, price: str, published: str, name: str
) -> Candidate:
    each = float(price) / int(like["accelerator_count"]) if like["accelerator_count"] else None
    cells = dict(like) | {
        "region": region, "price_usd_per_hour": f"{float(price):g}", "price_kind": kind, "as_of": published,
        "price_per_accelerator_hour": f"{each:.6g}" if each is not None else "", "notes": "",
        "source": f"AWS Price List, {SHAPES[provider][0]}, {name}",
    }  # fmt: skip
    return Candidate(f"{provider}:{like['instance']} in {region}", cells)


def _passed(unknown: set[str], other: int) -> list[str]:
    said = [f"{len(unknown)} instance types are not in the catalogue (no accelerator known)"] if unknown else []
    return said + ([f"{other} products have no hourly price in USD"] if other else [])
