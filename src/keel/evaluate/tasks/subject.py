"""A model as tasks ask it: the library's module with its tokenizer, from a folder or from a run in memory.

Legend: n texts, B pieces of one batch, T positions, d width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from keel.corpus.tokenizer import load, with_special
from keel.corpus.vocabulary import Vocabulary, vocabulary_of
from keel.errors import StudyError
from keel.evaluate.tasks import Unfit
from keel.files import read_json
from keel.model.shapes import FEATURES, folder
from keel.model.trunk import Trunk
from keel.plan.spec import SCHEMA as SPEC

Ids = NDArray[np.int64]
CLASSES: Mapping[str, str] = {
    "encoder": "AutoModel",
    "decoder": "AutoModelForCausalLM",
    "encoder-decoder": "AutoModelForSeq2SeqLM",
}
# What stands around a text where the tokenizer has no template of its own, by role; of several the first that is there.
FRAMES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "encoder": (("start",), ("separator",)),
    "decoder": (("start", "separator"), ()),
    "encoder-decoder": ((), ("separator",)),
}
BATCH_POSITIONS = 8192
# Weights that no task asks for: a release without them is whole.
UNUSED = ("pooler",)


class Frame(NamedTuple):
    """Special tokens before and after a text."""

    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Subject:
    """`kind` is encoder, decoder or encoder-decoder; `context` the positions that it sees; `name` for people.

    `family` as keel calls its architecture.
    """

    library: Any
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    kind: str
    context: int
    name: str = ""
    family: str = ""

    def tokens(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, whole and without special tokens."""
        found = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.asarray(each.ids, np.int64) for each in found]

    @cached_property
    def frame(self) -> Frame:
        """The tokenizer's own template, else what keel trains with."""
        plain, whole = (self.tokenizer.encode("a", add_special_tokens=added).ids for added in (False, True))
        if len(whole) > len(plain):
            first = next(at for at in range(len(whole)) if whole[at : at + len(plain)] == plain)
            return Frame(tuple(whole[:first]), tuple(whole[first + len(plain) :]))
        known = self.vocabulary.special
        sides = [next((known[role] for role in roles if role in known), None) for roles in FRAMES[self.kind]]
        return Frame(*(() if side is None else (side,) for side in sides))

    @property
    def room(self) -> int:
        """Tokens of a text that fit into its frame."""
        left = self.context - sum(map(len, self.frame))
        assert left > 0, "the frame of a text takes the whole context"
        return left

    def framed(self, ids: Ids) -> Ids:
        """A text in its frame."""
        return np.concatenate([self.frame.before, ids, self.frame.after]).astype(np.int64)

    @property
    def pad(self) -> int:
        """An id for positions that nothing sees."""
        return self.vocabulary.special.get("pad", 0)

    @property
    def body(self) -> Any:
        """What reads a text: the model below its head; of an encoder-decoder, the encoder."""
        return self.library.get_encoder() if self.kind == "encoder-decoder" else self.library.base_model

    @torch.no_grad()
    def states(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Mean of the last hidden states of each text, shape (n, d).

        A text longer than the context is read in pieces, each in a frame of its own; the mean is over all positions.
        """
        pieces = [
            (place, self.framed(ids[first : first + self.room]))
            for place, ids in enumerate(self.tokens(texts)) for first in range(0, max(1, len(ids)), self.room)
        ]  # fmt: skip
        sums, sizes = None, np.zeros(len(texts))
        for batch in batches(pieces, [len(ids) for _, ids in pieces]):
            inputs, mask = padded([ids for _, ids in batch], self.pad)
            hidden = self.hidden(inputs, mask)
            added = (hidden * mask[..., None]).sum(1).double().numpy()
            sums = np.zeros((len(texts), added.shape[1])) if sums is None else sums
            for row, (place, ids) in enumerate(batch):
                sums[place] += added[row]
                sizes[place] += len(ids)
        assert sums is not None, "states of no text"
        return np.asarray(sums / sizes[:, None])

    def hidden(self, inputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Last hidden states (B, T, d)."""
        more = {"use_cache": False} if self.kind == "decoder" else {}
        found: torch.Tensor = self.body(input_ids=inputs, attention_mask=mask, **more).last_hidden_state
        return found


def batches(items: Sequence[Any], lengths: Sequence[int], most: int = BATCH_POSITIONS) -> Iterator[list[Any]]:
    """Items of like length together, at most `most` positions with padding, one item at least.

    Example:
        >>> list(batches("abcd", [9, 1, 5, 2], most=10))
        [['b', 'd'], ['c'], ['a']]
    """
    made: list[Any] = []
    for place in sorted(range(len(items)), key=lambda place: lengths[place]):
        if made and (len(made) + 1) * lengths[place] > most:
            yield made
            made = []
        made.append(items[place])
    if made:
        yield made


def padded(rows: Sequence[Ids], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows filled at their ends (B, T), and 1 where they are not."""
    inputs = torch.full((len(rows), max(map(len, rows))), pad)
    mask = torch.zeros_like(inputs)
    for row, ids in enumerate(rows):
        inputs[row, : len(ids)] = torch.from_numpy(ids)
        mask[row, : len(ids)] = 1
    return inputs, mask


def opened(path: Path, context: int | None = None) -> Subject:
    """The model in a folder, as `from_pretrained` reads it, in fp32; `context` where its config says none.

    Raises:
        StudyError: no model, weights or tokenizer that can be read, weights that would be made afresh, or a tokenizer
            with more tokens than the model has rows.
    """
    release = folder.read(path)
    kind = FEATURES[release.family].kind
    library = _loaded(release, kind)
    text = tokenizer_of(path)
    known, found = vocabulary_of(text), context or release.context()
    rows = library.get_input_embeddings().weight.shape[0]
    if known.size > rows:
        raise StudyError(f"the model has {rows} rows for {known.size} tokens", where=release.where,
                         why="tokenizer.json is of another model", fix="bring the tokenizer of this one")  # fmt: skip
    if found is None:
        raise StudyError("how much text the model sees is not known", why="its config names no context",
                         fix="say the context yourself", where=release.where)  # fmt: skip
    return Subject(library, whole(text), known, kind, found, release.where, release.family)


def tokenizer_of(path: Path) -> str:
    """tokenizer.json of a folder.

    Raises:
        StudyError: it is missing.
    """
    if not (path / "tokenizer.json").is_file():
        raise StudyError("tokenizer.json is missing", why="without it no text can be read", where=str(path),
                         fix="download the folder whole, or save its fast tokenizer there")  # fmt: skip
    return (path / "tokenizer.json").read_text(encoding="utf-8")


def of_run(run: Path) -> Subject:
    """The model that a run has exported. The run knows how much it saw; a config of relative positions does not.

    Raises:
        Unfit: the run's model reads no texts alone.
        StudyError: as `opened`.
    """
    spec = read_json(run / "spec.json", SPEC)
    if spec["family"] not in FEATURES:
        raise Unfit(f"a {spec['family']} reads no texts", why="it was trained to see images", where=str(run),
                    fix="judge it on images")  # fmt: skip
    return opened(run / "model", int(spec["size"]["context"]))


def trained(trunk: Trunk, family: str, tokenizer_json: str, vocabulary: Vocabulary, context: int) -> Subject:
    """The model of a run in memory; `vocabulary` is the run's, with the tokens that its loss added."""
    text = with_special(tokenizer_json, vocabulary.special)
    return Subject(trunk.library, whole(text), vocabulary, FEATURES[family].kind, context, family, family)


def whole(tokenizer_json: str) -> Tokenizer:
    """The tokenizer without the cut and the filling that releases bring along."""
    made = load(tokenizer_json)
    made.no_truncation()
    made.no_padding()
    return made


def _loaded(release: folder.Folder, kind: str) -> Any:
    import transformers

    return library_of(release.path, getattr(transformers, CLASSES[kind]))


def library_of(path: Path, kind: Any, **more: Any) -> Any:
    """The library's module of a class from a folder, in fp32, none of its weights made afresh.

    Raises:
        StudyError: weights that cannot be read, or that would be made afresh.
    """
    with reading(path):
        library, info = kind.from_pretrained(
            path, output_loading_info=True, use_safetensors=True, local_files_only=True, dtype=torch.float32, **more
        )
    missing = sorted(name for name in info["missing_keys"] if not any(part in name for part in UNUSED))
    if missing:
        raise StudyError(f"{missing[0]} is not among the weights", where=str(path),
                         why=f"{len(missing)} weights would be made afresh, and no answer would be the model's",
                         fix="bring a release that has them, or ask another kind of task")  # fmt: skip
    return library.eval()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What the library says of weights is said by us.

    Raises:
        StudyError: they cannot be read.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        raise StudyError("the weights cannot be read", why=f"{type(error).__name__}: {str(error)[:300]}",
                         fix="download the folder again", where=str(path)) from error  # fmt: skip
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
