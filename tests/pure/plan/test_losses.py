"""Which loss a plan is for, which families can serve it, and what the use cases are told."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import study, study_error

from keel.model.shapes import SHAPES, Size
from keel.objective.cost import flop_per_token, special_tokens
from keel.objective.facts import FACTS
from keel.plan.build import build
from keel.plan.frame import Inputs
from keel.plan.losses import loss_of, proposals
from keel.plan.recipe import Choices
from keel.plan.verb import show
from keel.study import Study


def planned(corpus: dict[str, Any], machine: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return build(Inputs(study(set=settings), corpus, machine), "2026-01-01")


def asking(*tasks: str) -> Study:
    return study(
        use_case=[{"name": f"use {task}", "task": task, "weight": place + 1} for place, task in enumerate(tasks)]
    )


@pytest.mark.parametrize(
    ("loss", "family"), [(loss, family) for loss in ("clm", "mlm") for family in FACTS[loss].families]
)
def test_every_family_of_a_loss_can_be_planned(
    loss: str, family: str, corpus_json: dict[str, Any], fake_machine: dict[str, Any]
) -> None:
    made = planned(corpus_json, fake_machine, **{"train.loss": loss, "model.family": family})
    assert (made["objective"], made["family"]) == (loss, family)
    added = len(special_tokens(loss, {}, 128))
    for item in made["experiments"]:
        size = Size(**item["spec"]["size"])
        assert size.vocabulary == made["tokenizer"]["vocabulary"] + added
        assert item["params"]["total"] == SHAPES[family].params(SHAPES[family].shape(size)).total
        options = item["spec"]["options"]
        assert item["cost"]["flop"] == pytest.approx(item["tokens"] * flop_per_token(loss, options, family, size))


@pytest.mark.parametrize(("loss", "family"), [("clm", "bert"), ("clm", "t5"), ("mlm", "llama"), ("mlm", "mamba")])
def test_a_family_that_cannot_serve_the_loss_is_refused(
    loss: str, family: str, corpus_json: dict[str, Any], fake_machine: dict[str, Any]
) -> None:
    with study_error(f"'{family}' cannot serve the loss '{loss}'", "model.family"):
        planned(corpus_json, fake_machine, **{"train.loss": loss, "model.family": family})


def test_an_unknown_loss_names_the_nearest(corpus_json: dict[str, Any], fake_machine: dict[str, Any]) -> None:
    with study_error("unknown loss", "train.loss"):
        planned(corpus_json, fake_machine, **{"train.loss": "mml"})


def test_options_are_the_run_s_identity(corpus_json: dict[str, Any], fake_machine: dict[str, Any]) -> None:
    plain = planned(corpus_json, fake_machine, **{"train.loss": "mlm"})
    other = planned(corpus_json, fake_machine, **{"train.loss": "mlm", "train.options.rate": 0.2})
    assert other["experiments"][0]["spec"]["options"] == {"rate": 0.2}
    assert not {item["id"] for item in plain["experiments"]} & {item["id"] for item in other["experiments"]}
    assert any(number["name"] == "train.options.rate" and number["yours"] for number in other["numbers"])


def test_options_that_a_run_would_refuse_are_refused_by_the_plan(
    corpus_json: dict[str, Any], fake_machine: dict[str, Any]
) -> None:
    with study_error("'rate' is wrong", "has no option 'rte'", "[set] train.options.rate") as errors:
        planned(
            corpus_json, fake_machine,
            **{"train.loss": "mlm", "train.options.rate": 7, "train.options.rte": 0.3, "train.options.unit": "letter"},
        )  # fmt: skip
    assert len(errors[0].problems) == 3


def test_special_tokens_that_a_loss_adds_are_said(corpus_json: dict[str, Any], fake_machine: dict[str, Any]) -> None:
    said = show(planned(corpus_json, fake_machine, **{"train.loss": "span_corruption"}))
    assert "special tokens to the tokenizer, each a fresh row of the model: pad, start, sentinel 0 to sentinel" in said
    assert "special token" not in show(planned(corpus_json, fake_machine, **{"train.loss": "clm"}))


def test_proposals_are_cited_and_ordered_by_the_weight_they_unlock() -> None:
    found = proposals(asking("fill-mask", "text-generation"))
    by_name = {item["loss"]: item for item in found}
    assert [item["weight"] for item in found] == sorted((item["weight"] for item in found), reverse=True)
    assert by_name["clm"]["weight"] == 2
    assert by_name["mlm"]["weight"] == 1
    assert [cite["task"] for cite in by_name["mlm"]["precludes"]] == ["text-generation"]
    assert all(cite["source"] and cite["why"] for item in found for cite in item["unlocks"] + item["precludes"])
    assert "tlm" not in by_name  # needs parallel text


def test_the_use_cases_choose_the_loss(corpus_json: dict[str, Any], fake_machine: dict[str, Any]) -> None:
    for task, loss in (("fill-mask", "mlm"), ("text-generation", "clm")):
        made = build(Inputs(asking(task), corpus_json, fake_machine), "2026-01-01")
        assert made["objective"] == loss
        assert made["losses"] == proposals(asking(task))


PAIRS = {"train": (), "parallel": {"en": "a.en", "de": "a.de"}}


@pytest.mark.parametrize(
    ("data", "losses"),
    [
        ({}, {"clm", "mlm", "span_corruption"}), (PAIRS, {"translation", "tlm"}),
        ({"prompt": "q", "answer": "a"}, {"instruct"}),
    ],
)  # fmt: skip
def test_what_the_data_is_decides_which_losses_are_proposed(data: dict[str, Any], losses: set[str]) -> None:
    tasks = ("translation", "fill-mask", "question-answering")
    asked = study(data=data, use_case=[{"name": task, "task": task} for task in tasks])
    found = {item["loss"] for item in proposals(asked)}
    assert losses <= found
    assert all(FACTS[loss].needs == {asked.data.kind} for loss in found)


@pytest.mark.parametrize(
    ("data", "loss", "words"),
    [
        ({}, "translation", "it reads parallel, and [data] is text"), ({}, "tlm", "parallel = {"),
        ({}, "instruct", "it reads instructions"), (PAIRS, "clm", "it reads text, and [data] is parallel"),
        ({"prompt": "q", "answer": "a"}, "tlm", "[data] is instructions"),
    ],
)  # fmt: skip
def test_a_loss_that_the_data_cannot_feed_is_refused(data: dict[str, Any], loss: str, words: str) -> None:
    with study_error(f"the data cannot feed the loss '{loss}'", words):
        loss_of(study(data=data), Choices({"train.loss": loss}))


def test_languages_come_from_the_data_unless_they_are_named() -> None:
    assert loss_of(study(data=PAIRS), Choices({})).name == "translation"
    for given, languages in (({}, ["en", "de"]), ({"train.options.languages": ["de", "en"]}, ["de", "en"])):
        for loss in ("translation", "tlm"):
            choices = Choices({"train.loss": loss, **given})
            assert loss_of(study(data=PAIRS), choices).options["languages"] == languages
            assert [number.value for number in choices.numbers if number.name.endswith("languages")] == [str(languages)]


def test_a_mixture_is_written_as_tables_and_planned(corpus_json: dict[str, Any], fake_machine: dict[str, Any]) -> None:
    held = {"a": {"loss": "clm", "share": 0.8}, "b": {"loss": "prefix_lm", "share": 0.2, "options": {"low": 0.1}}}
    made = planned(corpus_json, fake_machine, train={"loss": "mixture", "options": {"of": held}})
    assert made["experiments"][0]["spec"]["options"] == {"of": held}
    named = {number["name"] for number in made["numbers"] if number["yours"]}
    assert {"train.options.of.a.share", "train.options.of.b.options.low"} <= named


def test_an_option_within_one_that_has_a_value_is_refused() -> None:
    with study_error("within an option that has a value"):
        loss_of(study(), Choices({"train.loss": "mixture", "train.options.of": 5, "train.options.of.a.loss": "clm"}))


def test_evidence_without_a_kind_is_of_text_and_another_kind_is_refused(
    corpus_json: dict[str, Any], fake_machine: dict[str, Any]
) -> None:
    assert corpus_json.pop("kind") == "text"  # older keels wrote none
    assert planned(corpus_json, fake_machine)["objective"] == "clm"
    with study_error("the evidence is of other data", "[data] is parallel, and corpus.json is of text"):
        build(Inputs(study(data=PAIRS), corpus_json, fake_machine), "2026-01-01")


def test_an_epoch_of_pairs_is_a_context_each(corpus_json: dict[str, Any], fake_machine: dict[str, Any]) -> None:
    pairs = corpus_json | {"kind": "parallel", "split": corpus_json["split"] | {"train_documents": 5000}}
    made = build(Inputs(study(data=PAIRS, set={"model.context": 64}), pairs, fake_machine), "2026-01-01")
    assert made["unique_tokens"] == 5000 * 64
