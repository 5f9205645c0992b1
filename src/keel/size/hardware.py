"""What one node is: its chip, how many, what it costs an hour, how fast its links are; by name, from the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, get_type_hints

from keel.catalog.rows import Accelerator, Offer
from keel.catalog.store import Catalogue
from keel.errors import StudyError
from keel.size import links, prices
from keel.size.time import Estimate

HERE = "here"


class Hardware(NamedTuple):
    """One node. `usd_per_hour` None: no public price; then `floor_usd_per_hour` may still say the least it can be.

    Links are bytes a second in one direction, None where unknown. `notes`: everything a reader must know to doubt it.
    """

    name: str
    accelerator: Accelerator
    devices: int
    usd_per_hour: Estimate | None
    price_as_of: str
    region: str
    link_bytes_s: float | None
    network_bytes_s: float | None
    notes: tuple[str, ...] = ()
    floor_usd_per_hour: float | None = None


def find(known: Catalogue, name: str, region: str = "") -> Hardware:
    """The node named "provider:instance" (or the instance alone where one provider has it), or a bare accelerator.

    Raises:
        StudyError: unknown name (with the nearest), unknown region, an instance whose chip is unknown, a bad price.

    Example:
        >>> node = find(Catalogue(), "aws:p4d.24xlarge")
        >>> node.devices, round(node.usd_per_hour.value, 2), node.network_bytes_s, node.accelerator.id
        (8, 21.96, 50000000000.0, 'a100-sxm-40')
        >>> find(Catalogue(), "t4").usd_per_hour is None
        True
    """
    wanted = name.strip()
    if wanted in known.accelerators:
        return _bare(known.accelerators[wanted])
    rows = [row for row in known.offers if wanted in (row.type, row.instance)]
    if len({row.type for row in rows}) > 1:
        types = sorted({row.type for row in rows})
        raise StudyError(f"'{name}' is offered by several providers", why=", ".join(types), fix=f"write '{types[0]}'")
    _check_region(known, region)
    if not rows:
        rows = _of_sagemaker(known, wanted)
    if not rows:
        raise StudyError(f"unknown hardware '{name}'", why="the catalogue has no such instance or accelerator",
                         fix=_nearest(known, wanted), where="hardware")  # fmt: skip
    return _node(known, rows, region)


def here(machine: Mapping[str, Any]) -> Hardware:
    """This machine as one node of one device: its rates are the GEMM peaks that `keel look` measured.

    `machine`: evidence/machine.json. No price is known.
    """
    peaks = {p: max((float(row["flop_per_s"]) for row in machine["gemm"] if row["precision"] == p), default=None)
             for p in ("fp32", "bf16")}  # fmt: skip
    fields = dict.fromkeys(Accelerator._fields, None) | {
        name: "" for name, kind in get_type_hints(Accelerator).items() if kind is str
    }
    fields |= {
        "id": HERE, "name": str(machine["cpu"]), "memory_bytes": float(machine["memory_bytes"]),
        "fp32_flop_s": peaks["fp32"], "bf16_flop_s": peaks["bf16"], "measured_bf16_flop_s": peaks["bf16"],
        "bf16_native": machine["precision"]["body"] == "bf16", "scaleup_link": "none",
        "source": "measured by keel look", "as_of": str(machine["made_utc"])[:10], "kept": HERE,
    }  # fmt: skip
    chip = Accelerator(**fields)  # type: ignore[arg-type]
    return Hardware(HERE, chip, 1, None, "", "", None, None, ("measured here: peaks are GEMM rates",))


def _bare(chip: Accelerator) -> Hardware:
    link = links.between_devices(chip, "", bare=True)
    notes = ("one device, no node named: no price, no network", f"link: {link.why}")
    return Hardware(chip.id, chip, 1, None, "", "", link.bytes_s, None, notes)


def _node(known: Catalogue, rows: list[Offer], region: str) -> Hardware:
    row = next((row for row in rows if row.accelerator_id and row.accelerators), rows[0])
    chip = known.accelerators.get(row.accelerator_id)
    if chip is None or row.accelerators is None:
        why = (
            f"no accelerator '{row.accelerator_id}' is in the catalogue" if row.accelerator_id else "its row names none"
        )
        raise StudyError(f"what is in '{row.type}' is unknown", why=why,
                         fix="name its accelerator_id and accelerator_count in catalog/instances.csv",
                         where="hardware")  # fmt: skip
    cost = prices.price(rows, known.offers, region)
    link, net = links.between_devices(chip, row.interconnect), links.network(row.interconnect)
    notes = (*cost.notes, f"link in the node: {link.why}", f"network: {net.why}")
    return Hardware(row.type, chip, row.accelerators, cost.usd_per_hour, cost.as_of, cost.region, link.bytes_s,
                    net.bytes_s, notes, cost.floor_usd_per_hour)  # fmt: skip


def _of_sagemaker(known: Catalogue, wanted: str) -> list[Offer]:
    """EC2's rows as a SageMaker type that is not listed: the machine is the same, the price is an estimate."""
    instance = wanted.removeprefix(f"{prices.SAGEMAKER}:")
    if not instance.startswith("ml."):
        return []
    same = [row for row in known.offers if row.provider == prices.EC2 and row.instance == instance.removeprefix("ml.")]
    return [row._replace(provider=prices.SAGEMAKER, instance=instance, usd_per_hour=None,
                         usd_per_accelerator_hour=None, price_kind="none of SageMaker") for row in same]  # fmt: skip


def _check_region(known: Catalogue, region: str) -> None:
    regions = {row.region for row in known.offers if row.region}
    if region and not any(region in place for place in regions):
        close = get_close_matches(region, sorted(regions), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "write a provider's name of it, such as us-east-1"
        raise StudyError(
            f"unknown region '{region}'", why="no offer of the catalogue is there", fix=hint, where="region"
        )


def _nearest(known: Catalogue, wanted: str) -> str:
    names = {row.type: row.type for row in known.offers} | {row.instance: row.type for row in known.offers}
    names |= {chip: chip for chip in known.accelerators}
    begun = [name for name in sorted(names) if len(wanted) > 1 and name.startswith(wanted)]
    close = begun[:6] or get_close_matches(wanted, sorted(names), n=4, cutoff=0.5)
    found = list(dict.fromkeys(names[name] for name in close))
    return (
        f"did you mean {', '.join(found)}?" if found else "see `keel catalog instances` and `keel catalog accelerators`"
    )
