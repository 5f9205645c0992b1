"""Tables from anywhere: every bad one is a clear error, never a traceback, and nothing is dropped silently."""

from __future__ import annotations

import gzip
import json

import pytest

from keel.errors import Refused, StudyError
from keel.files import read_json, write_json
from keel.laws.read.table import read, rows_of_runs
from keel.laws.verb import FIT, fit_table

AT = [{"params": 2e9, "tokens": 4e10}]
TOTAL = {"params_count": "total"}


def csv(rows, header="name,params,tokens,loss"):
    return header + "\n" + "\n".join(f"{r.id},{r.params:.0f},{r.tokens:.0f},{r.value!r}" for r in rows) + "\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="runs.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_every_format_gives_the_same_rows(rows, write, tmp_path):
    import pyarrow
    import pyarrow.parquet

    records = [{"name": r.id, "params": r.params, "tokens": r.tokens, "loss": r.value} for r in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "runs.parquet")
    lines = "\n".join(map(json.dumps, records))
    paths = [
        write(csv(rows)),
        write(csv(rows).replace(",", ";"), "semicolon.csv"),
        write(csv(rows).replace(",", "\t"), "runs.tsv"),
        write("\ufeff" + csv(rows), "bom.csv"),
        write(csv(rows).replace("\n", "\r\n"), "crlf.csv"),
        write(lines, "runs.jsonl"),
        write(gzip.compress(lines.encode()), "runs.jsonl.gz"),
        write(json.dumps(records), "runs.json"),
        tmp_path / "runs.parquet",
    ]
    first = read(paths[0])
    assert [r.id for r in first.rows] == [r.id for r in rows]
    assert [(r.params, r.tokens, r.value) for r in first.rows] == [(r.params, r.tokens, r.value) for r in rows]
    for path in paths[1:]:
        found = read(path)
        assert (found.rows, found.unit, found.counted) == (first.rows, first.unit, first.counted), path.name
        assert found.columns == first.columns, path.name


def test_a_model_size_in_words(write, rows):
    text = csv(rows).replace("20000000,", "20M,").replace("400000000,", "0.4B,")
    assert {r.params for r in read(write(text)).rows} == {r.params for r in rows}


def test_what_is_counted_is_said(rows, write):
    table = read(write(csv(rows)))
    assert (table.counted, table.flop_from, table.unit) == ("unknown", "6 N D", "loss")
    assert "--params-count body" in table.notes[0].fix
    assert read(write(csv(rows)), TOTAL).notes == ()
    text = csv(rows, "name,params_total,tokens,val_bits_per_byte")
    table = read(write("\n".join(line + (",flops" if i == 0 else ",1e20") for i, line in enumerate(text.split()))))
    assert (table.counted, table.flop_from, table.unit) == ("total", "column flops", "bits_per_byte")
    assert table.rows[0].flop == 1e20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("params,tokens,loss\n", "empty"),
        ("a,b,c\n1,2,3\n", "no column is known as params"),
        ("params,tokens\n1,2\n", "no column is known as loss"),
        ("params,n_params,tokens,loss\n1,1,2,3\n", "--params COL"),
        ("params,tokens,val_bits_per_byte,val_nats_per_token\n1,2,3,4\n", "--loss COL"),
        ("params,tokens,loss_a,loss_b\n1,2,3,4\n", "loss_a, loss_b"),
        ("params,tokens,loss\n1e6,2e6,nan\n", "not finite"),
        ("params,tokens,loss\n1e6,2e6,inf\n", "not finite"),
        ("params,tokens,loss\n1e6,2e6,0\n", "not positive"),
        ("params,tokens,loss\n1e6,-2e6,3\n", "not positive"),
        ("params,tokens,loss\n1e6,2e6,\n", "empty"),
        ("params,tokens,loss\n1e6,2e6,three\n", "not a number"),
        ("params,tokens,loss\n1e6,2e6\n", "empty"),
        ("params,tokens,loss\n1e6,2e6,3,4\n", "more cells"),
        ("params,tokens,loss\n1e6,2e6,3\n1e6,2e6,3\n", "row 2 repeats row 1"),
        ("params,params,tokens,loss\n1,1,2,3\n", "named twice"),
        (b"\xff\xfe\x00params", "cannot be read"),
        (b"a,b\x00\x01\x02", "cannot be read"),
        ('params,tokens,loss\n"1,2,3\n', "cannot be read"),
    ],
)
def test_bad_tables(write, text, words):
    with pytest.raises(StudyError) as error:
        fit_table(write(text), AT)
    assert words in str(error.value)
    assert all(problem.fix for problem in error.value.problems)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.jsonl", "{"), ("a.jsonl", "[1]"), ("a.json", '{"a": 1}'), ("a.parquet", "PAR"), ("a.csv.gz", "no gzip")],
)
def test_unreadable_files(write, name, text):
    with pytest.raises(StudyError, match="cannot be read"):
        fit_table(write(text, name), AT)


