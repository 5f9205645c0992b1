"""plan.json is a pure function of study, evidence and date; every number says where it comes from."""

from __future__ import annotations

import copy
import json
import random
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import study, study_error

from keel.errors import Refused
from keel.files import canonical
from keel.plan.build import MIN_STEPS, Inputs, build
from keel.plan.spec import from_json
from keel.plan.verb import plan, read_plan, show, stale
from keel.study import load

DATE = "2026-01-01"


@pytest.fixture
def make(corpus_json: dict[str, Any], fake_machine: dict[str, Any]) -> Any:
    """The plan with these [set] values."""

    def made(tables: dict[str, Any] | None = None, **overrides: Any) -> dict[str, Any]:
        settings = {name.replace("__", "."): value for name, value in overrides.items()}
        return build(Inputs(study(set=settings, **(tables or {})), corpus_json, fake_machine), DATE)

    return made


def numbers(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {number["name"]: number for number in made["numbers"]}


def test_the_same_inputs_give_the_same_bytes(
    make: Any, corpus_json: dict[str, Any], fake_machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = copy.deepcopy((corpus_json, fake_machine))
    first = canonical(make())
    assert (corpus_json, fake_machine) == before
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    random.seed(1)
    assert canonical(make()) == first
    shuffled = json.loads(json.dumps(corpus_json, sort_keys=True))
    assert canonical(build(Inputs(study(), shuffled, fake_machine), DATE)) == first


def test_a_plan_takes_less_than_a_second(make: Any) -> None:
    started_s = time.perf_counter()
    make()
    assert time.perf_counter() - started_s < 1.0


def test_every_number_has_a_source_or_is_yours(make: Any) -> None:
    for made in (make(), make(train__seed=3, ladder__widths=[16, 32], model__context=64)):
        for number in made["numbers"]:
            assert number["source"], number["name"]
            assert number["yours"] == (number["source"] == "yours")
            plain = number["source"].startswith(("default", "convention"))
            assert number["formula"] or number["yours"] or plain, number["name"]
        assert len(numbers(made)) == len(made["numbers"]), "a number is recorded once"


SET: dict[str, Any] = {
    "model.context": 64, "model.layers": 3, "ladder.widths": [16, 32], "ladder.top_tokens": 300_000,
    "ladder.factor": 5, "ladder.level": 0.8, "ladder.replicates": 2, "ladder.time_s": 100, "train.batch_tokens": 640,
    "train.lr_scale": 0.3, "train.lr_embedding": 0.02, "train.warmup_tokens": 2048, "train.decay_fraction": 0.1,
    "train.weight_decay": 0.0, "train.seed": 5, "train.precision": "bf16-head", "target.compute": 1e14,
    "heldout.max_bytes": 10_000, "ladder.tokens.16": [20_480, 40_960], "tokenizer.vocabulary": 512,
    "model.family": "llama",
}  # fmt: skip


@pytest.mark.parametrize("name", SET)
def test_an_override_is_used_and_shown_as_yours(make: Any, name: str) -> None:
    frame = {} if name.startswith("ladder.w") or name == "ladder.time_s" else {"ladder.widths": [16, 24, 32]}
    made, plain = make(**frame, **{name: SET[name]}), make(**frame)
    shown = numbers(made)[name]
    assert shown["yours"]
    assert shown["value"] in (SET[name], str(SET[name]), str([SET[name]] * 3))
    if name not in ("tokenizer.vocabulary", "model.family"):
        assert canonical(made["experiments"]) != canonical(plain["experiments"]) or name in (
            "ladder.level", "ladder.time_s", "target.compute")  # fmt: skip
    assert f"{name} = " in show(made)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, bad) for name in SET if name not in ("train.precision", "model.family", "ladder.widths", "ladder.tokens.16")
     for bad in ("much", -1, True, [1])]
    + [("train.precision", "fp8"), ("model.family", "mamba"), ("ladder.widths", [16]), ("ladder.widths", [16, 20]),
       ("ladder.widths", "16"), ("ladder.widths", [16, 16]), ("ladder.tokens.16", 5), ("ladder.tokens.16", ["a"]),
       ("ladder.tokens.x", [1024]), ("ladder.tokens", 5), ("train.batch_tokens", 1000), ("train.batch_tokens", 640.5),
       ("train.seed", 0.5), ("train.seed", 2**32), ("tokenizer.vocabulary", 700), ("ladder.level", 1.5),
       ("train.decay_fraction", 1.5),
      
       ("ladder.tokens.20", [20480]), ("train.warmup_tokens", 90_000), ("ladder.factor", 1),
       ("model.context", 0), ("model.layers", 2.5), ("ladder.replicates", 1.5)],
)  # fmt: skip
def test_a_wrong_setting_is_refused_by_name(make: Any, name: str, value: Any) -> None:
    with study_error(name, "[set]"):
        make(**{name: value})


