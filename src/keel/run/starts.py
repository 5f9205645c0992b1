"""Where weights come from: a released folder or an earlier run, whole or its encoder alone, with a report of it all.

Sizes are the spec's, and the release must have them, but for rows of tables: a longer vocabulary gets rows that are
freshly made, a shorter context or vocabulary loses some. All else that a config says (norms, activations, rotary bases)
is the release's, dropout apart, which is 0 in every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from safetensors import SafetensorError, safe_open
from torch import Tensor

from keel import model
from keel.errors import StudyError
from keel.model import encoders, families
from keel.model.configs import BUILDS
from keel.model.shapes import FEATURES, SHAPES, Precision, Shape, folder
from keel.model.shapes.folder import INDEX, Folder
from keel.objective.base import FromRun, Part, Released
from keel.run import fit_source
from keel.run.began import Began

Ids = Mapping[str, int | None]
# What a config says of its writer, not of what it computes.
ABOUT = (
    "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version", "_name_or_path", "name_or_path",
    "model_type",
)  # fmt: skip
# What the library calls the same weights is keel's choice.
NAMING = ("legacy",)
CLASSIFIER = "classifier."  # its rows are classes, which mean nothing under another number of them


class Source(NamedTuple):
    """A folder to start from, and how much of it."""

    folder: Folder
    encoder_only: bool


def source_of(start: Released | FromRun, runs: Path | None) -> Source:
    """The folder of a start, held against its digest.

    Raises:
        StudyError: the folder cannot be read, is another than the spec names, or its run has not exported a model.
    """
    if isinstance(start, FromRun):
        assert runs is not None, "a start from a run needs the folder of runs"
        path = runs / start.run / "model"
        if not path.is_dir():
            raise StudyError(f"run '{start.run}' has no model", where=str(path),
                             why="it is unknown, unfinished, or a trunk (its branches are exported, it is not)",
                             fix="run it first, or start from one of its branches")  # fmt: skip
        return Source(folder.read(path), start.only == "encoder")
    found = folder.read(Path(start.folder))
    if (there := found.sha256()) != start.sha256:
        raise StudyError("the released folder is another than the spec names", where=found.where,
                         why=f"sha256 of config and weights is {there}, the spec says {start.sha256}",
                         fix="bring that release back, or plan again with this one")  # fmt: skip
    return Source(found, start.only == "encoder")


def build(
    part: Part, source: Source, precision: Precision, seed: int, ids: Ids, tokenizer_json: str | None = None
) -> tuple[Any, Began]:
    """A part's module with the source's weights in it; what the source lacks is made from `seed`.

    Raises:
        StudyError: another architecture, size or tokenizer; damaged or unfit weights; a frozen part that would have
            fresh weights.
    """
    release, shape = source.folder, SHAPES[part.family].shape(part.size)
    fit_source.check_sizes(part, shape, release, source.encoder_only)
    notes = fit_source.check_tokens(part, release, tokenizer_json) + list(fit_source.context_notes(shape, release))
    given, differing = _config(part, shape, source, ids)
    trunk = model.load(part.family).build(shape, precision, seed, ids, part.head, given)
    fit_source.check_count(trunk.library, part, shape, release, differing)
    released = f"as released (in brackets a fresh {part.family}): {', '.join(differing)}"
    notes += ([released] if differing else []) if fit_source.same_class(part, release) else differing
    state, unexpected = _state(release, trunk.library, part)
    if source.encoder_only:
        wanted = set(encoders.of_encoder(trunk.library))
        unexpected, state = state.keys() - wanted | unexpected, {k: w for k, w in state.items() if k in wanted}
    began = _fill(trunk.library, state, release)
    if source.encoder_only:
        notes += _tables_follow(trunk, part)
    began = began._replace(unexpected=tuple(sorted(unexpected)), notes=tuple(notes))
    _check_frozen(part, began, release)
    if part.head == "tokens":
        fit_source.check_agreement(trunk, release)
    return trunk, began


def _config(part: Part, shape: Shape, source: Source, ids: Ids) -> tuple[Any, list[str]]:
    """The release's config at the part's size, and what in it is not as keel makes one: "layer_norm_eps 1e-12 (1e-05)".

    An encoder of another class leaves the part's own config as it is.

    Raises:
        StudyError: that encoder has another activation.
    """
    own = part.vocabulary == "own"
    ours = model.config(part.family, shape, {} if own else ids, part.head)
    if not fit_source.same_class(part, source.folder):
        return ours, encoders.unlike(ours, source.folder)
    wins = _wins(part, shape, source, ours, {} if own else ids)
    raw = {name: value for name, value in source.folder.config.items() if name not in ABOUT}
    given = type(ours).from_dict(raw | wins)
    if hasattr(ours, "tie_word_embeddings"):
        given.tie_word_embeddings = shape.tied
    theirs, keels = given.to_dict(), ours.to_dict()
    differing = [
        f"{name} {theirs[name]} ({keels.get(name)})" for name in sorted(theirs)
        if theirs[name] != keels.get(name) and name not in ABOUT and not name.endswith("_token_id")
    ]  # fmt: skip
    return given, differing


def _wins(part: Part, shape: Shape, source: Source, ours: Any, ids: Ids) -> dict[str, Any]:
    """Fields that keel sets whatever the release says: rows of tables, ids of the run's vocabulary, no dropout."""
    names, fields = source.folder.names, ours.to_dict()
    sized = BUILDS[part.family].fields(shape) if source.encoder_only else {}
    known = [f"{role}_token_id" for role, number in ids.items() if number is not None]
    known += [name for role, more in families.ALSO.items() if ids.get(role) is not None for name in more]
    keep = {"vocab_size", "attention_type", names.context, *NAMING, *known, *sized, *names.own}
    return {name: value for name, value in fields.items() if name in keep or ("drop" in name and value == 0.0)}


