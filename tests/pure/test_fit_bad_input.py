"""`keel fit` on everything a table can have wrong: what, why and fix, the right exit code, never a traceback."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keel import cli
from keel.laws.read.table import read

AT = ("--at", "params=1e9,tokens=2e10")
Run = dict[str, Any]
Make = Callable[[list[Run]], Iterable[Run]]


def loss_of(params: float, tokens: float) -> float:
    """The additive law with the constants of Besiroglu et al. 2024."""
    return 1.8172 + 477.84 / params**0.3473 + 2143.86 / tokens**0.3672


def ladder() -> list[Run]:
    return [
        {"name": f"{n:.0e}x{r}", "params_total": n, "tokens": r * n, "loss": loss_of(n, r * n)}
        for n in (2e7, 5e7, 1e8, 2e8, 4e8)
        for r in (10, 20, 40)
    ]


def with_cell(role: str, cell: Any) -> Make:
    """One cell of one run made wrong."""
    return lambda runs: [run | {role: cell} if i == 6 else run for i, run in enumerate(runs)]


def write(path: Path, runs: Iterable[Run]) -> Path:
    runs = list(runs)
    header = list(dict.fromkeys(name for run in runs for name in run))
    lines = [",".join(header), *(",".join(str(run.get(name, "")) for name in header) for run in runs)]
    path.write_text("\n".join(lines) + "\n")
    return path


def fit(path: Path, *flags: str) -> tuple[int, Run]:
    """Exit code and the one JSON object of `keel fit`; both shapes must agree and neither may show a traceback."""
    arguments = ["fit", str(path), *(AT if "--at" not in flags else ()), *flags]
    shown = CliRunner().invoke(cli.app, [*arguments, "--json"])
    assert "Traceback" not in shown.output
    tree: Run = json.loads(shown.stdout)
    for problem in tree["problems"]:
        assert problem["what"]
        assert problem["why"]
        assert problem["fix"]
    if shown.exit_code:
        said = CliRunner().invoke(cli.app, arguments)
        assert said.exit_code == shown.exit_code
        assert said.stdout == ""
        assert all(problem["what"] in said.stderr for problem in tree["problems"])
    return shown.exit_code, tree


def drop(runs: list[Run], *roles: str) -> list[Run]:
    return [{name: cell for name, cell in run.items() if name not in roles} for run in runs]


INVALID: dict[str, tuple[Make, str]] = {
    "nan loss": (with_cell("loss", "nan"), "row 7, loss: not finite"),
    "infinite loss": (with_cell("loss", "inf"), "row 7, loss: not finite"),
    "zero loss": (with_cell("loss", 0), "row 7, loss: not positive"),
    "negative loss": (with_cell("loss", -3.1), "row 7, loss: not positive"),
    "all losses negative": (lambda runs: [run | {"loss": -run["loss"]} for run in runs], "every value is negative"),
    "empty loss": (with_cell("loss", ""), "row 7, loss: empty"),
    "a word for a loss": (with_cell("loss", "diverged"), "row 7, loss: not a number"),
    "a comma for a point": (with_cell("loss", '"3,41"'), "row 7, loss: not a number"),
    "a truth value": (with_cell("loss", True), "row 7, loss: not a number"),
    "nan params": (with_cell("params_total", "NaN"), "row 7, params_total: not finite"),
    "zero params": (with_cell("params_total", 0), "row 7, params_total: not positive"),
    "negative tokens": (with_cell("tokens", -2e9), "row 7, tokens: not positive"),
    "infinite tokens": (with_cell("tokens", "1e400"), "row 7, tokens: not finite"),
    "a word for tokens": (with_cell("tokens", "many"), "row 7, tokens: not a number"),
    "mixed units": (with_cell("params_total", 0.1), "two units in one column"),
    "millions without a word": (
        lambda runs: [run | {"params_total": run["params_total"] / 1e6} for run in runs], "--params 'params_total':M",
    ),
    "logarithms without a word": (
        lambda runs: [run | {"tokens": math.log10(run["tokens"])} for run in runs], "--tokens 'tokens':log10",
    ),
    "a run twice": (lambda runs: [*runs, runs[3]], "row 16 repeats row 4"),
    "no loss": (lambda runs: drop(runs, "loss"), "no column is known as loss"),
    "no params": (lambda runs: drop(runs, "params_total"), "no column is known as params"),
    "no tokens": (lambda runs: drop(runs, "tokens"), "no column is known as tokens"),
    "two losses": (lambda runs: [run | {"val_loss": run["loss"]} for run in runs], "2 columns could be the loss"),
    "no rows": (lambda runs: [], "the table is empty"),
    "sizes beyond numbers": (
        lambda runs: [run | {"params_total": 1e200, "tokens": 1e200} for run in runs], "more than a number can hold",
    ),
}  # fmt: skip
REFUSED: dict[str, tuple[Make, str]] = {
    "two rows": (lambda runs: [runs[0], runs[-1]], "sizes"),
    "one row": (lambda runs: runs[:1], "1 sizes seen"),
    "one size": (lambda runs: runs[:3], "1 sizes seen"),
    "constant loss": (lambda runs: [run | {"loss": 3.25} for run in runs], "constant"),
    "loss rises with compute": (lambda runs: [run | {"loss": 10 - run["loss"]} for run in runs], "rises with compute"),
}


@pytest.mark.parametrize("case", INVALID)
def test_a_bad_table_is_exit_2(case: str, tmp_path: Path) -> None:
    make, words = INVALID[case]
    path = write(tmp_path / "runs.csv", make(ladder()))
    if case == "no rows":
        path.write_text("params,tokens,loss\n")
    code, tree = fit(path)
    assert (code, tree["status"]) == (2, "invalid")
    assert words in json.dumps(tree["problems"])
    assert tree["problems"][0]["where"] == str(path)


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_that_cannot_carry_an_answer_is_exit_3(case: str, tmp_path: Path) -> None:
    make, words = REFUSED[case]
    code, tree = fit(write(tmp_path / "runs.csv", make(ladder())))
    assert (code, tree["status"]) == (3, "refused")
    assert words in tree["problems"][0]["why"]


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    runs = ladder()
    runs[1]["loss"], runs[2]["tokens"], runs[4]["params_total"] = "nan", "x", 7
    code, tree = fit(write(tmp_path / "runs.csv", runs))
    assert code == 2
    assert len(tree["problems"]) == 3


def test_swapped_columns_are_a_warning(tmp_path: Path) -> None:
    runs = [run | {"params_total": run["tokens"], "tokens": run["params_total"]} for run in ladder()]
    code, tree = fit(write(tmp_path / "runs.csv", runs), "--at", "params=2e10,tokens=1e9")
    assert code in (0, 3)
    if code == 0:
        assert tree["problems"][0]["what"] == "every run has more params than tokens"


def test_whole_numbers_beyond_64_bits(tmp_path: Path) -> None:
    """6 N D of a run of 1e12 params and 1e13 tokens is 6e25: beyond int64, well within a float."""
    import pyarrow
    import pyarrow.parquet

    runs = [
        {"params_total": int(n), "tokens": int(r * n), "loss": loss_of(n, r * n)}
        for n in (1e11, 3e11, 1e12, 2e12) for r in (10, 20, 40)
    ]  # fmt: skip
    path = tmp_path / "runs.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(runs), path)
    code, tree = fit(path, "--at", "params=4e12,tokens=8e13")
    assert (code, tree["status"]) == (0, "ok")
    assert tree["result"]["forecasts"][0]["flop"] == pytest.approx(6 * 4e12 * 8e13)
    assert all(row.flop > 2**63 for row in read(path).rows)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--loss", "lost"), "did you mean 'loss'"),
        (("--params", "params_total:furlongs"), "is no unit"),
        (("--params-count", "all"), "is no count of parameters"),
        (("--unit", "perplexty"), "did you mean 'perplexity'"),
        (("--unit", "error"), "not between 0 and 1 (error)"),
        (("--where", "loss"), "is no condition"),
        (("--where", "loss>9"), "no row is left"),
        (("--level", "90"), "is not a level"),
        (("--at", "params=7e9"), "is not a target"),
        (("--at", "params=inf,tokens=1e9"), "is not a"),
        (("--targets", "none.csv"), "not there"),
    ],
)
def test_a_wrong_flag_is_exit_2(flags: Sequence[str], words: str, tmp_path: Path) -> None:
    code, tree = fit(write(tmp_path / "runs.csv", ladder()), *flags)
    assert (code, tree["status"]) == (2, "invalid")
    assert words in json.dumps(tree["problems"])


def test_flags_reach_the_table(tmp_path: Path) -> None:
    runs = [
        {"who": run["name"], "size": run["params_total"] / 1e6, "seen": run["tokens"] / 1e9, "score": run["loss"],
         "cost": run["tokens"] * run["params_total"] * 7, "fresh": run["tokens"], "rate": 1e-3, "step_tokens": 1e5,
         "family": "a"} for run in ladder()
    ]  # fmt: skip
    runs[0]["score"] = math.nan
    flags = ("--params", "size:M", "--params-count", "body", "--tokens", "seen:B", "--loss", "score", "--flop", "cost",
             "--unit", "bits_per_byte", "--unique", "fresh", "--lr", "rate", "--batch", "step_tokens", "--group",
             "family", "--where", "score>0")  # fmt: skip
    code, tree = fit(write(tmp_path / "runs.csv", runs), *flags)
    assert code == 0
    assert tree["result"]["runs"]["used"] == 14
    assert tree["result"]["forecasts"][0]["unit"] == "bits_per_byte"
    assert tree["result"]["forecasts"][0]["flop"] == pytest.approx(7 * 1e9 * 2e10)
    assert [problem["what"] for problem in tree["problems"]] == ["1 of 15 rows is left out, as asked"]


def test_a_file_of_targets(tmp_path: Path) -> None:
    aims = tmp_path / "targets.csv"
    aims.write_text("id,Params (B),Tokens (B)\nsmall,.8,16\nlarge,1,20\n")
    code, tree = fit(write(tmp_path / "runs.csv", ladder()), "--targets", str(aims), "--at", "params=9e8,tokens=9e9")
    assert code == 0
    assert [found["params"] for found in tree["result"]["forecasts"]] == [9e8, 8e8, 1e9]


def test_many_rows_are_read_in_seconds(tmp_path: Path) -> None:
    """Linear in rows: 100,000 within ten CPU seconds however slow the machine; a bad last row is found."""
    lines = [f"r{i},{20_000_000 + i},{400_000_000 + 7 * i},{3 + i * 1e-6!r}" for i in range(100_000)]
    path = tmp_path / "runs.csv"
    path.write_text("name,params_total,tokens,loss\n" + "\n".join(lines) + "\n")
    started_s = time.process_time()
    table = read(path)
    assert time.process_time() - started_s < 10.0
    assert len(table.rows) == 100_000
    assert table.rows[-1].params == 20_099_999
    path.write_text(path.read_text() + "r,1e8,1e9,nan\n")
    code, tree = fit(path)
    assert (code, tree["problems"][0]["what"]) == (2, "row 100001, loss: not finite")
