"""A BERT of two layers with a tokenizer of a few words, made on the spot as a release lies in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from pair_cases import CONTEXT, SIDE, SIZE
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn

from keel.corpus.tokenizer import load, released
from keel.corpus.vocabulary import vocabulary_of
from keel.model.shapes import folder
from keel.objective.base import Batch, Sample, Scratch
from keel.objective.contrastive import CLIP, Contrastive, SigLIP
from keel.objective.released_text import sha256_of
from keel.plan.spec import example_spec
from keel.run import parts

WORDS = ("a", "red", "green", "blue", "disc", "square", "left", "right", "of", "##s", "on", "white")
KINDS = {"clip": CLIP, "siglip": SigLIP}
WIDTH, POSITIONS = 24, 16


def write(path: Path, seed: int = 0, around: str = "[CLS] $A [SEP]", **changes: Any) -> Path:
    """Weights, config, and a tokenizer that cuts and fills every text to 4 tokens, as releases do unasked."""
    names = ["[PAD]", *[f"[unused{place}]" for place in range(3)], "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    ids = {name: place for place, name in enumerate(names)}
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
        hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, vocab_size=len(names) + 4,
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


def options(path: Path, trains: str = "no", **more: Any) -> dict[str, Any]:
    """Options of a loss whose text tower is the release there."""
    sha256 = sha256_of(folder.read(path))
    return {"text_context": CONTEXT, "text_from": str(path), "text_sha256": sha256, "text_trains": trains, **more}


def loss(name: str, path: Path, trains: str = "no", **more: Any) -> Contrastive:
    """A loss with it, over its own vocabulary."""
    return KINDS[name](options(path, trains, **more), vocabulary_of(released(path)))


def modules(of: Contrastive, dtype: torch.dtype = torch.float64, step: int = 0) -> dict[str, nn.Module]:
    """All parts, those that are frozen held."""
    spec = example_spec(family="clip-vision", size=SIZE.json())
    plan = of.parts("clip-vision", SIZE, Scratch())
    made = {name: module.to(dtype) for name, module in parts.build(plan, spec, of.vocabulary).items()}
    parts.hold(made, plan, step)
    return made


def captions() -> list[str]:
    """Captions of one to six tokens, all different."""
    return [f"{colour} {' '.join(rest)}".strip() for colour in ("red", "green", "blue", "white")
            for rest in ((), ("disc",), ("square", "left"), ("discs", "on", "a", "white"))]  # fmt: skip


def samples(path: Path) -> list[Sample]:
    """Images with these captions, cut by the release's tokenizer."""
    rng, tokenizer = np.random.default_rng(0), load(released(path))
    return [
        Sample(place, np.array(tokenizer.encode(text, add_special_tokens=False).ids),
               image=rng.normal(size=(3, SIDE, SIDE)).astype(np.float32))
        for place, text in enumerate(captions())
    ]  # fmt: skip


def batches(of: Contrastive, some: list[Sample], cut: list[int]) -> list[Batch]:
    """Micro-batches of the given sizes."""
    made, rng, first = [], np.random.default_rng(0), 0
    for size in cut:
        these = some[first : first + size]
        made.append(of.collate([of.example(one, rng) for one in these], [one.id for one in these]))
        first += size
    return made
