"""Identity: every field counts, nothing else does; the schedule is what it says."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from helpers import study_error

from keel.plan.experiment import differences
from keel.plan.spec import Spec, example_spec, from_json

CHANGED: dict[str, Any] = {
    "objective": "mlm", "options": {"rate": 0.15}, "family": "other", "size": {"width": 24, "layers": 2},
    "start": {"kind": "branch", "run": "x", "step": 3}, "data": {"data_sha256": "0"}, "batch_tokens": 1024,
    "steps": 101, "warmup_steps": 11, "decay_start": 81, "lr_hidden": 0.026, "lr_embedding": 0.031, "beta1": 0.91,
    "beta2": 0.96, "epsilon": 1e-7, "weight_decay": 0.2, "clip_norm": 2.0, "seed": 1,
    "precision": {"body": "bf16", "head": "fp32"}, "code_sha256": "ab",
}  # fmt: skip


def test_the_table_names_every_field() -> None:
    assert set(CHANGED) == {field.name for field in dataclasses.fields(Spec)}


@pytest.mark.parametrize("name", CHANGED)
def test_every_field_is_identity(name: str) -> None:
    plain, changed = example_spec(), example_spec(**{name: CHANGED[name]})
    assert plain.digest() != changed.digest()
    assert plain.run_id.rsplit("-", 1)[1] != changed.run_id.rsplit("-", 1)[1]
    assert list(differences(plain, changed)) == [name]


def test_a_run_id_is_stable_through_json() -> None:
    spec = example_spec()
    again = from_json(json.loads(json.dumps({"schema": "keel.spec/1", **spec.json()})))
    assert again == spec
    assert again.run_id == spec.run_id == "w16-L2-51.2k-" + spec.digest()[:8]


def test_a_run_id_is_the_same_in_every_version() -> None:
    """Frozen: finished runs are found by it."""
    assert example_spec().digest()[:8] == "9073ef5c"


def test_the_order_of_keys_is_no_identity() -> None:
    size = example_spec().size
    assert example_spec(size=dict(reversed(size.items()))).digest() == example_spec().digest()


def test_a_trunk_says_so() -> None:
    trunk = example_spec(decay_start=100)
    assert trunk.run_id.startswith("w16-L2-51.2k-trunk-")
    assert "trunk" not in example_spec().run_id


@pytest.mark.parametrize("change", [{"colour": 1}, {"seed": None}])
def test_another_keels_spec_is_refused_by_name(change: dict[str, Any]) -> None:
    fields = example_spec().json() | change
    odd = next(iter(change))
    if change[odd] is None:
        del fields[odd]
    with study_error(f"fields that differ: {odd}", "here"):
        from_json(fields, "here")


def test_the_schedule_warms_up_holds_and_falls_to_zero() -> None:
    spec = example_spec(steps=100, warmup_steps=10, decay_start=80)
    rates = [spec.multiplier(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * place for place in range(1, 11)])
    assert rates[10:80] == [1.0] * 70
    assert rates[80:] == pytest.approx([place / 20 for place in range(20, 0, -1)])
    assert spec.multiplier(100) == 0.0
    assert sum(rates) == pytest.approx(5.5 + 70 + 10.5)


def test_a_trunk_never_decays() -> None:
    spec = example_spec(steps=50, warmup_steps=5, decay_start=50)
    assert [spec.multiplier(step) for step in range(5, 50)] == [1.0] * 45


def test_a_branch_shares_its_trunks_rates_until_it_decays() -> None:
    trunk = example_spec(steps=80, decay_start=80)
    branch = example_spec(steps=100, decay_start=80)
    assert [trunk.multiplier(step) for step in range(80)] == [branch.multiplier(step) for step in range(80)]


def test_tokens_are_whole_batches() -> None:
    assert example_spec(steps=7, batch_tokens=640).tokens == 4480
