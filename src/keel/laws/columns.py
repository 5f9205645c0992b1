"""Which column means what, by its name and the unit in it; where two could, the user is asked, never guessed for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keel.errors import Problem, nearest
from keel.laws.priors import BITS_PER_BYTE


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# First choice, then names that mean a rarer thing and count only where no first choice is there.
NAMES: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "params": (
        _words("params n_params num_params parameters n_parameters num_parameters params_total total_params "
                  "total_parameters total_parameter_count model_params parameter_count n n_total"),
        _words("params_body body_params n_noembed n_nonemb params_non_embedding non_embedding_params params_active "
                  "active_params params_active_precise dense_parameter_count model_size"),
    ),
    "tokens": (
        _words("tokens n_tokens num_tokens train_tokens training_tokens tokens_seen total_tokens tokens_trained d"),
        frozenset(),
    ),
    "loss": (
        _words("loss val_loss validation_loss eval_loss test_loss final_loss value bits_per_byte val_bits_per_byte "
                  "bpb val_bpb eval_bpb nats_per_token val_nats_per_token loss_nats_per_token cross_entropy"),
        _words("train_loss training_loss"),
    ),
    "flop": (
        _words("flop flops train_flop train_flops training_flop training_flops total_flop total_flops compute c"),
        _words("gflop gflops train_gflops"),
    ),
}  # fmt: skip
SCALES = {
    "k": 1e3, "thousand": 1e3, "thousands": 1e3, "m": 1e6, "million": 1e6, "millions": 1e6, "b": 1e9, "g": 1e9,
    "bn": 1e9, "billion": 1e9, "billions": 1e9, "t": 1e12, "trillion": 1e12, "trillions": 1e12,
}  # fmt: skip


class Column(NamedTuple):
    """A column with the factor that turns its numbers into ones (params, tokens, flop)."""

    name: str
    scale: float


def plain(name: str) -> tuple[str, float]:
    """A column's name without its unit, and the unit's factor.

    Example:
        >>> plain("Params (M)"), plain("tokens_b"), plain("val loss"), plain("train_gflops")
        (('params', 1000000.0), ('tokens', 1000000000.0), ('val_loss', 1.0), ('train_gflops', 1000000000.0))
    """
    text = re.sub(r"[\s\-./]+", "_", name.strip().lower())
    match = re.fullmatch(r"(.+?)_*[(\[]_*([a-z]+)(?:_(?:params|tokens|parameters))?_*[)\]]", text)
    if match and match[2] in SCALES:
        return match[1].strip("_"), SCALES[match[2]]
    head, _, tail = text.rpartition("_")
    if tail in SCALES and any(head in names for role in ("params", "tokens", "flop") for names in NAMES[role]):
        return head, SCALES[tail]
    return text, 1e9 if "gflop" in text else 1.0


def find(header: Sequence[str], asked: Mapping[str, str], where: str) -> tuple[dict[str, Column], list[Problem]]:
    """The column of each role ("flop" may be absent), and every problem met on the way."""
    found: dict[str, Column] = {}
    problems: list[Problem] = []
    known = {name: plain(name) for name in header}
    for role, (first, second) in NAMES.items():
        if asked.get(role):
            name = asked[role]
            if name in known:
                found[role] = Column(name, known[name][1])
            else:
                problems.append(Problem(f"--{role} {name}: no such column", nearest(name, header),
                                        f"name one of the columns: --{role} COL", where))  # fmt: skip
            continue
        taken = set(asked.values())
        fits = [[name for name in header if known[name][0] in names and name not in taken] for names in (first, second)]
        if role == "loss" and not fits[0]:
            fits[1] += [n for n in header if re.match(r"(val_|eval_)?loss_|.*_loss$", known[n][0]) and n not in fits[1]]
        chosen = fits[0] or fits[1]
        if len(chosen) == 1:
            found[role] = Column(chosen[0], known[chosen[0]][1])
        elif chosen:
            problems.append(Problem(f"{len(chosen)} columns could be the {role}", ", ".join(chosen),
                                    f"say which: --{role} COL", where))  # fmt: skip
        elif role != "flop":
            problems.append(Problem(f"no column is known as {role}", "the columns are: " + ", ".join(header),
                                    f"name it: --{role} COL", where))  # fmt: skip
    return found, problems


def unit_of(name: str) -> str:
    """The loss's unit as far as its column's name says it, else the name itself.

    Example:
        >>> unit_of("val_bpb"), unit_of("val_nats_per_token"), unit_of("loss")
        ('bits_per_byte', 'nats_per_token', 'loss')
    """
    text = plain(name)[0]
    if "bits_per_byte" in text or "bpb" in text.split("_"):
        return BITS_PER_BYTE
    return "nats_per_token" if "nats_per_token" in text else name
