"""Targets: on the command line and in a file."""

from __future__ import annotations

import pytest

from keel.errors import StudyError
from keel.laws.read.targets import all_targets, parse_target, read_targets


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("params=7e9,tokens=4e12,unique=1e12", {"params": 7e9, "tokens": 4e12, "unique_tokens": 1e12}),
        ("params=7B, tokens=4T, flop=1.7e23", {"params": 7e9, "tokens": 4e12, "flop": 1.7e23}),
        ("compute=1e22,unique=2e10", {"compute": 1e22, "unique_tokens": 2e10}),
    ],
)
def test_on_the_command_line(text, found):
    assert parse_target(text) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [("compute=1e22,flop=1e22", "needs params"), ("params=7e9,tokens=1e400", "finite"), ("unique=1e9", "needs params"),
     ("params=1,params=2,tokens=3", "given twice"), ("params=7e9,tokens=1e9,seed=3", "seed=3")],
)  # fmt: skip
def test_what_is_no_target(text, why):
    with pytest.raises(StudyError) as error:
        parse_target(text)
    assert why in error.value.problems[0].why


def test_a_file(tmp_path):
    path = tmp_path / "targets.csv"
    path.write_text("id,params,tokens,compute,unique_tokens\nbig,7e9,4e12,,1e12\nown,7e9,4e12,2e23,\nbest,,,1e22,\n")
    assert read_targets(path) == [
        {"id": "big", "params": 7e9, "tokens": 4e12, "unique_tokens": 1e12},
        {"id": "own", "params": 7e9, "tokens": 4e12, "flop": 2e23},
        {"id": "best", "compute": 1e22},
    ]
    lines = tmp_path / "targets.jsonl"
    lines.write_text('{"Params (B)": 7, "log10 tokens": 12, "epochs": 4}\n')
    assert read_targets(lines) == [{"params": 7e9, "tokens": 1e12, "unique_tokens": 2.5e11}]
    assert all_targets(["compute=1e20"], lines)[0] == {"compute": 1e20}
    assert len(all_targets(["compute=1e20"], lines)) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [("params,tokens\n7e9,\n", "row 1 is no target"), ("a,b\n1,2\n", "it has nothing"), ("params,tokens\n", "no rows"),
     ("params,tokens\n7,140\n", "in the heading: params (M)"), ("params,tokens\n7e9,-1\n", "not positive"),
     ("", "no rows"), ("params,n_params,tokens\n7e9,7e9,1e12\n", "keep one of these columns")],
)  # fmt: skip
def test_a_bad_file(tmp_path, text, words):
    path = tmp_path / "targets.csv"
    path.write_text(text)
    with pytest.raises(StudyError) as error:
        read_targets(path)
    assert words in str(error.value)
