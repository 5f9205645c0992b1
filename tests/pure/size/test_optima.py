"""The best size for an amount of data, and the best data for a size, wherever they fall on the search's grid."""

from __future__ import annotations

import numpy as np
import pytest

from keel.laws.published import PUBLISHED
from keel.size.optima import at_params, at_tokens

LAWS = ("chinchilla-besiroglu", "krajewski-dense")


@pytest.mark.parametrize("name", LAWS)
def test_more_tokens_have_a_larger_best_size_without_gaps(name: str) -> None:
    law = PUBLISHED[name]
    found = [at_tokens(law, float(tokens)) for tokens in np.geomspace(1e8, 1e12, 150)]
    sizes = [point.params for point in found if point is not None]
    assert len(sizes) == len(found), "a root in the first step of a bracket is a root"
    assert (np.diff(np.log(sizes)) > 0).all()


@pytest.mark.parametrize("name", LAWS)
def test_size_and_tokens_are_each_others_best(name: str) -> None:
    law = PUBLISHED[name]
    for params in np.geomspace(1e7, 1e11, 40):
        point = at_params(law, float(params))
        assert point is not None
        back = at_tokens(law, point.tokens)
        assert back is not None
        assert back.params == pytest.approx(params, rel=1e-6)
