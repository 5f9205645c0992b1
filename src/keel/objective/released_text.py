"""A released encoder as the text tower of a loss on pairs, without torch: its folder, its size, what a caption costs.

Legend: d width of its states, e width of the space shared with images.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keel.errors import Problem, StudyError
from keel.files import digest, sha256_file
from keel.model.shapes import FEATURES, Size, Use, folder
from keel.model.shapes.arithmetic import FLOP_A_PRODUCT
from keel.model.shapes.features import bare
from keel.model.shapes.folder import Folder
from keel.objective.checks import one_of, problems_of
from keel.objective.fact import Model
from keel.objective.own import beside

RELEASE: Mapping[str, Any] = {"text_from": "", "text_sha256": "", "text_trains": "no"}
TRAINS = ("yes", "no")
FLOP_A_PRODUCT_ON_GIVEN = 4  # behind a frozen tower nobody asks how the loss changes with the states
TOKENIZER = "tokenizer.json"


def path_of(options: Mapping[str, Any]) -> Path | None:
    """The folder of the release; None where the text tower begins from scratch.

    Example:
        >>> path_of({}), path_of({"text_from": "minilm"})
        (None, PosixPath('minilm'))
    """
    return beside(str(options["text_from"])) if options.get("text_from") else None


def sha256_of(found: Folder) -> str:
    """Digest of all that makes a release's states: its config, its weights, and the tokenizer that cuts its texts.

    Raises:
        StudyError: it has no tokenizer.json.
    """
    path = found.path / TOKENIZER
    if not path.is_file():
        raise StudyError("the text tower's release has no tokenizer.json", why="its ids would mean nothing",
                         fix="download the folder whole", where=found.where)  # fmt: skip
    return digest({"model": found.sha256(), TOKENIZER: sha256_file(path)})


def checked(options: Mapping[str, Any]) -> Folder:
    """The release that the options name, held against their digest.

    Raises:
        StudyError: it cannot be read, or is another than the options say.
    """
    path = path_of(options)
    assert path is not None, "the text tower begins from scratch"
    found = folder.read(path)
    if (there := sha256_of(found)) != options["text_sha256"]:
        told = options["text_sha256"] or "nothing"
        raise StudyError("the text tower's release is another than text_sha256 says", where="text_sha256",
                         why=f"the digest of its config, weights and tokenizer is {there}, the options say {told}",
                         fix=f"bring that release back, or write text_sha256 = '{there}'")  # fmt: skip
    return found


def size_of(at: Mapping[str, Any], found: Folder, vocabulary: int = 0) -> Size:
    """The tower as it was released, all its positions and rows; more rows where the vocabulary has more tokens.

    Raises:
        StudyError: it is no encoder, or captions are longer than its positions.
    """
    kind, most = FEATURES[found.family].kind, found.context()
    size = found.size(most or at["text_context"])
    if kind != "encoder":
        raise StudyError(f"a {found.family} cannot be the text tower", why=f"it is of kind {kind}, whose states have "
                         "not seen the whole caption", fix="name an encoder", where="text_from")  # fmt: skip
    if most is not None and FEATURES[found.family].position_offset is not None and at["text_context"] > most:
        raise StudyError(f"text_context is {at['text_context']}", why=f"the release has {most} positions",
                         fix=f"set text_context to {most} or less", where="text_context")  # fmt: skip
    return Size(**{**size.json(), "vocabulary": max(size.vocabulary, vocabulary)})


def model_of(at: Mapping[str, Any], image: Size) -> Model:
    """Its states of a caption that fills the context, and d e weights that bring their mean into the shared space.

    Frozen it goes forward alone, and of the projection only the gradient by its weights is formed.
    """
    path = path_of(at)
    assert path is not None, "the text tower begins from scratch"
    found = folder.read(path)
    size, trains = size_of(at, found, image.vocabulary), at["text_trains"] == "yes"
    products = size.width * image.embedding_width
    more = (FLOP_A_PRODUCT if trains else FLOP_A_PRODUCT_ON_GIVEN) * products
    work = ((1.0, Use(at["text_context"], 0, 0)),)
    head = bare(FEATURES[found.family])
    return Model(head, size, work, float(more), family=found.family, free_params=products, trained=trains)


def problems(at: Mapping[str, Any]) -> list[Problem]:
    """Options of a released text tower that cannot be."""
    found = one_of(at, "text_trains", TRAINS)
    if not at["text_from"]:
        why, fix = "it is said of a release, and none is named", "name its folder as text_from, or leave it out"
        lone = [name for name in ("text_sha256", "text_trains") if at[name] != RELEASE[name]]
        return found + [Problem(f"'{name}' is {at[name]!r}", why, fix, name) for name in lone]
    if at["text_layers"]:
        found.append(Problem(f"'text_layers' is {at['text_layers']}", "the release has its own", "leave it out",
                             "text_layers"))  # fmt: skip
    return found + [
        problem if problem.where in at else problem._replace(why=f"{problem.why} ({problem.where})", where="text_from")
        for problem in problems_of(lambda: size_of(at, checked(at)))
    ]
