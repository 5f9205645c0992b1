"""DeBERTa-v3's loss: replaced token detection whose models share tables without pulling them apart."""

from __future__ import annotations

from typing import ClassVar

from keel.objective.facts import FACTS, Facts
from keel.objective.options import OPTIONS, Known
from keel.objective.rtd import RTD


class RTDv3(RTD):
    """RTD with E_D = stopgrad(E_G) + delta (GDES): L_rtd never moves the generator's tables, delta begins at 0.

    The generator has half the layers, the same width and DeBERTa's mask decoder; each model has its own optimiser, so
    that `weight` (10 is the released code's; that the models were trained with ELECTRA's 50 is from memory, unverified)
    only meets clipping and epsilon. Both move after the same forward passes; the paper moves the generator first and
    shows the discriminator its new tables.
    Positions have no table in the library's DeBERTa-v2 (its input has none), so that tokens alone are shared; families
    that have one share it too.

    Reference: He et al. 2021, arXiv:2111.09543, section 3.2; microsoft/DeBERTa (decoupled training).
    """

    name: ClassVar[str] = "rtd-v3"
    facts: ClassVar[Facts] = FACTS["rtd-v3"]
    known: ClassVar[Known] = OPTIONS["rtd-v3"]
