"""The six gates of a refresh. Each exists because a public source once had such a row; the tests hold those rows."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence

from keel.catalog.overlay import wrong
from keel.catalog.refresh.candidate import Candidate, Outcome, Row, Verdict
from keel.catalog.results import lower_is_better
from keel.catalog.rows import Accelerator, Model, Offer, Result
from keel.catalog.shape_check import TOLERANCE, counted
from keel.catalog.store import Catalogue
from keel.units import show_count

Peers = tuple[Sequence[Row], Sequence[Row]]
Said = tuple[Outcome, str, int]  # what becomes of a row, why, and the gate that says so; 0: none

MOVED = 1.5  # a price against the snapshot's of the same region
ELSEWHERE = 2.1  # against the median of the same type in other regions; Azure's Brazil is a true 2.0 x the cheapest
CONFIRM = "; if it is true, write it in catalog/instances.csv"
# What vCPUs and memory alone cost: GCP's list price of A2 machines in us-central1, GPU billed apart.
USD_VCPU_HOUR, USD_GIB_HOUR = 0.0317, 0.00425
GIB = 2.0**30
UTILISATION = 0.45  # no dense peak lies above measured matmul / 0.45; MI300X has the least, .51
FP8_TO_BF16 = 2.1
FP8_EXCEPTIONS = frozenset({"trainium3"})  # 3.75 by its maker's own pages
LEAST_TOP1 = 10.0
WORSE_BY = 2.0  # points that a larger resolution may lose


def prices(new: Offer, known: Sequence[Offer], batch: Sequence[Offer]) -> Said:
    """Gates 1 and 2: (outcome, why, gate) of a price; `batch` are the rows that came with it."""
    price = new.usd_per_hour
    if price is None:
        return "reject", "it has no price", 2
    if not math.isfinite(price) or price <= 0 or (price >= 100 and price % 100 == 0):
        return "reject", f"{price:g} USD an hour stands for unknown, not for a price", 2
    if "spot" in new.price_kind.lower() and (why := _above_on_demand(new, price, [*batch, *known])):
        return "reject", why, 2
    if (floor := _machine_alone(new)) and price <= floor:
        return "reject", (f"{price:g} USD an hour is what its vCPUs and memory cost without the GPUs "
                          f"({floor:.2f} at list price)"), 2  # fmt: skip
    peers = [row for row in known if _same(row, new)]
    for row in peers:
        ratio = _apart(price, row.usd_per_hour)
        if row.region == new.region and ratio > MOVED:
            return (
                "keep old",
                f"{price:g} is {ratio:.2f} x from {row.usd_per_hour:g} of {row.as_of} in that region{CONFIRM}",
                1,
            )
    elsewhere = [row for row in [*peers, *batch] if _same(row, new) and row.region != new.region]
    if not elsewhere:
        return "take", "", 0
    middle = statistics.median(row.usd_per_hour or 0.0 for row in elsewhere)
    if (ratio := _apart(price, middle)) > ELSEWHERE:
        return "keep old", f"{price:g} is {ratio:.2f} x from {middle:g}, the same type in other regions{CONFIRM}", 1
    return "take", "", 0


def _same(row: Offer, new: Offer) -> bool:
    """The same type and kind of price, a price that is still said to hold."""
    return (row.type, row.accelerator_id, row.price_kind) == (new.type, new.accelerator_id, new.price_kind) and bool(
        row.usd_per_hour
    )


def _apart(a: float, b: float | None) -> float:
    return max(a / b, b / a) if b else 1.0


def _above_on_demand(new: Offer, price: float, rows: Iterable[Offer]) -> str:
    for row in rows:
        on_demand = "on-demand" in row.price_kind and (row.type, row.region) == (new.type, new.region)
        if on_demand and row.usd_per_hour and price > row.usd_per_hour:
            return f"spot at {price:g} is above on-demand at {row.usd_per_hour:g} in {new.region}"
    return ""


def _machine_alone(new: Offer) -> float:
    """USD an hour of the machine alone; 0 where its vCPUs or memory are unknown, or a chip alone is priced."""
    if not (new.vcpus and new.host_memory_bytes) or "part only" in new.price_kind:
        return 0.0
    return new.vcpus * USD_VCPU_HOUR + new.host_memory_bytes / GIB * USD_GIB_HOUR


def hub_count(counts: Mapping[str, float]) -> float | None:
    """Parameters by a hub's metadata: float dtypes alone, for buffers and masks are counted too; None without any."""
    found = sum(number for dtype, number in counts.items() if re.match(r"(F|BF)\d", dtype))
    return found or None


