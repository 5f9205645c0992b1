"""The conformance suite: a loss -> one result a check, in order; what rests on a failed check is not judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from keel.plan.spec import Spec
from keel.prove import contract, grid, world
from keel.prove.bench import Bench, build
from keel.prove.checks import CHECKS
from keel.prove.gradient import gradient
from keel.prove.padding import padding
from keel.prove.pool import Ranks
from keel.prove.randomness import randomness
from keel.prove.result import Result, Verdict, caught, not_judged
from keel.prove.resume import resume
from keel.prove.statistics import statistics

OF_A_BENCH: Mapping[str, Callable[[Bench], Verdict]] = {
    "contract": contract.contract, "sums": contract.sums, "counts": contract.counts, "empty": contract.empty,
    "randomness": randomness, "statistics": statistics, "gradient": gradient, "padding": padding,
}  # fmt: skip


class Suite:
    """Tiny text in a folder, and ranks to ask; `prove` may be called for any number of losses."""

    def __init__(self, folder: Path, ranks: Ranks) -> None:
        self.folder, self.ranks, self.number = folder, ranks, 0
        self.world = world.make(folder / "world")

    def prove(self, name: str, options: Mapping[str, Any] | None = None) -> Iterator[Result]:
        """Each check's result as it is known; without options, those it is shown with in a world so small.

        Raises:
            StudyError: the loss cannot be loaded, or refuses its options.
        """
        spec = world.spec_of(name, options or world.EXAMPLES.get(name, {}), self.world)
        self.number += 1
        scratch = self.folder / f"loss-{self.number}"
        bench = build(spec, self.world)
        failed: set[str] = set()
        for check, rests_on in CHECKS.items():
            started_s = time.monotonic()
            before = [one for one in rests_on if one in failed]
            if before:
                verdict = not_judged(f"'{before[0]}' failed, and this rests on it")
            else:
                verdict = caught(lambda check=check: self._judge(check, spec, bench, scratch))  # type: ignore[misc]
            if verdict.ok is False:
                failed.add(check)
            yield Result(check, *verdict, time.monotonic() - started_s)

    def _judge(self, check: str, spec: Spec, bench: Bench, scratch: Path) -> Verdict:
        if check == "resume":
            return resume(spec, self.world, scratch)
        if check == "invariance":
            step, counts = grid.uneven(bench)
            asked = self.ranks.ask(spec, self.world, step)
            return grid.invariance(bench, step, counts, self.ranks.answer(asked))
        return OF_A_BENCH[check](bench)
