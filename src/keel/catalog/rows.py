"""One fact a row, typed: models, results, corpora, accelerators and offers. None is unknown, and stays so.

Units: parameters, tokens, pairs and bytes are counts (not millions), rates are FLOP/s and bytes/s, prices USD an hour.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

LicenceClass = Literal["permissive", "conditional", "non-commercial", "unreleased", "unclear", "unknown"]
SHIPPED = "shipped"


class Model(NamedTuple):
    """A base model. `layers` is one number a stack; `context` and `vocabulary` are None where the source rounds them.

    `kept`: "shipped", or the overlay file that the row comes from; `as_of`: the day it was collected.
    """

    id: str
    name: str
    family: str
    family_base_id: str
    is_family_base: bool
    modality: str
    architecture: str
    year: int
    developer: str
    hub_id: str
    licence: str
    licence_class: LicenceClass
    licence_basis: str
    params: float | None
    params_body: float | None
    params_basis: str
    layers: tuple[int, ...] | None
    width: int | None
    heads: int | None
    kv_heads: int | None
    feed_forward: int | None
    context: int | None
    context_said: str
    vocabulary: int | None
    vocabulary_said: str
    objective: str
    data: str
    data_size: float | None
    data_unit: str
    seen: float | None
    seen_unit: str
    languages: str
    train_flop: float | None
    train_flop_source: str
    train_hardware: str
    pretrain_code: str
    best_adapted_mteb: float | None
    best_adapted_model: str
    evidence: str
    source: str
    notes: str
    as_of: str
    kept: str = SHIPPED


def shared_setting(setting: str) -> str:
    """A setting without the checkpoint that one harness names at its end.

    Example:
        >>> shared_setting("zero-shot (ViT-B-32/openai)"), shared_setting("fine-tuned test (R2 21.55, RL 40.69)")
        ('zero-shot (its checkpoint)', 'fine-tuned test (R2 21.55, RL 40.69)')
    """
    return re.sub(r"\((?=[^()]*[_/])[\w./-]+\)$", "(its checkpoint)", setting)


class Result(NamedTuple):
    """A score of a model; only those of one (dataset, metric, setting) may be ranked against each other."""

    model_id: str
    task: str
    dataset: str
    metric: str
    value: float
    setting: str
    source: str
    as_of: str = ""
    kept: str = SHIPPED

    @property
    def group(self) -> tuple[str, str, str]:
        """What must agree before two results are compared: the setting without its checkpoint's name."""
        return self.dataset, self.metric, shared_setting(self.setting)


class Corpus(NamedTuple):
    """A data set behind models, or an open one to set one's own beside."""

    id: str
    name: str
    modality: str
    kind: str
    year: int | None
    developer: str
    documents: float | None
    tokens: float | None
    tokenizer_of_count: str
    bytes: float | None
    images: float | None
    pairs: float | None
    languages: str
    domain: str
    licence: str
    licence_class: LicenceClass
    access: str
    filters: str
    used_by: tuple[str, ...]
    evidence: str
    source: str
    as_of: str
    notes: str
    kept: str = SHIPPED


class Accelerator(NamedTuple):
    """A chip (one package). Peaks are dense. `scaleup_bytes_s`: both directions of its link to its neighbours."""

    id: str
    name: str
    vendor: str
    arch: str
    year: int | None
    memory_bytes: float | None
    memory_kind: str
    memory_bytes_s: float | None
    power_w: float | None
    fp64_flop_s: float | None
    fp32_flop_s: float | None
    tf32_flop_s: float | None
    fp16_flop_s: float | None
    bf16_flop_s: float | None
    fp8_flop_s: float | None
    int8_op_s: float | None
    fp4_flop_s: float | None
    bf16_native: bool | None
    measured_bf16_flop_s: float | None
    scaleup_link: str
    scaleup_bytes_s: float | None
    host_link: str
    cuda: str
    topology: str
    source: str
    as_of: str
    notes: str
    kept: str = SHIPPED


class Offer(NamedTuple):
    """An instance type in one region at one price; `usd_per_hour` None: no public price."""

    provider: str
    instance: str
    region: str
    accelerator_id: str
    accelerators: int | None
    memory_bytes: float | None
    vcpus: float | None
    host_memory_bytes: float | None
    interconnect: str
    usd_per_hour: float | None
    usd_per_accelerator_hour: float | None
    price_kind: str
    source: str
    as_of: str
    notes: str
    kept: str = SHIPPED

    @property
    def type(self) -> str:
        """As a study writes it: "aws:p4d.24xlarge"."""
        return f"{self.provider}:{self.instance}"
