"""The frame of a ladder: vocabulary, widths that fit the time, and the token counts of every size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from keel.errors import StudyError
from keel.plan import ladder, recipe
from keel.plan.defaults import OWN
from keel.plan.ladder import Frame, Rung
from keel.plan.losses import loss_of
from keel.plan.recipe import Choices, outside
from keel.size.time import precision_at, seconds_per_token
from keel.study import Study

DEFAULT_TIME_S = 600.0
THUMB = "rule of thumb, not measured"


class Inputs(NamedTuple):
    """What a plan is a function of; `base` is what is known of released weights to start from, where any are named.

    `category`: what the use cases ask for (choose/category.py); "" leaves the losses in the order of their facts.
    """

    study: Study
    corpus: Mapping[str, Any]
    machine: Mapping[str, Any]
    base: Mapping[str, Any] | None = None
    category: str = ""


def frame_of(inputs: Inputs, choices: Choices) -> tuple[Frame, float]:
    """Widths that fit the time, and the unique training tokens at the chosen vocabulary.

    Raises:
        StudyError: the evidence is of another kind of data; a vocabulary or loss that it cannot serve.
    """
    _check_kind(inputs)
    row = vocabulary_row(inputs.corpus["tokens"], float(inputs.corpus["split"]["train_bytes"]), choices)
    vocabulary = int(row["vocabulary"])
    shared = {name: value for name, value in choices.overrides.items() if name.startswith("model.")}
    loss = loss_of(inputs.study, choices, inputs.category, inputs.corpus)
    budget_s = seconds_of(inputs, choices)

    def at(widths: Sequence[int]) -> tuple[Frame, float]:
        frame = ladder.frame(shared, widths, vocabulary, loss)
        return frame, unique_tokens(inputs.corpus, row, frame.context)

    frame, _ = at(widths_of(choices, widest(inputs, at, budget_s), budget_s))
    choices.pick("model.layers", list(frame.layers), formula="2 below width 192, then width / 64", source=THUMB)
    choices.pick("model.context", frame.context, unit="tokens", source=THUMB,
                 formula="128 up to width 96, then doubled with it, at most 1024")  # fmt: skip
    return frame, _unique(inputs.corpus, row, frame.context, choices)


def seconds_of(inputs: Inputs, choices: Choices) -> float:
    """Seconds that the ladder may take on this machine."""
    budget_s = float(inputs.study.budget.time_s or DEFAULT_TIME_S)
    choices.pick("ladder.time_s", budget_s, unit="s", formula="budget.time_s, else 600 s", source="[budget] or default")
    return float(choices.overrides.get("ladder.time_s", budget_s))


def widest(inputs: Inputs, at: Callable[[Sequence[int]], tuple[Frame, float]], budget_s: float) -> Frame:
    """The ladder before the first that does not fit, from the smallest; `at` gives a frame and its unique positions."""
    frame, _ = at(ladder.widths_from(ladder.MIN_WIDTH))
    for smallest in range(ladder.MIN_WIDTH + 8, ladder.MAX_WIDTH // 4, 8):
        wider, unique = at(ladder.widths_from(smallest))
        if not _fits(inputs, wider, unique, budget_s):
            break
        frame = wider
    return frame


def _fits(inputs: Inputs, frame: Frame, unique: float, budget_s: float) -> bool:
    """Whether a ladder ends in time, and the data feed its top as its size asks."""
    return _ladder_s(inputs.machine, frame, unique) <= budget_s and _fed(frame, unique)


def widths_of(choices: Choices, frame: Frame, budget_s: float) -> list[int]:
    """The widths of a ladder that fits, or the user's."""
    row = frame.defaults
    widths: list[int] = choices.pick(
        "ladder.widths", list(frame.widths),
        formula="w (1, 1.5, 2, 3, 4): the largest w that fits the time and has "
        f"{row.tokens_per_param:g} tokens a parameter in {row.top_epochs:g} epochs",
        inputs={"time_s": budget_s}, source="log-spaced sizes over 4x of width", valid="width 16-128 measured",
        outside=outside(max(frame.widths), 16, 128),
    )  # fmt: skip
    return widths


def _check_kind(inputs: Inputs) -> None:
    found, said = inputs.corpus.get("kind", "text"), inputs.study.data.kind
    if found != said:
        raise StudyError("the evidence is of other data", why=f"[data] is {said}, and corpus.json is of {found}",
                         fix="run `keel look` again", where="evidence/corpus.json")  # fmt: skip


def unique_tokens(corpus: Mapping[str, Any], row: Mapping[str, Any], context: int) -> float:
    """Tokens of one pass over the training data, as runs count them: positions that the model sees.

    A text is packed without a gap, so they are its tokens; a pair of texts takes a context each, however short it is.
    """
    if corpus.get("kind", "text") == "text":
        return float(row["train_tokens"])
    return float(corpus["split"]["train_documents"]) * context