def test_no_such_file(tmp_path):
    with pytest.raises(StudyError, match="not there"):
        fit_table(tmp_path / "none.csv", AT)


def test_all_bad_cells_are_told_at_once(write, rows):
    lines = csv(rows).splitlines()
    lines[2] = "x,abc,-1,nan"
    lines[5] = "y,1e8,2e9,"
    with pytest.raises(StudyError) as error:
        read(write("\n".join(lines)))
    assert len(error.value.problems) == 4
    assert "row 2, params: not a number" in str(error.value)
    assert "row 2, tokens: not positive" in str(error.value)
    assert "row 5, loss: empty" in str(error.value)


def test_many_bad_cells_of_one_kind_are_one_problem(write):
    with pytest.raises(StudyError) as error:
        read(write("params,tokens,loss\n" + "1e6,2e7,x\n" * 50))
    assert len(error.value.problems) == 1
    assert error.value.problems[0].what.startswith("50 rows (1, 2, 3,")
    assert "--where 'loss>0'" in error.value.problems[0].fix


def test_seeds_alike_by_rounding_are_kept_and_told(write, rows):
    text = "params,tokens,loss,seed\n" + "".join(
        f"{r.params},{r.tokens},{r.value:.3f},{seed}\n" for r in rows for seed in (0, 1)
    )
    table = read(write(text), TOTAL)
    assert len(table.rows) == 2 * len(rows)
    assert "rows with the params, tokens and loss of another: 15" in table.notes[0].what
    assert "rows 2 = 1, 4 = 3" in table.notes[0].why
    assert [row.meta["seed"] for row in table.rows[:2]] == ["0", "1"]


def test_a_mixture_of_kinds_is_told(write, rows):
    lines = csv(rows).splitlines()
    text = "\n".join(line + "," + ("task" if i == 0 else ("clm", "mlm")[i % 2]) for i, line in enumerate(lines))
    assert "task (clm, mlm)" in read(write(text), TOTAL).notes[0].why
    table = read(write(text), TOTAL | {"where": "task=clm"})
    assert len(table.rows) == 7
    assert [note.what for note in table.notes] == ["8 of 15 rows are left out, as asked"]


def test_two_rows_are_refused_not_fitted(write, rows):
    with pytest.raises(Refused) as error:
        fit_table(write(csv(rows[:2])), AT)
    assert "sizes" in error.value.refusal.why


