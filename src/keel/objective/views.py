"""Several views of one image: how each is drawn, how large the network behind the states is, what all cost. No torch.

Legend: d width of an image's state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keel.corpus.images.augment import Settings
from keel.errors import Problem, StudyError
from keel.model.shapes import SHAPES, VISION, Size, Use
from keel.model.shapes.projector import projector_size
from keel.objective import pixels
from keel.objective.fact import Model
from keel.objective.pixels import COLOURS, PIXELS

PROJECTOR = "projector"
# Chen et al. 2020, arXiv:2002.05709, appendix A (strength 1 of colours); appendix B.9 (temperature and no blur of
# CIFAR's small images); section 2.1 and 4.2 (the projector).
SIMCLR: Mapping[str, Any] = {
    **PIXELS, **COLOURS, "least_area": 0.08, "jitter": 0.8, "jitter_odds": 0.8, "hue": 0.2, "grey": 0.2, "blur": 0.5,
    "temperature": 0.5, "hidden": 0, "out": 128,
}  # fmt: skip
# Caron et al. 2021, arXiv:2104.14294, section 3 and appendix C; Grill et al. 2020, arXiv:2006.07733, appendix B. Of
# "blur" and "solarise" the odds of the first large view, the second, and the small ones.
DINO: Mapping[str, Any] = {
    **PIXELS, **COLOURS, "least_area": 0.4, "jitter": 0.4, "saturation": 0.5, "jitter_odds": 0.8, "hue": 0.1,
    "grey": 0.2, "blur": (1.0, 0.1, 0.5), "solarise": (0.0, 0.2, 0.0),
    "local_views": 8, "local_side": 0, "local_area": 0.05, "hidden": 0, "out": 256, "prototypes": 4096, "learn": False,
    "temperature": 0.1, "teacher_temperature": 0.04, "first_temperature": 0.04, "warm_steps": 0, "centre": 0.9,
    "momentum": 0.996,
}  # fmt: skip
LARGE, LOCAL_SHARE = 2, 96 / 224
FLOP_FORWARD = 2  # a product: a multiply and an add
HIDDEN_WIDTHS, DINO_LAYERS, SIMCLR_LAYERS = 4, 3, 2


def local_side(at: Mapping[str, Any], side: int, patch: int) -> int:
    """Pixels of a small view: those asked for, else 3/7 of the side in whole patches, as 96 of 224.

    Raises:
        StudyError: patches do not fill it, or it is no smaller than the image.

    Example:
        >>> local_side(DINO, 224, 16), local_side(DINO, 32, 4), local_side(DINO, 32, 32)
        (96, 12, 32)
    """
    if not at["local_side"]:
        return patch * max(1, round(LOCAL_SHARE * side / patch))
    asked = int(at["local_side"])
    if asked % patch or asked > side:
        ours = local_side({**at, "local_side": 0}, side, patch)
        raise StudyError(f"local_side is {asked}", why=f"an image has {side} pixels a side, a patch {patch}",
                         fix=f"write {ours}, or 0", where="local_side")  # fmt: skip
    return asked


def crops(at: Mapping[str, Any], side: int, background: str, patch: int) -> tuple[Settings, ...]:
    """DINO's views: two large ones, then the small ones, of an area below the least of the large."""
    odds = [{"blur": blur, "solarise": solarise} for blur, solarise in zip(at["blur"], at["solarise"])]
    first, second, small = (pixels.settings_of({**at, **each}, side, background) for each in odds)
    small = small._replace(
        size=local_side(at, side, patch), least_area=at["local_area"], most_area=at["least_area"]
    )  # fmt: skip
    return first, second, *[small] * at["local_views"]


def projector(at: Mapping[str, Any], family: str, size: Size) -> Size:
    """SimCLR's network: two layers, the hidden one as wide as the state unless said.

    Example:
        >>> size = Size(width=64, layers=2, vocabulary=0, context=16, head_width=16, patch=4)
        >>> projector(SIMCLR, "vit", size).json()["feed_forward"]
        64
    """
    d = VISION[family].pooled_width(VISION[family].shape(size))
    return projector_size(d, SIMCLR_LAYERS, at["hidden"] or d, at["out"])