def _state(release: Folder, library: Any, part: Part) -> tuple[dict[str, Tensor], set[str]]:
    """The release's weights under the part's names, and those without a place, read as the library reads them."""
    one_class = fit_source.same_class(part, release)
    kind = type(library) if one_class else _class_of(release)
    config = kind.config_class.from_dict({k: v for k, v in release.config.items() if k not in ABOUT})
    with _quiet():
        try:
            loaded, info = kind.from_pretrained(
                release.path, config=config, output_loading_info=True, use_safetensors=True, local_files_only=True,
                dtype=torch.float32, ignore_mismatched_sizes=True,
            )  # fmt: skip
        except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
            raise StudyError("the weights cannot be read", why=f"{type(error).__name__}: {str(error)[:300]}",
                             fix="download the folder again", where=release.where) from error  # fmt: skip
    if info["mismatched_keys"] or info["error_msgs"]:
        raise StudyError("the weights are not those of config.json", where=release.where,
                         why=f"shapes differ: {[*info['mismatched_keys'], *info['error_msgs']]}"[:300],
                         fix="download the folder again")  # fmt: skip
    state = {name: weight for name, weight in loaded.state_dict().items() if name not in info["missing_keys"]}
    unexpected = set(info["unexpected_keys"])
    if not one_class:
        taken = encoders.renamed(state, encoders.INTO[release.family, part.family])
        return taken, unexpected | {name for name in state if "encoder" not in name and "embeddings" not in name}
    hung = _read(release, {name for name, _ in library.named_parameters()} - state.keys())
    placeless = state.keys() - library.state_dict().keys()
    return state | hung, (unexpected | placeless) - hung.keys()


def _class_of(release: Folder) -> Any:
    """The library's class of the release, with its head on tokens."""
    head = families.CLASSES[FEATURES[release.family].kind, "tokens"]
    kind = getattr(transformers, BUILDS[release.family].config)
    return getattr(transformers, head)._model_mapping[kind]


def _read(release: Folder, names: set[str]) -> dict[str, Tensor]:
    """Weights of heads that keel hangs into the library's class, which its loader does not know."""
    found: dict[str, Tensor] = {}
    for file in (file for file in release.weights if names and file != INDEX):
        with safe_open(release.path / file, "pt") as tensors:
            found |= {name: tensors.get_tensor(name).float() for name in names & set(tensors.keys())}
    return found


@torch.no_grad()
def _fill(library: Any, state: Mapping[str, Tensor], release: Folder) -> Began:
    """Copy what is there; tables of another length from their first row on.

    Raises:
        StudyError: a weight that is not finite.
    """
    wrong = [name for name, weight in state.items() if weight.is_floating_point() and not weight.isfinite().all()]
    if wrong:
        raise StudyError(f"{wrong[0]} is not finite", why=f"{len(wrong)} weights hold NaN or infinity",
                         fix="download the folder again, or choose another release", where=release.where)  # fmt: skip
    taken, missing, grown, cut = [], [], {}, {}
    for name, weight in library.named_parameters():
        if name not in state:
            missing.append(name)
            continue
        there = state[name]
        if name.startswith(CLASSIFIER) and len(there) != len(weight):
            missing.append(name)
            continue
        assert there.shape[1:] == weight.shape[1:], f"{name}: sizes were checked"
        rows = min(len(there), len(weight))
        weight[:rows].copy_(there[:rows])
        if len(weight) > rows:
            grown[name] = len(weight) - rows
        elif len(there) > rows:
            cut[name] = len(there) - rows
        else:
            taken.append(name)
    return Began(f"{release.family} in {release.where}", tuple(taken), tuple(missing), grown, cut)


@torch.no_grad()
def _tables_follow(trunk: Any, part: Part) -> list[str]:
    """Where encoder, decoder and output have a table each, all three begin as the encoder's.

    Reference: Soltan et al. 2022, arXiv:2208.01448, section 2.
    """
    features = FEATURES[part.family]
    if features.tied or features.tables_when_untied == 1:
        return []
    source = trunk.library.get_encoder().embed_tokens.weight
    for table in (trunk.library.get_decoder().embed_tokens.weight, trunk.table):
        table.copy_(source)
    return ["the decoder's table and the output's begin as the encoder's"]


def _check_frozen(part: Part, began: Began, release: Folder) -> None:
    fresh = [*began.missing, *began.grown]
    if part.role == "frozen" and fresh:
        raise StudyError(
            "a frozen part would have fresh weights", why=f"the release lacks {', '.join(fresh[:4])}",
            fix="bring a release that has them: nothing would ever train them", where=release.where,
        )  # fmt: skip


@contextmanager
def _quiet() -> Iterator[None]:
    """The library's own words on what is missing are those of the report."""
    log, bars = transformers.utils.logging, transformers.utils.logging.is_progress_bar_enabled()
    level = log.get_verbosity()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
