"""A byte-level BPE, and tokens measured by it: a smaller vocabulary is a prefix of the larger one's merges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from keel.errors import StudyError

SEPARATOR = "<|end|>"
SEPARATOR_ID = 0
SAMPLE_BYTES = 4_000_000
VOCABULARIES = (512, 1024, 2048, 4096, 8192, 16384, 32768)
# The separator and the 256 bytes.
SMALLEST = 257
BYTES_PER_ENTRY = 600
RESAMPLES = 400


def largest_vocabulary(num_bytes: float) -> int:
    """The largest candidate that the corpus can feed: about one entry for 600 bytes.

    Example:
        >>> largest_vocabulary(12e6), largest_vocabulary(1e9)
        (16384, 32768)
    """
    return max([size for size in VOCABULARIES if size <= num_bytes / BYTES_PER_ENTRY] or [VOCABULARIES[0]])


def wanted_vocabulary(overrides: Mapping[str, Any], num_bytes: float) -> int:
    """The size to train: the user's, else by the corpus.

    Raises:
        StudyError: the user's is not a whole number that holds at least the bytes and the separator.
    """
    wanted = overrides.get("tokenizer.vocabulary", largest_vocabulary(num_bytes))
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < SMALLEST:
        raise StudyError("'tokenizer.vocabulary' is wrong", why=f"found {wanted!r}", where="[set]",
                         fix=f"write a whole number of at least {SMALLEST}: 256 bytes and the separator")  # fmt: skip
    return wanted


def train(texts: Iterable[str], vocabulary: int) -> str:
    """tokenizer.json of a byte-level BPE; id 0 separates documents.

    Reference: Sennrich et al. 2016, arXiv:1508.07909; byte level: Radford et al. 2019, section 2.2.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary, special_tokens=[SEPARATOR], show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )  # fmt: skip
    text: str = tokenizer.to_str()
    return text


