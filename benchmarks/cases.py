"""How long each known case of tests/pure/choose takes: the plan in this process, without Python's start.

    python benchmarks/cases.py [WORD ...]      cases whose names hold a word

The slowest first, then the sum. Best of 3, to be read beside `python benchmarks/startup.py` for a whole command.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

TURNS = 3
TESTS = Path(__file__).parents[1] / "tests"


def main(words: list[str]) -> None:
    """Print a line a case."""
    sys.path[:0] = [str(TESTS), str(TESTS / "pure" / "choose")]
    from known_cases import CASES, ask, read

    cases = [read(path) for path in sorted(CASES.glob("*.toml"))]
    asked = [case for case in cases if not case.corpus and (not words or any(word in case.name for word in words))]
    best = {case.name: 9e9 for case in asked}
    for _ in range(TURNS):
        for case in asked:
            with tempfile.TemporaryDirectory() as folder:
                started_s = time.perf_counter()
                ask(case, Path(folder))
                best[case.name] = min(best[case.name], time.perf_counter() - started_s)
    for name, seconds in sorted(best.items(), key=lambda item: -item[1]):
        print(f"{1000 * seconds:7.0f} ms  {name}")
    print(f"{1000 * sum(best.values()):7.0f} ms  {len(best)} cases")


if __name__ == "__main__":
    main(sys.argv[1:])
