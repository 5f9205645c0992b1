"""A corpus of images, or of images with captions, measured: the content of evidence/images.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from keel import __version__
from keel.corpus import measure, split
from keel.corpus.images import caption_tokens, captions, classes, hashes
from keel.corpus.images.decode import MAX_PIXELS
from keel.corpus.images.items import ImageSource
from keel.corpus.images.survey import Sample, Survey, survey
from keel.errors import Problem, StudyError
from keel.files import utc_now
from keel.study import Study

SCHEMA = "keel.images/1"
PATCHES, SIDE = (16, 14, 8), 224
LEFT_OUT = "they are left out; mend or remove them"


class Measured(NamedTuple):
    """The content of images.json, and the tokenizer that was trained on captions, where there are any."""

    found: dict[str, Any]
    tokenizer_json: str | None


def measure_images(source: ImageSource, study: Study) -> dict[str, Any]:
    """The content of images.json; see `measured`."""
    return measured(source, study).found


def measured(source: ImageSource, study: Study) -> Measured:
    """Counts, sizes, classes, captions and their tokens, repeats, the held-out split, patches.

    Raises:
        StudyError: no image (or no pair) is left, or nothing could be held out; a vocabulary that is no size.
    """
    seen = survey(source)
    if not seen.images:
        raise _nothing(source, seen)
    alike, divided = _divided(seen, "group" if study.data.group else "image")
    held = split.mask(seen.units, divided)
    divided |= {name: round(float(count) * seen.scale) for name, count in (
        ("heldout_images", held.sum()), ("train_images", (~held).sum()))}  # fmt: skip
    sample, data = seen.sample, study.data
    labelled = classes.report(seen, held) if data.label else None
    told = captions.report(seen.captions) if data.kind == "image-text" else None
    tokens = caption_tokens.told(seen, held, study.overrides) if told else None
    found = {
        "made_utc": utc_now(), "keel": __version__, "kind": data.kind,
        "data": {"patterns": list(data.patterns), "format": source.kind, "image": data.image, "label": data.label,
                 "text": data.text, "group": data.group, "background": data.background},
        "files": len(source.files), "data_sha256": seen.identity,
        "images": seen.images, "bytes": seen.bytes, "sampled": _sampled(seen),
        "width": measure.quantiles(sample.widths), "height": measure.quantiles(sample.heights),
        "bytes_each": measure.quantiles(seen.sizes) | {"mean": seen.bytes / seen.images},
        "modes": _counted(mode for _, mode in sample.kinds), "formats": _counted(kind for kind, _ in sample.kinds),
        "notes": _counted(note for notes in sample.notes for note in notes),
        "alpha": {"images": int(sum(sample.alphas)), "of": len(sample.alphas), "background": data.background},
        "channels": _channels(sample), "classes": labelled, "captions": told, "duplicates": alike, "split": divided,
        "broken": seen.broken.json(), "refused": source.bad.json(),
        "captions_without_image": source.lone_captions.json(),
        "images_no_row_names": len(source.unnamed()), "size": _size(sample, data.kind), "max_pixels": MAX_PIXELS,
    }  # fmt: skip
    said = [*source.problems, *seen.broken.problems(LEFT_OUT), *source.bad.problems(LEFT_OUT),
            *source.lone_captions.problems("they are left out; bring their images, or remove them"),
            *_unnamed(source), *_noted(found), *_crossing(alike, study),
            *(classes.problems(labelled) if labelled else ()), *(captions.problems(told) if told else ()),
            *(tokens.problems if tokens else ())]  # fmt: skip
    found |= {**(tokens.fields if tokens else {}), "problems": [problem._asdict() for problem in said]}
    return Measured(found, tokens.tokenizer_json if tokens else None)


def _nothing(source: ImageSource, seen: Survey) -> StudyError:
    """No image counts: every reason, as far as any is known."""
    problems = [*seen.broken.problems(LEFT_OUT), *source.bad.problems(LEFT_OUT)]
    if source.data.kind == "image-text":
        without = seen.captions.missing + seen.captions.empty
        why = f"{without} images have no caption, {len(source.lone_captions)} captions have no image"
        problems.insert(0, Problem("no image has a caption", why, "check [data] text", "study.toml: [data]"))
    else:
        why = f"{len(source.files)} {source.kind} files, none with an image that can be read"
        problems.insert(0, Problem("there is no image", why, "check [data] train and [data] image",
                                   "study.toml: [data]"))  # fmt: skip
    return StudyError.all(problems)


def _sampled(seen: Survey) -> dict[str, Any] | None:
    """What rests on a sample, where not every image was decoded."""
    if seen.keep == 1.0 and seen.scale == 1.0:
        return None
    return {
        "decoded": seen.decoded, "kept": len(seen.sample.places), "of_images": seen.images,
        "why": "sizes, modes, alpha, broken images and near duplicates are measured on a fair sample of at most 20,000 "
               "images and 20 gigapixels; bytes, repeats and the split on the first 5 million",
    }  # fmt: skip


def _counted(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _channels(sample: Sample) -> dict[str, Any]:
    """Mean and standard deviation of red, green and blue in 0 ... 1; each image weighs the same."""
    first, second = np.mean(sample.moments, axis=0)
    return {"mean": [float(value) for value in first],
            "std": [float(value) for value in np.sqrt(np.maximum(second - first**2, 0.0))],
            "of": "RGB in 0 ... 1, composited, each image weighing the same"}  # fmt: skip


def _size(sample: Sample, kind: str) -> dict[str, Any]:
    """The size axis: images (or pairs), each so many patches: (side // patch)^2."""
    short = np.minimum(np.asarray(sample.widths), np.asarray(sample.heights))
    side = int(min(SIDE, np.median(short)))
    return {
        "unit": "pairs" if kind == "image-text" else "images", "side_pixels": side,
        "patches": {str(patch): (side // patch) ** 2 for patch in PATCHES},
        "formula": f"(side // patch)^2, side = min({SIDE}, median of the shorter sides)",
    }  # fmt: skip


# ---- repeats and the split ----


def _divided(seen: Survey, by: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is known of repeats, and the split: by group, else whole clusters of alike images on one side.

    Raises:
        StudyError: all images are of one group, or alike: nothing can be held out.
    """
    values, wholes, codes = np.asarray(seen.hashes), np.asarray(seen.wholes), np.asarray(seen.codes)
    order = np.argsort(values, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(values[order])) + 1)
    same = [[int(each) for each in group] for group in groups if len(group) > 1]
    pairs, crowded = hashes.near_pairs(seen.sample.prints)
    places = seen.sample.places
    near = hashes.clusters([(places[one], places[other]) for one, other in pairs], same)
    plain = split.choose(seen.units, by, {}, seen.scale)
    held = split.mask(seen.units, plain)
    across = sum(len(set(held[cluster].tolist())) > 1 for cluster in near)
    moved = {} if by == "group" else split.together(
        (f"{seen.units.hashes[each]:016x}" for each in cluster) for cluster in near
    )  # fmt: skip
    exact = len(values) - len(np.unique(values))
    alike = hashes.report({
        "exact_images": exact, "exact_samples": len(wholes) - len(np.unique(wholes)),
        "near_images": sum(len(cluster) - 1 for cluster in near) - exact, "clusters": len(near),
        "largest_cluster": max(map(len, near), default=0), "across_split": across,
        "two_labels": sum(len(set(codes[group].tolist())) > 1 for group in same),
        "decoded_images": len(seen.sample.prints), "of_images": len(values),
        "buckets_not_held_all_against_all": crowded,
    })  # fmt: skip
    return alike, split.choose(seen.units, by, moved, seen.scale)


def _crossing(alike: Mapping[str, Any], study: Study) -> list[Problem]:
    found = []
    if alike["across_split"] and study.data.group:
        found.append(Problem(f"{alike['across_split']} clusters of alike images cross the split",
                             "[data] group keeps its groups whole, and they lie in several",
                             "expect held-out scores to be too high; remove the repeats, or name a wider group",
                             "[data] group"))  # fmt: skip
    if alike["two_labels"]:
        found.append(Problem(f"{alike['two_labels']} images occur under two labels", "their bytes are the same",
                             "decide which is right", "[data] label"))  # fmt: skip
    if alike["largest_cluster"] > 0.1 * alike["of_images"] and alike["largest_cluster"] > 2:
        found.append(Problem(f"{alike['largest_cluster']} images are one cluster of alike ones",
                             "they stay on one side of the split", "look at some of them", "[data]"))  # fmt: skip
    return found


# ---- what is said aloud ----


def _unnamed(source: ImageSource) -> list[Problem]:
    left = source.unnamed()
    if not left:
        return []
    shown = ", ".join(source.name(path) for path in left[:5]) + (" ..." if len(left) > 5 else "")
    return [Problem(f"{len(left)} images are named in no row", shown, "they are left out; add rows for them", "[data]")]


def _noted(found: Mapping[str, Any]) -> list[Problem]:
    """What was done to images that are not plain, and the colour that shows through."""
    said = [
        Problem(f"{count} images: {note}", "they are kept", "nothing to do, or save them again", "[data]")
        for note, count in found["notes"].items()
    ]
    alpha = found["alpha"]
    if alpha["images"]:
        said.append(Problem(f"{alpha['images']} of {alpha['of']} images are transparent in part",
                            f"they are laid on {alpha['background']}", 'another colour: background = "#rrggbb"',
                            "[data] background"))  # fmt: skip
    return said
