"""What each way of pretraining serves: complete over the catalogue, in accord with what losses say of themselves."""

from __future__ import annotations

import pytest
from chosen import SHIPPED, model

from keel.choose.kind import CATEGORIES
from keel.choose.kinds import AS_RELEASED, KINDS, SPEECH, best_of, cites, kind_of, serves
from keel.objective.facts import FACTS
from keel.study import TASKS

PAIRS = [(name, loss) for name, kind in KINDS.items() for loss in kind.losses if loss in FACTS]


def test_every_model_of_the_catalogue_has_a_kind() -> None:
    assert [row.id for row in SHIPPED.models.values() if kind_of(row) not in {*KINDS, SPEECH}] == []


def test_only_sound_has_no_kind_that_serves() -> None:
    silent = {row.modality for row in SHIPPED.models.values() if kind_of(row) not in KINDS}
    assert silent == {"speech"}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_served_by_a_kind(task: str) -> None:
    assert any(best_of(category, task) > 0 for category in CATEGORIES)


def test_uses_are_tasks_of_a_study() -> None:
    named = {use for kind in KINDS.values() for use in (*kind.strong, *kind.weak, *kind.precludes)}
    assert named | {use for uses in AS_RELEASED.values() for use in uses} <= set(TASKS)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_says_one_thing_of_a_use_and_cites_it(name: str) -> None:
    kind = KINDS[name]
    said = [*kind.strong, *kind.weak, *kind.precludes]
    assert len(said) == len(set(said))
    for use in said:
        cite = kind.cite(use)
        assert cite is not None
        assert "arXiv" in cite.source or "Radford" in cite.source, (use, cite.source)
        assert kind.serves(use) == (1.0 if use in kind.strong else 0.5 if use in kind.weak else 0.0)


def test_what_serves_as_released_serves() -> None:
    for name, uses in AS_RELEASED.items():
        assert [use for use in uses if not KINDS[name].serves(use)] == [], name


def test_every_loss_of_keels_on_one_text_is_of_a_kind() -> None:
    holders = {name for name, facts in FACTS.items() if facts.of is not None}
    assert {loss for kind in KINDS.values() for loss in kind.losses} >= FACTS.keys() - holders


def test_no_loss_is_of_two_kinds() -> None:
    losses = [loss for kind in KINDS.values() for loss in kind.losses]
    assert len(losses) == len(set(losses))


@pytest.mark.parametrize(("name", "loss"), PAIRS)
def test_a_loss_unlocks_nothing_that_its_kind_precludes(name: str, loss: str) -> None:
    assert FACTS[loss].unlocks.keys() & KINDS[name].precludes.keys() == set()
    assert FACTS[loss].unlocks.keys() & FACTS[loss].precludes.keys() == set()


@pytest.mark.parametrize("name", sorted({name for name, _ in PAIRS}))
def test_a_kind_precludes_what_all_of_its_losses_preclude(name: str) -> None:
    kind = KINDS[name]
    shared = set.intersection(*(set(FACTS[loss].precludes) for other, loss in PAIRS if other == name))
    assert shared & {*kind.strong, *kind.weak} == set()
    assert shared <= kind.precludes.keys()


def test_flamingo_is_vision_language_and_no_diffusion() -> None:
    found = {kind_of(row) for row in SHIPPED.models.values() if "flamingo" in row.id}
    assert found == {"interleaved"}
    assert KINDS["interleaved"].category == "vision-language"
    assert "not diffusion" in KINDS["interleaved"].precludes["text-to-image"].why


@pytest.mark.parametrize(
    ("architecture", "objective", "kind"),
    [("encoder", "MLM+NSP", "masked"), ("encoder", "RTD (ELECTRA style)", "token-detection"),
     ("decoder", "CLM", "next-token"), ("encoder-decoder", "span corruption", "denoising"),
     ("encoder-decoder", "PrefixLM or UL2", "denoising"), ("decoder", "denoising and CLM", "next-token"),
     ("encoder", "a new loss", "masked"), ("mixer", "a new loss", "")],
)  # fmt: skip
def test_the_weights_stacks_decide_where_words_name_two(architecture: str, objective: str, kind: str) -> None:
    assert kind_of(model("x", architecture=architecture, objective=objective)) == kind


def test_a_model_of_no_known_kind_serves_nothing() -> None:
    assert serves(model("x", architecture="mixer", objective="new"), "retrieval") == 0.0


def test_an_encoder_is_warned_of_generation() -> None:
    for use in ("text-generation", "summarization", "translation", "zero-shot-classification"):
        assert best_of("encoder", use) == 0.0
        assert [cite.why for _, cite in cites("encoder", use)], use
