"""The end of a run: judged, gated, exported; `result.json` holds nothing that a clock or a machine could change."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from keel import model
from keel.corpus.shards import Shards
from keel.evaluate.bits_per_byte import Judgement, judge, unigram_bits_per_byte
from keel.files import place_error, write_json, write_text
from keel.model.shapes import Size, facts_of
from keel.objective.cost import flop_per_token
from keel.plan.spec import Spec
from keel.run.train import Trained

SCHEMA = "keel.result/1"


def finish(spec: Spec, folder: Path, shards: Shards, trained: Trained) -> dict[str, Any]:
    """Judge, gate and write `result.json`; a branch that passes is exported to `model/`."""
    shape, params, _ = facts_of(spec.family, spec.size)
    flop_a_token = flop_per_token(spec.objective, spec.options, spec.family, Size(**spec.size))
    judgement, gate = None, None
    if trained.failed:
        gate = {"name": "diverged", "why": trained.failed}
    else:
        judgement = _judge(trained, shards, shape.context)
        gate = _stalled(judgement, shards)
    is_branch = spec.start["kind"] == "branch"
    result = {
        "id": folder.name, "kind": "branch" if is_branch else "trunk", "family": spec.family,
        "objective": spec.objective, "params": params._asdict() | {"total": params.total}, "tokens": spec.tokens,
        "steps": spec.steps, "flop": flop_a_token * spec.tokens,
        "loss_nats_per_token": judgement.nats_per_token if judgement else None,
        "bits_per_byte": judgement.bits_per_byte if judgement else None,
        "heldout": {"bytes": shards.heldout_bytes, "tokens": len(shards.heldout), "sha256": shards.heldout_sha256},
        "ok": gate is None, "gate": gate, "spec_sha256": spec.digest(),
    }  # fmt: skip
    if is_branch and gate is None:
        _export(spec, folder, shards, trained, result)
    write_json(folder / "result.json", SCHEMA, result)
    return result


def _judge(trained: Trained, shards: Shards, context: int) -> Judgement:
    """Held-out bits per byte of the trained weights in fp32, with the library's own forward: what a user will load."""
    library: Any = trained.parts["model"].library

    def logits_of(tokens: torch.Tensor) -> torch.Tensor:
        hidden = library.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        flat: torch.Tensor = hidden.reshape(-1, hidden.shape[-1]) @ library.get_output_embeddings().weight.T
        return flat

    return judge(logits_of, shards.heldout, shards.heldout_bytes, context)


def _stalled(judgement: Judgement, shards: Shards) -> dict[str, str] | None:
    """The gate every rung must pass: better than token frequencies alone."""
    bar = unigram_bits_per_byte(shards.token_counts(), shards.heldout, shards.heldout_bytes)
    if not math.isfinite(judgement.bits_per_byte):
        return {"name": "diverged", "why": "the held-out loss is not finite"}
    if judgement.bits_per_byte >= bar:
        found = f"{judgement.bits_per_byte:.3f} bits per byte"
        return {"name": "stalled", "why": f"{found} is no better than token frequencies alone ({bar:.3f})"}
    return None


def _export(spec: Spec, folder: Path, shards: Shards, trained: Trained, result: dict[str, Any]) -> None:
    """`model/`: weights, config, tokenizer and card, loadable with from_pretrained; whole or absent.

    Raises:
        StudyError: the disk is full, or cannot be written.
    """
    target, building = folder / "model", folder / ".model"
    shutil.rmtree(building, ignore_errors=True)
    try:
        _write_model(spec, building, shards, trained, result)
        shutil.rmtree(target, ignore_errors=True)
        building.replace(target)
    except (OSError, SafetensorError) as error:
        # The library writes through Rust, whose errors carry the system's number as text.
        number = re.search(r"os error (\d+)", str(error))
        cause = OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(None, str(error))
        raise place_error(error if isinstance(error, OSError) and error.errno else cause, target) from error


def _write_model(spec: Spec, target: Path, shards: Shards, trained: Trained, result: dict[str, Any]) -> None:
    from transformers import PreTrainedTokenizerFast

    model.load(spec.family).export(trained.parts["model"], target)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(shards.tokenizer_path), eos_token="<|end|>", bos_token="<|end|>", pad_token="<|end|>",
        model_max_length=int(spec.size["context"]), clean_up_tokenization_spaces=False,
    )  # fmt: skip
    tokenizer.save_pretrained(target)
    write_text(target / "README.md", _card(spec, result))


def _card(spec: Spec, result: dict[str, Any]) -> str:
    params = result["params"]
    return f"""---
library_name: transformers
pipeline_tag: text-generation
---
# {result["id"]}

A {spec.family}-shaped decoder of {params["total"]:,} parameters ({params["body"]:,} body, {params["embedding"]:,}
embedding) trained by keel from scratch on {spec.tokens:,} tokens with a causal language-modelling loss.

| | |
|---|---|
| held-out bits per byte | {result["bits_per_byte"]:.4f} |
| held-out text | {result["heldout"]["bytes"]:,} bytes, sha256 {result["heldout"]["sha256"][:16]} |
| training data | sha256 {str(spec.data.get("data_sha256", "?"))[:16]} |
| context | {spec.size["context"]} tokens |
| training compute | {result["flop"]:.3g} FLOP |

It was trained to measure a scaling law. It has seen no filtering, no instruction data and no safety work.

```json
{json.dumps(spec.json(), indent=1)}
```
"""
