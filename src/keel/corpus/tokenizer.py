"""A byte-level BPE, and tokens measured by it: a smaller vocabulary is a prefix of the larger one's merges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SEPARATOR = "<|end|>"
SAMPLE_BYTES = 4_000_000
VOCABULARIES = (512, 1024, 2048, 4096, 8192, 16384, 32768)


def largest_vocabulary(num_bytes: float) -> int:
    """The largest candidate that the corpus can feed: about one entry for 600 bytes.

    Example:
        >>> largest_vocabulary(12e6), largest_vocabulary(1e9)
        (16384, 32768)
    """
    return max([size for size in VOCABULARIES if size <= num_bytes / 600] or [VOCABULARIES[0]])


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


def truncate(tokenizer_json: str, vocabulary: int) -> str:
    """The same BPE with fewer merges: exactly what training at the smaller size gives."""
    tree = json.loads(tokenizer_json)
    tree["model"]["vocab"] = {token: index for token, index in tree["model"]["vocab"].items() if index < vocabulary}
    kept = tree["model"]["vocab"]
    tree["model"]["merges"] = [pair for pair in tree["model"]["merges"] if "".join(pair) in kept]
    return json.dumps(tree, ensure_ascii=False, indent=2)


def sizes_up_to(trained: int) -> list[int]:
    """Candidate vocabularies of a tokenizer with `trained` entries, its own size included."""
    return sorted({size for size in VOCABULARIES if size < trained} | {trained})


def measure(tokenizer_json: str, texts: Sequence[str], train_bytes: float) -> list[dict[str, Any]]:
    """Bytes per token at each candidate vocabulary, with a 95 % interval by resampling documents.

    bytes_per_token = sum bytes / sum tokens (a ratio of sums); train_tokens = train_bytes / bytes_per_token.
    """
    trained = len(json.loads(tokenizer_json)["model"]["vocab"])
    sizes = np.array([len(text.encode()) for text in texts], dtype=np.float64)
    picks = np.random.Generator(np.random.Philox(key=[0, 0])).integers(0, len(texts), (400, len(texts)))
    rows = []
    for vocabulary in sizes_up_to(trained):
        encoded = Tokenizer.from_str(truncate(tokenizer_json, vocabulary)).encode_batch(list(texts), add_special_tokens=False)
        tokens = np.array([len(item.ids) for item in encoded], dtype=np.float64)
        ratio = float(sizes.sum() / tokens.sum())
        low, high = np.quantile(sizes[picks].sum(1) / tokens[picks].sum(1), [0.025, 0.975])
        rows.append({
            "vocabulary": vocabulary, "bytes_per_token": ratio, "low": float(low), "high": float(high),
            "train_tokens": train_bytes / ratio, "train_tokens_low": train_bytes / float(high),
            "train_tokens_high": train_bytes / float(low),
        })  # fmt: skip
    return rows
