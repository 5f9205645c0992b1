"""A tokenizer's vocabulary as a loss must know it: tokenizer.json -> special ids by role, and where words begin.

Words are BERT's (Devlin et al. 2019, the released tokenizer): runs of letters and digits; every punctuation mark or
symbol is a word of its own, and so is every character of a script written without spaces. They are read from the
tokens, never from offsets: where those hold the space, a whole sentence is one word (huggingface/transformers #39485).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.corpus.characters import LINK, LONE, SPACE_CLASS, WORD, classes, text_of
from keel.corpus.pieces import Added, Parsed, parse, pieces_of
from keel.errors import StudyError

# How a token stands to the words around it.
JOINS = 0  # continues a word
BEGINS = 1  # begins a word (led by a space) that may go on
ALONE = 2  # punctuation or a character of a script without spaces: begins, and what follows begins too
SPECIAL = 3  # no text: a word of its own, never to be masked or drawn
BYTE = 4  # the rest of a character (UTF-8 continuation bytes, combining marks): joins whatever came before
SPACE = 5  # white space alone: begins, and what follows belongs to it
CLOSES = 6  # continues a word and ends it: "dog,"
BYTE_JOINS = 7  # the rest of a character, then a word that may go on
BYTE_CLOSES = 8  # the rest of a character, then one that stands alone

# By kind: does the token begin a word, and what does it leave to the next one?
IF_CLOSED, ALWAYS, NEVER = 0, 1, 2
OPEN, CLOSED, SAME, LEADS = 0, 1, 2, 3
START = np.array([IF_CLOSED, ALWAYS, ALWAYS, ALWAYS, NEVER, ALWAYS, IF_CLOSED, NEVER, NEVER], np.uint8)
END = np.array([OPEN, OPEN, CLOSED, CLOSED, SAME, LEADS, CLOSED, OPEN, CLOSED], np.uint8)

# Usual spellings of a role; where a tokenizer has several, the first named here has the role.
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "mask": ("[MASK]", "<mask>"),
    "pad": ("[PAD]", "<pad>", "<|padding|>"),
    "start": ("[CLS]", "<s>", "<bos>", "<|startoftext|>", "<|begin_of_text|>"),
    "separator": ("[SEP]", "</s>", "<eos>", "<|end|>", "<|endoftext|>", "<|end_of_text|>"),
    "unknown": ("[UNK]", "<unk>"),
}
PATTERNS: tuple[tuple[str, str], ...] = (
    (r"<extra_id_(\d+)>", "sentinel {}"),  # T5
    (r"__([a-z]+)__", "language {}"),  # M2M-100
    (r"([a-z]{2,3})_[A-Z]{2}", "language {}"),  # mBART
    (r"\[(R|S|X|CLM)\]", "mode {}"),  # UL2, AlexaTM
    (r"<\|((?:sentinel|language|mode) \S+|mask|pad|start|separator|unknown)\|>", "{}"),  # ours: the role, spelled out
)
# A sentence ends with one of these, closing quotes and brackets after it not counted (Unicode UAX 29, STerm and ATerm).
TERMINALS = frozenset(".!?\u2026\u3002\uff01\uff1f\uff0e\uff61\u061f\u06d4\u0964\u0965\u0589\u1362\u1367\u104b\u17d4")
CLOSERS = " \n\t\r\"')]}\u2019\u201d\u00bb\u300d\u300f\uff09"


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Ids 0 ... size - 1, specials included, and what each is.

    special: role -> id ("mask", "pad", "start", "separator", "unknown", "sentinel 0", "language de", "mode R", ...; a
    token without a known role has its spelling for one). kind[size]: one of the constants above; SPECIAL also for ids
    that no token has. ends_sentence[size]: the token's text ends with ". ! ?" or the like. pieces: id -> the bytes that
    an ordinary token stands for, led by a space where a word begins; what two tokenizers can be compared by.

    Example:
        >>> from keel.corpus.tokenizer import train
        >>> found = vocabulary_of(train(["a b"], 257))
        >>> found.size, found.id_of("separator"), len(found.ordinary)
        (257, 0, 256)
    """

    size: int
    special: Mapping[str, int]
    kind: NDArray[np.uint8]
    ends_sentence: NDArray[np.bool_]
    pieces: Mapping[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.kind.shape == self.ends_sentence.shape == (self.size,), "one kind and one flag for every id"
        assert all(0 <= index < self.size and self.kind[index] == SPECIAL for index in self.special.values())

    def id_of(self, role: str) -> int:
        """The id of a role.

        Raises:
            StudyError: the tokenizer has no such token.
        """
        if role not in self.special:
            known = ", ".join(sorted(self.special)) or "none"
            raise StudyError(f"the tokenizer has no '{role}' token", why=f"its special tokens are: {known}",
                             fix=f"add it with with_special(['{role}']), which gives the model one more row to learn, "
                             "or choose a loss that does without", where="tokenizer.json")  # fmt: skip
        return self.special[role]

    @cached_property
    def ordinary(self) -> NDArray[np.int64]:
        """All ids that are not special, ascending."""
        return np.flatnonzero(self.kind != SPECIAL)

    @cached_property
    def sentinels(self) -> tuple[int, ...]:
        """The ids of "sentinel 0", "sentinel 1", ..., in the order of their numbers."""
        numbers = sorted(int(role[9:]) for role in self.special if re.fullmatch(r"sentinel \d+", role))
        return tuple(self.special[f"sentinel {number}"] for number in numbers)

    def with_special(self, roles: Iterable[str]) -> Vocabulary:
        """The same vocabulary with missing roles at new ids at the end, in order; roles already there keep their id.

        Example:
            >>> from keel.corpus.tokenizer import train
            >>> vocabulary_of(train(["a b"], 257)).with_special(["separator", "mask"]).special
            {'separator': 0, 'mask': 257}
        """
        assert not isinstance(roles, str), "several roles, not the letters of one"
        missing = [role for role in dict.fromkeys(roles) if role not in self.special]
        special = {**self.special, **{role: self.size + place for place, role in enumerate(missing)}}
        kind = np.append(self.kind, np.full(len(missing), SPECIAL, np.uint8))
        ends = np.append(self.ends_sentence, [False] * len(missing))
        return Vocabulary(self.size + len(missing), special, kind, ends, self.pieces)

    def kinds(self, tokens: NDArray[Any]) -> NDArray[np.uint8]:
        """The kind of each token, shape [T].

        Raises:
            StudyError: a token is outside the vocabulary.
        """
        if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.size:
            wrong = int(tokens.max()) if int(tokens.min()) >= 0 else int(tokens.min())
            raise StudyError(f"token {wrong} is outside the vocabulary", why=f"its ids are 0 to {self.size - 1}",
                             fix="use the tokenizer that the data was encoded with")  # fmt: skip
        found: NDArray[np.uint8] = self.kind[tokens]
        return found

    def words(self, tokens: NDArray[Any]) -> NDArray[np.bool_]:
        """True where a word begins, shape [T]: the running sum numbers the words.

        White space belongs to the word that it leads. A token that holds several words, or parts of them, makes one of
        them all: no word is ever split. A special token is a word of its own. The first token always begins one, also
        where a window starts within a word.
        """
        kinds = self.kinds(tokens)
        start, end = START[kinds], END[kinds]
        lasting = np.maximum.accumulate(np.where(end != SAME, np.arange(len(kinds)), -1))
        before = np.append(-1, lasting)[:-1]
        state = np.where(before >= 0, end[before], CLOSED)
        begins: NDArray[np.bool_] = (state != LEADS) & ((start == ALWAYS) | (start == IF_CLOSED) & (state == CLOSED))
        begins |= kinds == SPECIAL
        begins[1:] |= kinds[:-1] == SPECIAL
        begins[:1] = True
        return begins


@lru_cache(maxsize=4)  # a worker trains many runs on one tokenizer
def vocabulary_of(tokenizer_json: str) -> Vocabulary:
    """The vocabulary of a tokenizer.json: WordPiece, WordLevel, or BPE and Unigram with ByteLevel, Metaspace or "</w>".

    Special are the added tokens marked so, those with a usual spelling of a role, and the model's unknown token.

    Raises:
        StudyError: not a tokenizer.json, or one whose tokens do not tell where words begin.
    """
    parsed = parse(tokenizer_json)
    pieces, special = pieces_of(parsed), _special(parsed)
    size = 1 + max([*pieces, *special.values()])
    kind, ends = np.full(size, SPECIAL, np.uint8), np.zeros(size, np.bool_)
    ordinary = {index: pieces[index] for index in sorted(pieces.keys() - set(special.values()))}
    for index, piece in ordinary.items():
        kind[index], ends[index] = kind_of(piece), _ends_sentence(piece)
    return Vocabulary(size, special, kind, ends, ordinary)


def kind_of(piece: bytes) -> int:
    """The kind of an ordinary token with these bytes; a leading space stands for whatever mark the tokenizer uses.

    Example:
        >>> [kind_of(piece) for piece in (b" dog", b"s", b",", b" ", b"dog,")] == [BEGINS, JOINS, ALONE, SPACE, CLOSES]
        True
    """
    rest_of_one, found = classes(piece)
    solid = [each for each in found if each != LINK]
    if not solid:
        return BYTE if piece else JOINS
    if set(found) == {SPACE_CLASS}:
        return BYTE_CLOSES if rest_of_one else SPACE
    goes_on = solid[-1] == WORD
    if rest_of_one or found[0] == LINK:
        return BYTE_JOINS if goes_on else BYTE_CLOSES
    if found[0] in (SPACE_CLASS, LONE):
        return BEGINS if goes_on else ALONE
    return JOINS if goes_on else CLOSES


def _ends_sentence(piece: bytes) -> bool:
    text = text_of(piece).rstrip(CLOSERS)
    return text[-1:] in TERMINALS if text else False


def _special(parsed: Parsed) -> dict[str, int]:
    """role -> id; of two tokens with one role the less usual keeps its own spelling for a role."""
    tokens = {token.text: token.id for token in parsed.added if _is_special(token)}
    unknown = _unknown(parsed)
    if unknown is not None:
        tokens.update({token: index for index, token in parsed.entries.items() if token == unknown})
    ranks = {token: rank for rank, token in enumerate(spelling for names in SPELLINGS.values() for spelling in names)}
    special: dict[str, int] = {}
    for token in sorted(tokens, key=lambda token: (ranks.get(token, len(ranks)), tokens[token])):
        role = "unknown" if token == unknown else _role(token)
        special[token if role in special else role] = tokens[token]
    return special


def _unknown(parsed: Parsed) -> str | None:
    """The token that stands for text outside the vocabulary; a Unigram has its id."""
    place = parsed.model.get("unk_id")
    return parsed.model.get("unk_token") if place is None else parsed.entries.get(place)


def _is_special(token: Added) -> bool:
    """Marked so, or with a usual spelling in brackets (a word that a user added, such as "de_DE", is ordinary)."""
    return token.special or (token.text[:1] in ("<", "[") and _role(token.text) != token.text)


def _role(token: str) -> str:
    """The role of a usual spelling, else the spelling itself."""
    for role, spellings in SPELLINGS.items():
        if token in spellings:
            return role
    for pattern, role in PATTERNS:
        if found := re.fullmatch(pattern, token):
            return role.format(found[1])
    return token
