"""keel's own runs: values of one judge are never pooled with another's, and keep its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import study_error

from keel.files import write_json
from keel.laws.read.runs import rows_of_runs
from keel.laws.read.table import read
from keel.laws.verb import fit_table


def write(folder: Path, rows: Any, loss: str, judge: str, scale: float = 1.0) -> None:
    for row in rows:
        name = f"{loss}-{row.id}"
        write_json(folder / "runs" / name / "result.json", "keel.result/1", {
            "id": name, "kind": "branch", "ok": True, "gate": None, "params": {"total": row.params},
            "tokens": row.tokens, "flop": row.flop, "bits_per_byte": scale * row.value, "objective": loss,
            "judge": judge, "family": "bert" if loss == "mlm" else "llama",
        })  # fmt: skip


@pytest.fixture
def masked(rows: Any, tmp_path: Path) -> Path:
    write(tmp_path, rows, "mlm", "masked_bits_per_byte")
    return tmp_path


def test_the_unit_is_the_judges(masked: Path, rows: Any) -> None:
    table = read(masked)
    assert table.unit == "masked_bits_per_byte"
    assert len(table.rows) == len(rows)
    assert next(column.unit for column in table.columns if column.role == "loss") == "masked_bits_per_byte"


def test_the_floor_of_text_is_no_prior_for_what_a_masked_model_is_judged_by(masked: Path, rows: Any) -> None:
    at = [{"params": 1e9, "tokens": 1e11}]
    unlike = fit_table(masked, at).result["forecasts"][0]
    write(masked, rows, "mlm", "bits_per_byte")
    plain = fit_table(masked, at).result["forecasts"][0]
    assert unlike["unit"] == "masked_bits_per_byte"
    assert unlike["value"] != plain["value"], "the belief about the floor differs"


def test_runs_of_another_loss_are_left_out_by_name_where_the_plan_says_which(masked: Path, rows: Any) -> None:
    write(masked, rows[:3], "clm", "bits_per_byte", 1.3)
    with study_error("several recipes", "clm on llama, bits per byte", "mlm on bert, masked bits per byte"):
        read(masked)
    write_json(masked / "plan.json", "keel.plan/1", {"objective": "mlm", "family": "bert"})
    found = rows_of_runs(masked / "runs")
    assert {row.id.split("-")[0] for row in found.rows} == {"mlm"}
    assert [item["why"] for item in found.excluded] == ["another recipe: clm on llama, bits per byte"] * 3
    write_json(masked / "plan.json", "keel.plan/1", {"objective": "rtd", "family": "electra"})
    with study_error("several recipes", "plan with one of them"):
        read(masked)