def model(
    new: Model, old: Model | None, counts: Mapping[str, float], accepted: bool
) -> tuple[Outcome, str, int, float | None]:
    """Gates 3 and 4: (outcome, why, gate, parameters to write)."""
    params, why, gate = new.params, "", 0
    shape, _ = counted(new)
    floats = hub_count(counts)
    if counts and floats is None:
        params, why, gate = new.params, "the hub counts no float parameters: its count is not used", 3
    elif floats is not None:
        params = floats
        if shape is not None and abs(shape.params / floats - 1) > TOLERANCE:
            params, gate = shape.params, 3
            why = f"the hub counts {show_count(floats)}, the shape {show_count(shape.params)}: the shape's is taken"
    if old is not None and _plain(old.licence) != _plain(new.licence):
        change = f"licence '{old.licence or 'unknown'}' ({old.as_of}) -> '{new.licence or 'unknown'}' ({new.as_of})"
        if not accepted:
            return "needs a flag", f"{change}: read it, then --accept-licences", 4, params
        why = "; ".join(filter(None, [why, f"{change}, accepted"]))
        gate = gate or 4
    return "take", why, gate, params


def _plain(licence: str) -> str:
    """A licence's name without remarks in brackets, case or signs."""
    return re.sub(r"[^a-z0-9.]", "", re.sub(r"\(.*?\)", "", licence.lower()))


def accelerator(new: Accelerator) -> Said:
    """Gate 5: a peak that counts sparsity, or one die of several."""
    peak, measured, fp8 = new.bf16_flop_s or new.fp16_flop_s, new.measured_bf16_flop_s, new.fp8_flop_s
    if peak and measured and peak > measured / UTILISATION:
        return "reject", (f"a dense peak of {show_count(peak)} FLOP/s is {peak / measured:.1f} x the measured matmul: "
                          "it may count sparsity, or another number of dies"), 5  # fmt: skip
    if peak and fp8 and fp8 > FP8_TO_BF16 * peak and new.id not in FP8_EXCEPTIONS:
        return "reject", f"fp8 at {fp8 / peak:.2f} x bf16: it may count sparsity; dense is 2 x", 5
    return "take", "", 0


def result(new: Result, rows: Sequence[Result]) -> Said:
    """Gate 6: an accuracy near chance, or a larger resolution that is worse."""
    if "ImageNet" in new.dataset and "top-1" in new.metric and not LEAST_TOP1 <= new.value <= 100:
        return "reject", f"{new.value:g} % on {new.dataset}: outside {LEAST_TOP1:g} to 100, the evaluation is broken", 6
    if not math.isfinite(new.value):
        return "reject", "its value is no number", 6
    mine = _resolution(new.setting)
    for row in rows:
        other = _resolution(row.setting)
        if mine is None or other is None or (row.model_id, row.dataset, row.metric) != (
            new.model_id, new.dataset, new.metric):  # fmt: skip
            continue
        worse = (new.value - row.value) if lower_is_better(new.metric) else (row.value - new.value)
        if mine > other and worse > WORSE_BY and _but(new.setting) == _but(row.setting):
            return (
                "reject",
                f"{new.value:g} at {mine} px is worse than {row.value:g} at {other} px: a wrong evaluation",
                6,
            )
    return "take", "", 0


def _resolution(setting: str) -> int | None:
    found = re.search(r"@(\d{2,4})\b", setting)
    return int(found[1]) if found else None


def _but(setting: str) -> str:
    """A setting without its resolution and its checkpoint."""
    return re.sub(r"@\d+|\([\w./-]+\)$", "", setting).strip()


def alike(row: Row) -> str:
    """What the rows have in common that a gate sets beside one another: a type of instance, a model."""
    return row.type if isinstance(row, Offer) else row.model_id if isinstance(row, Result) else row.id


def judge(candidate: Candidate, row: Row, known: Catalogue, peers: Peers, accepted: bool) -> Verdict:
    """What becomes of a proposed row, by the gates of its table; `peers`: known and proposed rows alike."""
    cells = dict(candidate.cells)
    if found := wrong(row, known.names):
        return Verdict(candidate.name, "reject", "; ".join(f"{what} ({why})" for what, why, _ in found), 0, cells)
    said: Said = ("take", "", 0)
    if isinstance(row, Offer):
        said = prices(row, *([one for one in rows if isinstance(one, Offer) and one is not row] for rows in peers))
    elif isinstance(row, Accelerator):
        said = accelerator(row)
    elif isinstance(row, Result):
        said = result(row, [one for rows in peers for one in rows if isinstance(one, Result)])
    elif isinstance(row, Model):
        outcome, why, gate, params = model(row, known.models.get(row.id), candidate.counts, accepted)
        said = (outcome, why, gate)
        if params is not None and params != row.params:
            basis = "computed from shape" if said[2] == 3 else "hub, float dtypes"
            cells |= {"params_total_m": f"{params / 1e6:.10g}", "params_basis": basis}
    outcome, why, gate = said
    return Verdict(candidate.name, outcome, why, gate, cells)