def load(tokenizer_json: str) -> Tokenizer:
    """The tokenizer, set so that "<|end|>" within a text is text: only we may put the separator."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.encode_special_tokens = True
    return tokenizer


def released(folder: Path) -> str:
    """A release's tokenizer.json without truncation and padding: it may cut every text to 128 tokens, unasked.

    Raises:
        StudyError: it is missing, or cannot be read.
    """
    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises its own bare Exception
        why = "it is missing" if not path.exists() else str(error)
        raise StudyError("the release has no tokenizer that can be read", why=why, where=str(path),
                         fix="download the folder whole, tokenizer.json included") from error  # fmt: skip
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text: str = tokenizer.to_str()
    return text


def borders(tokenizer_json: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Special ids that a tokenizer itself puts before and behind a text: BERT's [CLS] and [SEP].

    Raises:
        StudyError: it finds no token in "a".

    Example:
        >>> borders(train(["a b"], 257))
        ((), ())
    """
    tokenizer = Tokenizer.from_str(tokenizer_json)
    bare, whole = (tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
    if not bare:
        raise StudyError("the tokenizer finds no token in 'a'", why="where its special tokens stand is not known",
                         fix="choose another release", where="tokenizer.json")  # fmt: skip
    first = next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
    return tuple(whole[:first]), tuple(whole[first + len(bare) :])


def spelling(role: str) -> str:
    """How a special token is written in tokenizer.json; `vocabulary_of` reads it back.

    Example:
        >>> spelling("separator"), spelling("mask")
        ('<|end|>', '<|mask|>')
    """
    return SEPARATOR if role == "separator" else f"<|{role}|>"


def with_special(tokenizer_json: str, special: Mapping[str, int]) -> str:
    """The tokenizer with these special tokens (role -> id); new ones come at its end, in the order of their ids.

    Example:
        >>> made = load(with_special(train(["a b"], 257), {"separator": 0, "pad": 257, "mask": 258}))
        >>> made.token_to_id("<|mask|>"), made.get_vocab_size()
        (258, 259)
    """
    tokenizer = Tokenizer.from_str(tokenizer_json)
    for role in sorted(special, key=lambda role: special[role]):
        if special[role] >= tokenizer.get_vocab_size():
            tokenizer.add_special_tokens([spelling(role)])
            assert tokenizer.token_to_id(spelling(role)) == special[role], f"the {role} token has another id"
    text: str = tokenizer.to_str()
    return text


def pad_first(tokenizer_json: str) -> str:
    """The same tokenizer with padding as id 1, behind the separator; all other ids move up by one.

    For models that number positions from the pad token's id: a large one would leave most of their table unused.

    Example:
        >>> made = load(pad_first(train(["a b"], 258)))
        >>> made.token_to_id("<|pad|>"), made.get_vocab_size(), made.decode(made.encode("a b").ids)
        (1, 259, 'a b')
    """
    tree, pad = json.loads(tokenizer_json), spelling("pad")
    known = tree["model"]["vocab"]
    moved = {token: index + (index > SEPARATOR_ID) for token, index in known.items()}
    tree["model"]["vocab"] = dict(sorted({**moved, pad: SEPARATOR_ID + 1}.items(), key=lambda item: item[1]))
    separator = next(item for item in tree["added_tokens"] if item["id"] == SEPARATOR_ID)
    tree["added_tokens"].append({**separator, "id": SEPARATOR_ID + 1, "content": pad})
    return json.dumps(tree, ensure_ascii=False, indent=2)


def truncate(tokenizer_json: str, vocabulary: int) -> str:
    """The same BPE with fewer merges: exactly what training at the smaller size gives.

    Every merge gives one new entry, in order: the separator and the bytes come first.
    """
    tree = json.loads(tokenizer_json)
    model = tree["model"]
    assert len(model["vocab"]) == SMALLEST + len(model["merges"]), "not a tokenizer that `train` made"
    model["vocab"] = {token: index for token, index in model["vocab"].items() if index < vocabulary}
    model["merges"] = model["merges"][: max(0, vocabulary - SMALLEST)]
    return json.dumps(tree, ensure_ascii=False, indent=2)


def sizes_up_to(trained: int) -> list[int]:
    """Candidate vocabularies of a tokenizer with `trained` entries, its own size included."""
    return sorted({size for size in VOCABULARIES if size < trained} | {trained})


def measure(tokenizer_json: str, texts: Sequence[str], train_bytes: float, each: int = 1) -> list[dict[str, Any]]:
    """Bytes per token at each candidate vocabulary, with a 95 % interval by resampling documents of `each` texts.

    bytes_per_token = sum bytes / sum tokens (a ratio of sums); train_tokens = train_bytes / bytes_per_token.
    """
    sizes = np.array([len(text.encode()) for text in texts], dtype=np.float64).reshape(-1, each).sum(1)
    rows = []
    for vocabulary, counts in counted(tokenizer_json, texts).items():
        tokens = counts.astype(np.float64).reshape(-1, each).sum(1)
        found, low, high = ratio(sizes, tokens)
        rows.append({
            "vocabulary": vocabulary, "bytes_per_token": found, "low": low, "high": high,
            "train_tokens": train_bytes / found, "train_tokens_low": train_bytes / high,
            "train_tokens_high": train_bytes / low,
        })  # fmt: skip
    return rows


def counted(tokenizer_json: str, texts: Sequence[str]) -> dict[int, np.ndarray]:
    """Tokens of each text, shape (texts,), at each candidate vocabulary, the smallest first.

    Example:
        >>> {size: counts.tolist() for size, counts in counted(train(["a b a b"], 258), ["a b", "c"]).items()}
        {258: [2, 1]}
    """
    model = json.loads(tokenizer_json)["model"]
    found = _counts(tokenizer_json, texts, len(model["vocab"]))
    return {size: found @ lengths(model, size) for size in sizes_up_to(len(model["vocab"]))}


def ratio(sizes: np.ndarray, tokens: np.ndarray) -> tuple[float, float, float]:
    """sum bytes / sum tokens over documents (n,), and its 95 % interval by resampling them.

    Example:
        >>> ratio(np.array([8.0, 8.0]), np.array([2.0, 2.0]))
        (4.0, 4.0, 4.0)
    """
    picks = np.random.Generator(np.random.Philox(key=[0, 0])).integers(0, len(sizes), (RESAMPLES, len(sizes)))
    low, high = np.quantile(sizes[picks].sum(1) / tokens[picks].sum(1), [0.025, 0.975])
    return float(sizes.sum() / tokens.sum()), float(low), float(high)


def _counts(tokenizer_json: str, texts: Sequence[str], vocabulary: int) -> Any:
    """How often each token stands in each text, a sparse matrix of shape (texts, vocabulary)."""
    from scipy.sparse import csr_array

    columns, values, ends = [], [], [0]
    tokenizer, left = load(tokenizer_json), iter(texts)
    while batch := list(islice(left, 64)):
        for item in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            found, number = np.unique(np.asarray(item.ids, dtype=np.int64), return_counts=True)
            columns.append(found)
            values.append(number)
            ends.append(ends[-1] + len(found))
    return csr_array((np.concatenate(values), np.concatenate(columns), ends), shape=(len(texts), vocabulary))


def lengths(model: Mapping[str, Any], vocabulary: int) -> np.ndarray:
    """Into how many tokens of the first `vocabulary` each token falls, shape (entries,).

    BPE merges in order of rank, so the smaller one's result is a state on the way to the larger one's, and no merge on
    the way crosses the border of a final token: encoding once with the largest counts exactly for all sizes.
    """
    known = model["vocab"]
    found = np.ones(len(known), dtype=np.int64)
    for left, right in model["merges"][max(0, vocabulary - SMALLEST) :]:
        found[known[left + right]] = found[known[left]] + found[known[right]]
    return found
