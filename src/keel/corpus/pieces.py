"""tokenizer.json -> the bytes that each token stands for, led by a space where the tokenizer marks one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from keel.errors import StudyError

METASPACE = "\u2581"


class Added(NamedTuple):
    """A token that the file names apart from the model."""

    id: int
    text: str
    special: bool


class Parsed(NamedTuple):
    """A tokenizer.json: its model, id -> token, the tokens added to it, and all that is done to the text."""

    model: Mapping[str, Any]
    entries: Mapping[int, str]
    added: tuple[Added, ...]
    parts: tuple[Mapping[str, Any], ...]


def parse(tokenizer_json: str) -> Parsed:
    """A tokenizer.json as the tokenizers library writes it.

    Raises:
        StudyError: it is something else.
    """
    try:
        tree = json.loads(tokenizer_json)
        model, tokens = tree["model"], tree.get("added_tokens") or []
        added = tuple(Added(int(each["id"]), str(each["content"]), bool(each.get("special"))) for each in tokens)
        steps = [tree.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")]
        parsed = Parsed(model, _entries(model["vocab"]), added, tuple(_components(steps)))
        if not parsed.entries:
            raise ValueError("its vocabulary is empty")
        if min(parsed.entries) < 0:
            raise ValueError("it has a negative id")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise StudyError("not a tokenizer.json", why=f"{type(error).__name__}: {error}", where="tokenizer.json",
                         fix="bring a file written by the tokenizers library (Tokenizer.save)") from error  # fmt: skip
    return parsed


def _entries(vocab: Any) -> dict[int, str]:
    """id -> token; a Unigram lists them in order with their scores."""
    if isinstance(vocab, Mapping):
        return {int(index): str(token) for token, index in vocab.items()}
    return {index: str(token) for index, (token, _) in enumerate(vocab)}


def _components(nodes: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """Every component, those within sequences too."""
    for node in nodes:
        if isinstance(node, Mapping):
            yield node
            yield from _components([each for value in node.values() if isinstance(value, list) for each in value])


def pieces_of(parsed: Parsed) -> dict[int, bytes]:
    """id -> the bytes that a token stands for, led by a space where it is marked so.

    Raises:
        StudyError: the tokenizer marks neither where words begin nor where they end.

    Example:
        >>> from keel.corpus.tokenizer import train
        >>> sorted(pieces_of(parse(train(["aa aa aa"], 260))).values())[-3:]
        [b'\\xfd', b'\\xfe', b'\\xff']
    """
    model, entries = parsed.model, parsed.entries
    prefix, suffix = model.get("continuing_subword_prefix"), model.get("end_of_word_suffix")
    if any(part.get("type") == "ByteLevel" for part in parsed.parts):
        found = {index: _from_byte_level(token) for index, token in entries.items()}
    elif mark := _space_mark(parsed.parts):
        spelled = bool(model.get("byte_fallback"))
        found = {index: _from_text(token, mark, spelled) for index, token in entries.items()}
    elif prefix or model.get("type") == "WordLevel":
        found = {index: _from_prefixed(token, prefix) for index, token in entries.items()}
    elif suffix:
        found = {index: re.sub(f"{re.escape(suffix)}$", " ", token).encode() for index, token in entries.items()}
    else:
        raise StudyError("the tokenizer does not mark where words begin", where="tokenizer.json",
                         why=f"a {model.get('type')} model with no ByteLevel, no Metaspace and no '##'",
                         fix="train it with ByteLevel or Metaspace, or as WordPiece")  # fmt: skip
    return found | {token.id: token.text.encode() for token in parsed.added}


def _space_mark(parts: Sequence[Mapping[str, Any]]) -> str | None:
    """What stands for a space: Metaspace's sign, or the one that a normaliser puts (Llama's older files)."""
    for part in parts:
        if part.get("type") == "Metaspace":
            return str(part.get("replacement", METASPACE))
    replaced = any(part.get("type") == "Replace" and part.get("content") == METASPACE for part in parts)
    return METASPACE if replaced else None


def _byte_alphabet() -> dict[str, int]:
    """Byte-level BPE's characters -> bytes: printable Latin-1 is itself, the others are U+0100 on, in order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


BYTE_OF = _byte_alphabet()


def _from_byte_level(token: str) -> bytes:
    return bytes(BYTE_OF[char] for char in token) if all(char in BYTE_OF for char in token) else token.encode()


def _from_text(token: str, mark: str, bytes_spelled: bool) -> bytes:
    if bytes_spelled and (spelled := re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", token)):
        return bytes([int(spelled[1], 16)])
    return token.replace(mark, " ").encode()


def _from_prefixed(token: str, prefix: str | None) -> bytes:
    return token.removeprefix(prefix).encode() if prefix and token.startswith(prefix) else f" {token}".encode()
