"""How fast devices speak to each other: a node's links and its network, from the words of the catalogue's rows."""

from __future__ import annotations

import re
from typing import NamedTuple

from keel.catalog.rows import Accelerator

# x16, one direction: GT/s a lane x 16 lanes x 128/130 of the coding / 8 bits. Source: PCI-SIG specifications.
PCIE_BYTES_S = {
    "PCIe3": 8e9 * 16 * 128 / 130 / 8,
    "PCIe4": 16e9 * 16 * 128 / 130 / 8,
    "PCIe5": 32e9 * 16 * 128 / 130 / 8,
}
FABRICS = ("NVSwitch", "NVLink", "XGMI", "ICI")
ALWAYS = ("NeuronLink", "RoCE", "ICI")  # chips that come with their link and nothing else


class Link(NamedTuple):
    """Bytes a second in one direction (None: unknown), and why."""

    bytes_s: float | None
    why: str


def network(interconnect: str) -> Link:
    """One node to another, one direction: the bits a second that the instance's text names / 8.

    Example:
        >>> network("NVSwitch; 400 Gbps EFA").bytes_s, network("8x 100 Gigabit").bytes_s, network("High").bytes_s
        (50000000000.0, 100000000000.0, None)
    """
    found = re.search(r"(?:(\d+)x )?(\d+(?:\.\d+)?) (?:Gbps|Gigabit)", interconnect)
    if found is None:
        said = f"'{interconnect}' names no rate" if interconnect else "the catalogue names no network"
        return Link(None, f"{said}: unknown")
    rate = float(found[1] or 1) * float(found[2]) * 1e9 / 8
    burst = ", a burst rate: less is sure" if interconnect.startswith("Up to") else ""
    return Link(rate, f"{interconnect}{burst}")


def between_devices(chip: Accelerator, interconnect: str, bare: bool = False) -> Link:
    """One device to its neighbours in the node, one direction: half of the chip's link, else PCIe.

    A link counts where the instance's text names a fabric; a bridge of pairs does not span a node. `bare`: no instance
    is known, so the chip's own link is taken.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> chips = Catalogue().accelerators
        >>> between_devices(chips["a100-sxm-40"], "NVSwitch; 400 Gbps EFA").bytes_s
        300000000000.0
        >>> between_devices(chips["t4"], "50 Gigabit").why
        'PCIe3 x16, no link between devices: 15.8 GB/s (PCI-SIG)'
    """
    spans = bare or any(name in interconnect for name in FABRICS) or chip.scaleup_link.startswith(ALWAYS)
    pairs = "pairs" in f"{chip.scaleup_link} {chip.topology}" or "bridge" in chip.scaleup_link
    linked = chip.scaleup_link not in ("", "none", "unified")
    if linked and not pairs and (spans or "NVSwitch" in chip.topology):
        if chip.scaleup_bytes_s is None:
            return Link(None, f"{chip.scaleup_link}: the catalogue has no rate, unknown")
        return Link(chip.scaleup_bytes_s / 2, f"{chip.scaleup_link}: half of its rate of both directions")
    generation = next((name for name in PCIE_BYTES_S if chip.host_link.startswith(name)), None)
    if generation is None:
        return Link(None, "neither a link nor a PCIe generation is known")
    rate = PCIE_BYTES_S[generation]
    why = (
        "a bridge joins pairs only" if pairs else "the instance names no link" if linked else "no link between devices"
    )
    return Link(rate, f"{generation} x16, {why}: {rate / 1e9:.3g} GB/s (PCI-SIG)")
