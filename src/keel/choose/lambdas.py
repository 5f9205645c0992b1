"""Where to start the weights of a contrastive and a captioning loss, from how rich the images and the texts are.

Reference: Yu et al. 2022 (CoCa), arXiv:2205.01917, section 4.1: lambda_con : lambda_cap = 1 : 2. What moves it is a
heuristic to sweep around, not a law.
"""

from __future__ import annotations

from keel.choose.holdings import Holdings

SOURCE = "Yu et al. 2022, arXiv:2205.01917, section 4.1"
THIN_TOKENS, LONG_TOKENS = 20.0, 77.0  # of a text: CLIP's text tower reads 77
RICH_BYTES, WEAK_BYTES = 50e3, 20e3  # of an image file
BYTES_A_TOKEN = 4.0
TRIED = "a heuristic: on generated scenes a sweep did not bear it out (docs/lab-notebook.md)"


def lambdas(held: Holdings) -> str:
    """A sentence: the start, and which weight the data ask to be larger.

    image bytes a pair = bytes / pairs - 4 text tokens / pairs
    """
    start = f"start with lambda_con : lambda_cap = 1 : 2 ({SOURCE}) and sweep around it, logging each term unweighted"
    number = held.pairs or (held.unique.value if held.unit == "pairs" and held.unique else 0.0)
    if not number or held.text_tokens is None or held.bytes is None:
        return f"{start}; how rich the images and how long the texts are is unknown"
    text = held.text_tokens / number
    image = held.bytes / number - BYTES_A_TOKEN * text
    if image <= 0:
        return f"{start}; the bytes hold the texts alone, so how rich the images are is unknown"
    said = f"{text:.3g} tokens and {image / 1e3:.3g} kB of image a pair"
    if text <= THIN_TOKENS and image >= RICH_BYTES:
        return f"{start}; rich images with thin text ({said}): try a larger lambda_con, 2 : 2 and 4 : 2; {TRIED}"
    if text >= LONG_TOKENS and image <= WEAK_BYTES:
        return f"{start}; excellent text with weak images ({said}): try a larger lambda_cap, 1 : 4 and 1 : 8; {TRIED}"
    return f"{start}; {said} tip it neither way"
