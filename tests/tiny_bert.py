"""A BERT of two layers with a tokenizer of a few words and all letters, made on the spot as releases lie in folders."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ("red", "green", "blue", "disc", "square", "left", "right", "of", "##s", "on", "white")
LETTERS = tuple(mark + letter for mark in ("", "##") for letter in ascii_lowercase if mark + letter != "##s")
WIDTH, POSITIONS, SPARE_ROWS = 24, 48, 4
SPECIAL = ("[PAD]", "[unused0]", "[unused1]", "[unused2]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROWS = len(SPECIAL) + len(WORDS) + len(LETTERS) + SPARE_ROWS


def write(path: Path, seed: int = 0, around: str = "[CLS] $A [SEP]", **changes: Any) -> Path:
    """Weights, config, and a tokenizer that cuts and fills every text to 4 tokens, as releases do unasked."""
    ids = {name: place for place, name in enumerate((*SPECIAL, *WORDS, *LETTERS))}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=around, special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    config = transformers.BertConfig(
        hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, vocab_size=ROWS,
        max_position_embeddings=POSITIONS, pad_token_id=0, **changes,
    )  # fmt: skip
    torch.manual_seed(seed)
    made = transformers.BertModel(config)
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.3 * torch.randn(weight.shape)
    made.save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    return path
