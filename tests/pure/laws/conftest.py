"""The fixtures of laws: see tests/laws_fixtures.py."""

from laws_fixtures import keel_fit, make_ladder, public_runs, rows, truth, write_csv

__all__ = ["keel_fit", "make_ladder", "public_runs", "rows", "truth", "write_csv"]
