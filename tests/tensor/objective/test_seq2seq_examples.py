"""Examples of the losses of two stacks: they come back whole, fit the context, and follow their laws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from helpers import study_error
from numpy.typing import NDArray
from seq2seq_cases import CASES, Case, loss_of, parts_of, text

from keel import objective
from keel.objective.base import Example, Objective, Sample
from keel.objective.denoisers import UL2 as DENOISERS
from keel.objective.spans import join

pytestmark = pytest.mark.tensor
SAMPLES, CONTEXT = 2000, 48


def drawn(
    case: Case, number: int = SAMPLES, context: int = CONTEXT, *, borders: bool = True
) -> Iterator[tuple[Objective, NDArray[np.int64], Example]]:
    """Windows of all lengths, single tokens and nothing but separators among them, each with its example."""
    loss, rng = loss_of(case, context), np.random.default_rng(5)
    most = loss.window(context).length
    for place in range(number):
        length = most if place % 2 else int(rng.integers(1, most + 1))
        tokens = text(rng, length, borders=borders)
        if place % 97 == 0:
            tokens[:] = loss.vocabulary.id_of("separator")
        yield loss, tokens.astype(np.int64), loss.example(Sample(place, tokens), np.random.default_rng([7, place]))


def is_within(part: NDArray[np.int64], whole: NDArray[np.int64]) -> bool:
    """Whether `part` is left of `whole` when some of its tokens go."""
    rest = iter(whole.tolist())
    return all(token in rest for token in part.tolist())


@pytest.mark.parametrize("name", ["span_corruption", "span_corruption, rolled, on bart", "ul2", "ul2, t5gemma2"])
def test_spans_come_back(name: str) -> None:
    left_out = whole = 0
    for loss, tokens, example in drawn(CASES[name]):
        end, sentinels = loss.vocabulary.id_of("separator"), loss.vocabulary.sentinels
        inputs, targets = example["inputs"], example["targets"]
        assert inputs[-1] == targets[-1] == end
        if name == "ul2":
            assert inputs[0] in [loss.vocabulary.id_of(f"mode {mode}") for mode in "RSX"]
            inputs = inputs[1:]
        kept = len(tokens) - len(example["left_out"])
        np.testing.assert_array_equal(join(inputs[:-1], targets[:-1], sentinels), tokens[:kept])
        assert end not in targets[:-1], "a separator was noise"
        np.testing.assert_array_equal(example["decoder_inputs"][1:], targets[:-1])
        if not (tokens == end).all():
            left_out, whole = left_out + len(example["left_out"]), whole + len(tokens)
    # One token in twenty is a separator here, and at half noise a span lies across every third of them.
    assert left_out < (0.06 if loss.options.get("density") == 0.5 else 0.03) * whole


@pytest.mark.parametrize("name", ["span_corruption", "span_corruption, rolled, on bart", "ul2", "ul2, t5gemma2"])
def test_nothing_is_left_out_within_one_document(name: str) -> None:
    judged = 0
    for loss, tokens, example in drawn(CASES[name], 300, borders=False):
        if (tokens != loss.vocabulary.id_of("separator")).all():
            assert not len(example["left_out"])
            judged += 1
    assert judged > 280


def test_what_bart_reads_is_its_text_with_gaps() -> None:
    case = Case("bart", "bart", {"permute": False})
    for loss, tokens, example in drawn(case):
        mask = loss.vocabulary.id_of("mask")
        np.testing.assert_array_equal(example["targets"][:-1], tokens)
        seen = example["inputs"][:-1]
        kept = seen[seen != mask]
        free = int((tokens != loss.vocabulary.id_of("separator")).sum())
        assert len(tokens) - len(kept) == (max(round(0.3 * free), 1) if free else 0)
        assert is_within(kept, tokens)


def test_bart_permutes_sentences_and_keeps_their_tokens() -> None:
    moved = 0
    for loss, tokens, example in drawn(CASES["bart"], 400):
        np.testing.assert_array_equal(example["targets"][:-1], tokens)
        known = Counter(tokens.tolist())
        mask, seen = loss.vocabulary.id_of("mask"), example["inputs"][:-1]
        # At most one random token in the place of each mask.
        extra = Counter(seen[seen != mask].tolist()) - known
        assert extra.total() <= 0.3 * len(tokens) + 1
        assert (seen == 0).sum() == (tokens == 0).sum()
        moved += not is_within(seen[seen != mask], tokens)
    assert moved > 100


def test_alexatm_comes_back_either_way() -> None:
    tasks = Counter()
    for loss, tokens, example in drawn(Case("alexatm", "alexatm")):
        signal, end = loss.vocabulary.id_of("mode CLM"), loss.vocabulary.id_of("separator")
        inputs, targets = example["inputs"][:-1], example["targets"][:-1]
        if len(inputs) and inputs[0] == signal:
            tasks["clm"] += 1
            whole = np.concatenate([inputs[1:], targets])
            documents = [piece[piece != end] for piece in np.split(tokens, np.flatnonzero(tokens == end))]
            np.testing.assert_array_equal(whole, max(documents, key=len))
            if len(whole) > 1:
                assert 0.2 * len(whole) - 1 < len(inputs) - 1 < 0.8 * len(whole) + 1
        else:
            tasks["denoise"] += 1
            np.testing.assert_array_equal(targets, tokens)
            free = int((tokens != end).sum())
            dropped = min(max(round(0.15 * free), 1), max(free - 1, 0))
            assert len(tokens) - len(inputs) == dropped
            assert is_within(inputs, tokens)
    # Four standard errors of a fifth of 2000.
    assert abs(tasks["clm"] - 0.2 * SAMPLES) < 4 * (0.16 * SAMPLES) ** 0.5


def test_pegasus_hides_whole_sentences() -> None:
    loss, rng = loss_of(CASES["pegasus"], CONTEXT), np.random.default_rng(3)
    for place in range(300):
        tokens = text(rng, int(rng.integers(1, CONTEXT)), borders=False).astype(np.int64)
        example = loss.example(Sample(place, tokens), np.random.default_rng(place))
        masks = int((example["inputs"] == loss.vocabulary.id_of("mask")).sum())
        seen = example["inputs"][:-1][example["inputs"][:-1] != loss.vocabulary.id_of("mask")]
        assert Counter(seen.tolist()) + Counter(example["targets"][:-1].tolist()) == Counter(tokens.tolist())
        sentences = 1 + int(
            (loss.vocabulary.ends_sentence[tokens[:-1]] & ~loss.vocabulary.ends_sentence[tokens[1:]]).sum()
        )
        assert masks == min(max(round(sentences / 3), 1), sentences - 1)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("context", [5, 17, 48])
def test_no_side_is_longer_than_the_context(name: str, context: int) -> None:
    case = CASES[name]
    if case.loss in ("translation", "pegasus", "clm", "mlm"):
        return
    longest = 0
    for _, _, example in drawn(case, 300, context):
        sides = [len(example[side]) for side in ("inputs", "decoder_inputs") if side in example]
        assert max(sides) <= context
        longest = max(longest, *sides)
    assert longest == context


@pytest.mark.parametrize("name", CASES)
def test_an_example_depends_on_its_generator_alone(name: str) -> None:
    loss = loss_of(CASES[name])
    if loss.facts.reads == "parallel":
        sample = Sample(3, np.arange(5, 12), np.arange(20, 26), ("en", "de"))
    else:
        sample = Sample(3, text(np.random.default_rng(0), loss.window(24).length, borders=False))
    first, again = (loss.example(sample, np.random.default_rng(11)) for _ in range(2))
    assert first.keys() == again.keys()
    for field in first:
        np.testing.assert_array_equal(first[field], again[field])


def test_ul2_draws_its_modes_evenly() -> None:
    loss = loss_of(CASES["ul2"], CONTEXT)
    rng, length = np.random.default_rng(0), loss.window(CONTEXT).length
    sample = Sample(0, text(rng, length, borders=False))
    names = {loss.vocabulary.id_of(f"mode {mode}"): mode for mode in "RSX"}
    found = Counter(names[int(loss.example(sample, rng)["inputs"][0])] for _ in range(SAMPLES))
    for mode in "RSX":
        share = sum(denoiser.mode == mode for denoiser in DENOISERS) / 7
        assert abs(found[mode] / SAMPLES - share) < 4 * (share * (1 - share) / SAMPLES) ** 0.5


def test_no_place_of_a_window_is_favoured_beside_a_border() -> None:
    """Tokens next to a separator are noise as often as others: windows are not drawn again where a span is cut."""
    loss = loss_of(Case("span_corruption", "t5", {"roll": True}), CONTEXT)
    length = loss.window(CONTEXT).length
    tokens = np.arange(1, length + 1)
    borders = np.array([9, 10, 30])
    tokens[borders] = loss.vocabulary.id_of("separator")
    hidden, seen = np.zeros(length), np.zeros(length)
    rng, rounds = np.random.default_rng(0), 6000
    for place in range(rounds):
        example = loss.example(Sample(place, tokens), rng)
        kept = length - len(example["left_out"])
        seen[:kept] += 1
        hidden[np.isin(tokens, example["targets"][:-1])] += 1
    free = np.setdiff1d(np.arange(length), borders)
    rate = hidden[free] / seen[free]
    noise = max(round(0.15 * len(free)), 1) / len(free)
    # The last places are left out where spans were cut, which picks the draws that reach them.
    inner = slice(0, len(free) - 4)
    assert np.abs(rate[inner] - noise).max() < 4.5 * (noise * (1 - noise) / rounds) ** 0.5
    assert (rounds * length - seen.sum()) / (rounds * length) < 0.03


def test_both_directions_are_drawn_evenly_and_one_is_kept() -> None:
    sample = Sample(0, np.array([5, 6, 7]), np.array([8, 9]), ("en", "de"))
    options = {"languages": ["en", "de"]}
    for direction, low, high in (("forward", 1, 1), ("backward", 0, 0), ("both", 0.4, 0.6)):
        loss = loss_of(Case("translation", "m2m_100", {**options, "direction": direction}))
        forward = [loss.example(sample, np.random.default_rng(n))["inputs"][1] == 5 for n in range(400)]
        assert low <= np.mean(forward) <= high
    turned = sample._replace(tokens=sample.second, second=sample.tokens, languages=("de", "en"))
    assert loss_of(Case("translation", "m2m_100", options)).example(turned, np.random.default_rng(0))["inputs"][1] == 5
    with study_error("no pair of en and de", "fr"):
        loss_of(Case("translation", "m2m_100", options)).example(
            sample._replace(languages=("en", "fr")), np.random.default_rng(0)
        )


@pytest.mark.parametrize(
    ("loss", "options", "words"),
    [
        ("span_corruption", {"density": 0.0, "mean_span": 0.5}, ["density is 0.0", "mean span is 0.5"]),
        ("span_corruption", {"densty": 0.2, "roll": "yes"}, ["did you mean 'density'?", "write true or false"]),
        ("span_corruption", {"density": "much"}, ["'density' is wrong", "write a number"]),
        ("span_corruption", {"density": float("nan")}, ["'density' is wrong"]),
        ("ul2", {"mixture": "ul3"}, ["no mixture is called 'ul3'", "ul2 or t5gemma2"]),
        ("bart", {"share": 2.0, "random": -0.1}, ["share is 2.0", "'random' is wrong"]),
        ("mbart", {}, ["no language is named"]),
        ("pegasus", {"how": "leed", "share": 0.0}, ["did you mean 'lead'?", "share is 0.0"]),
        ("alexatm", {"clm": 1.5, "low": 0.9, "thaw_step": -1},
         ["'clm' is wrong", "a prefix from 0.9 to 0.8", "thaw_step is -1"]),
        ("prefix_lm", {"stacks": 3, "high": 1.2}, ["'stacks' is wrong", "a prefix from 0.0 to 1.2"]),
        ("prefix_lm", {"stacks": True}, ["'stacks' is wrong"]),
        ("translation", {"languages": ["en"], "direction": "sideways", "too_long": "cut"},
         ["no two languages", "'direction' is wrong", "'too_long' is wrong"]),
    ],
)  # fmt: skip
def test_bad_options_are_told_all_at_once(loss: str, options: dict[str, object], words: list[str]) -> None:
    with study_error(*words, where=False):
        objective.load(loss, options)


def test_a_family_with_other_stacks_is_refused() -> None:
    with study_error("stacks is 1", "a t5 is one of kind 'encoder-decoder'", "set stacks to 2"):
        parts_of(Case("prefix_lm", "t5"), loss_of(Case("prefix_lm", "t5")))
    with study_error("stacks is 2", "a llama is one of kind 'decoder'"):
        parts_of(Case("prefix_lm", "llama", {"stacks": 2}), loss_of(Case("prefix_lm", "llama", {"stacks": 2})))


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].loss not in ("clm", "mlm", "prefix_lm")])
def test_a_context_without_room_is_said(name: str) -> None:
    with study_error():
        loss_of(CASES[name]).window(1)
