"""What can be known of a loss before anything is trained: the type of its entry in `facts.FACTS`, no torch.

Uses are task names of the Hugging Face Hub.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from keel.model.shapes import Size
from keel.objective.work import Work

# "replaced_bits_per_byte": a discriminator's bits, a byte of held-out text, on which of its tokens are other ones. The
# corruption is fixed and is no generator's, or a better generator would look like a worse discriminator: 15 % of the
# tokens give way to draws from the training text's token counts, once and the same for every model.
# "class_nats": mean nats of a held-out image's class; ln K where nothing is known of K classes that are as frequent.
# "retrieval_nats": mean nats of a held-out image's caption among a fixed set of held-out captions, and the other way,
# halved; ln K where nothing is known of K candidates. Never a loss within a training batch.
# "probe_nats": as "class_nats", of a linear classifier on frozen states: the loss itself never sees a label.
# "pixel_error": mean squared error of hidden patches under fixed masks, where nothing has a label.
# "caption_bits_per_byte": nats of a held-out image's caption and its end, given the image, a byte of the caption.
# "masked_caption_bits_per_byte": as "masked_bits_per_byte", of held-out captions with their images in sight.
# "target_bits_per_byte": nats of the target tokens a byte of text, where an encoder reads part of it.
Judge = Literal[
    "bits_per_byte", "masked_bits_per_byte", "replaced_bits_per_byte", "target_bits_per_byte", "class_nats",
    "retrieval_nats", "probe_nats", "pixel_error", "caption_bits_per_byte", "masked_caption_bits_per_byte",
]  # fmt: skip
# "windows" of packed text, whole "documents" (long ones in pieces), "pairs" of texts, "parallel" lines, "instructions"
# with their answers, "images" with their labels, "image-text": images with captions.
Reads = Literal["windows", "documents", "pairs", "parallel", "instructions", "images", "image-text"]
Use = str
Roles = Callable[[Mapping[str, Any], int], tuple[str, ...]]
WorkOf = Callable[[Mapping[str, Any], int], Work]


def no_roles(options: Mapping[str, Any], context: int) -> tuple[str, ...]:
    """A loss on the tokenizer's own ids."""
    return ()


class Cite(NamedTuple):
    """Why a fact holds, and who says so."""

    why: str
    source: str


class Model(NamedTuple):
    """A model that a loss trains: its head, its size, what one sample puts through it, and FLOP beyond training it.

    `family` is named where it is another than the run's. `given`: it is part of what a run gives, not only of training
    it (a generator is not). `free_params`: weights beside it that belong to no family, such as a scale. One that is not
    `trained` goes forward alone. `again`: another pass through the weights of the one before it.
    """

    head: str
    size: Size
    work: Work
    more: float = 0.0
    family: str = ""
    given: bool = True
    free_params: int = 0
    trained: bool = True
    again: bool = False


class Counted(NamedTuple):
    """An option that follows from how many samples there are: `of(options, samples)`, as a formula, and who says so."""

    of: Callable[[Mapping[str, Any], int], int]
    formula: str
    source: str


ModelsOf = Callable[[Mapping[str, Any], str, Size], tuple[Model, ...]]


class Facts(NamedTuple):
    """A loss, as far as a plan must know it.

    `judge` is comparable across sizes; `group` is the number of samples that must stay together in a batch.
    `families` can serve it, the first unless said otherwise; `roles(options, context)` are the special tokens that it
    needs beside the tokenizer's; `reads` is what a sample is; `work(options, context)` is what one sample puts through
    the model, so that FLOP can be counted (None: nobody has counted it yet). `of(options)`: facts of a loss that holds
    others, as they follow from theirs; its entry says only what is true of all. `beside(options, context)` are FLOP of
    one sample in models that are not trained: a teacher's forward pass. `models(options, family, size)`: all that are
    trained, where that is not one model with a head on tokens. `rivals`: families of another kind, which a plan holds
    beside the first as arms. `sweeps`: options that are found by experiment, each with the values that arms try.
    `counted`: options that follow from the number of samples to train on, unless they are said.
    `tokens(options)`: the folder of the release whose tokenizer cuts the texts, None where the corpus's does.
    """

    needs: frozenset[str]
    unlocks: Mapping[Use, Cite]
    precludes: Mapping[Use, Cite]
    judge: Judge
    families: tuple[str, ...]
    roles: Roles = no_roles
    group: int = 1
    reads: Reads = "windows"
    work: WorkOf | None = None
    of: Callable[[Mapping[str, Any]], Facts] | None = None
    beside: Callable[[Mapping[str, Any], int], float] | None = None
    models: ModelsOf | None = None
    rivals: tuple[str, ...] = ()
    sweeps: Mapping[str, tuple[float, ...]] = MappingProxyType({})
    tokens: Callable[[Mapping[str, Any]], Path | None] | None = None
    counted: Mapping[str, Counted] = MappingProxyType({})
