"""The constants of a law with intervals that cover as they say: the law fitted on its own, all runs alike.

A forecast takes a run's distance from the target for noise (relevance.py): a good weight, but no honest scatter, since
far runs of a ladder scatter no more than near ones. Constants read off that posterior are too sure of themselves: on
200 tables like Besiroglu's its 90 % intervals hold the true constants in .5 to .8 of cases, those made here in .88 to
.92 (benchmarks/reproduce.py). Runs far from the law still count little, by the heavy tail of the residuals.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keel.laws.ensemble import Ensemble, Member, coordinates
from keel.laws.fit import draws, fit
from keel.laws.law import Floats
from keel.laws.links import link_of
from keel.laws.priors import priors


class Constants(NamedTuple):
    """Best logs of the constants [p] and draws [s, p], in the ensemble's frame."""

    theta: Floats
    draws: Floats


def constants(ensemble: Ensemble, member: Member) -> Constants:
    """Fit one law of an ensemble for its constants.

    Example:
        >>> from keel.laws import Row
        >>> from keel.laws.ensemble import build
        >>> def loss(n, d): return 1.8 + 480 / n**0.35 + 2100 / d**0.37
        >>> rows = [Row(f"{n:.0e}-{r}", n, r * n, 6 * n * r * n, loss(n, r * n))
        ...         for n in (1e7, 3e7, 1e8, 3e8) for r in (10, 20, 40)]
        >>> ensemble = build(rows, "nats_per_token")
        >>> constants(ensemble, ensemble.members[0]).draws.shape
        (256, 6)
    """
    values = np.array([row.value for row in ensemble.rows], dtype=float)
    x = np.log(coordinates(ensemble.rows)) - ensemble.frame.centre
    y = np.log(link_of(ensemble.unit).to_loss(values)) - ensemble.frame.log_value
    mean, sd = priors(member.law, ensemble.unit, ensemble.frame, ensemble.known)
    alike = np.ones((1, len(y)))
    found = fit(member.law, x, y, alike, alike, mean, sd, near=member.theta)
    return Constants(found.theta[0], draws(member.law, found, x, y, alike[0], mean, sd))
