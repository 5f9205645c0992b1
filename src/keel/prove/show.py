"""Results of the suite as people read them: a table on a terminal, one line a check elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keel.prove.checks import CHECKS
from keel.prove.result import Result

WORDS = {True: "ok", False: "FAILS", None: "-"}


def shown(results: Mapping[str, Sequence[Result]], live: bool) -> str:
    """All results. One loss: a row a check, with the reason. Several: a row a loss, a column a check."""
    if not live:
        return "\n".join(_line(name, result) for name, found in results.items() for result in found)
    if len(results) == 1:
        return _rows(next(iter(results.values())))
    return _grid(results)


def _line(name: str, result: Result) -> str:
    word = {True: "ok", False: "FAILS", None: "not judged"}[result.ok]
    return f"{name}  {result.name}  {word}  {_held(result)}{result.seconds:.2f} s  {result.why}"


def _held(result: Result) -> str:
    return "" if result.measured is None else f"{result.measured:.2g} <= {result.bound:.2g}  " if result.ok else (
        f"{result.measured:.2g} > {result.bound:.2g}  ")  # fmt: skip


def _rows(found: Sequence[Result]) -> str:
    rows = [f"{'check':<12}{'':<7}{'measured':>10}{'bound':>9}{'s':>7}  what"]
    for result in found:
        numbers = f"{'':>19}" if result.measured is None else f"{result.measured:>10.2g}{result.bound:>9.1g}"
        rows.append(f"{result.name:<12}{WORDS[result.ok]:<7}{numbers}{result.seconds:>7.2f}  {result.why}")
    return "\n".join(rows)


def _grid(results: Mapping[str, Sequence[Result]]) -> str:
    width = max(4, *map(len, results)) + 2
    rows = [f"{'loss':<{width}}" + "".join(f"{check:<12}" for check in CHECKS) + "seconds"]
    for name, found in results.items():
        cells = "".join(f"{_cell(result):<12}" for result in found)
        rows.append(f"{name:<{width}}{cells}{sum(result.seconds for result in found):7.1f}")
    return "\n".join(rows) + "\n\n- not judged: nothing is padded, or a check failed that this one rests on"


def _cell(result: Result) -> str:
    if result.ok is True and result.measured:
        return f"{result.measured:.0e}"
    return WORDS[result.ok]
