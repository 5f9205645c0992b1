"""Experiments that a route asks for and the ladder does not hold: each one change against a baseline, with its source.

They are proposals: keel prints them and does not run them; the ladder and its arms are what `keel run` carries out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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
CAPTIONS = frozenset({"image-to-text", "image-text-to-text"})


class Row(NamedTuple):
    """One change against a baseline."""

    id: str
    baseline: str
    change: str
    why: str
    source: str


def proposed(made: Decision) -> list[dict[str, Any]]:
    """In the order in which they are worth doing."""
    found = [*_released(made), *_images(made), *_pairs(made), *_growth(made)]
    return [row._asdict() | {"kind": "proposed"} for row in found]


def _released(made: Decision) -> list[Row]:
    base = made.base
    if base is None or made.route.value not in ("fine-tune", "continue"):
        return []
    rows = [Row("fine-tune-base", base.name, "fine-tuned on the labels of each use case",
                f"the quick win: fine-tune {base.name} as it was released and judge it on the use cases",
                QUICK)]  # fmt: skip
    if made.held.unique is not None and made.held.text:
        amount = show_count(made.held.unique.value)
        rows.append(Row(
            "continue-then-fine-tune", "fine-tune-base", "its pretraining continued on the unlabelled text first",
            f"does continued pretraining on {amount} tokens pay, with the same fine-tuning after", DAPT,
        ))  # fmt: skip
    return rows


def _images(made: Decision) -> list[Row]:
    held, base = made.held, made.base
    if made.chosen.category != "vision" or held.unique is None:
        return []
    name = base.name if base else "scratch"
    rows = [Row("self-supervised", name, "a self-supervised start (DINO or masked images) in place of a supervised one",
                "whether labels or images alone teach more here is decided on your data, not by rule",
                DINO)]  # fmt: skip
    if held.unique.value < SMALL_IMAGES:
        count = show_count(held.unique.value)
        rows.append(Row("regularised-vit", name, "a ViT with strong augmentation and weight decay in place of a CNN",
                        f"{count} images are few for a ViT: pretrained, and strongly regularised, or a CNN",
                        AUGREG))  # fmt: skip
    return rows


def _pairs(made: Decision) -> list[Row]:
    if made.chosen.category != "vision-language" or not CAPTIONS & {item.case.task for item in made.cases}:
        return []
    return [
        Row("captioner-on-clip", "coca", "a frozen contrastive model with a captioner on top",
            "two models in place of one: does one CoCa serve both uses as well", CLIPCAP),
        Row("lambda-sweep", "coca", "lambda_con : lambda_cap",
            "the weights are found on your data: 1 : 2, then half and twice", COCA),
    ]  # fmt: skip


def _growth(made: Decision) -> list[Row]:
    """The next larger member of the family, else the second of the shortlist."""
    if made.base is None:
        return []
    listed = [item.candidate.model.id for item in made.listed.ranked]
    larger = [item.model.id for item in made.listed.grown[:1]] or [name for name in listed if name != made.base.name][
        :1
    ]
    if not larger:
        return []
    accept = ", ".join(f"{item.case.metric or 'its metric'} {item.case.accept:g} ({item.case.name})"
                       for item in made.cases if item.case.accept is not None) or "what you accept"  # fmt: skip
    change = f"the larger {larger[0]}" if made.listed.grown else f"another one, {larger[0]}"
    return [Row("grow", made.base.name, change, f"only if {made.base.name} misses {accept} when it is scored",
                "smallest first: the fewest parameters that are good enough")]  # fmt: skip
