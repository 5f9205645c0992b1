"""Losses whose labels are clusters of the model's own states: how many, what they cost, and their facts. No torch.

Legend: n images, k clusters, S super-classes, d width of an image's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.errors import Problem, StudyError
from keel.model.shapes import VISION, Size
from keel.model.shapes.arithmetic import FLOP_A_PRODUCT
from keel.objective import pixels
from keel.objective.fact import Cite, Counted, Facts, Model, Use
from keel.objective.facts_images import CLASSIFIES, NO_TEXT
from keel.objective.pixels import PIXELS

DEEP = "Caron et al. 2018, arXiv:1807.05520"
DEEPER = "Caron et al. 2019, arXiv:1905.01278"
TURNS = 4
FORWARD = 2  # FLOP a product
# 1,281,167 images of ImageNet in 10,000 clusters (section 4.1).
IMAGES_A_CLUSTER = 128
# Section 4.1 of each: directions, moves of the centroids, epochs between two clusterings, super-clusters.
DEEPCLUSTER: Mapping[str, Any] = {
    **PIXELS, "clusters": 0, "directions": 256, "iterations": 20, "every": 1, "super_clusters": 1, "rotations": False,
}  # fmt: skip
DEEPERCLUSTER: Mapping[str, Any] = {
    **DEEPCLUSTER, "directions": 4096, "iterations": 10, "every": 3, "super_clusters": 4, "rotations": True,
}  # fmt: skip


def clusters_for(images: int, super_clusters: int = 1) -> int:
    """As many clusters as images / 128, whole ones of each super-cluster, two of each at least.

    That is ImageNet's 1,281,167 images in 10,000. DeeperCluster's own rate, 95.9 million images in 4 x 20,000, would
    leave none where images are few. Reference: Caron et al. 2018, section 4.1; 2019, section 4.1.

    Example:
        >>> clusters_for(1_281_167), clusters_for(1_617), clusters_for(1_617, 4)
        (10009, 13, 12)
    """
    return super_clusters * max(2, round(images / IMAGES_A_CLUSTER / super_clusters))


def _deep(options: Mapping[str, Any], images: int) -> int:
    return clusters_for(images, int(options.get("super_clusters", DEEPCLUSTER["super_clusters"])))


def _deeper(options: Mapping[str, Any], images: int) -> int:
    return clusters_for(images, int(options.get("super_clusters", DEEPERCLUSTER["super_clusters"])))


def supers_of(at: Mapping[str, Any]) -> int:
    """S: every super-cluster in each rotation.

    Example:
        >>> supers_of(DEEPCLUSTER), supers_of(DEEPERCLUSTER)
        (1, 16)
    """
    return int(at["super_clusters"]) * (TURNS if at["rotations"] else 1)


def subs_of(at: Mapping[str, Any]) -> int:
    """Clusters of one super-class.

    Raises:
        StudyError: nobody has said how many clusters there are.
    """
    if not at["clusters"]:
        raise StudyError("clusters is 0", why="the classifier needs a number before any image is read",
                         fix="plan with `keel plan`, or write about a cluster for 128 images",
                         where="clusters")  # fmt: skip
    return int(at["clusters"]) // int(at["super_clusters"])


def _models(defaults: Mapping[str, Any], options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """The body, its classifiers, and the forward pass of every image once in `every` epochs. k-means is not counted."""
    at, shapes = {**defaults, **options}, VISION[family]
    shape, rows = shapes.shape(size), subs_of(at) + (supers_of(at) if supers_of(at) > 1 else 0)
    use = shapes.full_use(shape)
    read = FORWARD * shapes.products(shape, use, "body") / int(at["every"])
    heads = FLOP_A_PRODUCT * shapes.pooled_width(shape) * rows
    return (Model("body", size, ((1.0, use),), more=read + heads),)


def deepcluster(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """One model that sees whole images."""
    return _models(DEEPCLUSTER, options, family, size)


def deepercluster(options: Mapping[str, Any], family: str, size: Size) -> tuple[Model, ...]:
    """One model that sees whole images."""
    return _models(DEEPERCLUSTER, options, family, size)


def problems(at: Mapping[str, Any]) -> list[Problem]:
    """Options out of their range."""
    found = [
        Problem(f"'{name}' is wrong", f"found {at[name]!r}", f"write a whole number of {low} or more", name)
        for name, low in {"directions": 1, "iterations": 1, "every": 1, "super_clusters": 1, "clusters": 0}.items()
        if at[name] < low
    ]  # fmt: skip
    supers = at["super_clusters"]
    if not found and at["clusters"] and (at["clusters"] % supers or at["clusters"] < 2 * supers):
        near = supers * max(2, round(at["clusters"] / supers))
        found.append(Problem("'clusters' is wrong", f"found {at['clusters']}, and there are {supers} super-clusters",
                             f"write {near}: a multiple, two for each at least", "clusters"))  # fmt: skip
    return found + pixels.problems(at)


SEEN: Mapping[Use, Cite] = {
    **CLASSIFIES,
    "image-classification": Cite("a linear layer on its states, or fine-tuning", f"{DEEP}, section 4.3"),
}
_DEEP = Facts(
    needs=frozenset({"images"}), unlocks=SEEN, precludes=NO_TEXT, judge="probe_nats",
    families=("vit", "vit-hybrid", "resnet", "resnet-basic", "convnext"), reads="images", models=deepcluster,
    counted={"clusters": Counted(_deep, "images to train on / 128, 2 at least", f"{DEEP}, section 4.1")},
)  # fmt: skip
CLUSTERED: Mapping[str, Facts] = {
    "deepcluster": _DEEP,
    "deepercluster": _DEEP._replace(
        models=deepercluster,
        counted={"clusters": Counted(_deeper, "images to train on / 128, 2 of each super-cluster at least",
                                     f"{DEEP}, section 4.1")},
    ),
}  # fmt: skip
