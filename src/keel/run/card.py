"""The model card beside exported weights: what it is, what it was trained on, how good it is, how to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from keel.model.shapes import FEATURES, Size
from keel.objective import cost, held
from keel.plan.spec import Spec
from keel.units import value_field

READ: Mapping[str, str] = {"images": "images", "image-text": "images with their captions"}
WAYS = {"caption_of_image": "captions of an image", "image_of_caption": "images of a caption"}
APART = """
The towers are apart, for the library has no one model of them: `image/` and `text/` are for `from_pretrained`, and
`shared.safetensors` holds what stands between them. Logits are exp(logit_scale) x cosine (+ logit_bias, if any).
"""


def card(spec: Spec, result: Mapping[str, Any], opened: str = "") -> str:
    """README.md of `model/`; `opened`: how, where the library has no one model of what is there."""
    params, held_out = result["params"], result["heldout"]
    facts = held.facts_of(spec.objective, spec.options)
    return f"""---
library_name: {"keel" if opened and opened != APART else "transformers"}
pipeline_tag: {next(iter(facts.unlocks), "other")}
---
# {result["id"]}

A {spec.family}-shaped {_kind(spec)} of {params["total"]:,} parameters ({params["body"]:,} body,
{params["embedding"]:,} embedding) trained by keel with the loss {spec.objective}
on {_seen(spec, facts.reads)} from {spec.start["kind"]}.
{opened}
| | |
|---|---|
| held-out {result["judge"].replace("_", " ")} | {result[value_field(result["judge"])]:.4f} |{_beside(result)}
| held-out {READ.get(facts.reads, "text")} | {_amount(held_out)}, sha256 {held_out["sha256"][:16]} |
| training data | sha256 {str(spec.data.get("data_sha256", "?"))[:16]} |
| context | {spec.size["context"]} {"patches" if facts.reads in READ else "tokens"} |
| training compute | {result["flop"]:.3g} FLOP |

It was trained to measure a scaling law. It has seen no filtering, no instruction data and no safety work.

```json
{json.dumps(spec.json(), indent=1)}
```
"""


def _kind(spec: Spec) -> str:
    """What the family is, and what stands beside it."""
    found = FEATURES[spec.family].kind if spec.family in FEATURES else "encoder of images"
    given = cost.given(spec.objective, spec.options, spec.family, Size(**spec.size))
    beside = [part.family for part in given[1:] if part.family]
    return found + (f" with a {' and a '.join(beside)}" if beside else "")


def _seen(spec: Spec, reads: str) -> str:
    """What it was trained on, repeats counted."""
    if reads not in READ:
        return f"{spec.tokens:,} tokens"
    return f"{spec.tokens // spec.size['context']:,} {READ[reads]}, repeats counted,"


def _amount(held_out: Mapping[str, Any]) -> str:
    """How much is held out."""
    return f"{held_out['images']:,}" if "images" in held_out else f"{held_out['bytes']:,} bytes"


def _beside(result: Mapping[str, Any]) -> str:
    """Rows of the card: the share of classes told right, or of captions and images that find each other."""
    if result.get("accuracy"):
        return f"\n| held-out accuracy | {_with_interval(result['accuracy'])} |"
    captions = _captions(result["captions"]) if result.get("captions") else ""
    if not (found := result.get("recall")):
        return captions
    among = f"among {result['candidates']:,}"
    return captions + "".join(
        f"\n| {k}, {words}, {among} | {_with_interval(found[way][k])} |"
        for way, words in WAYS.items() for k in ("R@1", "R@10")
    )  # fmt: skip


def _captions(found: Mapping[str, Any]) -> str:
    """What was written against what stands there."""
    rows = {"captions word for word": "exact", "CIDEr-D, of 10": "CIDEr-D", "chrF": "chrF"}
    among = f"of {found['images']:,}"
    return "".join(
        f"\n| {words}, {among} | {_with_interval(found[name])} |" for words, name in rows.items() if found[name]
    )


def _with_interval(found: Mapping[str, float]) -> str:
    return f"{found['value']:.4f} ({found['low']:.4f} to {found['high']:.4f})"
