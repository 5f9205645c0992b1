"""Rounds of tasks: the rates of the caps exactly, every pair of every task, and pairs that do not fit."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from helpers import study_error, texts

from keel import objective
from keel.corpus.instructions import Instructions, Task, Template, open_instructions, write
from keel.corpus.shards import Shards
from keel.corpus.tokenizer import load, train
from keel.corpus.vocabulary import vocabulary_of
from keel.objective.base import Objective
from keel.run.samples import samples_of
from keel.run.tasks import Tasks

pytestmark = pytest.mark.tensor
TOKENIZER = train(texts(30), 300)
NUMBERS = {"large": 150, "middle": 60, "small": 30}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Instructions:
    folder = tmp_path_factory.mktemp("tasks")
    tasks = {}
    for name, number in NUMBERS.items():
        path = folder / f"{name}.jsonl"
        path.write_text("\n".join(json.dumps({"q": f"{name} {place}", "a": f"{place}"}) for place in range(number)))
        tasks[name] = Task(path, (Template("{q}", "{a}"),))
    write(folder / "out", tasks, TOKENIZER, heldout_share=0.25)
    return open_instructions(folder / "out")


def instruct(**options: Any) -> Objective:
    return objective.load("instruct", options, vocabulary_of(TOKENIZER).with_special(["pad", "start"]))


def told(samples: Any, places: range) -> list[str]:
    tokenizer = load(TOKENIZER)
    return [tokenizer.decode(samples[place].tokens) for place in places]


def kinds(prompts: list[str]) -> dict[str, int]:
    return dict(Counter(prompt.split()[0] for prompt in prompts))


@pytest.mark.parametrize("cap", [0, 12, 5])
def test_every_round_has_the_rates_of_the_caps(cap: int, corpus: Instructions) -> None:
    samples = samples_of(instruct(cap=cap), corpus, 64)
    assert isinstance(samples, Tasks)
    counts = {name: len(task.train[0]) for name, task in corpus.tasks.items()}
    places = {name: min(count, cap) if cap else count for name, count in counts.items()}
    rounds, length = samples.rounds, sum(places.values())
    assert len(samples) == rounds * length
    assert rounds == max(-(-counts[name] // places[name]) for name in counts)
    prompts = told(samples, range(len(samples)))
    for turn in range(rounds):
        assert kinds(prompts[turn * length : (turn + 1) * length]) == places
    seen = Counter(prompts)
    for name, count in counts.items():
        times = [number for prompt, number in seen.items() if prompt.startswith(name)]
        assert len(times) == count, "every pair at least once"
        assert max(times) - min(times) <= 1
    assert [samples[place].id for place in range(len(samples))] == list(range(len(samples)))


def test_prompt_and_answer_belong_together(corpus: Instructions) -> None:
    samples, tokenizer = samples_of(instruct(), corpus, 64), load(TOKENIZER)
    for place in range(0, len(samples), 11):
        prompt, answer = (tokenizer.decode(text) for text in (samples[place].tokens, samples[place].second))
        assert prompt.split()[1] == answer.strip()


def test_pairs_that_do_not_fit_are_refused_or_left_out_and_counted(corpus: Instructions) -> None:
    lengths = {
        name: max(p + a for p, a in zip(*(side.lengths for side in task.train))) for name, task in corpus.tasks.items()
    }
    context = int(max(lengths.values()))  # one position is the separator's, so the longest do not fit
    with study_error("are longer than the context", "too_long = 'leave out'"):
        samples_of(instruct(), corpus, context)
    samples = samples_of(instruct(too_long="leave out"), corpus, context)
    assert isinstance(samples, Tasks)
    assert 0 < sum(samples.left_out.values()) < 100
    assert max(len(samples[place].tokens) + len(samples[place].second) for place in range(len(samples))) < context
    with study_error("no pair of 'large' fits", "no pair of 'small' fits"):
        samples_of(instruct(too_long="leave out"), corpus, 2)
    # Two stacks have the context each.
    assert len(samples_of(instruct(stacks=2), corpus, context)) == sum(
        len(task.train[0]) for task in corpus.tasks.values()
    )


def test_other_corpora_are_refused(corpus: Instructions, shards: Shards) -> None:
    with study_error("this loss reads prompts and answers"):
        samples_of(instruct(), shards, 64)
    with study_error("this loss reads one text"):
        samples_of(objective.load("clm"), corpus, 64)
    with study_error("this loss reads pairs of lines"):
        samples_of(objective.load("translation", {"languages": ["en", "de"]}), corpus, 64)