def test_fit_json(write, rows, tmp_path):
    answer = fit_table(write(csv(rows)), [*AT, {"compute": 1e21}], 0.8, {}, tmp_path / "fit.json")
    tree = read_json(tmp_path / "fit.json", FIT)
    assert {"unit", "count", "rows", "laws", "forecasts", "curve", "down_weighted", "optimum", "next"} <= set(tree)
    assert len(tree["rows"]) == len(rows)
    assert all(abs(row["residual"]) < 0.02 and not row["held_out"] for row in tree["rows"])
    assert [f["level"] for f in tree["forecasts"]] == [0.8, 0.8]
    assert tree["optimum"]["compute"] == 1e21
    assert tree["curve"][-1]["flop"] == pytest.approx(1e21)
    assert all(step["low"] < step["value"] < step["high"] for step in tree["curve"])
    assert list(answer.result) == ["forecasts", "laws", "runs", "columns", "optimum", "next", "leverage", "lr", "read"]
    assert answer.result["runs"]["used"] == len(rows)
    for words in ("[[Laws]]", "[[Forecast]]", "[[Optimum]]", "half-widths by cause", "80 %"):
        assert words in answer.text
    assert answer.numbers[0].unit == "loss"
    assert answer.writes == [str(tmp_path / "fit.json")]


def test_one_refused_target_among_others_is_a_problem(write, rows):
    answer = fit_table(write(csv(rows)), [*AT, {"params": 1e14, "tokens": 1e15}])
    assert len(answer.result["forecasts"]) == 1
    assert "no forecast for 100T" in answer.problems[-1].what
    with pytest.raises(Refused):
        fit_table(write(csv(rows)), [{"params": 1e14, "tokens": 1e15}])


def result(folder, row, ok=True, kind="branch", **more):
    gate = None if ok else {"name": "diverged", "why": "loss is not finite"}
    tree = {"id": row.id, "kind": kind, "ok": ok, "gate": gate, "params": {"total": row.params}, "tokens": row.tokens,
            "flop": row.flop, "bits_per_byte": row.value if ok else None}  # fmt: skip
    write_json(folder / row.id / "result.json", "keel.result/1", tree | more)


@pytest.fixture
def runs(rows, tmp_path):
    folder = tmp_path / "runs"
    for row in rows:
        result(folder, row)
    result(folder, rows[0]._replace(id="trunk"), kind="trunk")
    result(folder, rows[0]._replace(id="bad"), ok=False)
    return folder


def test_a_runs_folder(runs, rows):
    found, excluded, _ = rows_of_runs(runs)
    assert sorted(r.id for r in found) == sorted(r.id for r in rows)
    assert excluded == ({"id": "bad", "why": "failed its gate: diverged: loss is not finite"},)
    found, excluded, _ = rows_of_runs(runs, ["not-yet", rows[0].id])
    assert [r.id for r in found] == [rows[0].id]
    assert excluded[0]["id"] == "not-yet"
    answer = fit_table(runs, AT)
    assert answer.result["runs"]["excluded"][0]["id"] == "bad"
    assert "[[Left out]]" in answer.text
    assert answer.result["columns"]["unit"] == "bits_per_byte"
    assert read(runs.parent).rows == read(runs).rows


def test_sealed_runs_are_held_out_when_asked_for(runs, rows, truth):
    big = rows[0]._replace(id="big", params=1.5e9, tokens=3e10, flop=6 * 1.5e9 * 3e10, value=truth(1.5e9, 3e10))
    result(runs, big)
    (runs / "big" / "forecast.json").write_text("{}")
    asked = fit_table(runs, [{"params": 1.5e9, "tokens": 3e10, "flop": big.flop}]).result
    assert asked["runs"]["held_out"] == ["big"]
    assert asked["forecasts"][0]["measured"] == big.value
    assert asked["forecasts"][0]["distance"] > 0.5
    farther = fit_table(runs, AT).result
    assert farther["runs"]["held_out"] == []
    assert farther["runs"]["used"] == len(rows) + 1


def test_a_broken_result_is_told(runs, rows):
    result(runs, rows[0], bits_per_byte=None)
    with pytest.raises(StudyError, match="no usable result"):
        read(runs)


def test_an_empty_folder(tmp_path):
    with pytest.raises(StudyError, match="no run to fit"):
        fit_table(tmp_path, AT)
