"""The retrodiction benchmark: enough models, a summary that follows from its rows, no model judged by itself."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pytest

from keel.catalog.store import Catalogue

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def retrodict() -> Any:
    """The benchmark as a module, with its folder on the path while it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import retrodict as found

        return found


@pytest.fixture(scope="module")
def rows(retrodict: Any) -> list[Any]:
    """Those with published compute or hardware: the rest, data alone, take as long again."""
    return list(retrodict.rows(Catalogue(), whole=False))


def test_there_are_enough_models(rows: list[Any]) -> None:
    assert len(rows) >= 30
    assert len({row.id for row in rows}) == len(rows)
    assert sum(row.hours is not None for row in rows) >= 30
    assert sum(row.inside is not None for row in rows) >= 30


def test_the_summary_follows_from_the_rows(retrodict: Any, rows: list[Any]) -> None:
    total = retrodict.summary(rows)
    misses = [abs(row.hours_itself_out / row.hours - 1) for row in rows if row.hours and row.hours_itself_out]
    assert total["hours_itself_out"]["median_error"] == pytest.approx(median(misses))
    assert total["hours_itself_out"]["within_25_percent"] == len([miss for miss in misses if miss <= 0.25])
    every = total["bands"]["all"]
    assert every["models"] == every["inside"] + every["below"] + every["above"]
    assert every["inside"] == sum(row.band_low <= row.params <= row.band_high for row in rows if row.band_low)
    kinds = [name for name in total["bands"] if name in {row.category for row in rows}]
    assert sum(total["bands"][name]["models"] for name in kinds) == every["models"]


def test_every_miss_has_a_reason(rows: list[Any]) -> None:
    for row in rows:
        assert row.inside is not False or any(why.startswith("size:") for why in row.why), row.id
        off = row.hours and (not row.hours_itself_out or abs(row.hours_itself_out / row.hours - 1) > 0.25)
        assert not off or any(why.startswith("hours:") for why in row.why), row.id
        assert not (row.flop_ratio and not 1 / 1.5 <= row.flop_ratio <= 1.5) or any("FLOP" in why for why in row.why)
        assert row.params_error is None or abs(row.params_error) <= 0.02 or any("params" in why for why in row.why)


def test_no_run_is_predicted_from_itself_or_from_later_years(retrodict: Any) -> None:
    """Mutant: `without` forgets the model, or the year. Each hidden run is one that would have changed the answer."""
    known = retrodict.Known(Catalogue(), retrodict.published(Catalogue()), {})
    model = known.catalogue.models["llama-2-70b"]
    then, others = retrodict.without(known, model)
    assert model.id not in {run.model_id for run in then}
    assert max(known.catalogue.models[run.model_id].year for run in then) == 2023
    assert model.developer not in {known.catalogue.models[run.model_id].developer for run in others}
    assert {run.model_id for run in then} - {run.model_id for run in others}


def test_what_is_asked_for_is_held_as_measured(retrodict: Any, rows: list[Any]) -> None:
    """The numbers that README and the issue quote: worse ones must be said, better ones too."""
    total = retrodict.summary(rows)
    assert total["hours_itself_out"]["median_error"] <= 0.25
    assert total["shapes_within_2_percent"] / total["shapes"] >= 0.9
    assert total["shapes_worst"] <= 0.07
    plain = total["bands"]["at most 60 tokens a parameter"]
    assert plain["inside"] / plain["models"] >= 0.7
    assert total["bands"]["decoder"]["median_decades"] <= 1.0
