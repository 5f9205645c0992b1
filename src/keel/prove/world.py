"""A tiny world to try a loss in: a few KB of text, a tokenizer trained on it, tokens on disk, and a run's identity."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keel import objective
from keel.corpus import instructions, markov, parallel, shards, split
from keel.corpus.images.store import Store
from keel.corpus.readers import open_source
from keel.corpus.store import Corpus
from keel.corpus.tokenizer import train
from keel.corpus.vocabulary import vocabulary_of
from keel.errors import StudyError
from keel.files import write_text
from keel.objective.base import Objective
from keel.objective.held import facts_of
from keel.plan.spec import Spec, example_spec
from keel.prove import pictures
from keel.run.whose_tokens import tokenizer_json
from keel.study import Study

VOCABULARY, CONTEXT, WIDTH, HEAD_WIDTH, LAYERS = 320, 32, 32, 8, 1
LONG, SHORT, LANGUAGES = 36, 40, ("de", "en")
STEPS = 6
# Options of built-in losses that have none by default, or are large for a world so small.
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "mbart": {"language": LANGUAGES[0]},
    "translation": {"languages": list(LANGUAGES)},
    "deepcluster": {"clusters": 6},
    "deepercluster": {"clusters": 8, "every": 1},
    "dino": {"prototypes": 64, "local_views": 2},
    "maskvlm": {"group": 4},
    # What a teacher knows changes no gradient's being right: this one knows nothing.
    "distil": {
        "of": {"loss": "clm"}, "cosine": 0.5, "top": 30,
        "teacher": {"start": {"kind": "scratch"}, "family": "llama", "size": {
            "width": WIDTH, "layers": 2, "vocabulary": VOCABULARY, "context": CONTEXT, "head_width": HEAD_WIDTH}},
    },
    "mixture": {"of": {
        "right": {"loss": "clm", "share": 0.6},
        "suffix": {"loss": "prefix_lm", "options": {"low": 0.2, "high": 0.8}, "share": 0.4},
    }},
}  # fmt: skip
# The least samples of a micro-batch of the grid: its five cells cut a step into one, two or four of them.
QUARTER = 4


def documents(seed: int = 0) -> Iterator[str]:
    """First many documents of a few words, then long ones of several sentences: so windows differ in their targets."""
    rng, source = np.random.default_rng(seed), markov.chain(90, 6, seed)
    cumulative = source.transitions.cumsum(axis=1)
    for number in range(SHORT + LONG):
        words = int(rng.integers(1, 5) if number < SHORT else rng.integers(15, 50))
        now, made, left = int(rng.integers(len(source.words))), [], 0
        for _ in range(words):
            made.append(source.words[now])
            left = left - 1 if left else int(rng.integers(3, 8))
            if left == 1:
                made[-1] += "."
            now = min(int((cumulative[now] < rng.random()).sum()), len(source.words) - 1)
        yield " ".join(made).rstrip(".") + "."


def make(folder: Path) -> Path:
    """The same text by the paths that studies take: documents in a stream, pairs of lines, records in templates."""
    for number, text in enumerate(documents()):
        write_text(folder / "text" / f"{number:03d}.txt", text)
    source = open_source(folder, Study.model_validate({"data": {"train": "text"}}).data)
    units, texts = split.Units(), []
    for document in source.documents():
        units.add(document, len(document.text.encode()), timed=False)
        texts.append(document.text)
    divided = split.choose(units, "document", {})
    divided["train_bytes"] = units.bytes * (1 - divided["fraction"])
    tokenizer_json = train(texts, VOCABULARY)
    with contextlib.redirect_stderr(io.StringIO()):
        shards.write(folder / "stream", source, {"split": divided}, tokenizer_json, 2000, {})
    pairs = (parallel.Pair(number, *_sides(text)) for number, text in enumerate(texts, start=1))
    parallel.write(folder / "pairs", pairs, tokenizer_json, LANGUAGES, heldout_share=0.1)
    records = (dict(zip(("given", "asked"), _sides(text))) for text in texts)
    write_text(folder / "records.jsonl", "\n".join(map(json.dumps, records)))
    told = [instructions.Template(prompt, "{asked}") for prompt in ("{given}", "of {given}:")]
    task = instructions.Task(folder / "records.jsonl", told)
    instructions.write(folder / "instructions", {"turn": task}, tokenizer_json, heldout_share=0.1)
    return folder


def _sides(text: str) -> tuple[str, str]:
    """One to three words of a document, and one or two of them turned round: sides of unequal length."""
    words = text.split()
    return " ".join(words[: 1 + len(words) % 3]), " ".join(words[: 1 + len(words) % 2][::-1])


def corpus_of(reads: str, folder: Path) -> Corpus:
    """What a loss that reads so is given, each file held against its checksum."""
    if reads in ("images", "image-text"):
        return pictures.corpus(folder, VOCABULARY if reads == "image-text" else 0)
    if reads == "instructions":
        return instructions.open_instructions(folder / "instructions")
    return parallel.open_bitext(folder / "pairs") if reads == "parallel" else shards.open_shards(folder / "stream")


def loss_class(name: str) -> type[Objective]:
    """The class of a loss by name or "module:Name", whatever its module does when it is imported.

    Raises:
        StudyError: there is none, it cannot be imported, or it is no Objective with facts.
    """
    fix = "let it import nothing that is not installed, and run again"
    try:
        found: Any = objective.kind(name)
    except StudyError:
        raise
    except Exception as error:
        why = f"its module raised {type(error).__name__}: {error}"
        raise StudyError(f"loss '{name}' cannot be loaded", why=why, fix=fix) from error
    if not (isinstance(found, type) and issubclass(found, Objective) and hasattr(found, "facts")):
        raise StudyError(f"'{name}' is no loss", why="it is not a class on keel.objective.base.Objective with `facts`",
                         fix="derive it from Objective and give it a Facts")  # fmt: skip
    return found


def spec_of(name: str, options: Mapping[str, Any], folder: Path, context: int = CONTEXT) -> Spec:
    """The identity of a tiny run of a loss: its first family, from scratch, in fp32.

    Raises:
        StudyError: the loss cannot be loaded, or refuses its options.
    """
    loss_class(name)
    facts = facts_of(name, options)
    corpus = corpus_of(facts.reads, folder)
    text = tokenizer_json(facts, options, corpus)
    known = vocabulary_of(text).with_special(facts.roles(options, context)) if text else None
    objective.load(name, options, known)
    size = {"width": WIDTH, "layers": LAYERS, "vocabulary": known.size if known else 0, "context": context,
            "head_width": HEAD_WIDTH}  # fmt: skip
    if isinstance(corpus, Store):
        context = pictures.PATCHES
        labels = {"classes": len(corpus.classes)} if facts.judge == "class_nats" else {}
        head = {"embedding_width": WIDTH} if known else labels
        size |= {"vocabulary": 0, "context": context, "patch": pictures.PATCH, **head}
    return example_spec(
        objective=name, options=dict(options), family=facts.families[0], size=size, steps=STEPS, warmup_steps=2,
        decay_start=4, batch_tokens=4 * quarter(facts.group) * context, lr_hidden=0.01, lr_embedding=0.01,
    )  # fmt: skip


def quarter(group: int) -> int:
    """Samples in a quarter of a step: whole groups, four samples at least.

    Example:
        >>> quarter(1), quarter(3), quarter(8)
        (4, 6, 8)
    """
    return -(-QUARTER // group) * group
