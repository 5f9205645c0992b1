"""Azure by the public Retail Prices API: pages of Items with armSkuName, armRegionName, retailPrice, currencyCode."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any

from keel.catalog.refresh.candidate import Candidate
from keel.catalog.refresh.payload import cells_of, mapping, parsed
from keel.catalog.store import Catalogue
from keel.catalog.tables import OFFERS

HOST = "https://prices.azure.com/api/retail/prices"
KIND = "on-demand (Linux)"


def url(region: str) -> str:
    """The first page of a region's virtual machines; each page names the next.

    Example:
        >>> url("eastus").split("?")[0]
        'https://prices.azure.com/api/retail/prices'
    """
    wanted = f"serviceName eq 'Virtual Machines' and priceType eq 'Consumption' and armRegionName eq '{region}'"
    return f"{HOST}?currencyCode=USD&$filter={urllib.parse.quote(wanted)}"


def next_page(data: bytes, name: str) -> str:
    """The address of the page behind this one, "" at the last."""
    return str(mapping(parsed(data, name), name).get("NextPageLink") or "")


def parse(data: bytes, name: str, known: Catalogue, day: str) -> tuple[list[Candidate], list[str]]:
    """Linux prices of the sizes that the catalogue knows, and what was passed over."""
    tree = mapping(parsed(data, name), name)
    types = {row["instance"]: row for row in cells_of(known, OFFERS).values() if row["provider"] == "azure"}
    items = [item for item in tree.get("Items", []) if isinstance(item, Mapping)]
    wanted = [item for item in items if _plain(item)]
    ours = [item for item in wanted if item.get("armSkuName") in types]
    usd = [item for item in ours if item.get("currencyCode") == "USD"]
    said = (
        [f"{len(wanted) - len(ours)} prices are of sizes that are not in the catalogue"]
        if len(wanted) > len(ours)
        else []
    )
    if len(ours) > len(usd):
        said.append(f"{len(ours) - len(usd)} prices are not in USD")
    return [_candidate(item, types[item["armSkuName"]], day, name) for item in usd], said


def _plain(item: Mapping[str, Any]) -> bool:
    """On demand, Linux, by the hour: no spot, low priority, Windows or reservation."""
    words = f"{item.get('skuName', '')} {item.get('meterName', '')} {item.get('productName', '')}"
    other = any(word in words for word in ("Spot", "Low Priority", "Windows"))
    return not other and item.get("type") == "Consumption" and item.get("unitOfMeasure") == "1 Hour"


def _candidate(item: Mapping[str, Any], like: Mapping[str, str], day: str, name: str) -> Candidate:
    price, count = float(item["retailPrice"]), like["accelerator_count"]
    cells = dict(like) | {
        "region": str(item.get("armRegionName", "")), "price_usd_per_hour": f"{price:g}", "price_kind": KIND,
        "price_per_accelerator_hour": f"{price / int(count):.6g}" if count else "", "as_of": day, "notes": "",
        "source": f"Azure Retail Prices API, {name}",
    }  # fmt: skip
    return Candidate(f"azure:{like['instance']} in {cells['region']}", cells)