@pytest.mark.parametrize(
    ("name", "hint"), [("train.sed", "train.seed"), ("ladder.width", "ladder.widths"), ("model.layer", "model.layers")]
)
def test_an_unknown_setting_names_the_nearest(make: Any, name: str, hint: str) -> None:
    with study_error(f"[set] has no '{name}'", f"did you mean '{hint}'?"):
        make(**{name: 1})


def test_a_setting_that_changes_nothing_is_told(make: Any) -> None:
    assert make(**SET)["problems"] == []
    (said,) = make(model__patch=4)["problems"]
    assert said["what"] == "model.patch changes nothing here"


def test_too_small_a_corpus_is_an_honest_no(corpus_json: dict[str, Any], fake_machine: dict[str, Any]) -> None:
    for row in corpus_json["tokens"]:
        row["train_tokens"] = 5_000.0
    with pytest.raises(Refused) as caught:
        build(Inputs(study(), corpus_json, fake_machine), DATE)
    refusal = caught.value.refusal
    assert "too small" in refusal.what
    assert f"and {MIN_STEPS} are needed" in refusal.why
    assert "bring about" in refusal.fix


def test_the_top_rung_is_the_factor_beyond_what_is_seen_before(make: Any) -> None:
    made = make()
    branches = [item for item in made["experiments"] if item["kind"] == "branch"]
    seen = max(item["cost"]["flop"] for item in branches if not item["held_out"])
    held_out = [item["cost"]["flop"] for item in branches if item["held_out"]]
    rounding = max(1 / item["spec"]["steps"] for item in branches)
    assert len(held_out) == 1
    assert held_out[0] >= numbers(made)["ladder.factor"]["value"] * seen * (1 - rounding)


def test_every_branch_leaves_a_trunk_that_reaches_it(make: Any) -> None:
    experiments = make()["experiments"]
    known = {item["id"]: item for item in experiments}
    assert len(known) == len(experiments)
    for item in experiments:
        spec = from_json(item["spec"])
        assert spec.run_id == item["id"]
        assert item["cost"]["own_flop"] <= item["cost"]["flop"]
        assert item["cost"]["s_low"] <= item["cost"]["s"] <= item["cost"]["s_high"]
        if item["kind"] == "trunk":
            assert spec.start == {"kind": "scratch"}
            continue
        trunk = known[item["trunk"]]
        assert spec.start == {"kind": "branch", "run": item["trunk"], "step": spec.decay_start}
        assert spec.decay_start <= trunk["spec"]["steps"]
        assert spec.warmup_steps <= spec.decay_start < spec.steps
        assert item["baseline"] == item["trunk"]
        assert set(item["factors"]) == {"steps"} or not item["factors"]
        assert set(item["derived"]) <= {"start", "decay_start"}


def test_costs_count_the_trunk_once(make: Any) -> None:
    made = make()
    own = 0.0
    for item in made["experiments"]:
        per_step = item["cost"]["flop"] / item["spec"]["steps"]
        own += per_step * (item["spec"]["steps"] - item["spec"]["start"].get("step", 0))
    assert made["totals"]["flop"] == pytest.approx(own)
    assert made["totals"]["s_high"] > made["totals"]["s"] > 0


def test_replicates_differ_in_their_seed_only(make: Any) -> None:
    made = make(ladder__replicates=2)
    trunks = [item["spec"] for item in made["experiments"] if item["kind"] == "trunk" and not item["held_out"]]
    for one, other in zip(trunks[::2], trunks[1::2]):
        assert {name for name in one if one[name] != other[name]} == {"seed"}


def test_a_shorter_budget_gives_a_smaller_ladder(make: Any) -> None:
    widths = [
        max(json.loads(numbers(make({"budget": {"time_s": s}}))["ladder.widths"]["value"])) for s in (5, 60, 6000)
    ]
    assert widths == sorted(widths)


