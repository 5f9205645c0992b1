"""Sources other than plain files: a W&B export, an MLflow store, frames and lists from Python."""

from __future__ import annotations

import math
import sqlite3

import pytest

from keel.errors import StudyError
from keel.laws.read.stores import read_mlflow
from keel.laws.read.table import read
from keel.laws.verb import fit_table

TOTAL = {"params_count": "total"}
# The columns of a runs table as the interface exports it: every cell quoted, "-" for no notes, summary keys with "/".
WANDB = '"Name","State","Notes","User","Tags","Created","Runtime","Sweep","batch_tokens","learning_rate","n_params",' \
        '"seed","_step","_runtime","tokens","train/loss","val/loss"\n'  # fmt: skip
# Table definitions as MLflow 2 makes them (constraints that other tables need left away).
MLFLOW = """
CREATE TABLE experiments (experiment_id INTEGER NOT NULL, name VARCHAR(256) NOT NULL, artifact_location VARCHAR(256),
  lifecycle_stage VARCHAR(32), creation_time BIGINT, last_update_time BIGINT, PRIMARY KEY (experiment_id));
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250), source_type VARCHAR(20), source_name VARCHAR(500),
  entry_point_name VARCHAR(50), user_id VARCHAR(256), status VARCHAR(9), start_time BIGINT, end_time BIGINT,
  source_version VARCHAR(50), lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200), experiment_id INTEGER,
  deleted_time BIGINT, PRIMARY KEY (run_uuid), CHECK (lifecycle_stage IN ('active', 'deleted')),
  CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED')));
CREATE TABLE params (key VARCHAR(250) NOT NULL, value VARCHAR(8000) NOT NULL, run_uuid VARCHAR(32) NOT NULL,
  PRIMARY KEY (key, run_uuid));
CREATE TABLE metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
  run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
  PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE TABLE latest_metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT, step BIGINT NOT NULL,
  is_nan BOOLEAN NOT NULL, run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY (key, run_uuid));
"""


def wandb_line(row, state="finished", name=None, loss=None):
    cells = (name or row.id, state, "-", "ana", "ladder", "2025-05-04T10:11:12.000Z", "3600", "", "524288", "0.003",
             f"{row.params:.0f}", "0", "1200", "3601.5", f"{row.tokens:.0f}", f"{row.value + 0.05}",
             repr(row.value) if loss is None else loss)  # fmt: skip
    return ",".join(f'"{cell}"' for cell in cells) + "\n"


def test_a_wandb_export(rows, tmp_path):
    path = tmp_path / "wandb_export_2025-05-04T12_00_00.000+02_00.csv"
    bad = [wandb_line(rows[0], state, f"{state}-run", "") for state in ("crashed", "running", "failed", "killed")]
    path.write_text(WANDB + "".join(map(wandb_line, rows)) + "".join(bad))
    table = read(path, TOTAL)
    assert [row.id for row in table.rows] == [row.id for row in rows]
    assert [row.value for row in table.rows] == [row.value for row in rows]
    assert table.excluded == tuple(
        {"id": f"{state}-run", "why": f"State: {state}"} for state in ("crashed", "running", "failed", "killed")
    )
    assert (table.rows[0].lr, table.rows[0].batch_tokens) == (0.003, 524288.0)
    assert {one.role: one.column for one in table.columns} == {
        "params": "n_params", "tokens": "tokens", "loss": "val/loss", "lr": "learning_rate", "batch": "batch_tokens",
        "seed": "seed", "step": "_step",
    }  # fmt: skip
    assert table.notes == ()
    told = fit_table(path, [{"params": 2e9, "tokens": 4e10}], columns=TOTAL)
    assert [item["id"] for item in told.result["runs"]["excluded"]] == [item["id"] for item in table.excluded]


