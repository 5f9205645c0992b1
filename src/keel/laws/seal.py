"""A forecast is sealed before its run starts, and scored after: what was promised cannot be mended later.

The sha256 of forecast.json goes into the first line of the run's metrics.jsonl; `score` compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keel.errors import StudyError
from keel.files import digest, read_json, sha256_file, utc_now, write_json
from keel.laws.forecast import Forecast
from keel.laws.law import Row

SCHEMA, SCORE = "keel.forecast/1", "keel.score/1"


def runs_digest(rows: Sequence[Row]) -> str:
    """Digest of the runs a forecast saw, whatever their order."""
    seen = [[row.id, float(row.params), float(row.tokens), float(row.flop), float(row.value)] for row in rows]
    return digest(sorted(seen))


BESIDE = ("unit", "value", "low", "high", "level")


def seal(
    path: Path, forecast: Forecast, run: str, rows: Sequence[Row], beside: Mapping[str, Forecast] | None = None
) -> str:
    """Write forecast.json at `path` (a file, or the run's folder) and return its sha256.

    `beside`: forecasts of other measures of the same run, by name.

    A forecast already sealed from the same runs is kept as it is (a resumed run keeps its promise); one sealed from
    other runs or for another run is never overwritten: StudyError.
    """
    path = _file(path, "forecast.json")
    content = forecast.json() | {"run": run, "runs_sha256": runs_digest(rows)}
    if beside:
        content["beside"] = {name: {key: getattr(each, key) for key in BESIDE} for name, each in beside.items()}
    if path.exists():
        old = read_json(path, SCHEMA)
        same = [key for key, value in content.items() if old.get(key) != _plain(value)]
        if not same:
            return sha256_file(path)
        raise StudyError(
            f"the forecast of {run} is sealed already",
            why=f"sealed {old.get('sealed_utc')} with another {', '.join(sorted(same)[:4])}",
            fix="a sealed forecast is never replaced: keep it, or start the run under another name",
            where=str(path),
        )
    return write_json(path, SCHEMA, {"sealed_utc": utc_now()} | content)


def _plain(value: Any) -> Any:
    """As it comes back from JSON: tuples are lists there."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def score(
    run_folder: Path, measured: float, *, sealed_sha256: str | None = None, beside: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Compare the sealed forecast with what was measured; write score.json beside it and return its fields.

    `beside`: measured values of the other measures that were forecast.

    `sealed_sha256` is the digest kept in metrics.jsonl: where it differs from the file's, the forecast was edited
    after it was sealed, and there is no score but a StudyError.
    """
    path = _file(run_folder, "forecast.json")
    sealed = read_json(path, SCHEMA)
    found = sha256_file(path)
    if sealed_sha256 is not None and found != sealed_sha256:
        raise StudyError(
            "the forecast was changed after it was sealed",
            why=f"sha256 {found[:12]} now, {sealed_sha256[:12]} when the run started",
            fix="restore the sealed file, or count this run as not forecast",
            where=str(path),
        )
    keep = {key: sealed[key] for key in ("value", "low", "high", "level")}
    result = {
        "measured": float(measured),
        **keep,
        "hit": bool(sealed["low"] <= measured <= sealed["high"]),
        "error": float(measured) / sealed["value"] - 1.0,
        "forecast_sha256": found,
    }
    told = {
        name: _held(of, (beside or {})[name]) for name, of in sealed.get("beside", {}).items() if name in (beside or {})
    }
    if told:
        result["beside"] = told
    target = path.with_name("score.json")
    if target.exists():
        old = read_json(target, SCORE)
        if all(old.get(key) == value for key, value in result.items()):
            return {key: value for key, value in old.items() if key != "schema"}
    result["scored_utc"] = utc_now()
    write_json(target, SCORE, result)
    return result


def _held(sealed: Mapping[str, Any], measured: float) -> dict[str, Any]:
    """One of the other measures against its forecast."""
    return {**sealed, "measured": float(measured), "hit": bool(sealed["low"] <= measured <= sealed["high"])}


def _file(path: Path, name: str) -> Path:
    return path if path.suffix == ".json" else path / name