def test_a_machine_whose_steps_are_slower_gives_a_smaller_ladder(
    make: Any, corpus_json: dict[str, Any], fake_machine: dict[str, Any]
) -> None:
    """Where time binds and not data, the widest ladder follows measured steps, not a guess from products."""
    corpus_json["tokens"][0]["train_tokens"] *= 1000
    before = json.loads(numbers(make())["ladder.widths"]["value"])
    for step in fake_machine["steps"]:
        step["tokens_per_s"] /= 30
    assert max(json.loads(numbers(make())["ladder.widths"]["value"])) < max(before)


def test_the_precision_is_that_of_the_width_measured_nearest(make: Any, fake_machine: dict[str, Any]) -> None:
    half = {"body": "bf16", "head": "bf16"}
    fake_machine["precision"] |= {"width": 64, "wider": [{"width": 256, **half, "why": "faster there"}]}
    narrow, wide = (make(ladder__widths=[width // 4, width // 2, width]) for width in (64, 192))
    assert [made["experiments"][0]["spec"]["precision"]["body"] for made in (narrow, wide)] == ["fp32", "bf16"]
    assert "faster there" in numbers(wide)["train.precision"]["source"]


def test_budget_text_that_changes_nothing_keeps_identities(make: Any) -> None:
    """Ids name what changes a number; what the user would pay is not among it."""
    plain = make()
    told = make({"budget": {"compute_usd": 100, "deadline": "6 weeks", "time_s": "10 min"}})
    assert [item["id"] for item in told["experiments"]] == [item["id"] for item in plain["experiments"]]
    assert told["study_sha256"] != plain["study_sha256"]


@pytest.mark.parametrize("field", ["data_sha256", "split", "tokenizer"])
def test_other_data_is_another_identity(
    make: Any, corpus_json: dict[str, Any], fake_machine: dict[str, Any], field: str
) -> None:
    before = {item["id"] for item in make()["experiments"]}
    if field == "data_sha256":
        corpus_json["data_sha256"] = "0" * 64
    elif field == "split":
        corpus_json["split"]["threshold"] += 1e-9
    else:
        corpus_json["tokenizer"]["sha256"] = "0" * 64
    after = {item["id"] for item in build(Inputs(study(), corpus_json, fake_machine), DATE)["experiments"]}
    assert not before & after


def test_a_faster_machine_changes_the_clock_not_the_identities(make: Any, fake_machine: dict[str, Any]) -> None:
    before = make(ladder__widths=[16, 24, 32])
    for row in fake_machine["steps"]:
        row["tokens_per_s"] *= 4
    after = make(ladder__widths=[16, 24, 32])
    assert [item["id"] for item in before["experiments"]] == [item["id"] for item in after["experiments"]]
    assert before["totals"]["s"] == pytest.approx(4 * after["totals"]["s"])


def test_stale_names_what_changed(looked: Path) -> None:
    plan(looked, load(looked), DATE)
    made = read_plan(looked)
    assert stale(looked, load(looked), made) == []
    (looked / "study.toml").write_text('[data]\ntrain = "text"\n[budget]\ntime_s = 99\n')
    problems = stale(looked, load(looked), made)
    assert [problem.why for problem in problems] == ["budget.time_s: None -> 99.0"]
    (looked / "evidence" / "machine.json").write_text("{}")
    (looked / "evidence" / "corpus.json").unlink()
    whys = [problem.why for problem in stale(looked, load(looked), made)[1:]]
    assert whys == ["it is missing", "it was made again or edited"]


def test_a_plan_without_evidence_says_look(tmp_path: Path) -> None:
    with study_error("evidence/corpus.json is missing", "keel look"):
        plan(tmp_path, study())
    with study_error("there is no plan yet", "keel plan"):
        read_plan(tmp_path)


def test_finished_runs_that_fall_out_are_told(looked: Path) -> None:
    (looked / "runs" / "w16-old").mkdir(parents=True)
    (looked / "runs" / "w16-old" / "result.json").write_text("{}")
    problems = plan(looked, load(looked), DATE).problems
    told = next(problem for problem in problems if problem.what == "1 finished runs are not in this plan")
    assert "w16-old" in told.why