def test_a_wandb_export_without_a_finished_run(rows, tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(WANDB + "".join(wandb_line(row, "crashed") for row in rows))
    with pytest.raises(StudyError, match="no run to fit") as error:
        read(path)
    assert f"{rows[0].id} State: crashed" in error.value.problems[0].why


def test_a_finished_run_without_a_loss_is_an_error_with_its_way_out(rows, tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(WANDB + "".join(map(wandb_line, rows)) + wandb_line(rows[0], name="no-eval", loss=""))
    with pytest.raises(StudyError, match="row 16, val/loss: empty") as error:
        read(path)
    assert "--where 'val/loss>0'" in error.value.problems[0].fix
    assert len(read(path, {"where": "val/loss>0"}).rows) == len(rows)


def test_a_wandb_export_by_its_interface(rows, tmp_path):
    """Three columns, summary and config as Python prints dicts, nan included."""
    lines = [",summary,config,name"]
    for i, row in enumerate([*rows, rows[0]]):
        loss = "nan" if i == len(rows) else repr(row.value)
        summary = f"{{'_step': 10, 'val/loss': {loss}, 'tokens': {row.tokens!r}, '_wandb': {{'runtime': 7}}}}"
        lines.append(
            f'{i},"{summary}","{{\'n_params\': {row.params:.0f}, \'lr\': 0.001, \'note\': ""nan, inf""}}",r{i}'
        )
    path = tmp_path / "project.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(StudyError, match=r"row 16, summary\.val/loss: not finite"):
        read(path)
    table = read(path, {"where": "summary.val/loss>0"})
    assert [(row.params, row.tokens, row.value, row.lr) for row in table.rows] == [
        (row.params, row.tokens, row.value, 0.001) for row in rows
    ]
    assert table.rows[2].id == "r2"


def store(path, rows, latest=True):
    """A sqlite store: two values a metric, the last by step; a failed, a deleted and a running run beside."""
    base = sqlite3.connect(path)
    base.executescript(MLFLOW if latest else MLFLOW[: MLFLOW.index("CREATE TABLE latest_metrics")])
    base.execute("INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (1, 'ladder', 'active')")
    extra = [("FAILED", "active", math.nan), ("FINISHED", "deleted", 3.0), ("RUNNING", "active", math.inf)]
    runs = [(row.id, "FINISHED", "active", row, row.value) for row in rows]
    runs += [(f"x{i}", status, stage, rows[0], value) for i, (status, stage, value) in enumerate(extra)]
    for i, (name, status, stage, row, value) in enumerate(runs):
        key = f"{i:032x}"
        fields = "run_uuid, name, status, start_time, lifecycle_stage, experiment_id"
        base.execute(f"INSERT INTO runs ({fields}) VALUES (?,?,?,?,?,1)", (key, name, status, 1000 + i, stage))
        for param, said in (("n_params", f"{row.params:.0f}"), ("learning_rate", "0.003"), ("model.width", "64")):
            base.execute("INSERT INTO params VALUES (?,?,?)", (param, said, key))
        last = (0.0, 1) if math.isnan(value) else (min(value, 1.7976931348623157e308), 0)
        for metric, old, (new, is_nan) in (("val/loss", 9.0, last), ("tokens", 1.0, (row.tokens, 0))):
            # The later step has the earlier time: the step decides.
            base.execute("INSERT INTO metrics VALUES (?,?,?,?,?,?)", (metric, old, 2000, key, 1, 0))
            base.execute("INSERT INTO metrics VALUES (?,?,?,?,?,?)", (metric, new, 1000, key, 2, is_nan))
            if latest:
                base.execute("INSERT INTO latest_metrics VALUES (?,?,?,?,?,?)", (metric, new, 1000, 2, is_nan, key))
    base.commit()
    base.close()


def folder(path, rows):
    """The same runs as a folder store."""
    experiment = path / "123456789"
    extra = [("4", "active", "nan"), ("3", "deleted", "3.0"), ("1", "active", "inf")]
    runs = [(row.id, "3", "active", row, repr(row.value)) for row in rows]
    runs += [(f"x{i}", status, stage, rows[0], value) for i, (status, stage, value) in enumerate(extra)]
    for i, (name, status, stage, row, value) in enumerate(runs):
        run = experiment / f"{i:032x}"
        for inside in ("params", "metrics/val", "tags"):
            (run / inside).mkdir(parents=True)
        (run / "meta.yaml").write_text(
            f"experiment_id: '123456789'\nlifecycle_stage: {stage}\nrun_id: {run.name}\nrun_name: '{name}'\n"
            f"run_uuid: {run.name}\nstatus: {status}\ntags: []\n"
        )
        (run / "params" / "n_params").write_text(f"{row.params:.0f}")
        (run / "params" / "learning_rate").write_text("0.003")
        (run / "tags" / "mlflow.runName").write_text(name)
        (run / "metrics" / "tokens").write_text(f"2000 1.0 1\n1000 {row.tokens!r} 2\n")
        (run / "metrics" / "val" / "loss").write_text(f"1000 {value} 2\n2000 9.0 1\n")
    (experiment / "meta.yaml").write_text("experiment_id: '123456789'\nlifecycle_stage: active\nname: ladder\n")


@pytest.mark.parametrize("kind", ["mlflow.db", "old.sqlite", "mlruns", "beside"])
def test_an_mlflow_store(rows, tmp_path, kind):
    path = tmp_path / kind
    if kind == "mlruns":
        path.mkdir()
        folder(path, rows)
    elif kind == "beside":
        (path / "mlruns").mkdir(parents=True)
        folder(path / "mlruns", rows)
    else:
        store(path, rows, latest=kind == "mlflow.db")
    table = read(path, TOTAL)
    assert [row.id for row in table.rows] == [row.id for row in rows]
    for row, wanted in zip(table.rows, rows):
        assert (row.params, row.tokens, row.value, row.lr) == (wanted.params, wanted.tokens, wanted.value, 0.003)
    assert [item["why"] for item in table.excluded] == ["status: failed", "status: deleted", "status: running"]
    assert (table.unit, table.notes) == ("val_loss", ())
    assert {one.role: one.column for one in table.columns}["loss"] == "metrics.val/loss"


def test_a_store_is_only_read(rows, tmp_path):
    path = tmp_path / "mlflow.db"
    store(path, rows)
    before = path.read_bytes()
    path.chmod(0o444)
    read(path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_database_that_is_no_store(tmp_path):
    path = tmp_path / "other.db"
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE cats (name TEXT)")
    base.commit()
    base.close()
    with pytest.raises(StudyError, match="MLflow store cannot be read") as error:
        read(path)
    assert "cats" in error.value.problems[0].why
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StudyError, match="MLflow store cannot be read"):
        read(path)


@pytest.mark.parametrize("text", ["", "x y z\n", "1000 2.5\n", "1000\n"])
def test_a_broken_metric_is_told(rows, tmp_path, text):
    folder(tmp_path, rows)
    next(tmp_path.glob("*/*/metrics/tokens")).write_text(text)
    if text == "1000 2.5\n":  # older stores have no step
        assert 2.5 in [cell for cell in read_mlflow(tmp_path).columns["metrics.tokens"]]
        return
    with pytest.raises(StudyError, match="MLflow store cannot be read"):
        read(tmp_path)


def columns_of(rows):
    return {"N": [r.params for r in rows], "D": [r.tokens for r in rows], "loss": [r.value for r in rows]}


def test_tables_from_python(rows):
    import pyarrow

    table = columns_of(rows)
    first = read(table, TOTAL)
    assert [(r.params, r.tokens, r.value) for r in first.rows] == [(r.params, r.tokens, r.value) for r in rows]
    records = [dict(zip(table, cells)) for cells in zip(*table.values())]
    assert read(records, TOTAL).rows == first.rows
    assert read(iter(records), TOTAL).rows == first.rows
    assert read(pyarrow.table(table), TOTAL).rows == first.rows
    nested = [{"config": {"N": r["N"]}, "summary": {"D": r["D"], "val": {"loss": r["loss"]}}} for r in records]
    assert [r.value for r in read(nested, {"loss": "summary.val.loss"}).rows] == [r.value for r in rows]


def test_a_data_frame(rows):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(columns_of(rows) | {"seed": [0] * 15})
    first = read(frame, TOTAL)
    assert [(r.params, r.tokens, r.value) for r in first.rows] == [(r.params, r.tokens, r.value) for r in rows]
    assert (first.source, first.rows[0].meta) == ("DataFrame", {"seed": "0"})
    assert read(frame.astype({"N": "int64", "D": "Int64"}), TOTAL).rows == first.rows
    indexed = frame.assign(name=[r.id for r in rows]).set_index("name")
    assert [r.id for r in read(indexed, TOTAL).rows] == [r.id for r in rows]
    frame.loc[3, "loss"] = None
    with pytest.raises(StudyError, match="row 4, loss: not finite"):
        read(frame)
    with pytest.raises(StudyError, match="named twice"):
        read(pandas.concat([frame, frame[["N"]]], axis=1))


@pytest.mark.parametrize(
    ("thing", "words"),
    [(42, "is no table"), ([1, 2], "cannot be read"), ({"N": [1], "D": [1, 2]}, "unlike length"), ([], "empty"),
     ({}, "empty"), (None, "is no table"), ({"N": 3}, "cannot be read")],
)  # fmt: skip
def test_what_is_no_table(thing, words):
    with pytest.raises(StudyError) as error:
        read(thing)
    assert words in str(error.value)


def test_flags_are_not_for_keels_own_runs(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(StudyError, match="not for keel's own runs"):
        read(tmp_path, {"loss": "x", "unit": "error"})
