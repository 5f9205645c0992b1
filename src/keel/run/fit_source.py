"""Does a source fit a part? Sizes, tokens, parameters, and in the end the same logits as the library's own model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from keel.corpus.pieces import Parsed, parse
from keel.errors import Problem, StudyError
from keel.model import families
from keel.model.encoders import INTO
from keel.model.shapes import FEATURES, SHAPES, Shape
from keel.model.shapes.folder import TYPES, Folder
from keel.model.shapes.parts import relative_rows
from keel.objective.base import Part

AGREE_TOKENS, AGREE = 16, 1e-3
FIELDS = ("width", "layers", "heads", "feed_forward", "table_width", "inner_width", "image", "patch", "token_types")


def same_class(part: Part, folder: Folder) -> bool:
    """Whether the library has one class for both, so that weights have one name."""
    return part.family in TYPES[folder.config["model_type"]][0]


def check_sizes(part: Part, shape: Shape, folder: Folder, encoder_only: bool) -> None:
    """The family, and everything that a weight's shape follows from, are the release's."""
    one_class = same_class(part, folder)
    if not one_class and not (encoder_only and (folder.family, part.family) in INTO):
        raise StudyError(f"a {folder.family} cannot start a {part.family}", where=folder.where,
                         why="the two compute other things", fix=_fix(part, folder))  # fmt: skip
    if encoder_only and not _two_stacks(part):
        raise StudyError(f"a {part.family} has no encoder beside a decoder", why='the start says only = "encoder"',
                         fix="leave `only` out", where=folder.where)  # fmt: skip
    there = SHAPES[folder.family].shape(folder.size(folder.context() or shape.context))
    names = [*FIELDS[: -1 if not one_class else None], *([] if encoder_only else ["decoder_layers", "tied"])]
    problems = [
        Problem(f"{name} is {getattr(shape, name)}, and the release has {getattr(there, name)}",
                "its weights have that shape", f"plan with {name} {getattr(there, name)}", folder.where)
        for name in names if getattr(shape, name) != getattr(there, name)
    ]  # fmt: skip
    problems += _context_problems(part, shape, there, folder)
    if problems:
        raise StudyError.all(problems)


def _two_stacks(part: Part) -> bool:
    return part.family in FEATURES and FEATURES[part.family].kind == "encoder-decoder"


def _fix(part: Part, folder: Folder) -> str:
    into = [family for donor, family in INTO if donor == folder.family]
    if into and _two_stacks(part):
        return f'choose the family {into[0]}, with only = "encoder" in its start'
    return f"choose the family {folder.family}, or a release of a {part.family}"


def _context_problems(part: Part, shape: Shape, there: Shape, folder: Folder) -> Iterator[Problem]:
    features = FEATURES.get(folder.family)
    if features is None:
        return
    if features.position_offset is not None and shape.context > there.context:
        yield Problem(f"the context is {shape.context}, and the release has {there.context} positions",
                      "each is a row of a table", f"set model.context to {there.context} or less",
                      folder.where)  # fmt: skip
    if features.distance_buckets and relative_rows(features, shape) != relative_rows(features, there):
        yield Problem(f"the context is {shape.context}, too short for the release's distances",
                      f"they fall into {features.distance_buckets} buckets a side",
                      f"set model.context to {features.distance_buckets} or more", folder.where)  # fmt: skip


def context_notes(shape: Shape, folder: Folder) -> Iterator[str]:
    """Positions that the release never saw, where its positions have no end."""
    there = folder.context()
    if there is not None and shape.context > there:
        yield f"context {shape.context}: positions beyond {there} are new to the release"


def check_tokens(part: Part, folder: Folder, tokenizer_json: str | None) -> list[str]:
    """Ids mean the same tokens to the run and to the release; what cannot be checked is noted.

    Raises:
        StudyError: they do not.
    """
    if part.vocabulary == "own" or tokenizer_json is None:
        return []
    path = folder.path / "tokenizer.json"
    if not path.is_file():
        return ["not checked: whether its ids are the run's tokens (no tokenizer.json beside its weights)"]
    ours, theirs = _tokens(parse(tokenizer_json)), _tokens(parse(path.read_text(encoding="utf-8")))
    other = [index for index, token in ours.items() if index in theirs and theirs[index] != token]
    if other:
        first = f"id {other[0]} is {theirs[other[0]]!r} there and {ours[other[0]]!r} here"
        raise StudyError("the release has another tokenizer", why=f"{len(other)} of {len(ours)} ids differ: {first}",
                         fix="encode the data with the release's tokenizer", where=str(path))  # fmt: skip
    return []


def _tokens(parsed: Parsed) -> dict[int, str]:
    return {**parsed.entries, **{token.id: token.text for token in parsed.added}}


def check_count(library: Any, part: Part, shape: Shape, folder: Folder, differing: list[str]) -> None:
    """Exactly the parameters that the plan counted with."""
    found, planned = families.count(library), SHAPES[part.family].params(shape, part.head).total
    if found != planned:
        raise StudyError(f"the release has {found:,} parameters, a {part.family} of its size here {planned:,}",
                         why=f"its config differs: {'; '.join(differing)}", where=folder.where,
                         fix="choose another release")  # fmt: skip


@torch.no_grad()
def check_agreement(trunk: Any, folder: Folder) -> None:
    """keel's forward pass and head give the logits of the library's own model, on a few tokens in fp32."""
    library, body = trunk.library, trunk.body_dtype
    if getattr(library.config, "attention_type", "") == "block_sparse":
        return  # on few tokens the library would turn sparse attention off, for good
    tokens = torch.arange(AGREE_TOKENS)[None] % trunk.table.shape[0]
    tokens = tokens[:, : library.config.max_position_embeddings] if _short(library) else tokens
    more = {"decoder_input_ids": tokens} if library.config.is_encoder_decoder else {}
    trunk.body_dtype = torch.float32
    ours = trunk.logits(trunk(input_ids=tokens, **more))
    trunk.body_dtype = body
    theirs = library(input_ids=tokens, **more).logits
    worst = float((ours - theirs).abs().max()) / max(1.0, float(theirs.abs().max()))
    if not worst <= AGREE:
        raise StudyError("keel's head is not this release's", where=folder.where,
                         why=f"logits differ by {worst:.2g} of the largest", fix="choose another release")  # fmt: skip


def _short(library: Any) -> bool:
    most = getattr(library.config, "max_position_embeddings", None)
    return isinstance(most, int) and most < AGREE_TOKENS
