"""A saved model judged from its folder alone, as a stranger would load it.

`python -m keel.evaluate.saved STUDY RUN` loads runs/RUN/model with from_pretrained, tokenises the held-out text with
the tokenizer beside it, and prints its bits per byte next to the run's own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from keel.corpus.shards import Shards, open_shards
from keel.errors import StudyError
from keel.evaluate.bits_per_byte import Judgement, judge
from keel.files import read_json


def judge_saved(model_folder: Path, shards: Shards) -> Judgement:
    """Bits per byte of the held-out text under the saved model and its own tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(model_folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(model_folder)
    stream: list[int] = []
    for text in _heldout_texts(shards, tokenizer):
        stream += [*tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], shards.separator]

    def logits_of(tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = model(input_ids=tokens, use_cache=False).logits
        return logits.reshape(-1, logits.shape[-1])

    context = int(model.config.max_position_embeddings)
    return judge(logits_of, np.array(stream), shards.heldout_bytes, context, shards.separator)


def _heldout_texts(shards: Shards, tokenizer: Any) -> list[str]:
    """The held-out documents as text."""
    ends = np.flatnonzero(shards.heldout == shards.separator)
    starts = [0, *(ends[:-1] + 1)]
    return [tokenizer.decode(shards.heldout[a:b], clean_up_tokenization_spaces=False) for a, b in zip(starts, ends)]


def main() -> None:
    """Print both figures and their difference; exit 2 where that cannot be."""
    try:
        print(compared(Path(sys.argv[1]), sys.argv[2]))
    except StudyError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def compared(study: Path, run: str) -> str:
    """The run's own figure, that of its saved model, and their difference.

    Raises:
        StudyError: no such run, or one that another judge judged than that of a text's next tokens.
    """
    result = read_json(study / "runs" / run / "result.json", "keel.result/1")
    if result["judge"] != "bits_per_byte":
        raise StudyError("this check is of models that predict the next token of a text", where=run,
                         why=f"the run's judge is {result['judge']}",
                         fix="load runs/.../model yourself, or give its use case an eval file")  # fmt: skip
    spec = read_json(study / "runs" / run / "spec.json", "keel.spec/1")
    folder = next(
        index.parent
        for index in sorted((study / "runs").glob(".shards-*/index.json"))
        if read_json(index, "keel.shards/1")["identity"]["vocabulary"] == spec["data"]["vocabulary"]
    )
    found = judge_saved(study / "runs" / run / "model", open_shards(folder)).bits_per_byte
    return (
        f"result.json {result['bits_per_byte']:.6f}  from_pretrained {found:.6f}  "
        f"difference {found - result['bits_per_byte']:+.1e} bits per byte"
    )


if __name__ == "__main__":
    main()
