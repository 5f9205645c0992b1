"""A loss in a file beside study.toml is planned, trained, judged and exported; its code is identity."""

from __future__ import annotations

from pathlib import Path

from helpers import SMALL_STUDY, keel, planned_study, study_error

from keel.files import read_json
from keel.objective import own
from keel.plan.verb import plan
from keel.study import load

# As short as a user would write it: the second half of every window, given the first.
CODE = """
import numpy as np
from keel.objective.base import Batch, Objective, Window, stack
from keel.objective.facts import FACTS

class SecondHalf(Objective):
    facts = FACTS["clm"]

    def window(self, context):
        return Window(context + 1, context)

    def example(self, sample, rng):
        return {"tokens": sample.tokens}

    def collate(self, examples, ids):
        tokens = stack(examples, "tokens")
        half = tokens.shape[1] // 2
        return Batch({"inputs": tokens[:, :-1], "targets": tokens[:, half:].reshape(-1)},
                     {"half": tokens[:, half:].numel()}, tuple(ids))

    def losses(self, parts, batch, carry, key):
        half = batch.tensors["targets"].numel() // len(batch.tensors["inputs"])
        hidden = parts["model"](input_ids=batch.tensors["inputs"])[:, -half:].flatten(0, 1)
        return {"half": parts["model"].nll(hidden, batch.tensors["targets"])}, None, {}
"""


def test_a_loss_beside_the_study_goes_all_the_way(tmp_path: Path) -> None:
    study = planned_study(tmp_path, SMALL_STUDY)
    (study / "halves.py").write_text(CODE)
    set_ = ("--set", "train.loss=halves:SecondHalf")
    # From another folder: the study's own is searched for the module.
    keel("plan", "--study", str(study), *set_, cwd=tmp_path.parent)  # in a process that finds the module by itself
    made = read_json(study / "plan.json", "keel.plan/1")
    first = made["experiments"][0]
    assert len(first["spec"]["code_sha256"]) == 64
    branch = next(item["id"] for item in made["experiments"] if item["kind"] == "branch")
    keel("run", branch, "--study", str(study), *set_, cwd=tmp_path.parent)
    result = read_json(study / "runs" / branch / "result.json", "keel.result/1")
    assert (result["objective"], result["ok"]) == ("halves:SecondHalf", True)
    assert (study / "runs" / branch / "model" / "config.json").exists()

    (study / "halves.py").write_text(CODE + "# an edit\n")
    own.find_in(study)
    with study_error("the code of 'halves:SecondHalf' has changed", "keel plan"):
        own.check_code("halves:SecondHalf", {}, first["spec"]["code_sha256"], "runs/x")
    plan(study, load(study, set_[1::2]), "2026-01-01")
    again = read_json(study / "plan.json", "keel.plan/1")["experiments"][0]
    assert again["id"] != first["id"], "another code is another run"


def test_a_module_that_is_not_there_is_said(tmp_path: Path) -> None:
    study = planned_study(tmp_path, SMALL_STUDY)
    said = keel("plan", "--set", "train.loss=nowhere:Loss", cwd=study, code=2)
    assert "cannot be loaded" in said.stdout + said.stderr
