"""Options of losses that see images: how an image is cropped, flipped, coloured and scaled. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.corpus.images.augment import Settings, check
from keel.errors import Problem
from keel.objective.checks import problems_of

# Crops of an area and ratio are Szegedy et al.'s (2015, arXiv:1409.4842, section 6), whose least area is .08. The .35
# is our own choice: where images are few or small, a twelfth of one often shows nothing of its class.
PIXELS: Mapping[str, Any] = {
    "crop": "random", "least_area": 0.35, "resize": 0, "flip": True, "jitter": 0.0,
    "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
}  # fmt: skip

# What losses that compare views of an image do to colours beside; no other loss asks for it.
COLOURS: Mapping[str, Any] = {
    "jitter_odds": 1.0, "saturation": 1.0, "hue": 0.0, "grey": 0.0, "blur": 0.0, "solarise": 0.0,
}  # fmt: skip


def settings_of(options: Mapping[str, Any], side: int, background: str) -> Settings:
    """Settings at a side in pixels; what the options do not say is the default.

    Example:
        >>> settings_of({"flip": False}, 32, "white")[:5]
        (32, 'random', 0.35, 0, False)
    """
    at = {name: options.get(name, default) for name, default in {**PIXELS, **COLOURS}.items()}
    colours = {name: tuple(at[name]) for name in ("mean", "std")}
    return Settings(size=side, background=background, **{**at, **colours})


def problems(at: Mapping[str, Any], side: int = 1) -> list[Problem]:
    """What no image can be made with, told of the options."""
    wrong = [
        Problem(f"'{name}' is wrong", f"found {at[name]!r}", "write three numbers, of red, green and blue", name)
        for name in ("mean", "std") if not _three(at[name])
    ]  # fmt: skip
    found = [] if wrong else problems_of(check, settings_of(at, side, "white"))
    # A check names what is wrong first: "least_area is 2".
    return wrong + [problem._replace(where=problem.what.split()[0]) for problem in found]


def _three(value: Any) -> bool:
    return len(value) == 3 and all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in value)
