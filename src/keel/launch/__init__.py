"""Where: one small protocol over many kinds of machine. `LAUNCHERS` is read, not registered into; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from keel.errors import StudyError, nearest
from keel.launch.base import Launcher

LAUNCHERS: Mapping[str, str] = {"local": "keel.launch.local:Local"}


def load(name: str) -> Launcher:
    """The launcher called `name`, or the user's own as "module:Name"."""
    module, _, attribute = LAUNCHERS.get(name, name).partition(":")
    try:
        launcher: Launcher = getattr(import_module(module), attribute or "Launcher")()
    except (ImportError, AttributeError) as error:
        raise StudyError(f"no launcher is called '{name}'", why=str(error), fix=nearest(name, LAUNCHERS)) from error
    return launcher
