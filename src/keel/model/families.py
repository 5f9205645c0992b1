"""Every text family as the library's own model: a shape and the vocabulary's ids -> a module with that many parameters.

`python -m keel.model.families` holds our counts against the library's, those of families that see images too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from keel.errors import Problem, StudyError, nearest
from keel.model.configs import BUILDS
from keel.model.deberta import MaskDecoder, ReplacedHead
from keel.model.shapes import FEATURES, SHAPES, Shape
from keel.model.shapes.features import STATES
from keel.model.shapes.released import RELEASED
from keel.model.sharing import fold

# The library's class with its own head, by what the model is and what the head does.
CLASSES: Mapping[tuple[str, str], str] = {
    ("encoder", "tokens"): "AutoModelForMaskedLM",
    ("encoder", "sentences"): "AutoModelForPreTraining",
    ("encoder", "replaced"): "AutoModelForPreTraining",
    ("encoder", "body"): "AutoModel",
    ("decoder", "tokens"): "AutoModelForCausalLM",
    ("decoder", "body"): "AutoModel",
    ("encoder-decoder", "tokens"): "AutoModelForSeq2SeqLM",
    ("encoder-decoder", "body"): "AutoModel",
}
# Heads of ours on the library's class: what is hung into it, under which name.
OWN: Mapping[tuple[str, str], tuple[str, str, type[torch.nn.Module]]] = {
    ("deberta-v2", "enhanced"): ("AutoModelForMaskedLM", "mask_decoder", MaskDecoder),
    ("deberta-v2", "replaced"): ("AutoModel", "discriminator_predictions", ReplacedHead),
}
# Some architectures have the first role in another field too.
ALSO = {"bos": ("cls_token_id",), "eos": ("sep_token_id", "forced_eos_token_id")}


def library(
    family: str, shape: Shape, *, head: str = "tokens", pad: int | None = None, bos: int | None = None,
    eos: int | None = None, decoder_start: int | None = None, given: Any = None,
) -> Any:  # fmt: skip
    """The library's module of a shape with the library's initial weights, on the torch device that is current.

    `given` is a config to take as it is: a released model's, made to this shape.

    Raises:
        StudyError: an unknown family or head, a missing or impossible token id (all at once).

    Example:
        >>> import torch
        >>> from keel.model.shapes import Size
        >>> size = Size(width=64, layers=2, vocabulary=4096, context=128, head_width=16)
        >>> with torch.device("meta"):
        ...     module = library("bert", SHAPES["bert"].shape(size), pad=0)
        >>> count(module) == SHAPES["bert"].params(SHAPES["bert"].shape(size)).total
        True
    """
    ids = {"pad": pad, "bos": bos, "eos": eos, "decoder_start": decoder_start}
    found = list(_problems(family, shape, head, ids))
    if found:
        raise StudyError.all(found)
    features = FEATURES[family]
    module = _made(family, features.kind, head, config(family, shape, ids) if given is None else given)
    if features.kind == "encoder-decoder" and not shape.tied:
        _join_tables(module.base_model, features.tables_when_untied)
    _join_biases(module)
    return module


def _made(family: str, kind: str, head: str, made: Any) -> Any:
    """The library's module, with our own head in it where the library has none."""
    name, attribute, part = OWN.get((family, head), (CLASSES.get((kind, head), "AutoModel"), "", None))
    unpooled = {"add_pooling_layer": False} if head in STATES else {}
    module = getattr(transformers, name).from_config(made, **unpooled)
    if part is not None:
        module.add_module(attribute, part(made))
    return module


def config(family: str, shape: Shape, ids: Mapping[str, int | None]) -> Any:
    """The library's config of a shape; `ids` are checked by `library`."""
    build = BUILDS[family]
    kind = getattr(transformers, build.config)
    fields = {f"{role}_token_id": number for role, number in ids.items()}
    fields |= {name: ids[role] for role, names in ALSO.items() for name in names if hasattr(kind, name)}
    made = kind(
        vocab_size=shape.vocabulary, tie_word_embeddings=shape.tied, **fields, **build.fields(shape), **build.fixed
    )
    if FEATURES[family].sinusoidal and ids["pad"] is not None:
        # Positions are numbered from pad + 1, and the library fails on a table that does not reach the pad token's id.
        made.max_position_embeddings = shape.context + ids["pad"] + 1
    # T5's config takes "untied" as T5 1.1's scaling and ties all the same, which T5 1.1 does not.
    made.tie_word_embeddings = shape.tied
    return made


