"""A folder of a released model: its family, its size, its files and their digest, without torch and without a pickle.

What `transformers` writes and reads: config.json, and weights as safetensors, whole or in shards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from keel.errors import Problem, StudyError, nearest
from keel.files import digest, sha256_file
from keel.model.shapes import FEATURES, SHAPES
from keel.model.shapes.size import Size

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Files of weights that run code when they are read, or that are another framework's.
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.pkl")


class Names(NamedTuple):
    """What a config calls the parts of a size; "" where the family has no such choice.

    `rows_before`: rows of the position table before the first position. `types_if`: token types count where it is true.
    Where `image` names the side of an image, positions are its patches and there is no vocabulary. `own`: fields that
    say what a run asks of the model, whatever the release was asked.
    """

    width: str = "hidden_size"
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    feed_forward: str = "intermediate_size"
    context: str = "max_position_embeddings"
    rows_before: int = 0
    decoder_layers: str = ""
    embedding_width: str = ""
    token_types: str = ""
    types_if: str = ""
    head_width: str = ""
    groups: str = ""
    image: str = ""
    patch: str = "patch_size"
    own: tuple[str, ...] = ()


BERT = Names(token_types="type_vocab_size")
BART = Names("d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim", decoder_layers="decoder_layers")
# By `model_type` of the config: the families that it can be, and its names.
TYPES: Mapping[str, tuple[tuple[str, ...], Names]] = {
    "bert": (("bert",), BERT),
    "roberta": (("roberta",), BERT._replace(rows_before=2)),
    "xlm-roberta": (("xlm-roberta",), BERT._replace(rows_before=2)),
    "big_bird": (("bigbird",), BERT),
    "albert": (("albert",), BERT._replace(embedding_width="embedding_size")),
    "electra": (("electra",), BERT._replace(embedding_width="embedding_size")),
    "deberta-v2": (("deberta-v2",), BERT),
    "modernbert": (("modernbert",), Names()),
    "xlm": (("xlm",), Names("emb_dim", "n_layers", "n_heads", "", token_types="n_langs", types_if="use_lang_emb")),
    "gpt2": (("gpt2",), Names("n_embd", "n_layer", "n_head", "n_inner", "n_positions")),
    "opt": (("opt",), Names(feed_forward="ffn_dim")),
    "bloom": (("bloom",), Names(layers="n_layer", heads="n_head", feed_forward="", context="seq_length")),
    "llama": (("llama",), Names(groups="num_key_value_heads")),
    "t5": (
        ("t5",),
        Names("d_model", "num_layers", "num_heads", "d_ff", "n_positions", decoder_layers="num_decoder_layers",
              head_width="d_kv"),
    ),
    "bart": (("bart",), BART),
    "mbart": (("mbart", "alexatm"), BART),
    "m2m_100": (("m2m_100",), BART),
    "bigbird_pegasus": (("bigbird_pegasus",), BART),
    "vit": (("vit",), Names(context="", image="image_size", own=("id2label", "label2id", "pool"))),
}  # fmt: skip


class Folder(NamedTuple):
    """A released model on disk; `sha256` is over the names and digests of config.json and the weights."""

    path: Path
    family: str
    config: Mapping[str, Any]
    weights: tuple[str, ...]

    @property
    def where(self) -> str:
        """Its path, for people."""
        return str(self.path)

    def sha256(self) -> str:
        """Digest of config and weights, in constant memory."""
        return digest({name: sha256_file(self.path / name) for name in ("config.json", *self.weights)})

    @property
    def names(self) -> Names:
        """What its config calls the parts of a size."""
        return TYPES[self.config["model_type"]][1]

    def context(self) -> int | None:
        """The most positions that it was released with, where its config says."""
        if self.names.image:
            side, patch = (self.config.get(name) for name in (self.names.image, self.names.patch))
            return (side // patch) ** 2 if isinstance(side, int) and isinstance(patch, int) and patch > 0 else None
        found = self.config.get(self.names.context)
        return found - self.names.rows_before if isinstance(found, int) else None

    def size(self, context: int | None = None) -> Size:
        """Its size; `context` where its positions have no end and its config says none.

        Raises:
            StudyError: the config lacks a number, or describes a model that its family here cannot be.
        """
        names, config = self.names, self.config
        counted = [names.image, names.patch] if names.image else ["vocab_size"]
        wanted = [names.width, names.layers, names.heads, *counted, *filter(None, [names.decoder_layers])]
        problems = [
            Problem(f"config.json has no {name}", f"a {self.family} is sized by it", "bring it whole", self.where)
            for name in wanted if not isinstance(config.get(name), int)
        ]  # fmt: skip
        if (context := context or self.context()) is None:
            problems.append(Problem("config.json names no context", f"positions of a {self.family} have no end",
                                    "say the context yourself", self.where))  # fmt: skip
        problems += [] if problems else list(self._odd())
        if problems:
            raise StudyError.all(problems)
        assert context is not None
        size = self._size(context)
        if found := SHAPES[self.family].problems(size):
            raise StudyError.all(problem._replace(where=self.where) for problem in found)
        return size

    def _size(self, context: int) -> Size:
        """Fields that follow from the family's own rule are left to it."""
        names, features = self.names, FEATURES.get(self.family)
        width, heads = int(self._of(names.width)), int(self._of(names.heads))
        layers, decoder = int(self._of(names.layers)), int(self._of(names.decoder_layers) or 0)
        rows = {"vocabulary": 0, "patch": int(self._of(names.patch))} if names.image else {
            "vocabulary": int(self._of("vocab_size"))
        }  # fmt: skip
        plain = Size(width=width, layers=layers, context=context,
                     head_width=int(self._of(names.head_width) or width // heads), **rows)  # fmt: skip
        rule = SHAPES[self.family].shape(plain)
        forward, table = self._of(names.feed_forward) or rule.feed_forward, self._of(names.embedding_width)
        types = self._types(features.least_token_types) if features and features.token_types is not None else 0
        return replace(
            plain,
            decoder_layers=0 if decoder == rule.decoder_layers else decoder,
            embedding_width=0 if table in (None, rule.table_width) else int(table),
            feed_forward=0 if forward == rule.feed_forward else int(forward),
            token_types=0 if types == rule.token_types else types,
        )  # fmt: skip

    def _types(self, least: int) -> int:
        on = self.config.get(self.names.types_if, True) if self.names.types_if else True
        found = int(self._of(self.names.token_types) or 0)
        return found if on and found >= least else 0

    def _of(self, name: str) -> Any:
        return self.config.get(name) if name else None

    def _odd(self) -> Iterator[Problem]:
        """What this family's model here never has."""
        names = self.names
        tied = FEATURES[self.family].tied if self.family in FEATURES else self.config.get("tie_word_embeddings", True)
        width, heads = self._of(names.width), self._of(names.heads)
        head = self._of(names.head_width)
        if width % heads or (head and head * heads != width):
            yield Problem(f"{heads} heads of a width of {width}", "heads here share the width evenly",
                          "choose another release", self.where)  # fmt: skip
        groups = self._of(names.groups)
        if groups not in (None, heads):
            yield Problem(f"{groups} key-value heads for {heads} heads", f"a {self.family} here has one for each",
                          "choose another release", self.where)  # fmt: skip
        if self.config.get("tie_word_embeddings", True) != tied:
            ours = "shares its input table" if tied else "has an output table of its own"
            yield Problem(f"its tie_word_embeddings is {not tied}", f"a {self.family} here {ours}",
                          "choose another release", self.where)  # fmt: skip


def read(path: Path) -> Folder:
    """The model in a folder, as far as its names and numbers say.

    Raises:
        StudyError: no folder, no readable config.json, an unknown or quantised architecture, weights that are missing,
            incomplete, or pickles.
    """
    if not path.is_dir():
        raise StudyError("the folder of the released model is not there", why="no such folder", where=str(path),
                         fix="download it whole, or correct its path")  # fmt: skip
    config = config_of(path)
    return Folder(path, _family(path, config), config, weights_of(path))


def config_of(path: Path) -> Mapping[str, Any]:
    """What config.json says.

    Raises:
        StudyError: it is missing, or no object.
    """
    try:
        found = json.loads((path / "config.json").read_text(encoding="utf-8"))
        assert isinstance(found, dict), "it is no object"
    except FileNotFoundError:
        raise StudyError("config.json is missing", why="without it the architecture is unknown", where=str(path),
                         fix="download the folder whole") from None  # fmt: skip
    except (ValueError, AssertionError, OSError) as error:
        raise StudyError("config.json cannot be read", why=str(error), where=str(path / "config.json"),
                         fix="download it again") from error  # fmt: skip
    return found


def _family(path: Path, config: Mapping[str, Any]) -> str:
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise StudyError(f"unknown architecture {kind!r}", why="no family here has that model_type",
                         fix=nearest(str(kind), TYPES), where=str(path / "config.json"))  # fmt: skip
    if config.get("quantization_config"):
        raise StudyError("its weights are quantised", why="whole numbers have no gradient", where=str(path),
                         fix="bring the release in floating point")  # fmt: skip
    families = TYPES[kind][0]
    tied = config.get("tie_word_embeddings", True)
    alike = (name for name in families if name in FEATURES and FEATURES[name].tied == tied)
    return next(alike, families[0])


def weights_of(path: Path) -> tuple[str, ...]:
    """Names of the files with weights, the index of shards first.

    Raises:
        StudyError: they are missing, incomplete, or pickles.
    """
    if (path / WHOLE).is_file():
        return (WHOLE,)
    if (path / INDEX).is_file():
        return (INDEX, *_shards(path))
    pickles = sorted(file.name for pattern in PICKLES for file in path.glob(pattern))
    if pickles:
        raise StudyError(
            f"{pickles[0]} is not safetensors", why="reading a pickle runs whatever code it holds", where=str(path),
            fix="download the release's safetensors, or convert it where you trust it: "
                "AutoModel.from_pretrained(folder).save_pretrained(new_folder)",
        )  # fmt: skip
    raise StudyError("the weights are missing", why=f"neither {WHOLE} nor {INDEX} is there", where=str(path),
                     fix="download the folder whole")  # fmt: skip


def _shards(path: Path) -> list[str]:
    where = str(path / INDEX)
    try:
        names = sorted({str(name) for name in json.loads((path / INDEX).read_text())["weight_map"].values()})
    except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
        raise StudyError("the index of shards cannot be read", why=f"{type(error).__name__}: {error}", where=where,
                         fix="download it again") from error  # fmt: skip
    if not names:
        raise StudyError("the index of shards names none", why="its weight_map is empty", fix="download it again",
                         where=where)  # fmt: skip
    problems = [_shard_problem(path, name, where) for name in names]
    if found := [problem for problem in problems if problem]:
        raise StudyError.all(found)
    return names


def _shard_problem(path: Path, name: str, where: str) -> Problem | None:
    if Path(name).name != name or not name.endswith(".safetensors"):
        return Problem(f"the index names '{name}'", "a shard is a .safetensors file beside its index",
                       "bring an index that was not edited", where)  # fmt: skip
    if not (path / name).is_file():
        return Problem(f"the shard {name} is missing", "the index names it", "download the folder whole", where)
    return None
