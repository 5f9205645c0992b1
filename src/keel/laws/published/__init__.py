"""Laws with published constants: the same type as a fitted law, with `fixed` set and a citation for origin.

A law is read as `PUBLISHED[name].at(...)` with its own coordinates, each with the meaning that `counts` gives it.
Left out because their constants are not known here: Zhai (ViT), Ghorbani (translation), Busbridge's distillation part.
"""

from __future__ import annotations

from keel.laws.law import Law
from keel.laws.published.downstream import DOWNSTREAM
from keel.laws.published.loss import LOSS
from keel.laws.published.recipe import RECIPE
from keel.laws.published.routed import ROUTED
from keel.laws.published.size import SIZE
from keel.laws.published.vision import VISION
from keel.laws.published.vocabulary import VOCABULARY

PUBLISHED: dict[str, Law] = {
    law.name: law for law in (*LOSS, *SIZE, *RECIPE, *ROUTED, *VISION, *VOCABULARY, *DOWNSTREAM)
}

__all__ = ["PUBLISHED"]
