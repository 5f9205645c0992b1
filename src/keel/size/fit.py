"""Does it fit, and the first change that makes it fit: in a stated order, or an honest no with by how much."""

from __future__ import annotations

from typing import NamedTuple

from keel.catalog.rows import Accelerator
from keel.size.memory import Setup, train
from keel.units import show_bytes, show_count

# Of a device's memory: the rest goes to the driver, communication and fragments. Judged, not measured.
USABLE = 0.92
KINDS = ("batch", "recompute", "optimiser", "whole")
ORDER = "smaller micro-batch, recomputation, sharded optimiser, full sharding, more devices, smaller model"


class Fit(NamedTuple):
    """What one device needs and has. `fits` None: its memory is unknown. `short_bytes`: how much is missing."""

    fits: bool | None
    need_bytes: float
    usable_bytes: float | None
    short_bytes: float
    note: str


class Fix(NamedTuple):
    """The first change that makes it fit, as words and as the setup; `fit` says whether it does."""

    what: str
    setup: Setup
    fit: Fit


def fits(setup: Setup, accelerator: Accelerator) -> Fit:
    """Whether a device holds the setup's middle estimate within 92 % of its memory; near misses are said.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> from keel.size.memory import guessed
        >>> chips = Catalogue().accelerators
        >>> fits(guessed(1e9, 2048), chips["a100-sxm-40"]).fits, fits(guessed(7e9, 2048), chips["a100-sxm-80"]).fits
        (True, False)
    """
    need = train(setup).total
    if accelerator.memory_bytes is None:
        return Fit(None, need.value, None, 0.0, f"the memory of {accelerator.name} is unknown")
    usable = USABLE * accelerator.memory_bytes
    short = max(0.0, need.value - usable)
    note = "fits" if not short else f"{show_bytes(short)} too much"
    if not short and need.high > usable:
        note = "fits narrowly: not with logits and gradients kept in fp32"
    return Fit(not short, need.value, usable, short, note)


def first_fix(setup: Setup, accelerator: Accelerator, most_devices: int = 4096, whole_nodes: int = 8) -> Fix:
    """The first single change that makes it fit, else the shortest run of changes in the order of `ORDER`.

    A smaller micro-batch keeps the global batch by more accumulation steps. More devices come in whole nodes of
    `whole_nodes`, up to `most_devices`. The last resort is the largest model of the same proportions.

    Example:
        >>> from keel.catalog.store import Catalogue
        >>> from keel.size.memory import guessed
        >>> first_fix(guessed(7e9, 2048, devices=8), Catalogue().accelerators["a100-sxm-80"]).what
        'spread the optimiser over 8 devices (ZeRO-1)'
    """
    now = fits(setup, accelerator)
    if now.fits is not False:
        return Fix("none needed" if now.fits else now.note, setup, now)
    for what, changed in _steps(setup, accelerator):
        if (found := fits(changed, accelerator)).fits:
            return Fix(what, changed, found)
    taken, words = setup, dict[str, str]()
    for step, kind in enumerate(KINDS):
        what, after = _steps(taken, accelerator)[step]
        if after != taken:
            taken, words = after, _with(words, kind, what)
        if (found := fits(taken, accelerator)).fits:
            return Fix(", then ".join(words.values()), taken, found)
    devices = taken.devices
    while devices * 2 <= most_devices:
        devices = max(whole_nodes, devices * 2)
        taken = taken._replace(devices=devices, sharding="zero3")
        if (found := fits(taken, accelerator)).fits:
            words = _with(words, "whole", f"{devices:,} devices that share all (FSDP, ZeRO-3)")
            return Fix(", then ".join(words.values()), taken, found)
    return _smaller(taken, accelerator, list(words.values()))


def _with(words: dict[str, str], kind: str, what: str) -> dict[str, str]:
    """Full sharding takes the place of a sharded optimiser."""
    kept = {name: said for name, said in words.items() if not (kind == "whole" and name in ("optimiser", "whole"))}
    return kept | {kind: what}


def _steps(setup: Setup, accelerator: Accelerator) -> list[tuple[str, Setup]]:
    """Each change by itself, in order; a change that is none leaves the setup as it is."""
    batch = setup.micro_batch
    while batch > 1 and not fits(setup._replace(micro_batch=batch), accelerator).fits:
        batch //= 2
    spread = f"over {setup.devices:,} devices"
    optimiser = setup._replace(sharding="zero1") if setup.sharding == "ddp" and setup.devices > 1 else setup
    whole = setup._replace(sharding="zero3") if setup.devices > 1 else setup
    return [
        (f"a micro-batch of {batch} instead of {setup.micro_batch}", setup._replace(micro_batch=batch)),
        ("recompute activations", setup._replace(kept="recompute")),
        (f"spread the optimiser {spread} (ZeRO-1)", optimiser),
        (f"spread weights, gradients and optimiser {spread} (FSDP, ZeRO-3)", whole),
    ]


def _smaller(setup: Setup, accelerator: Accelerator, words: list[str]) -> Fix:
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(_scaled(setup, middle), accelerator).fits else (low, middle)
    small = _scaled(setup, low)
    found = fits(small, accelerator)
    if not found.fits:
        now = fits(setup, accelerator)
        return Fix(f"nothing: one sequence of {setup.context:,} tokens alone is {now.note}", setup, now)
    path = ", then ".join(words)
    what = f"a model of at most {show_count(small.params)} instead of {show_count(setup.params)}"
    return Fix(f"{path}, then {what}" if path else what, small, found)


def _scaled(setup: Setup, share: float) -> Setup:
    """The same proportions at `share` of the parameters: width by the square root, layers as they are."""
    return setup._replace(params=max(1.0, setup.params * share), width=max(1, round(setup.width * share**0.5)))
