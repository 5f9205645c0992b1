"""What drops a model, each fact from both sides, in the order licence, use, category, languages, latency, memory."""

from __future__ import annotations

from typing import Any

import pytest
from chosen import case, catalogue, data, model

from keel.catalog.rows import Model
from keel.choose.candidates import Survey, Wanted, survey
from keel.choose.category import choose
from keel.choose.served import Training, lengths, query_ms, too_much
from keel.study import Limits, UseCase

TAG = case("tag")


def asked(
    *models: Model, cases: Any = (TAG,), held: Any = None, training: Training | None = None, **limits: Any
) -> Survey:
    held = held or data()
    wanted = Wanted(cases, held, Limits(**limits), choose(cases, held), training)
    return survey(catalogue(*models), wanted)


def dropped(found: Survey) -> dict[str, str]:
    return {item.id: item.fact for item in found.dropped}


def test_each_fact_drops_its_model_and_leaves_the_others() -> None:
    found = asked(
        model("fine"), model("closed", licence_class="non-commercial"),
        model("draws", modality="image-generation", architecture="U-Net", objective="diffusion"),
        model("writes", architecture="decoder", objective="CLM"), model("french", languages="fr"),
        model("sound", modality="speech", objective="CTC"), model("odd", architecture="mixer", objective="new"),
        licence="permissive",
    )  # fmt: skip
    assert [item.model.id for item in found.candidates] == ["fine"]
    assert dropped(found) == {
        "closed": "licence", "draws": "use", "writes": "category", "french": "language", "sound": "use", "odd": "use",
    }  # fmt: skip
    whys = {item.id: item.why for item in found.dropped}
    assert "no use case of keel's" in whys["sound"]
    assert whys["odd"] == "keel knows no such way of pretraining: mixer; new"
    assert whys["draws"].endswith("no source says it serves")


def test_the_licence_comes_before_every_other_reason() -> None:
    assert dropped(asked(model("x", licence_class="unreleased", languages="fr"))) == {"x": "licence"}


def test_unknown_languages_and_sizes_are_caveats_not_reasons() -> None:
    found = asked(model("many", None, languages="101"), memory_gb=1).candidates[0]
    assert found.unsure
    assert "whether it knows en is unknown" in found.caveats[0]
    assert "its size is unknown" in found.caveats[1]


def test_a_short_context_is_a_caveat() -> None:
    long = data(documents=1e6, text_tokens=600e6)
    assert any("cuts a mean document of 600 tokens" in text
               for text in asked(model("x", context=512), held=long).candidates[0].caveats)  # fmt: skip
    assert asked(model("x", context=600), held=long).candidates[0].caveats == ()


@pytest.mark.parametrize(("memory_gb", "fits"), [(0.24, True), (0.2399, False)])
def test_serving_takes_two_bytes_a_parameter_and_a_fifth(memory_gb: float, fits: bool) -> None:
    assert bool(asked(model("x", 1e8), memory_gb=memory_gb).candidates) is fits


@pytest.mark.parametrize(("nodes_bytes", "fits"), [(1.6e9, True), (1.599e9, False)])
def test_training_takes_sixteen_bytes_a_parameter(nodes_bytes: float, fits: bool) -> None:
    found = asked(model("x", 1e8), training=Training(nodes_bytes, "1 x node"))
    assert bool(found.candidates) is fits
    assert dropped(found) == ({} if fits else {"x": "memory"})


def test_latency_is_held_against_the_optimistic_end() -> None:
    chip = catalogue().accelerators["t4"]
    took = query_ms(chip, 1e8, TAG.case)
    assert took is not None
    for limit, fits in ((took.low * 1.01, True), (took.low * 0.99, False)):
        served = case("tag", serve={"accelerator": "t4", "latency_ms": limit})
        assert dropped(asked(model("x", 1e8), cases=(served,))) == ({} if fits else {"x": "latency"})


def test_latency_names_the_reason_where_memory_fails_too() -> None:
    served = case("tag", serve={"accelerator": "t4", "latency_ms": 0.01})
    found = too_much(catalogue(), model("x", 1e11), (served,), Limits(memory_gb=1))
    assert found is not None
    assert found[0] == "latency"
    assert found[1].count("memory: ") == 2


def test_a_chip_of_unknown_speed_gives_no_latency() -> None:
    assert query_ms(catalogue().accelerators["a30"], 1e8, TAG.case) is None
    served = case("tag", serve={"accelerator": "a30", "latency_ms": 1e-9})
    assert asked(model("x"), cases=(served,)).candidates


def test_lengths_of_a_query_are_the_users_first() -> None:
    said = UseCase(name="x", task="summarization", serve={"tokens_in": 900, "tokens_out": 0})
    assert lengths(said) == (900.0, 0.0)
    assert lengths(UseCase(name="x", task="summarization")) == (128.0, 64.0)


def test_a_use_case_that_it_does_not_serve_is_a_caveat_with_its_source() -> None:
    found = asked(model("x"), cases=(TAG, case("draft", "text-generation", 0.5))).candidates[0]
    assert found.cover == pytest.approx(1 / 1.5)
    assert any(text.startswith("draft: no: gives no probability of a next token (") for text in found.caveats)
