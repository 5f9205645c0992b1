"""Experiments that a route asks for and the ladder does not hold: each one change against a baseline, with its source.

They are proposals: keel prints them and does not run them; the ladder and its arms are what `keel run` carries out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keel.units import show_count

if TYPE_CHECKING:
    from keel.plan.decide import Decision

QUICK = "Devlin et al. 2019, arXiv:1810.04805, section 4"
DAPT = "Gururangan et al. 2020, arXiv:2004.10964, section 3"
AUGREG = "Steiner et al. 2022, arXiv:2106.10270: augmentation and regularisation are worth about ten times the data"
DINO = "Oquab et al. 2023, arXiv:2304.07193; He et al. 2021, arXiv:2111.06377"
COCA = "Yu et al. 2022, arXiv:2205.01917, section 4.1"
CLIPCAP = "Mokady et al. 2021, arXiv:2111.09734"
SMALL_IMAGES = 1e6


def proposed(made: Decision) -> list[dict[str, Any]]:
    """In the order in which they are worth doing."""
    found = [*_released(made), *_images(made), *_pairs(made), *_growth(made)]
    return [{"id": name, "kind": "proposed", "baseline": baseline, "change": change, "why": why, "source": source}
            for name, baseline, change, why, source in found]  # fmt: skip


def _released(made: Decision) -> list[tuple[str, str, str, str, str]]:
    base = made.base
    if base is None or made.route.value not in ("fine-tune", "continue"):
        return []
    rows = [("fine-tune-base", base.id, "fine-tuned on the labels of each use case",
             f"the quick win: fine-tune {base.id} as it was released and judge it on the use cases", QUICK)]  # fmt: skip
    if made.held.unique is not None and made.held.text:
        rows.append((
            "continue-then-fine-tune", "fine-tune-base", "its pretraining continued on the unlabelled text first",
            f"does continued pretraining on {show_count(made.held.unique.value)} tokens pay, with the same fine-tuning after",
            DAPT,
        ))  # fmt: skip
    return rows


def _images(made: Decision) -> list[tuple[str, str, str, str, str]]:
    held, base = made.held, made.base
    if made.chosen.category != "vision" or held.unique is None:
        return []
    name = base.id if base else "scratch"
    rows = [("self-supervised", name, "a self-supervised start (DINO or masked images) in place of a supervised one",
             "whether labels or images alone teach more here is decided on your data, not by rule", DINO)]  # fmt: skip
    if held.unique.value < SMALL_IMAGES:
        rows.append(("regularised-vit", name, "a ViT with strong augmentation and weight decay in place of a CNN",
                     f"{show_count(held.unique.value)} images are few for a ViT: pretrained, and strongly regularised, or a "
                     "CNN", AUGREG))  # fmt: skip
    return rows


def _pairs(made: Decision) -> list[tuple[str, str, str, str, str]]:
    if made.chosen.category != "vision-language":
        return []
    tasks = {item.case.task for item in made.cases}
    if not tasks & {"image-to-text", "image-text-to-text"}:
        return []
    return [
        ("captioner-on-clip", "coca", "a frozen contrastive model with a captioner on top",
         "two models in place of one: does one CoCa serve both uses as well", CLIPCAP),
        ("lambda-sweep", "coca", "lambda_con : lambda_cap", "the weights are found on your data: 1 : 2, then half and twice",
         COCA),
    ]  # fmt: skip


def _growth(made: Decision) -> list[tuple[str, str, str, str, str]]:
    larger = made.listed.grown[:1] or tuple(item.candidate for item in made.listed.ranked[1:2])
    if made.base is None or not larger or made.route.value == "scratch":
        return []
    accept = ", ".join(f"{item.case.metric or 'its metric'} {item.case.accept:g} ({item.case.name})"
                       for item in made.cases if item.case.accept is not None) or "what you accept"  # fmt: skip
    return [
        (
            "grow",
            made.base.id,
            f"the larger {larger[0].model.id}",
            f"only if {made.base.id} misses {accept} when it is scored",
            "smallest first: requirement of the study",
        )
    ]
