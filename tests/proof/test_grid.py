"""Every loss there is, held against the suite, its grid on one pool of ranks; and the command that does so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_bert

from keel.model.shapes import folder
from keel.objective import OBJECTIVES, kind
from keel.objective.facts import FACTS
from keel.objective.released_text import sha256_of
from keel.prove import grid, world
from keel.prove.bench import build
from keel.prove.checks import CHECKS
from keel.prove.checks import suite as begun
from keel.prove.suite import Suite

pytestmark = pytest.mark.proof
# A user's own losses lie beside the tests of the suite.
USERS = Path(__file__).parents[1] / "tensor" / "prove"
# Coupled losses with terms of one pair beside.
WITH_OTHERS = ("coca", "maskvlm")
HARDEST = ("4x4", "2 ranks x 2x4", "4 ranks x 1x4")


@pytest.fixture(scope="module")
def suite() -> Iterator[Suite]:
    with begun() as made:
        yield made


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_loss_is_proven(suite: Suite, name: str) -> None:
    results = {result.name: result for result in suite.prove(name)}
    assert list(results) == list(CHECKS)
    assert not {check: result.why for check, result in results.items() if result.ok is False}
    # Coupled terms alone are no sums of samples, and images have no text without a word.
    loss = kind(name)
    alone = loss.coupled and name not in WITH_OTHERS
    loose = ({"sums", "counts"} if alone else set()) | ({"empty"} if FACTS[name].reads == "images" else set())
    if FACTS[name].judge == "pixel_error":  # a patch costs what its pixels vary, so sums do not count patches
        loose |= {"counts"}
    for check in {"contract", "randomness", "sums", "counts", "empty", "gradient", "invariance", "resume"}:
        assert results[check].ok is (None if check in loose else True), (check, results[check].why)
    cut = results["invariance"]
    assert cut.measured is not None
    assert cut.measured <= 1e-6
    assert all(f"{cell} " in cut.why for cell in HARDEST)


def test_a_network_of_stages_has_one_gradient_however_a_step_is_cut(suite: Suite) -> None:
    size = {"width": 16, "layers": 4, "vocabulary": 0, "context": 1, "head_width": 0, "patch": 32, "classes": 4}
    plain = world.spec_of("classify", {}, suite.world)
    spec = replace(plain, family="convnext", size=size, batch_tokens=16)
    bench = build(spec, suite.world)
    step, counts = grid.uneven(bench)
    verdict = grid.invariance(bench, step, counts, suite.ranks.answer(suite.ranks.ask(spec, suite.world, step)))
    assert verdict.ok, verdict.why
    assert all(f"{cell} " in verdict.why for cell in HARDEST)


@pytest.mark.parametrize("trains", ["no", "yes"])
def test_a_released_text_tower_has_one_gradient_however_a_step_is_cut(suite: Suite, trains: str) -> None:
    release = tiny_bert.write(suite.world / f"release-{trains}")
    options = {"text_from": str(release), "text_sha256": sha256_of(folder.read(release)), "text_trains": trains}
    spec = world.spec_of("clip", {**options, "text_context": tiny_bert.POSITIONS}, suite.world)
    bench = build(spec, suite.world)
    verdict = grid.invariance(bench, 0, "", suite.ranks.answer(suite.ranks.ask(spec, suite.world, 0)))
    assert verdict.ok, verdict.why
    assert all(f"{cell} " in verdict.why for cell in HARDEST)
    moving = {name.split(".")[0] for weight, name in bench.names().items() if weight.requires_grad}
    assert ("text" in moving) == (trains == "yes")


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("users:Mean", 3, ("'users:Mean' fails 'sums'", "return the sum")),
        ("nowhere:Loss", 2, ("cannot be loaded",)),
    ],
)
def test_the_command_ends_with_its_answer(name: str, code: int, words: tuple[str, ...]) -> None:
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-m", "keel", "doctor", "--prove", name], cwd=USERS, capture_output=True,
        text=True, timeout=120, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert all(word in done.stderr for word in words)
    assert "Traceback" not in done.stderr
    assert code == 2 or "users:Mean  contract  ok" in done.stdout


def test_a_users_loss_is_proven_for_a_program(tmp_path: Path) -> None:
    """As an installed command finds it: a file where one stands, not on the path."""
    (tmp_path / "mine.py").write_text((USERS / "users.py").read_text())
    code = "import sys; sys.path = [one for one in sys.path if one]; from keel.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--prove", "mine:Suffix", "--json"], cwd=tmp_path, capture_output=True,
        text=True, timeout=120, env=os.environ | {"PYTHONPATH": os.pathsep.join(one for one in sys.path if one)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["status"] == "ok"
    checks = told["result"]["losses"]["mine:Suffix"]["checks"]
    assert [check["name"] for check in checks] == list(CHECKS)
    assert told["result"]["losses"]["mine:Suffix"]["proven"] is True
