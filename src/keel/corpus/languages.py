"""Languages of a corpus by bytes, from a sample of its documents (py3langid)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

METHOD = "py3langid on the first 2,000 characters of each sampled document, weighted by bytes"
CHARACTERS, DOCUMENTS, LEAST_CHARACTERS = 2000, 2000, 1000


def shares(texts: Sequence[str]) -> list[dict[str, str | float]]:
    """[{code, share}], largest first; shares of bytes, those below .1 % left to the rest ("other")."""
    import py3langid

    step = max(1, len(texts) // DOCUMENTS)
    weights: dict[str, float] = defaultdict(float)
    for text in texts[::step]:
        weights[py3langid.classify(text[:CHARACTERS])[0]] += len(text)
    total = sum(weights.values()) or 1.0
    known = {code: weight / total for code, weight in weights.items() if weight / total >= 0.001}
    rest = 1.0 - sum(known.values())
    listed: list[dict[str, str | float]] = [
        {"code": code, "share": share} for code, share in sorted(known.items(), key=lambda pair: -pair[1])
    ]
    return listed + ([{"code": "other", "share": rest}] if rest > 1e-9 else [])


def joined(texts: Sequence[str]) -> list[str]:
    """Short lines in a row, until they are long enough to tell a language by.

    Example:
        >>> joined(["a cat", "a dog"])
        ['a cat\\na dog']
    """
    found, current, size = list[str](), list[str](), 0
    for text in texts:
        current.append(text)
        size += len(text)
        if size >= LEAST_CHARACTERS:
            found.append("\n".join(current))
            current, size = [], 0
    return found + (["\n".join(current)] if current else [])
