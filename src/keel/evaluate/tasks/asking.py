"""How a model that writes is asked: prompt and answer -> ids of encoder and decoder, nats of the answer, greedy text.

Legend: B questions, S positions of the encoder, T of the decoder, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from keel.errors import StudyError, nearest
from keel.evaluate.tasks.subject import Ids, Subject, batches, padded

LOGITS = 1 << 25  # numbers in a batch's logits: 128 MiB in fp32
EMPTY: Ids = np.empty(0, np.int64)


class Asked(NamedTuple):
    """What the encoder reads (nothing for a decoder), what the decoder is given, and the answer to be scored."""

    inputs: Ids
    lead: Ids
    target: Ids = EMPTY


def _ids(*parts: Any) -> Ids:
    return np.concatenate([np.atleast_1d(np.asarray(part, np.int64)) for part in parts])


def _continued(subject: Subject, prompt: Ids, answer: Ids) -> Asked:
    return Asked(EMPTY, _ids(subject.frame.before, prompt), answer)


def _start(subject: Subject) -> Ids:
    return _ids(subject.library.config.decoder_start_token_id, subject.frame.before)


def _framed(subject: Subject, *parts: Any) -> Ids:
    return _ids(subject.frame.before, *parts, subject.frame.after)


def _prefix(subject: Subject, prompt: Ids, answer: Ids) -> Asked:
    return Asked(_framed(subject, prompt), _start(subject), answer)


def _sentinel(subject: Subject, prompt: Ids, answer: Ids) -> Asked:
    mark, mode = subject.vocabulary.sentinels[0], subject.vocabulary.special.get("mode S")
    return Asked(_framed(subject, [] if mode is None else mode, prompt, mark), _ids(_start(subject), mark), answer)


def _signal(subject: Subject, prompt: Ids, answer: Ids) -> Asked:
    return Asked(_framed(subject, subject.vocabulary.id_of("mode CLM"), prompt), _start(subject), answer)


def _mask(subject: Subject, prompt: Ids, answer: Ids) -> Asked:
    inputs = _framed(subject, prompt, subject.vocabulary.id_of("mask"))
    return Asked(inputs, _ids(_start(subject), prompt), answer)


# Where the answer stands, as the model was trained: behind the text; in the decoder, of what the encoder has read; in
# the place of a sentinel (T5, UL2); behind the signal to go on (AlexaTM); in the place of a mask, the text repeated
# before it (BART).
WAYS: Mapping[str, Callable[[Subject, Ids, Ids], Asked]] = {
    "continue": _continued,
    "prefix": _prefix,
    "sentinel": _sentinel,
    "signal": _signal,
    "mask": _mask,
}


def way_of(subject: Subject, wanted: str = "") -> str:
    """The way to ask: as wanted, else the one that the special tokens speak for.

    Raises:
        StudyError: an encoder, an unknown way, or one that the model or its vocabulary does not have.
    """
    if subject.kind == "encoder":
        raise StudyError("an encoder writes no answers", why=f"{subject.name} gives states, and no text",
                         fix="use a probe, fine-tuning or retrieval", where="task")  # fmt: skip
    special = subject.vocabulary.special
    able = {
        "continue": subject.kind == "decoder", "sentinel": bool(subject.vocabulary.sentinels),
        "signal": "mode CLM" in special, "mask": "mask" in special, "prefix": True,
    }  # fmt: skip
    fits = ["continue"] if able["continue"] else [name for name, there in able.items() if there]
    if wanted and wanted not in fits:
        known = nearest(wanted, WAYS) if wanted not in WAYS else f"it can be asked by: {', '.join(fits)}"
        why = f"it is a {subject.kind}, and its special tokens are {', '.join(special)}"[:200]
        raise StudyError(f"the model cannot be asked by '{wanted}'", why=why, fix=known, where="way")
    return wanted or fits[0]


def room(subject: Subject, way: str, answer: int) -> int:
    """Tokens of a prompt that leave a place for `answer` tokens.

    Raises:
        StudyError: none are left.
    """
    empty, one = (WAYS[way](subject, np.zeros(size, np.int64), EMPTY) for size in (0, 1))
    shares = len(one.lead) > len(empty.lead)  # prompt and answer stand in one sequence
    written = len(empty.lead) + answer
    left = subject.context - max(len(empty.inputs), written if shares else 0)
    if written > subject.context or left < 1:
        why = f"it takes {answer} tokens, and the model sees {subject.context}"
        fix = "shorten the answers, or take a model of a longer context"
        raise StudyError("an answer leaves no room for its question", why=why, fix=fix, where="rows")
    return left


@torch.no_grad()
def nats(subject: Subject, asked: Sequence[Asked]) -> NDArray[np.float64]:
    """Sum of -ln p over the answer of each question, shape (B,), by the library's own logits.

    Example: see `labels.few_shot`.
    """
    found = np.zeros(len(asked))
    lengths = [len(each.inputs) + len(each.lead) + len(each.target) for each in asked]
    most = max(1, LOGITS // subject.library.get_input_embeddings().weight.shape[0])
    for places in batches(range(len(asked)), lengths, most):
        some = [asked[place] for place in places]
        logits = _logits(subject, some)
        for row, (place, each) in enumerate(zip(places, some)):
            assert len(each.lead), "the first token of an answer has nothing before it"
            first = len(each.lead) - 1
            rows = logits[row, first : first + len(each.target)].float()
            lost = torch.nn.functional.cross_entropy(rows, torch.from_numpy(each.target), reduction="none")
            found[place] = float(lost.double().sum())
    return found


def _logits(subject: Subject, asked: Sequence[Asked]) -> torch.Tensor:
    """(B, T, V): what the decoder expects behind each of its inputs."""
    decoder, mask = padded([_ids(each.lead, each.target) for each in asked], subject.pad)
    if subject.kind == "decoder":
        found: torch.Tensor = subject.library(input_ids=decoder, attention_mask=mask, use_cache=False).logits
        return found
    inputs, seen = padded([each.inputs for each in asked], subject.pad)
    found = subject.library(input_ids=inputs, attention_mask=seen, decoder_input_ids=decoder, use_cache=False).logits
    return found


@torch.no_grad()
def write(subject: Subject, asked: Sequence[Asked], most: int) -> list[str]:
    """What the model writes for each question, greedily: at most `most` tokens, up to its end token.

    Questions of equal lengths go together, so that nothing is padded.
    """
    from transformers import GenerationConfig

    end = subject.vocabulary.special.get("separator", subject.library.config.eos_token_id)
    config = GenerationConfig(
        max_new_tokens=most, do_sample=False, num_beams=1, eos_token_id=end, pad_token_id=subject.pad,
        bos_token_id=end, decoder_start_token_id=int(asked[0].lead[0]),
    )  # fmt: skip
    shapes: dict[tuple[int, int], list[int]] = {}
    for place, each in enumerate(asked):
        shapes.setdefault((len(each.inputs), len(each.lead)), []).append(place)
    written = [""] * len(asked)
    for (read, given), places in shapes.items():
        for some in batches(places, [read + given + most] * len(places)):
            lead = torch.from_numpy(np.stack([asked[place].lead for place in some]))
            inputs = torch.from_numpy(np.stack([asked[place].inputs for place in some]))
            found = _generated(subject, inputs, lead, config)
            for place, row in zip(some, found[:, given:].tolist()):
                ids = row[: row.index(end)] if end in row else row
                written[place] = subject.tokenizer.decode(ids, skip_special_tokens=True)
    return written


def _generated(subject: Subject, inputs: torch.Tensor, lead: torch.Tensor, config: Any) -> torch.Tensor:
    given: dict[str, torch.Tensor] = {"input_ids": lead, "attention_mask": torch.ones_like(lead)}
    if subject.kind != "decoder":
        given = {"input_ids": inputs, "attention_mask": torch.ones_like(inputs), "decoder_input_ids": lead}
    # What our config leaves open the library takes from the model's: tokens forced at the end, penalties, sampling.
    own = subject.library.generation_config
    subject.library.generation_config = config
    try:
        found: torch.Tensor = subject.library.generate(**given, generation_config=config)
    finally:
        subject.library.generation_config = own
    return found
