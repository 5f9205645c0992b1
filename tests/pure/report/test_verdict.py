"""Which arm wins is said only where chance would not have made it win; what cannot be compared is not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from report_fixture import build, points
from test_report_page import EVIL, page_of

from keel.evaluate.tasks.result import compared
from keel.files import read_json, write_json
from keel.report.artefacts import read
from keel.report.contest import measured, seeds_of
from keel.report.status import status
from keel.report.verdict import Contest, contests, sentences

BASE = points()[-1][0]
SPEC = {"objective": "classify", "options": {}, "family": "vit", "size": {"width": 64, "patch": 4}, "seed": 3}


def lay(folder: Path, base: dict[str, Any], arms: dict[str, dict[str, Any]]) -> Path:
    """A planned study whose baseline and arms are done: `arms` are results by name, with `factors` and `spec`."""
    plan: dict[str, Any] = read_json(folder / "plan.json", "keel.plan/1")
    planned = [item | {"spec": SPEC | base.get("spec", {})} if item["id"] == BASE else item
               for item in plan["experiments"]]  # fmt: skip
    runs = [{"id": name, "kind": "single", "trunk": None, "baseline": BASE, "why": f"{name} in place of it",
             "spec": SPEC | told.get("spec", {}), "factors": told.get("factors", {"family": ["vit", name]}),
             "params": {"total": 5e4}, "tokens": 1e6, "cost": {"s": 9.0}} for name, told in arms.items()]  # fmt: skip
    write_json(folder / "plan.json", "keel.plan/1",
               plan | {"judge": "class_nats", "experiments": planned, "arms": {"runs": runs}})  # fmt: skip
    for name, told in {BASE: base, **arms}.items():
        values = {key: value for key, value in told.items() if key not in ("spec", "factors")}
        write_json(folder / "runs" / name / "result.json", "keel.result/1", {
            "id": name, "kind": "single", "objective": "classify", "judge": "class_nats", "tokens": 1e6, "ok": True,
            "params": {"total": 5e4}, "flop": 1e11, "gate": None, "spec_sha256": f"spec of {name}",
            "heldout": {"images": 500, "sha256": "h"}, **values,
        })  # fmt: skip
    return folder


def nats(value: float, error: float | None = 0.02, right: float | None = None, **more: Any) -> dict[str, Any]:
    """What the judge of classes leaves."""
    accuracy = None if right is None else {"value": right, "low": right - 0.0392, "high": right + 0.0392}
    return {"class_nats": value, "standard_error": error, "accuracy": accuracy, **more}


def held(folder: Path) -> tuple[Contest, ...]:
    return contests(read(folder))


def words(folder: Path) -> str:
    found = read(folder)
    return "\n".join(sentences(found, contests(found)))


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    return build(tmp_path, runs=0)


def test_a_clear_gain_is_a_win_with_its_interval(bare: Path) -> None:
    lay(bare, nats(0.6), {"convnext": nats(0.4, 0.015), "resnet": nats(0.9)})
    (found,) = held(bare)
    assert found.comparisons == 3, "two against the baseline, one more against the best"
    assert found.level == pytest.approx(1 - 0.05 / 3)
    reach = NormalDist().inv_cdf(1 - 0.05 / 6) * math.hypot(0.02, 0.015)
    assert found.arms[0].ahead == pytest.approx((0.2, 0.2 - reach, 0.2 + reach))
    assert [arm.answer for arm in found.arms] == ["better", "worse"]
    said = words(bare)
    assert "the family convnext is better than the baseline by 0.20 (0.14 to 0.26)" in said
    assert "the family resnet is worse than the baseline by 0.30 (0.23 to 0.37)" in said
    assert "the family convnext is the best: better than each of the others" in said
    assert "class nats: one seed each: noise between seeds is in no interval" in said
    assert "as if on different samples" in said


@pytest.mark.parametrize("value", [0.56, 0.6, 0.65])
def test_a_difference_within_noise_is_no_win(bare: Path, value: float) -> None:
    lay(bare, nats(0.6), {"convnext": nats(value)})
    (found,) = held(bare)
    assert found.arms[0].answer == "open"
    said = words(bare)
    assert "is the best" not in said
    assert "better than" not in said
    assert "worse than" not in said
    assert "the family convnext cannot be told apart from the baseline: ahead by " in said
    best, other = ("the family convnext", "the baseline") if value < 0.6 else ("the baseline", "the family convnext")
    assert f"{best} has the best value, but cannot be told from {other}" in said


def test_with_many_arms_one_must_win_by_more(bare: Path) -> None:
    gain = {"convnext": nats(0.6 - 2.2 * 0.0283)}
    lay(bare, nats(0.6), gain)
    assert held(bare)[0].arms[0].answer == "better"
    lay(bare, nats(0.6), gain | {f"other{place}": nats(0.6) for place in range(5)})
    assert held(bare)[0].arms[0].answer == "open"


def test_of_two_that_beat_the_baseline_neither_need_be_the_best(bare: Path) -> None:
    lay(bare, nats(0.6), {"convnext": nats(0.4), "resnet": nats(0.41)})
    assert [arm.answer for arm in held(bare)[0].arms] == ["better", "better"]
    assert "the family convnext has the best value, but cannot be told from the family resnet\n" in words(bare)


def test_noise_between_seeds_is_in_the_interval_where_replicates_tell_it(bare: Path) -> None:
    lay(bare, nats(0.6), {"convnext": nats(0.4)})
    assert held(bare)[0].arms[0].answer == "better"
    plan: dict[str, Any] = read_json(bare / "plan.json", "keel.plan/1")
    first, second = (point[0] for point in points()[:2])
    for item in plan["experiments"]:
        if item["id"] in (first, second):
            item["spec"] = SPEC | {"size": {"width": 16}, "seed": 3 + (item["id"] == second)}
    write_json(bare / "plan.json", "keel.plan/1", plan)
    done = read_json(bare / "runs" / BASE / "result.json", "keel.result/1")
    for name, value in ((first, 0.5), (second, 0.7)):
        write_json(bare / "runs" / name / "result.json", "keel.result/1", done | {"id": name, "class_nats": value})
    seeds = seeds_of(read(bare).runs, "class nats")
    assert seeds == pytest.approx((math.log(0.7 / 0.5) / math.sqrt(2), 1))
    assert held(bare)[0].arms[0].answer == "open", "two seeds that differ by as much"
    assert "noise between seeds is in the intervals: 24 % of the value" in words(bare)
    assert "1 degree of freedom" in words(bare)
    # Runs that differ in more than the seed are no replicates.
    plan["experiments"] = [item | {"spec": item["spec"] | {"steps": place}}
                           for place, item in enumerate(plan["experiments"])]  # fmt: skip
    write_json(bare / "plan.json", "keel.plan/1", plan)
    assert seeds_of(read(bare).runs, "class nats") is None


def test_bounded_measures_have_a_verdict_of_their_own(bare: Path) -> None:
    lay(bare, nats(0.6, right=0.7), {"convnext": nats(0.4, right=0.73), "resnet": nats(0.9, right=0.9)})
    value, accuracy = held(bare)
    assert (value.by, accuracy.by) == ("class nats", "accuracy")
    assert [arm.answer for arm in value.arms] == ["better", "worse"]
    assert [arm.answer for arm in accuracy.arms] == ["open", "better"], "more is better of it"
    assert accuracy.arms[1].ahead.value == pytest.approx(0.2)
    error = (accuracy.arms[1].ahead.high - 0.2) / NormalDist().inv_cdf(1 - 0.05 / 6)
    assert error == pytest.approx(0.0392 / 1.96 * math.sqrt(2), rel=1e-3)
    # One that stands there without an interval tells nothing.
    lay(bare, nats(0.6, right=0.7), {"convnext": nats(0.4) | {"accuracy": {"value": 0.99}}})
    assert [contest.by for contest in held(bare)] == ["class nats"]


def test_recall_beside_captions_is_compared_too(bare: Path) -> None:
    def coca(bits: float, recall: float) -> dict[str, Any]:
        reach = {"R@1": {"value": recall, "low": recall - 0.02, "high": recall + 0.02}}
        return {"judge": "caption_bits_per_byte", "bits_per_byte": bits, "standard_error": 0.01, "candidates": 400,
                "captions": {"exact": {"value": 0.5, "low": 0.4, "high": 0.6}},
                "recall": {"caption_of_image": reach, "image_of_caption": reach}}  # fmt: skip

    def swept(value: float) -> dict[str, Any]:
        return {"factors": {"options": [{}, {"lambda_cap": value}]}, "spec": spec | {"options": {"lambda_cap": value}}}

    spec = {"objective": "coca"}
    arms = {"a": coca(1.2, 0.7) | swept(0.5), "b": coca(1.01, 0.5) | swept(1.0), "c": coca(0.8, 0.3) | swept(4.0)}
    lay(bare, coca(1.0, 0.5) | {"spec": spec}, arms)
    found = {each.by: each for each in held(bare)}
    assert list(found) == ["caption bits per byte", "R@1 of captions", "R@1 of images", "exact captions"]
    bits, recall, _, exact = found.values()
    assert [str(best) for best in bits.best] == ["lambda_cap 4.0 is the best: better than each of the others"]
    assert [str(best) for best in recall.best] == ["lambda_cap 0.5 is the best: better than each of the others"]
    assert exact.best[0].open, "equal"
    assert "lambda_cap 2.0 (the baseline)" in str(exact.best[0])


def test_a_sweep_beside_other_arms_has_its_own_best_value(bare: Path) -> None:
    def swept(value: float, found: float) -> dict[str, Any]:
        return nats(found) | {"factors": {"options": [{}, {"jitter": value}]}, "spec": {"options": {"jitter": value}}}

    lay(bare, nats(0.6), {"convnext": nats(0.2), "j2": swept(0.2, 0.45), "j4": swept(0.4, 0.61)})
    (found,) = held(bare)
    assert found.comparisons == 3 + 2 + 1
    assert [str(best) for best in found.best] == [
        "the family convnext is the best: better than each of the others",
        "jitter: jitter 0.2 is the best: better than each of the others",
    ]
    lay(bare, nats(0.6), {"convnext": nats(0.2), "j2": swept(0.2, 0.59), "j4": swept(0.4, 0.61)})
    assert str(held(bare)[0].best[1]) == (
        "jitter: jitter 0.2 has the best value, but cannot be told from jitter 0.0 (the baseline) and jitter 0.4"
    )


@pytest.mark.parametrize(
    ("base", "arm", "why"),
    [
        (nats(0.6), {"judge": "probe_nats", "probe_nats": 0.2, "standard_error": 0.01}, "judged by probe nats"),
        (nats(0.6), nats(0.4, None), "the result of arm holds no standard error"),
        (nats(0.6, None), nats(0.4), f"the result of {BASE} holds no standard error"),
        (nats(0.6), nats(0.4, heldout={"images": 499}), "judged on other held-out samples"),
        (
            {"judge": "retrieval_nats", "retrieval_nats": 3.0, "standard_error": 0.01, "candidates": 1000},
            {"judge": "retrieval_nats", "retrieval_nats": 2.0, "standard_error": 0.01, "candidates": 400},
            "judged on other held-out samples",
        ),
        (
            {"judge": "pixel_error", "pixel_error": 0.5, "standard_error": 0.01, "spec": {"objective": "mae"}},
            {"judge": "pixel_error", "pixel_error": 0.2, "standard_error": 0.01,
             "spec": {"objective": "mae", "options": {"rate": 0.25}}},
            "asked another question: pixel error hang on options rate",
        ),
        (
            {"judge": "masked_bits_per_byte", "bits_per_byte": 2.0, "standard_error": 0.01},
            {"judge": "masked_bits_per_byte", "bits_per_byte": 1.0, "standard_error": 0.01,
             "spec": {"objective": "order"}},
            "asked another question: masked bits per byte hang on objective",
        ),
    ],
)  # fmt: skip
def test_what_is_another_quantity_is_not_compared_and_says_why(
    bare: Path, base: dict[str, Any], arm: dict[str, Any], why: str
) -> None:
    lay(bare, base, {"arm": arm | {"factors": {"objective": ["classify", "mae"]}}})
    (found,) = held(bare)
    assert not found.arms + found.best
    assert why in found.unlike[0]
    said = words(bare)
    assert "not compared: the loss mae, " in said
    assert "a use case whose eval file can rank models would compare the loss mae" in said
    assert "better" not in said


def scored(folder: Path, run: str, right: np.ndarray, pixels: float = 0.0, **changed: Any) -> None:
    """What a task leaves of a run; `pixels`: what its baseline reaches."""
    low = (np.arange(len(right)) < pixels * len(right)).astype(float)
    result = compared("image-probe", {"accuracy": right}, {"accuracy": low}, baseline="raw pixels", train=99).json()
    entry = {"task": "image-classification", "how": "image-probe", "fields": {}, "settings": {}, "metric": "accuracy",
             "eval_sha256": "e", "result": result, **changed}  # fmt: skip
    sha256 = f"spec of {run}"
    write_json(folder / "runs" / run / "tasks.json", "keel.tasks/1",
               {"id": run, "spec_sha256": sha256, "use_cases": {"sort": entry}})  # fmt: skip


def test_arms_of_another_judge_are_compared_on_the_user_s_task_row_by_row(bare: Path) -> None:
    probe = {"judge": "probe_nats", "probe_nats": 0.2, "standard_error": 0.01}
    lay(bare, nats(0.6), {name: probe | {"factors": {"objective": ["classify", name]}} for name in ("mae", "dino")})
    write_json(bare / "use_cases.json", "keel.use_cases/1",
               {"level": 0.95, "use_cases": [{"name": "sort", "eval_sha256": "e", "said": "sort: said"}]})  # fmt: skip
    rows = np.arange(400)
    base, better = (rows % 2 == 0).astype(float), (rows % 2 == 0) | (rows % 20 == 1)
    rng = np.random.default_rng(0)
    scored(bare, BASE, base)
    scored(bare, "mae", better.astype(float))
    scored(bare, "dino", (rng.random(400) < 0.52).astype(float))
    number, task = held(bare)
    assert not number.arms
    assert task.by == "sort, accuracy"
    # Each score's own interval holds the other's value: it is the same rows that tell them apart.
    reach = 1.96 * math.sqrt(0.25 / 400)
    mae, dino = task.arms
    assert mae.ahead.value == pytest.approx(0.05)
    assert mae.ahead.value < 2 * reach
    assert (mae.answer, dino.answer) == ("better", "open")
    said = words(bare)
    assert "the loss mae is better than the baseline by 0.05" in said
    assert "would compare" not in said
    assert "sort, accuracy: intervals of paired differences on the same rows" in said


@pytest.mark.parametrize("changed", [{"eval_sha256": "old"}, {"settings": {"seed": 1}}, {"result": None}])
def test_scores_of_other_questions_or_of_none_are_left_out(bare: Path, changed: dict[str, Any]) -> None:
    lay(bare, nats(0.6), {"convnext": nats(0.61), "resnet": nats(0.61)})
    write_json(bare / "use_cases.json", "keel.use_cases/1",
               {"level": 0.95, "use_cases": [{"name": "sort", "eval_sha256": "e"}]})  # fmt: skip
    for run in (BASE, "resnet"):
        scored(bare, run, np.tile([0.0, 1.0], 50))
    scored(bare, "convnext", np.ones(100), **changed)
    task = held(bare)[1]
    assert [arm.run for arm in task.arms] == ["resnet"]
    assert task.unlike == ("not compared: the family convnext, not judged on it",)


def test_a_task_that_cannot_rank_models_has_no_winner(bare: Path) -> None:
    lay(bare, nats(0.6), {"convnext": nats(0.61)})
    write_json(bare / "use_cases.json", "keel.use_cases/1",
               {"level": 0.95, "use_cases": [{"name": "sort", "eval_sha256": "e"}]})  # fmt: skip
    scored(bare, BASE, np.tile([0.0, 1.0], 50), pixels=0.98)
    scored(bare, "convnext", np.ones(100), pixels=0.98)
    task = held(bare)[1]
    assert not task.arms + task.best
    assert "it cannot rank models: raw pixels is at 0.980 already" in words(bare)


def test_scores_of_weights_that_are_gone_are_left_out(bare: Path) -> None:
    lay(bare, nats(0.6), {"convnext": nats(0.61) | {"spec_sha256": "trained again"}})
    write_json(bare / "use_cases.json", "keel.use_cases/1",
               {"level": 0.95, "use_cases": [{"name": "sort", "eval_sha256": "e"}]})  # fmt: skip
    scored(bare, BASE, np.tile([0.0, 1.0], 50))
    scored(bare, "convnext", np.ones(100))
    assert len(held(bare)) == 1


def test_the_status_and_the_page_say_it_and_hostile_names_stay_words(bare: Path) -> None:
    assert status(bare).result["verdicts"] == []
    lay(bare, nats(0.6, right=0.7),
        {"convnext": nats(0.4, right=0.9), "resnet": nats(0.6) | {"factors": {"family": ["vit", EVIL]}}})  # fmt: skip
    answer = status(bare)
    assert "  the family convnext is better than the baseline by 0.20 (" in answer.text
    assert json.loads(json.dumps(answer.result["verdicts"], allow_nan=False))[0]["best"][0] == {
        "among": "", "run": "convnext", "name": "the family convnext", "told_from_all": True, "open": [],
    }  # fmt: skip
    page = page_of(bare)
    assert "the family convnext is better than the baseline by 0.20" in page.words.replace("\xa0", " ")
    assert "Which is better by accuracy" in page.words
    assert {tag for tag, _ in page.seen}.isdisjoint({"script", "img"})
    assert EVIL in page.words


def test_without_a_good_baseline_nothing_is_held_against_it(bare: Path) -> None:
    lay(bare, nats(0.6) | {"ok": False, "gate": {"name": "stalled", "why": "no"}}, {"convnext": nats(0.4)})
    assert held(bare) == ()
    assert words(bare) == "the arms are held against nothing: their baseline has no good result"


def test_an_arm_that_failed_its_gate_wins_nothing(bare: Path) -> None:
    lay(bare, nats(0.6), {"convnext": nats(0.1) | {"ok": False, "gate": {"name": "stalled"}}, "resnet": nats(0.59)})
    assert [arm.run for arm in held(bare)[0].arms] == ["resnet"]
    assert measured(read(bare).arms[0]) == {}
