"""Classes of labelled images, counted on both sides of the split; what is too few or too many is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keel.corpus.images.survey import Survey
from keel.errors import Problem

LISTED, NAMED = 1000, 5
FEW = 10  # images a class on the held-out side, below which its accuracy moves by a tenth with one image


def report(seen: Survey, held: np.ndarray) -> dict[str, Any]:
    """The part of images.json about classes; `held` marks the images that are held out, shape (images,)."""
    codes, names = np.asarray(seen.codes), list(seen.labels)
    counts = {side: np.bincount(codes[mask & (codes >= 0)], minlength=len(names))
              for side, mask in (("train", ~held), ("heldout", held))}  # fmt: skip
    by_size = sorted(seen.classes.items(), key=lambda item: (-item[1], item[0]))
    return {
        "count": len(names), "unlabelled": seen.unlabelled, "first_unlabelled": seen.first_unlabelled,
        "largest": by_size[0][1] if by_size else 0, "smallest": by_size[-1][1] if by_size else 0,
        "with_one_image": sorted(name for name, count in by_size if count == 1)[:LISTED],
        "not_heldout": _none(names, counts["heldout"]), "not_trained": _none(names, counts["train"]),
        "each": [
            {"label": name, "images": count, **({side: int(counts[side][seen.labels[name]]) for side in counts}
                                                if name in seen.labels else {})}
            for name, count in by_size[:LISTED]
        ],
    }  # fmt: skip


def _none(names: list[str], counts: np.ndarray) -> list[str]:
    return sorted(name for name, count in zip(names, counts) if not count)[:LISTED]


def problems(found: Mapping[str, Any]) -> list[Problem]:
    """What is said aloud of classes."""
    where, said = "[data] label", list[Problem]()
    if found["unlabelled"]:
        said.append(Problem(f"{found['unlabelled']} images have no label", ", ".join(found["first_unlabelled"]),
                            "they are kept, and count as unlabelled", where))  # fmt: skip
    if found["count"] == 1:
        said.append(Problem("there is one class only", f"all images are '{found['each'][0]['label']}'",
                            "bring images of others, or remove label: they serve as unlabelled ones",
                            where))  # fmt: skip
    if single := found["with_one_image"]:
        said.append(Problem(f"{len(single)} classes have one image", _named(single),
                            "it lies on one side of the split: bring more, or join classes", where))  # fmt: skip
    for name, words in (("not_heldout", "no image held out"), ("not_trained", "no image to train on")):
        left = [each for each in found[name] if each not in single]
        if left and found["count"] > 1:
            said.append(Problem(f"{len(left)} classes have {words}", _named(left),
                                "nothing is known of them there: bring more images, or name another group",
                                where))  # fmt: skip
    if found["smallest"] and found["largest"] > FEW * found["smallest"]:
        said.append(Problem(f"the largest class has {found['largest'] / found['smallest']:.0f} times the smallest",
                            f"{found['largest']:,} images against {found['smallest']:,}",
                            "judge by the mean over classes, not by the share that is right", where))  # fmt: skip
    return said


def _named(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")
