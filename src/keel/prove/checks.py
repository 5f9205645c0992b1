"""The checks in order, and how a suite is begun: ranks first, since they and this process import for seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from keel.prove.pool import Ranks

if TYPE_CHECKING:
    from keel.prove.suite import Suite

# Each check with those it rests on: a mean also breaks the grid, and padding that counts does so too.
CHECKS: Mapping[str, tuple[str, ...]] = {
    "contract": (),
    "randomness": ("contract",),
    "sums": ("contract", "randomness"),
    "counts": ("contract", "randomness", "sums"),
    "empty": ("contract", "randomness"),
    "statistics": ("contract", "randomness"),
    "gradient": ("contract", "randomness"),
    "padding": ("contract", "randomness"),
    "invariance": ("contract", "randomness", "sums", "padding"),
    "resume": ("contract", "randomness"),
}


@contextmanager
def suite() -> Iterator[Suite]:
    """A suite in a folder of its own, which is gone afterwards, as are its ranks."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory("", "keel-prove-", ignore_cleanup_errors=True)))
        ranks = stack.enter_context(Ranks(folder / "ranks"))
        from keel.prove.suite import Suite

        yield Suite(folder, ranks)
