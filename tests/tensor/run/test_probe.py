"""The probe: shapes of what it prints, how precision is chosen, and that it times what `keel run` does."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.tensor
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from keel.model.shapes import Size  # noqa: E402
from keel.objective.cost import flop_per_token  # noqa: E402
from keel.run import probe  # noqa: E402
from keel.run.probe import KINDS, Bench, Kind, Timed, choose  # noqa: E402
from keel.size.time import precision_at, seconds_per_token  # noqa: E402

TEXT, IMAGES = KINDS["text"], KINDS["images"]
SIZES = {
    "text": {"width": 16, "layers": 2, "vocabulary": 4096, "context": 128, "head_width": 8},
    "images": {"width": 16, "layers": 2, "vocabulary": 0, "context": 64, "head_width": 8, "patch": 8, "classes": 10},
    "image-text": {
        "width": 16,
        "layers": 2,
        "vocabulary": 258,
        "context": 16,
        "head_width": 8,
        "patch": 8,
        "embedding_width": 16,
    },
}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fewer steps, one small width, one real thread; gives the thread counts asked for."""
    fewer = {"WARM_UP": 1, "TIMED": 2, "WIDTHS": (16,), "CHOOSING_WIDTHS": (16, 24), "GEMM_S": 0.0}
    for name, value in fewer.items():
        monkeypatch.setattr(probe, name, value)
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    return asked


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ((100, 100, 100), ("fp32", "fp32")),
        ((100, 104.9, 104.9), ("fp32", "fp32")),
        ((100, 106, 50), ("fp32", "bf16")),
        ((100, 130, 135), ("fp32", "bf16")),
        ((100, 130, 140), ("bf16", "bf16")),
        ((100, 90, 106), ("bf16", "bf16")),
    ],
)
def test_each_bf16_part_has_to_pay(rates: tuple[float, ...], chosen: tuple[str, str]) -> None:
    found = choose([Timed(precision, rate) for precision, rate in zip(TEXT.precisions, rates)], "llama", 64)
    assert (found["body"], found["head"]) == chosen
    assert all(f"{rate:.0f}" in found["why"] for rate in rates)


@pytest.mark.parametrize("kind", KINDS)
def test_it_prints_one_object_that_the_plan_can_use(
    kind: str, short: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["probe", "2", kind])
    probe.main()
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert short == [1, 1, *(len(found["steps"]) // 2 * [1, 2]), 1, 2]
    assert set(found) == {"torch", "gemm", "steps", "precision"}
    assert {(row["precision"], row["threads"], row["m"]) for row in found["gemm"]} == {
        (precision, threads, m) for precision in ("fp32", "bf16") for threads in (1, 2) for m in (1024, 512)
    }
    assert {(row["width"], row["threads"]) for row in found["steps"]} == {(16, 1), (16, 2)}
    chosen = [found["precision"], *found["precision"]["wider"]]
    assert [one["width"] for one in chosen] == [16, 24]
    assert all(precision_at(found, one["width"]) == one for one in chosen)
    precision = {name: chosen[1][name] for name in ("body", "head")}
    step = next(row for row in found["steps"] if row["precision"] == precision)
    asked = KINDS[kind]
    assert step["flop_per_token"] == flop_per_token(asked.loss, asked.options, asked.family, Size(**SIZES[kind]))
    pace = seconds_per_token(found, step["flop_per_token"], 1, precision)
    assert pace.value == pytest.approx(1 / step["tokens_per_s"])
    assert pace.source == "steps timed by keel look"


@pytest.mark.parametrize(("kind", "precision"), [(kind, way) for kind in KINDS.values() for way in kind.precisions])
def test_a_timed_step_is_a_training_step(kind: Kind, precision: dict[str, str]) -> None:
    bench = Bench(kind, 16, precision)
    before = [weight.detach().clone() for weight in list(bench.parts["model"].parameters())]
    bench.step()  # a classifier begins at 0 and lets nothing through to the body
    bench.step()
    assert all(not torch.equal(old, new) for old, new in zip(before, list(bench.parts["model"].parameters())))
    assert all(torch.isfinite(weight).all() for weight in list(bench.parts["model"].parameters()))
    assert bench.parts["model"].head_precision == precision["head"]


def test_a_slow_machine_does_not_hold_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(probe, "seconds", lambda work: taken.append(work) or 10.0)
    assert probe._median_step_s(Bench(IMAGES, 16, probe.FULL)) == 10.0
    assert len(taken) == 2


def test_debug_tells_how_long_it_took(
    short: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEEL_DEBUG", "1")
    monkeypatch.setattr("sys.argv", ["probe"])
    monkeypatch.setattr(probe, "probe", lambda threads, kind: {"threads": threads})
    probe.main()
    out, err = capsys.readouterr()
    assert json.loads(out) == {"threads": 1}
    assert "s after imports" in err
