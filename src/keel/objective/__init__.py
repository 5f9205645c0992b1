"""Which loss. `OBJECTIVES` is read, not registered into: a new loss is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from keel.errors import StudyError, nearest

if TYPE_CHECKING:
    from keel.corpus.vocabulary import Vocabulary
    from keel.objective.base import Objective

OBJECTIVES: Mapping[str, str] = {
    "alexatm": "keel.objective.alexatm:AlexaTM",
    "bart": "keel.objective.bart:BART",
    "captioning": "keel.objective.captioning:Captioning",
    "classify": "keel.objective.classify:Classify",
    "clip": "keel.objective.contrastive:CLIP",
    "clm": "keel.objective.clm:CLM",
    "coca": "keel.objective.coca:CoCa",
    "deepcluster": "keel.objective.deepcluster:DeepCluster",
    "deepercluster": "keel.objective.deepcluster:DeeperCluster",
    "dino": "keel.objective.dino:DINO",
    "distil": "keel.objective.distil:Distil",
    "instruct": "keel.objective.instruct:Instruct",
    "mae": "keel.objective.mae:MAE",
    "maskvlm": "keel.objective.maskvlm:MaskVLM",
    "mbart": "keel.objective.mbart:MBART",
    "mixture": "keel.objective.mixture:Mixture",
    "mlm": "keel.objective.mlm:MLM",
    "nsp": "keel.objective.nsp:NSP",
    "pegasus": "keel.objective.pegasus:Pegasus",
    "prefix_lm": "keel.objective.prefix_lm:PrefixLM",
    "rtd": "keel.objective.rtd:RTD",
    "rtd-v3": "keel.objective.rtd_v3:RTDv3",
    "siglip": "keel.objective.contrastive:SigLIP",
    "simclr": "keel.objective.simclr:SimCLR",
    "sop": "keel.objective.sop:SOP",
    "span_corruption": "keel.objective.span_corruption:SpanCorruption",
    "tlm": "keel.objective.tlm:TLM",
    "translation": "keel.objective.translation:Translation",
    "ul2": "keel.objective.ul2:UL2",
}


def kind(name: str) -> type[Objective]:
    """The class of the objective called `name`, or the user's own as "module:Name"."""
    path = OBJECTIVES.get(name, name)
    module, sign, attribute = path.partition(":")
    try:
        if not sign:
            raise ImportError(f"no built-in loss has that name; {nearest(name, OBJECTIVES)}")
        found: type[Objective] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise StudyError(
            f"loss '{name}' cannot be loaded", why=str(error), fix="use a built-in name, or module:Name on the path"
        ) from error
    return found


def load(name: str, options: Mapping[str, Any] | None = None, vocabulary: Vocabulary | None = None) -> Objective:
    """The objective called `name` with these options, over a vocabulary that has the special tokens it needs."""
    return kind(name)(options, vocabulary)