def scorer(at: Mapping[str, Any], family: str, size: Size) -> Size:
    """DINO's network: three layers, hidden ones of 4 d unless said, and prototypes behind them.

    Example:
        >>> size = Size(width=64, layers=2, vocabulary=0, context=16, head_width=16, patch=4)
        >>> found = scorer(DINO, "vit", size)
        >>> found.feed_forward, found.embedding_width, found.classes
        (256, 256, 4096)
    """
    d = VISION[family].pooled_width(VISION[family].shape(size))
    return projector_size(d, DINO_LAYERS, at["hidden"] or HIDDEN_WIDTHS * d, at["out"], at["prototypes"])


def simclr_models(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """The body on two views, and the projector on both of their states."""
    at = {**SIMCLR, **options}
    body = _body(family, size)
    head = Model("points", projector(at, family, size), ((1.0, Use(2)),), family=PROJECTOR, given=False)
    return body, body._replace(given=False, again=True), head


def dino_models(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """The student on all views, the teacher forward on the two large ones; the teacher is what a run gives."""
    at = {**DINO, **options}
    patch = max(1, size.patch)
    side = patch * math.isqrt(size.context)
    local = replace(size, context=(local_side(at, side, patch) // patch) ** 2)
    large, small = (_body(family, each)._replace(given=False) for each in (size, local))
    views = LARGE + at["local_views"]
    # Prototypes that stay have no gradient of their own.
    spared = 0.0 if at["learn"] else float(FLOP_FORWARD * views * at["prototypes"] * at["out"])
    head = Model("prototypes", scorer(at, family, size), ((1.0, Use(views)),), -spared, PROJECTOR, given=False)
    # A third of its training FLOP would be too few: what meets the pixels costs 2 of 4, all else 2 of 6.
    shapes, shape = VISION[family], VISION[family].shape(size)
    forward = float(FLOP_FORWARD * LARGE * shapes.products(shape, shapes.full_use(shape), "body"))
    teacher = Model("body", size, (), forward, trained=False)
    scores = head._replace(work=((1.0, Use(LARGE)),), more=0.0, trained=False)
    others = [large] * (LARGE - 1) + [small] * at["local_views"]
    return teacher, large, *(view._replace(again=True) for view in others), head, scores


def _body(family: str, size: Size) -> Model:
    shapes = SHAPES[family]
    return Model("body", size, ((1.0, shapes.full_use(shapes.shape(size))),))


def simclr_problems(at: Mapping[str, Any]) -> list[Problem]:
    """Options of SimCLR out of their range."""
    return _above(at, "temperature") + _whole(at, hidden=0, out=1) + pixels.problems(at)


def dino_problems(at: Mapping[str, Any]) -> list[Problem]:
    """Options of DINO out of their range."""
    found = _above(at, "temperature", "teacher_temperature", "first_temperature")
    found += _whole(at, hidden=0, out=1, prototypes=2, local_views=0, local_side=0, warm_steps=0)
    found += [
        Problem(f"'{name}' is wrong", f"found {at[name]!r}", "write a share from 0 to 1, less than 1", name)
        for name in ("centre", "momentum") if not 0 <= at[name] < 1
    ]  # fmt: skip
    if not 0 < at["local_area"] <= at["least_area"]:
        found.append(Problem("'local_area' is wrong", f"found {at['local_area']!r}, least_area {at['least_area']!r}",
                             "write a share above 0 and up to least_area", "local_area"))  # fmt: skip
    odds = [
        Problem(f"'{name}' is wrong", f"found {at[name]!r}",
                "write three shares from 0 to 1: of the first large view, the second, the small ones", name)
        for name in ("blur", "solarise") if not _odds(at[name])
    ]  # fmt: skip
    return found + odds + pixels.problems({**at, "blur": 0.0, "solarise": 0.0})


def _odds(value: Any) -> bool:
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in value)
    return len(value) == 3 and numbers and all(0 <= each <= 1 for each in value)


def _above(at: Mapping[str, Any], *names: str) -> list[Problem]:
    return [
        Problem(f"'{name}' is wrong", f"found {at[name]!r}", "write a number above 0", name)
        for name in names if not 0 < at[name] < math.inf
    ]  # fmt: skip


def _whole(at: Mapping[str, Any], **least: int) -> list[Problem]:
    return [
        Problem(f"'{name}' is wrong", f"found {at[name]!r}", f"write a whole number of {low} or more", name)
        for name, low in least.items() if at[name] < low
    ]  # fmt: skip
