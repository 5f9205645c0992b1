"""evidence/images.json as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keel.units import show_bytes, show_count

ROWS = 10


def show(found: Mapping[str, Any]) -> list[str]:
    """The survey in lines."""
    alike, sides, size = found["duplicates"], found["split"], found["size"]
    sampled = f" (sizes and near repeats from {found['sampled']['kept']:,} of them)" if found["sampled"] else ""
    patches = ", ".join(f"{count} of {patch}" for patch, count in size["patches"].items())
    alpha = found["alpha"]
    lines = [
        f"images     {found['images']:,} in {found['files']:,} {found['data']['format']} files, "
        f"{show_bytes(found['bytes'])}, {show_bytes(found['bytes_each']['mean'])} each{sampled}",
        f"sizes      width {_span(found['width'])}, height {_span(found['height'])} pixels (middle half)",
        f"formats    {_most(found['formats'])}; modes {_most(found['modes'])}; {alpha['images']} of {alpha['of']} "
        f"transparent in part, on {alpha['background']}",
        f"broken     {found['broken']['count'] + found['refused']['count']} left out",
        *_classes(found),
        *_captions(found),
        f"repeats    {alike['exact_images']} exact, {alike['near_images']} near, in {alike['clusters']} clusters, the "
        f"largest of {alike['largest_cluster']}; {alike['across_split']} would have crossed the split",
        f"held out   {sides['heldout_images']:,} of {found['images']:,} {size['unit']}, by {sides['by']}",
        f"patches    at {size['side_pixels']} pixels a side: {patches} pixels",
    ]
    return lines


def _span(quantiles: Mapping[str, int]) -> str:
    return str(quantiles["p25"]) if quantiles["p25"] == quantiles["p75"] else f"{quantiles['p25']}-{quantiles['p75']}"


def _most(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in list(counts.items())[:5])


def _classes(found: Mapping[str, Any]) -> list[str]:
    classes = found["classes"]
    if not classes:
        return []
    rows = [
        f"           {row['label'][:30]:<30} {row['images']:>8,} images, {row.get('train', 0):,} to train, "
        f"{row.get('heldout', 0):,} held out"
        for row in classes["each"][:ROWS]
    ]
    more = [f"           and {classes['count'] - ROWS} more"] if classes["count"] > ROWS else []
    return [
        f"classes    {classes['count']}, of {classes['smallest']:,} to {classes['largest']:,} images; "
        f"{classes['unlabelled']} without a label",
        *rows, *more,
    ]  # fmt: skip


def _captions(found: Mapping[str, Any]) -> list[str]:
    told = found["captions"]
    if not told:
        return []
    words = told["length_words"]
    spoken = ", ".join(f"{item['code']} {100 * item['share']:.0f} %" for item in told["languages"][:3])
    lone = found["captions_without_image"]["count"]
    return [
        f"captions   {told['count']:,}, {show_bytes(told['bytes'])}, middle half {words['p25']}-{words['p75']} words, "
        f"{show_count(told['distinct'])} distinct; reads as {spoken}",
        f"           {told['images_without'] + told['empty']} images without, {lone} without an image",
        *map(_tokens, found["tokens"]),
    ]


def _tokens(row: Mapping[str, Any]) -> str:
    each, middle = row["bytes_per_token"], row["caption_tokens"]["p50"]
    return (f"tokens     {show_count(row['train_tokens'])} at vocabulary {row['vocabulary']}: {each:.2f} bytes each; "
            f"the middle caption has {middle}, the longest {row['longest']}")  # fmt: skip
