"""Windows, sentinels and work of the losses of two stacks: known lengths, no side beyond its context, exact odds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import study_error

from keel.model.shapes import SHAPES, Size, Use
from keel.objective import room, work
from keel.objective.denoisers import T5GEMMA2, UL2
from keel.objective.drops import gap, infill, restore
from keel.objective.facts import FACTS
from keel.objective.spans import counts
from keel.objective.trim import fewer_marks, fitting

OPTIONS: dict[str, dict[str, Any]] = {"mbart": {"language": "de"}, "translation": {"languages": ["en", "de"]}}
TWO_STACKS = [name for name, facts in FACTS.items() if facts.judge == "target_bits_per_byte" and facts.work]


@pytest.mark.parametrize(
    ("context", "raw", "targets"), [(128, 141, 29), (256, 284, 58), (512, 568, 114), (1024, 1137, 229)]
)
def test_t5s_own_lengths(context: int, raw: int, targets: int) -> None:
    """What `random_spans_helper` of its code gives at density .15 and mean span 3."""
    assert room.denoisers_room(context, room.span_denoisers({})).text == raw
    assert room.span_work({}, context) == ((1.0, Use(context, targets, targets)),)


@pytest.mark.parametrize("context", [4, 7, 33, 512])
@pytest.mark.parametrize("options", [{}, {"density": 0.5}, {"density": 0.9}, {"mean_span": 64.0}, {"roll": True}])
def test_a_window_is_the_longest_that_fits(context: int, options: dict[str, Any]) -> None:
    (denoiser,) = room.span_denoisers(options)
    text = room.denoisers_room(context, (denoiser,)).text

    def sides(length: int) -> tuple[int, int]:
        noise, spans = counts(length, denoiser.density, denoiser.mean_span, roll=denoiser.roll)
        return length - noise + spans + 1, noise + spans + 1

    assert max(sides(text)) <= context < max(sides(text + 1))
    assert room.side_room(text, (denoiser,)) == max(sides(text)) - 1


@pytest.mark.parametrize("table", [UL2, T5GEMMA2])
def test_one_window_serves_every_denoiser_of_a_mixture(table: Any) -> None:
    text, sentinels = room.denoisers_room(512, table)
    singles = [room.denoisers_room(512, (denoiser,)) for denoiser in table]
    assert text == min(single.text for single in singles)
    assert sentinels >= max(counts(text, d.density, d.mean_span, roll=d.roll).spans for d in table)
    assert room.side_room(text, table) <= 511


def test_roles_name_what_an_example_takes() -> None:
    spans = FACTS["span_corruption"].roles({}, 512)
    assert spans[:2] == ("pad", "start")
    assert spans[2:] == tuple(f"sentinel {n}" for n in range(35))
    assert FACTS["ul2"].roles({}, 128)[2:5] == ("mode R", "mode S", "mode X")
    assert FACTS["ul2"].roles({"mixture": "t5gemma2"}, 128)[2] == "sentinel 0"
    assert FACTS["mbart"].roles({"language": "de"}, 128) == ("mask", "pad", "start", "language de")
    assert FACTS["translation"].roles({"languages": ["en", "de"]}, 9) == ("pad", "start", "language en", "language de")
    assert FACTS["prefix_lm"].roles({}, 128) == ()
    assert FACTS["prefix_lm"].roles({"stacks": 2}, 128) == ("pad", "start")
    for loss in ("mbart", "translation"):
        with study_error("named"):
            FACTS[loss].roles({}, 128)
    with study_error("two languages", "['en', 'en']"):
        FACTS["translation"].roles({"languages": ["en", "en"]}, 128)


@pytest.mark.parametrize("loss", [*TWO_STACKS, "clm", "mlm"])
@pytest.mark.parametrize("context", [6, 40, 512])
def test_work_is_a_law_over_uses_that_fit(loss: str, context: int) -> None:
    said = FACTS[loss].work
    assert said is not None
    found = said(OPTIONS.get(loss, {}), context)
    assert sum(odds for odds, _ in found) == pytest.approx(1)
    for odds, use in found:
        assert 0 < odds <= 1
        assert 0 < use.encoder <= context
        assert use.decoder <= context
        assert 0 < use.head <= (use.decoder or use.encoder)
    family = FACTS[loss].families[0]
    size = Size(width=64, layers=2, vocabulary=1000, context=context, head_width=16)
    shapes = SHAPES[family]
    flop = work.flop(shapes, shapes.shape(size), found)
    assert 0 < flop <= max(shapes.flop(shapes.shape(size), use) for _, use in found)


def test_work_of_a_mixture_is_the_mean_of_its_parts_and_not_that_of_their_lengths() -> None:
    """FLOP are not linear in lengths: on long windows a mean length misses some percent."""
    shapes = SHAPES["alexatm"]
    shape = shapes.shape(Size(width=64, layers=2, vocabulary=1000, context=1024, head_width=16))
    found = room.alexatm_work({}, 1024)
    mean = Use(*(round(sum(odds * use[field] for odds, use in found)) for field in range(3)))
    exact = work.flop(shapes, shape, found)
    assert sum(odds for odds, use in found if use.decoder == 1024) == pytest.approx(0.8)
    assert abs(shapes.flop(shape, mean) / exact - 1) > 0.01


@pytest.mark.parametrize(("length", "share", "mean"), [(511, 0.3, 3.0), (31, 0.35, 3.5), (63, 0.3, 1.0)])
def test_expected_marks_are_those_drawn(length: int, share: float, mean: float) -> None:
    rng, rounds, fixed = np.random.default_rng(0), 1500, np.zeros(length, bool)
    drawn = [len(infill(np.arange(length), rng, share, mean, 99, fixed=fixed).spans) for _ in range(rounds)]
    said = room.marks(length, round(share * length), mean)
    assert abs(np.mean(drawn) - said) < 4 * np.std(drawn) / rounds**0.5 + 0.01 * said


def test_a_beginning_that_fits_is_the_longest() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        noise = rng.random(int(rng.integers(0, 30))) < rng.random()
        limits = [int(limit) for limit in rng.integers(0, 20, 3)]

        def sides(length: int, noise: np.ndarray = noise) -> tuple[int, int, int]:
            part = noise[:length]
            spans = sum(1 for place in range(length) if part[place] and (place == 0 or not part[place - 1]))
            return int((~part).sum()) + spans, int(part.sum()) + spans, spans

        fits = [length for length in range(len(noise) + 1)
                if all(side <= limit for side, limit in zip(sides(length), limits))]  # fmt: skip
        assert fitting(noise, *limits) == max(fits)


def test_marks_without_a_token_go_until_the_rest_fits() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        text = np.arange(int(rng.integers(1, 20)))
        gapped = infill(text, rng, 0.5, 1.0, 99, fixed=rng.random(len(text)) < 0.2)
        if not len(gapped.spans):
            continue
        fewer = fewer_marks(gapped, len(text), rng)
        assert len(fewer.inputs) <= max(len(text), 0)
        np.testing.assert_array_equal(restore(fewer), text)
        assert (fewer.spans[:, 1] > 0).sum() == (gapped.spans[:, 1] > 0).sum()
    kept = gap(np.arange(3), np.array([[0, 0], [1, 1], [2, 0]]), np.array([97, 98, 99]))
    left = {tuple(fewer_marks(kept, 4, np.random.default_rng(n)).inputs.tolist()) for n in range(40)}
    assert left == {(0, 98, 99, 2), (97, 0, 98, 2)}


@pytest.mark.parametrize("loss", TWO_STACKS)
def test_facts_of_two_stacks_are_cited_and_served(loss: str) -> None:
    facts = FACTS[loss]
    assert facts.unlocks
    assert facts.precludes
    assert not set(facts.unlocks) & set(facts.precludes)
    assert all("arXiv:" in cite.source and cite.why for cite in [*facts.unlocks.values(), *facts.precludes.values()])
    assert len(set(facts.families)) == len(facts.families)
    assert set(facts.families) <= set(SHAPES)
