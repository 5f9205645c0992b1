"""The Python door: any table in, forecasts out; the same numbers, notes and errors as the command's."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keel
from keel.errors import Refusal, Refused, StudyError
from keel.laws.forecast import Forecast
from keel.laws.forecasts import Forecasts
from keel.laws.leverage import Leverage
from keel.notebook import Fit, fit

NAMED = {"params_count": "total", "unit": "nats_per_token"}
EVIL = "<script>alert(1)</script>"


def truth(params: float, tokens: float) -> float:
    return 1.8172 + 477.84 / params**0.3473 + 2143.86 / tokens**0.3672


def runs(noise: float = 0.003) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    return [
        {"id": f"{n:.0e}x{r}", "N": n, "D": r * n, "loss": truth(n, r * n) * math.exp(noise * rng.standard_normal())}
        for n in (2e7, 5e7, 1e8, 2e8, 4e8) for r in (10, 20, 40)
    ]  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def found() -> Fit:
    return fit(runs(), hold_out=["4e+08x40"], **NAMED)


def test_it_is_a_public_name() -> None:
    assert keel.fit is fit
    assert keel.Fit is Fit


def test_every_kind_of_table_gives_the_same(tmp_path: Path) -> None:
    rows = runs()
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    path = write(tmp_path / "runs.csv", rows)

    class Frame:
        """What pandas and polars have in common, for machines without either."""

        columns = tuple(rows[0])

        def to_dict(self) -> None: ...

        def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
            return np.array([row[name] for row in rows])

    tables: list[Any] = [rows, columns, path, str(path), Frame()]
    made = [fit(table, **NAMED) for table in tables]
    assert [[row[:5] for row in one.rows] for one in made[1:]] == [[row[:5] for row in made[0].rows]] * 4
    value = made[-1].forecast(params=1e9, tokens=2e10)
    assert isinstance(value, Forecast)
    assert value.low < truth(1e9, 2e10) < value.high


def test_pandas(found: Fit) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(runs()).rename(columns={"N": "size", "D": "seen"})
    made = fit(frame, params="size", tokens="seen", hold_out=["4e+08x40"], **NAMED)
    assert made.rows == found.rows
    assert [member.weight for member in made.ensemble.members] == [m.weight for m in found.ensemble.members]


def test_numbers_agree_with_the_command(tmp_path: Path) -> None:
    from keel.laws.read.targets import parse_target
    from keel.laws.verb import fit_table

    path = write(tmp_path / "runs.csv", runs())
    said = fit_table(path, [parse_target("params=1e9,tokens=2e10")], columns=NAMED).result["forecasts"][0]
    one = fit(path, **NAMED).forecast(params="1B", tokens="20B")
    assert isinstance(one, Forecast)
    assert {key: said[key] for key in ("value", "low", "high", "flop")} == {
        key: pytest.approx(getattr(one, key)) for key in ("value", "low", "high", "flop")
    }


def test_arrays_are_many_forecasts(found: Fit) -> None:
    sizes = np.array([[1e9, 2e9], [4e9, 1e30]])
    many = found.forecast(params=sizes, tokens=20 * sizes)
    assert isinstance(many, Forecasts)
    assert many.value.shape == (2, 2)
    assert sorted(many.refusals) == [3]
    assert np.isnan(many.value[1, 1])
    assert "compute" in many.refusals[3].why
    assert many.table()["refused"][3] == many.refusals[3].why
    assert (many.low[:1] < many.value[:1]).all()
    assert (np.diff(many.value.ravel()[:3]) < 0).all()
    assert "1 refused" in str(many)
    assert "<td>" in many._repr_html_()


def test_an_array_of_one_is_the_one(found: Fit) -> None:
    one, many = (found.forecast(params=params, tokens=2e10, level=0.8) for params in (1e9, [1e9]))
    assert isinstance(one, Forecast)
    assert isinstance(many, Forecasts)
    assert [one.value, one.low, one.high] == pytest.approx([many.value[0], many.low[0], many.high[0]], rel=0.01)
    assert one.level == many.level == 0.8


def test_a_forecast_out_of_reach_is_a_refusal(found: Fit) -> None:
    no = found.forecast(params=1e15, tokens=1e17)
    assert isinstance(no, Refusal)
    assert "add a run of about" in no.fix


def test_runs_that_carry_no_fit_are_refused() -> None:
    with pytest.raises(Refused) as caught:
        fit(runs()[:4], **NAMED)
    assert "sizes seen" in caught.value.refusal.why


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"parms": "N"}, ("parms is no keyword of keel.fit", "did you mean 'params'?")),
        ({"holdout": ["a"]}, ("holdout is no keyword", "did you mean 'hold_out'?")),
        ({"params": "NN"}, ("params NN: no such column", "did you mean 'N'?", 'params="COL"')),
        ({"hold_out": ["4e+08x41"]}, ("no run is called '4e+08x41'", "4e+08x4")),
        ({"params_count": "bodies"}, ("bodies is no count", "did you mean 'body'?")),
        ({"level": 90}, ("level 90 is not in (0, 1)",)),
    ],
)
def test_errors_name_the_keyword(asked: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(StudyError) as caught:
        fit(runs(), **({**NAMED, **asked}))
    said = str(caught.value)
    assert "--" not in said
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    "table", [[], {}, 7, "no-such-file.csv", [{"N": 1e7, "D": 1e8, "loss": "high"}], [[1, 2]], None]
)
def test_what_is_no_table_is_a_study_error(table: Any) -> None:
    with pytest.raises(StudyError):
        fit(table, **NAMED)


@pytest.mark.parametrize(
    "target",
    [
        {"params": "many", "tokens": 1e9}, {"params": ["a"], "tokens": 1e9},
        {"params": [1e9, 2e9], "tokens": [1e9, 2e9, 3e9]}, {"params": None, "tokens": 1e9},
    ],
)  # fmt: skip
def test_what_is_no_target_is_a_study_error(found: Fit, target: dict[str, Any]) -> None:
    with pytest.raises(StudyError):
        found.forecast(**target)


def test_a_target_of_nonsense_is_refused(found: Fit) -> None:
    for params in (-1e9, 0.0, math.nan, math.inf):
        assert isinstance(found.forecast(params=params, tokens=1e9), Refusal)
    many = found.forecast(params=[-1e9, math.nan, 1e9], tokens=2e10)
    assert isinstance(many, Forecasts)
    assert sorted(many.refusals) == [0, 1]
    assert math.isfinite(many.value[2])


def test_a_fit_says_what_it_is(found: Fit) -> None:
    assert "[[Laws]]" in str(found)
    assert str(found) == repr(found)
    assert [law.weight for law in found.laws] == sorted((law.weight for law in found.laws), reverse=True)
    for law in found.laws:
        for constant in law.constants.values():
            assert constant.low <= constant.high
    assert len(found.rows) == 15
    assert len(found.ensemble.rows) == 14
    assert found.down_weighted == ()


def test_a_wild_run_is_named(found: Fit) -> None:
    rows = runs()
    rows[4]["loss"] *= 1.4
    made = fit(rows, **NAMED)
    assert [item["id"] for item in made.down_weighted] == ["5e+07x20"]
    assert "5e+07x20" in made._repr_html_()


def test_leverage_is_one_line(found: Fit) -> None:
    made = found.leverage(params=1e9, tokens=2e10)
    assert isinstance(made, Leverage)
    assert str(made).startswith("3 of 14 runs carry ")
    assert made.runs[0].id in str(made)


def test_the_next_run_narrows_the_forecast_and_keeps_to_its_price(found: Fit) -> None:
    made = found.next_run(params=2e9, tokens=4e10, most_flop="2e19")
    assert isinstance(made, list)
    assert all(run.flop <= 2e19 for run in made)
    assert made[0].width_after < made[0].width_now
    no = found.next_run(params=-1, tokens=4e10)
    assert isinstance(no, Refusal)


def test_the_optimum(found: Fit) -> None:
    best = found.optimum("1e20")
    assert isinstance(best, dict)
    assert best["params"] * best["tokens"] * 6 == pytest.approx(1e20)
    assert best["params_low"] <= best["params"] <= best["params_high"]
    served = found.optimum(1e20, serving_tokens=1e30)
    assert isinstance(served, Refusal)


def test_figures_and_files(found: Fit, tmp_path: Path) -> None:
    forecast = found.forecast(params=1e9, tokens=2e10)
    assert set(found.figures(forecast)) == {"loss", "map", "residuals", "correlations", "backtest"}
    found.save(tmp_path / "fit.json", forecast)
    tree = json.loads((tmp_path / "fit.json").read_text())
    assert tree["schema"] == "keel.fit/1"
    assert tree["forecasts"][0]["value"] == forecast.value  # type: ignore[union-attr]
    assert [item["id"] for item in tree["diagnosis"]["held_out"]] == ["4e+08x40"]


def test_names_of_the_user_stay_words() -> None:
    rows = [row | {"id": f"{EVIL}{i}"} for i, row in enumerate(runs())]
    rows[4]["loss"] *= 1.4
    made = fit(rows, **(NAMED | {"unit": None, "loss": "loss"}))
    leverage = made.leverage(params=1e9, tokens=2e10)
    assert isinstance(leverage, Leverage)
    for text in (made._repr_html_(), leverage._repr_html_()):
        assert "<script" not in text
        assert "&lt;script" in text


def test_many_kinds_of_target_share_a_dozen_fits(found: Fit) -> None:
    made = Fit(table=found.table, ensemble=found.ensemble)
    ratios = np.geomspace(1, 300, 30)
    many = made.forecast(params=1e8, tokens=1e8 * ratios)
    assert isinstance(many, Forecasts)
    assert len(made.fits) <= 12
    assert (np.diff(many.value) < 0.01).all()


def test_the_command_writes_the_same_page(tmp_path: Path) -> None:
    from keel.verbs import fit as command

    path, page = write(tmp_path / "runs.csv", runs()), tmp_path / "fit.html"
    answer = command(tmp_path, path, ["params=1e9,tokens=2e10"], 0.9, NAMED, None, html=page)
    assert answer.writes == [str(page)]
    text = page.read_text(encoding="ascii")
    assert "1B params on 20B tokens" in text
    assert text.count("<svg") == 10
