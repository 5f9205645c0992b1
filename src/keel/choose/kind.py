"""What a way of pretraining lets a model be used for: the type of an entry in `kinds.KINDS`.

Uses are task names of the Hugging Face Hub, else of MTEB. `serves` is a strength: 1 = what such models are used for,
WEAK = possible, at scale or with a part added, and so second to a kind that is made for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from keel.objective.fact import Cite, Use

Category = Literal["encoder", "decoder", "encoder-decoder", "vision", "vision-language", "diffusion"]
CATEGORIES: tuple[Category, ...] = ("encoder", "decoder", "encoder-decoder", "vision", "vision-language", "diffusion")
STRONG, WEAK = 1.0, 0.5


class Kind(NamedTuple):
    """One way of pretraining. `losses` are keel's losses of this kind; `note`: what it is, where that is misread.

    `needs`: what the data must hold beside samples of the category, where no loss of keel's says it. `balanced`: a
    contrastive and a captioning loss whose weights the data tip.
    """

    category: Category
    strong: Mapping[Use, Cite]
    weak: Mapping[Use, Cite]
    precludes: Mapping[Use, Cite]
    losses: tuple[str, ...] = ()
    note: str = ""
    needs: str = ""
    balanced: bool = False

    def serves(self, use: Use) -> float:
        """1 where it is made for the use, WEAK where it can, 0 where it cannot or nobody says so."""
        return STRONG if use in self.strong else WEAK if use in self.weak else 0.0

    def cite(self, use: Use) -> Cite | None:
        """Why it serves the use or cannot; None where no source says either."""
        return self.strong.get(use) or self.weak.get(use) or self.precludes.get(use)
