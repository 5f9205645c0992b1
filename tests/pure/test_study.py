"""study.toml: what is wrong is named, all of it at once, with the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import study, study_error

from keel.study import TASKS, Study, flatten, load, parse, parse_override

GOOD = """
[data]
train = ["a/*.txt", "b"]
text = "body"

[[use_case]]
name = "answers"
task = "question-answering"
weight = 2

[budget]
compute = "1e19"
time_s = "10 min"

[set]
train.seed = 3
"""


def write(folder: Path, text: str) -> Path:
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_good_study_is_read_whole(tmp_path: Path) -> None:
    read = load(write(tmp_path, GOOD))
    assert read.data.patterns == ("a/*.txt", "b")
    assert (read.budget.compute, read.budget.time_s) == (1e19, 600.0)
    assert (read.use_case[0].task, read.use_case[0].weight) == ("question-answering", 2.0)
    assert read.overrides == {"train.seed": 3}
    assert read.start.start_from == "auto"


def test_comments_and_order_do_not_count(tmp_path: Path) -> None:
    one = load(write(tmp_path, '[budget]\ntime_s = 60\n[data]\ntrain = "x"\n')).digest()
    other = load(write(tmp_path, '# why\n[data]\ntrain="x" # here\n[budget]\ntime_s="1 min"\n')).digest()
    third = load(write(tmp_path, '[data]\ntrain = "x"\n[budget]\ntime_s = 61\n')).digest()
    assert one == other != third


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[data]\ntrain = "x"\ntxet = "y"\n', ("unknown field 'data.txet'", "did you mean 'text'?")),
        ('[data]\ntrain = "x"\n[bugdet]\n', ("unknown field 'bugdet'", "did you mean 'budget'?")),
        ('[data]\ntrain = "x"\n[start]\nform = "y"\n', ("unknown field 'start.form'", "did you mean 'from'?")),
        ('[data]\ntrain = "x"\n[budget]\ncompute_usd = -5\n', ("'budget.compute_usd' is wrong", "-5")),
        ('[data]\ntrain = "x"\n[budget]\ntime_s = 0\n', ("'budget.time_s' is wrong", "greater than 0")),
        ('[data]\ntrain = "x"\n[budget]\ntime_s = "soon"\n', ("'soon' is not a duration",)),
        ('[data]\ntrain = "x"\n[budget]\ncompute = "lots"\n', ("'lots' is not a count",)),
        ("[data]\ntrain = 3\n", ("data.train", "3")),
        ("[budget]\ntime_s = 3\n", ("'data' is missing",)),
        ("[data]\n", ("'data.train' is missing",)),
        ('data = "x"\n', ("'data' is wrong",)),
        ('set = 3\n[data]\ntrain = "x"\n', ("'set' is wrong",)),
        ('[data]\ntrain = "x"\n[[use_case]]\nname = "a"\ntask = "chat"\n', ("unknown task 'chat'",)),
        ('[data]\ntrain = "x"\n[[use_case]]\nname = "a"\ntask = "sumarization"\n', ("did you mean 'summarization'?",)),
        (
            '[data]\ntrain = "x"\n[[use_case]]\nname = "a"\ntask = "sts"\nfields = { txt = "b" }\n',
            ("did you mean 'text'?",),
        ),
        ('[data]\ntrain = "x"\n[[use_case]]\nname = "a"\ntask = "sts"\nmargin = 1\n', ("use_case.0.margin' is wrong",)),
        ('[data]\ntrain = "x"\n[limits]\nlicence = "free"\n', ("'limits.licence' is wrong", "permissive")),
        ('[data\ntrain = "x"\n', ("study.toml cannot be read", "line 1")),
        ('[data]\ntrain = "x"\ntrain = "y"\n', ("study.toml cannot be read",)),
        ("", ("'data' is missing",)),
    ],
)
def test_every_mistake_is_named(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    with study_error(*words, "study.toml"):
        load(write(tmp_path, text))


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    text = '[data]\ntxet = "y"\n[budget]\ncompute_usd = -5\ncompute = "lots"\ntime_s = "soon"\n'
    text += '[[use_case]]\nname = "a"\ntask = "chat"\n'
    with study_error("data.txet", "data.train", "budget.compute_usd", "chat", "'lots'", "'soon'") as seen:
        load(write(tmp_path, text))
    assert len(seen[0].problems) == 6


def test_no_study_here(tmp_path: Path) -> None:
    with study_error("no study here", "keel new", str(tmp_path)):
        load(tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_bytes(b"[data]\ntrain = '\xff\xfe'\n")
    with study_error("study.toml cannot be read"):
        load(tmp_path)


def test_a_folder_called_study_toml(tmp_path: Path) -> None:
    (tmp_path / "study.toml").mkdir()
    with study_error("study.toml cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [("a.b=3", "a.b", 3), ("a = 0.5", "a", 0.5), ("a=[16, 24]", "a", [16, 24]), ("a=true", "a", True),
     ("a=plain words", "a", "plain words"), ('a="3"', "a", "3"), ("a=", "a", ""), ("a=b=c", "a", "b=c")],
)  # fmt: skip
def test_set_on_the_command_line(text: str, name: str, value: object) -> None:
    found = parse_override(text)
    assert found == (name, value)
    assert type(found[1]) is type(value)


@pytest.mark.parametrize("text", ["a", "", "=3", " =3"])
def test_what_is_no_setting(text: str) -> None:
    with study_error("is not a setting", "a.b=value", where=False):
        parse_override(text)


def test_set_on_the_command_line_equals_set_in_the_file(tmp_path: Path) -> None:
    plain = '[data]\ntrain = "x"\n'
    written = load(write(tmp_path, plain + "[set]\ntrain.seed = 3\nladder.widths = [16, 24]\n"))
    given = load(write(tmp_path, plain), ("train.seed=3", "ladder.widths=[16, 24]"))
    assert given == written
    assert given.digest() == written.digest()


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    read = load(write(tmp_path, GOOD), ("train.seed=4",))
    assert read.overrides == {"train.seed": 4}


def test_flatten_gives_dotted_names() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": 2}, "e": [3]}) == {"a.b.c": 1, "a.d": 2, "e": [3]}


def test_a_study_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        study().data.train = "y"  # type: ignore[misc]


def test_a_study_survives_its_own_dump() -> None:
    made = study(budget={"time_s": 5}, set={"train": {"seed": 1}}, start={"from": "scratch"})
    again = parse(made.model_dump(mode="json", by_alias=True))
    assert again == made
    assert isinstance(again, Study)


def test_tasks_are_named_once() -> None:
    assert len(TASKS) == len(set(TASKS)) > 20


FILES = 'parallel = { en = "help.en", de = "help.de" }\n'


@pytest.mark.parametrize(
    ("text", "kind", "sides", "patterns"),
    [
        ('train = "a"\n', "text", (), ("a",)),
        (FILES, "parallel", ("en", "de"), ("help.en", "help.de")),
        ('train = "p.jsonl"\nparallel = { de = "target", en = "source" }\n', "parallel", ("de", "en"), ("p.jsonl",)),
        ('train = "t.jsonl"\nprompt = "q"\nanswer = "a"\n', "instructions", ("prompt", "answer"), ("t.jsonl",)),
    ],
)
def test_the_kind_of_data(tmp_path: Path, text: str, kind: str, sides: tuple[str, ...], patterns: object) -> None:
    data = load(write(tmp_path, f"[data]\n{text}")).data
    assert (data.kind, data.sides, data.patterns) == (kind, sides, patterns)


def test_a_field_is_a_template_and_one_answer_serves_all() -> None:
    data = study(data={"prompt": ["q", "Q: {q}"], "answer": "a"}).data
    assert data.templates == (("{q}", "{a}"), ("Q: {q}", "{a}"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FILES.replace("de =", "EN ="), ("one language is on both sides", "en and EN")),
        (FILES.replace("de =", "en ="), ("study.toml cannot be read", "two languages have two names")),
        (FILES.replace("help.de", "help.en"), ("both languages have one file or field",)),
        ('parallel = { en = "a" }\n', ("parallel needs two languages", "found 1")),
        ('parallel = { en = "a", de = "b", fr = "c" }\n', ("parallel needs two languages", "en, de, fr")),
        ('parallel = { "English language" = "a", de = "" }\n', ("is no language code", "no file or field")),
        (f'group = "g"\n{FILES}', ("group with two files of lines",)),
        (f'text = "t"\ntime = "d"\n{FILES}', ("text, time with parallel", "of plain text alone")),
        (f'prompt = "p"\n{FILES}', ("parallel and prompt are both named", "'data.answer' is missing")),
        ('prompt = "p"\n', ("'data.train' is missing", "'data.answer' is missing")),
        ('train = "x"\ntask = "t"\n', ("task without prompt",)),
        ('train = "x"\nprompt = ["a", "b", "c"]\nanswer = ["a", "b"]\n', ("3 prompts and 2 answers",)),
        ('train = "x"\nprompt = "{a"\nanswer = "{}"\n', ("prompt is no template", "'' in answer is no plain name")),
        ('train = "x"\nprompt = "{a.b}"\nanswer = "{{x}}"\n', ("'a.b' in prompt", "answer names no field")),
        # A wrong value elsewhere in [data] hides nothing.
        (f'encodign = "x"\ntext = "t"\n{FILES}', ("unknown field 'data.encodign'", "text with parallel")),
    ],
)  # fmt: skip
def test_pairs_and_instructions_are_held_against_each_other(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    with study_error(*words, "study.toml"):
        load(write(tmp_path, f"[data]\n{text}"))