def _unique(corpus: Mapping[str, Any], row: Mapping[str, Any], context: int, choices: Choices) -> float:
    found = unique_tokens(corpus, row, context)
    if corpus.get("kind", "text") == "text":
        choices.pick(
            "data.unique_tokens", round(found), unit="tokens", formula="training bytes / bytes per token",
            inputs={"bytes_per_token": round(row["bytes_per_token"], 4)},
            source="measured by the tokenizer (keel look)", low=row["train_tokens_low"], high=row["train_tokens_high"],
        )  # fmt: skip
        return found
    choices.pick(
        "data.unique_tokens", round(found), unit="tokens", formula="pairs to train on x context, padding included",
        inputs={"pairs": corpus["split"]["train_documents"], "context": context,
                "tokens_of_text": round(row["train_tokens"])},
        source="counted (keel look)",
    )  # fmt: skip
    return found


def vocabulary_row(rows: Sequence[Mapping[str, Any]], train_bytes: float, choices: Choices) -> Mapping[str, Any]:
    """The measured row of the vocabulary: the largest one up to bytes / 3000, at least the smallest.

    Raises:
        StudyError: the user's was not measured.
    """
    known = sorted(int(row["vocabulary"]) for row in rows)
    default = max([size for size in known if size <= train_bytes / 3000] or known[:1])
    chosen = choices.pick(
        "tokenizer.vocabulary", default, unit="tokens", formula="largest power of two <= training bytes / 3000",
        inputs={"train_bytes": round(train_bytes)}, source=OWN, valid="12 MB of English",
    )  # fmt: skip
    if chosen not in known:
        raise StudyError("this vocabulary was not measured", why=f"found {chosen!r}; measured: {known}",
                         where="[set] tokenizer.vocabulary",
                         fix="choose one of those, or run `keel look` again")  # fmt: skip
    return next(row for row in rows if row["vocabulary"] == chosen)


def _fed(frame: Frame, unique: float) -> bool:
    """Whether the top rung's tokens are set by its size, not by the end of the corpus."""
    return ladder.top_tokens(frame, unique) < frame.defaults.top_epochs * unique


def _ladder_s(machine: Mapping[str, Any], frame: Frame, unique: float) -> float:
    """Predicted seconds of a default ladder on this machine."""
    top = ladder.top_tokens(frame, unique)
    batch = recipe.batch_tokens_of(top, frame.context, frame.defaults)
    total, precision = 0.0, precision_at(machine, max(frame.widths))
    for rung in ladder.rungs(frame, top, frame.defaults.factor, batch, {}, unique):
        flop = frame.flop_per_token(rung.size)
        threads = threads_of(machine, rung.held_out)
        own = 0.8 * rung.tokens[-1] + 0.2 * sum(rung.tokens)
        beside = max(1, int(machine["cores_free"])) if not rung.held_out else 1
        total += own * seconds_per_token(machine, flop, threads, precision).value / beside
    return total


def threads_of(machine: Mapping[str, Any], alone: bool) -> int:
    return max(1, int(machine["cores_free"])) if alone else 1


def tokens_of(inputs: Inputs, choices: Choices, frame: Frame, unique: float) -> tuple[int, list[Rung]]:
    row, total = frame.defaults, frame.params(frame.sizes[-1])
    top = float(choices.pick(
        "ladder.top_tokens", round(ladder.top_tokens(frame, unique)), unit="tokens",
        formula=f"min({row.tokens_per_param:g} N_total, {row.top_epochs:g} unique_tokens)",
        inputs={"N_total": total, "unique_tokens": round(unique)},
        source=row.tokens_source, valid=row.tokens_valid, outside=outside(total, *row.tokens_params),
    ))  # fmt: skip
    factor = float(choices.pick(
        "ladder.factor", row.factor, formula="FLOP of the top rung / largest FLOP below it", source=row.factor_source,
    ))  # fmt: skip
    batch = ladder.choose_batch(choices, top, frame)
    if batch % frame.context:
        raise StudyError("'train.batch_tokens' is wrong", fix="write a multiple of it", where="[set]",
                         why=f"{batch} is not a multiple of the context {frame.context}")  # fmt: skip
    given = {int(name.rsplit(".", 1)[1]): value for name, value in choices.overrides.items()
             if name.startswith("ladder.tokens.")}  # fmt: skip
    for width, tokens in given.items():
        if width not in frame.widths:
            raise StudyError(f"'ladder.tokens.{width}' names no rung", why=f"the widths are {list(frame.widths)}",
                             fix="set ladder.widths too, or name one of those", where="[set]")  # fmt: skip
        choices.pick(f"ladder.tokens.{width}", list(tokens), unit="tokens")
    return batch, ladder.rungs(frame, top, factor, batch, given, unique)
