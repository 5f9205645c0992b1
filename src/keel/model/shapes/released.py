"""Released models as sizes of their family, from the config files they were published with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from keel.model.shapes.size import Size


class Released(NamedTuple):
    """A published model: its family, its size, and the head under which it is counted."""

    family: str
    size: Size
    head: str = "tokens"


def _size(width: int, layers: int, vocabulary: int, context: int, head_width: int = 64, **more: int) -> Size:
    return Size(
        width=width, layers=layers, vocabulary=vocabulary, context=context, head_width=head_width, **more
    )  # fmt: skip


RELEASED: Mapping[str, Released] = {
    "bert-base-uncased": Released("bert", _size(768, 12, 30522, 512)),
    "bert-base-uncased, body and pooler": Released("bert", _size(768, 12, 30522, 512), "body"),
    "bert-base-uncased, both heads": Released("bert", _size(768, 12, 30522, 512), "sentences"),
    "bert-large-uncased": Released("bert", _size(1024, 24, 30522, 512)),
    "roberta-base": Released("roberta", _size(768, 12, 50265, 512)),
    "roberta-large": Released("roberta", _size(1024, 24, 50265, 512)),
    "xlm-roberta-base": Released("xlm-roberta", _size(768, 12, 250002, 512)),
    "xlm-roberta-large": Released("xlm-roberta", _size(1024, 24, 250002, 512)),
    "xlm-mlm-en-2048": Released("xlm", _size(2048, 12, 30145, 512, 128)),
    "xlm-mlm-tlm-xnli15-1024": Released("xlm", _size(1024, 12, 95000, 512, 128, token_types=15)),
    "albert-base-v2, body and pooler": Released("albert", _size(768, 12, 30000, 512), "body"),
    "albert-xxlarge-v2": Released("albert", _size(4096, 12, 30000, 512)),
    "electra-small-discriminator": Released("electra", _size(256, 12, 30522, 512, embedding_width=128), "replaced"),
    "electra-small-generator": Released("electra", _size(256, 12, 30522, 512, embedding_width=128)),
    "electra-base-discriminator": Released("electra", _size(768, 12, 30522, 512), "replaced"),
    "deberta-v3-base, body": Released("deberta-v2", _size(768, 12, 128100, 512), "body"),
    "deberta-v3-large, body": Released("deberta-v2", _size(1024, 24, 128100, 512), "body"),
    "ModernBERT-base": Released("modernbert", _size(768, 22, 50368, 8192)),
    "ModernBERT-large": Released("modernbert", _size(1024, 28, 50368, 8192, feed_forward=2624)),
    "bigbird-roberta-base": Released("bigbird", _size(768, 12, 50358, 4096)),
    "gpt2": Released("gpt2", _size(768, 12, 50257, 1024)),
    "gpt2-xl": Released("gpt2", _size(1600, 48, 50257, 1024)),
    "opt-125m": Released("opt", _size(768, 12, 50272, 2048)),
    "opt-1.3b": Released("opt", _size(2048, 24, 50272, 2048)),
    "bloom-560m": Released("bloom", _size(1024, 24, 250880, 2048)),
    "t5-v1_1-base": Released("t5", _size(768, 12, 32128, 512)),
    "t5-v1_1-large": Released("t5", _size(1024, 24, 32128, 512, feed_forward=2816)),
    "bart-base": Released("bart", _size(768, 6, 50265, 1024)),
    "bart-large": Released("bart", _size(1024, 12, 50265, 1024)),
    "mbart-large-cc25": Released("mbart", _size(1024, 12, 250027, 1024)),
    "m2m100_418M": Released("m2m_100", _size(1024, 12, 128112, 1024)),
    "m2m100_1.2B": Released("m2m_100", _size(1024, 24, 128112, 1024, feed_forward=8192)),
    "bigbird-pegasus-large": Released("bigbird_pegasus", _size(1024, 16, 96103, 4096)),
    "AlexaTM 20B, as the paper lays it out": Released("alexatm", _size(4096, 46, 150000, 1024, 128)),
}
