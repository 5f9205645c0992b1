"""What the decision starts from: a released model of the catalogue, or a folder of weights that the user names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from keel.catalog.rows import Model


class Basis(NamedTuple):
    """`params`: all, as far as known; `worked`: those that every token meets. `model` None: a folder."""

    name: str
    params: float | None
    worked: float | None
    model: Model | None
    folder: str = ""


def of_model(model: Model) -> Basis:
    """A row of the catalogue; without the parameters of its body, all of them are worked."""
    return Basis(model.id, model.params, model.params_body or model.params, model)


def of_folder(name: str, released: Mapping[str, Any] | None) -> Basis:
    """The user's folder, as evidence/base.json knows it; before `keel look` its size is unknown.

    Example:
        >>> of_folder("weights/my-bert", None)
        Basis(name='weights/my-bert', params=None, worked=None, model=None, folder='weights/my-bert')
    """
    params = float(released["params"]) if released is not None else None
    return Basis(str(released["name"]) if released is not None else name, params, params, None, name)