def _join_tables(base: Any, tables: int) -> None:
    """Untied, the library makes a table `shared` beside one each for encoder and decoder; no lookup needs all three."""
    if tables == 1:
        base.encoder.embed_tokens = base.decoder.embed_tokens = base.shared
    else:
        base.shared = base.encoder.embed_tokens


def _join_biases(module: Any) -> None:
    """Untied, the library makes two biases of the output table, one of which takes part in nothing."""
    for part in module.modules():
        if isinstance(getattr(part, "bias", None), torch.nn.Parameter) and hasattr(part, "decoder"):
            part.bias = part.decoder.bias


def export(module: Any, folder: Path) -> None:
    """Write weights and config as the library itself would, so that its own loader gives the same model."""
    state, base = fold(module), module.base_model
    shared = getattr(base, "shared", None)
    if shared is not None and shared is not base.decoder.embed_tokens:
        # Of two names for one tensor the library writes one, and its loader would draw the other afresh.
        name = next(name for name in state if name.endswith("shared.weight"))
        state[name] = state[name].clone()
    module.save_pretrained(folder, state_dict=state)


def count(module: Any) -> int:
    """Parameters of a module; one that has several names counts once."""
    return sum(weight.numel() for weight in module.parameters())


def _problems(family: str, shape: Shape, head: str, ids: Mapping[str, int | None]) -> Iterator[Problem]:
    """Everything that stands against a model of these ids."""
    if family not in BUILDS:
        yield Problem(f"unknown family '{family}'", "no such architecture here", nearest(family, BUILDS), "family")
        return
    features = FEATURES[family]
    heads = {**features.heads, **features.own_heads}
    if head not in heads:
        yield Problem(f"a {family} has no head '{head}'", f"it has {', '.join(heads)}",
                      "choose another family or objective", "head")  # fmt: skip
    for role in BUILDS[family].needs:
        if ids[role] is None:
            yield Problem(f"the vocabulary names no {role} token", f"a {family} cannot do without it",
                          f"add one to the vocabulary and give its id as `{role}`", role)  # fmt: skip
    for role, number in ids.items():
        if number is not None and not 0 <= number < shape.vocabulary:
            yield Problem(f"{role} is {number}", f"the vocabulary's ids are 0 to {shape.vocabulary - 1}",
                          "give an id of this vocabulary", role)  # fmt: skip
    if ids["pad"] is not None and ids["pad"] == ids["eos"]:
        yield Problem("pad and eos are one token", "its embedding would get no gradient, and no text would end",
                      "give padding a token of its own", "pad")  # fmt: skip
    yield from _position_problems(family, shape, ids["pad"])


def _position_problems(family: str, shape: Shape, pad: int | None) -> Iterator[Problem]:
    """Where positions begin behind the pad token's id, that id has to be small."""
    if FEATURES[family].positions_from_pad and pad is not None and pad > 1:
        yield Problem(f"pad is {pad}", f"a {family} numbers positions from pad + 1 and has {shape.context} + 2 rows",
                      "give padding the id 0 or 1, or choose 'bert', the same layers with positions from 0",
                      "pad")  # fmt: skip


def table() -> Iterator[str]:
    """Every released model: family, size, our count, the library's count of the module built from it."""
    yield f"{'model':<40}{'family':<17}{'d x L':>10}{'vocabulary':>12}{'ours':>16}{'library':>16}"
    for name, (family, size, head) in RELEASED.items():
        shapes = SHAPES[family]
        shape = shapes.shape(size)
        with torch.device("meta"):
            theirs = count(library(family, shape, head=head, pad=1, bos=0, eos=2, decoder_start=2))
        layers = f"{size.layers}+{shape.decoder_layers}" if shape.decoder_layers else f"{size.layers}"
        yield (f"{name:<40}{family:<17}{f'{size.width} x {layers}':>10}{size.vocabulary:>12,}"
               f"{shapes.params(shape, head).total:>16,}{theirs:>16,}")  # fmt: skip


if __name__ == "__main__":
    from keel.model.vision import table as vision_table

    print(*table(), "", *vision_table(), sep="\n")
