"""What stands in the place of the tokens to predict: the mask, a random token, or the token itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from keel.corpus.vocabulary import Vocabulary
from keel.errors import Problem, StudyError


def corrupt(
    tokens: NDArray[Any],
    chosen: NDArray[np.bool_],
    rng: Generator,
    vocabulary: Vocabulary,
    *,
    mask: float = 0.8,
    random: float = 0.1,
) -> NDArray[np.int64]:
    """Inputs [T]: of the chosen tokens a share `mask` becomes the mask token, `random` a random one, the rest stays.

    Each chosen token is drawn on its own, also within a word. Random tokens are uniform over the ordinary ones and may
    hit the token itself, as in BERT; transformers draws from all ids, so that a separator, padding or the mask itself
    appears within text. `mask=1, random=0` is DeBERTa-v3's generator, `mask=0.85, random=0` ELECTRA's released code.

    Reference: Devlin et al. 2019, arXiv:1810.04805, section 3.1.

    Raises:
        StudyError: shares outside 0 to 1 or above 1 in all, no mask token, or no ordinary one.

    Example:
        >>> from keel.corpus.tokenizer import train
        >>> from keel.corpus.vocabulary import vocabulary_of
        >>> known = vocabulary_of(train(["a"], 257)).with_special(["mask"])
        >>> tokens, chosen = np.array([70, 71, 72]), np.array([False, True, False])
        >>> corrupt(tokens, chosen, np.random.default_rng(0), known, mask=1.0, random=0.0).tolist()
        [70, 257, 72]
    """
    check(mask, random)
    assert chosen.shape == tokens.shape, "a flag for each token"
    assert chosen.dtype == np.bool_, "flags, not places"
    places = np.flatnonzero(chosen)
    draws = rng.random(len(places))
    # The new id may be larger than the type that the tokens were stored in can hold.
    inputs = tokens.astype(np.int64)
    if mask > 0:
        inputs[places[draws < mask]] = vocabulary.id_of("mask")
    if random > 0:
        replaced = places[(draws >= mask) & (draws < mask + random)]
        inputs[replaced] = rng.choice(_ordinary(vocabulary), len(replaced))
    return inputs


def check(mask: float, random: float) -> None:
    """StudyError unless both are shares that leave 0 or more; all problems at once."""
    problems = [
        Problem(f"'{name}' is wrong", f"found {share!r}", "write a share from 0 to 1, such as 0.8 and 0.1", name)
        for name, share in (("mask", mask), ("random", random))
        if not 0 <= share <= 1
    ]
    if not problems and mask + random > 1:
        problems.append(Problem("'mask' and 'random' are wrong", f"together they are {mask + random:g}",
                                "let them leave 0 or more for the tokens that stay", "mask"))  # fmt: skip
    if problems:
        raise StudyError.all(problems)


def _ordinary(vocabulary: Vocabulary) -> NDArray[np.int64]:
    if not len(vocabulary.ordinary):
        raise StudyError("there is no token to draw at random", why="every token of the tokenizer is special",
                         fix="use a tokenizer with ordinary tokens, or set random=0")  # fmt: skip
    return vocabulary.ordinary
