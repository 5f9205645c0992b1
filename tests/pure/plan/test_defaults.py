"""A masked loss has rates, a masking rate and token counts of its own; a decoder's are as they were."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import study

from keel.objective.facts import FACTS
from keel.objective.held import facts_of
from keel.plan import defaults
from keel.plan.build import Inputs, build
from keel.plan.defaults import MASKED, PLAIN
from keel.plan.verb import show

MASKS = [name for name, facts in FACTS.items() if facts.judge == "masked_bits_per_byte" and facts.needs == {"text"}]
TELLS = [name for name, facts in FACTS.items() if facts.judge == "replaced_bits_per_byte"]
ENOUGH = 1e8  # unique tokens: no ladder of these widths meets the end of the corpus


@pytest.fixture
def make(corpus_json: dict[str, Any], fake_machine: dict[str, Any]) -> Any:
    """The plan of a loss on so much text."""

    def made(loss: str, unique_tokens: float = ENOUGH, **settings: Any) -> dict[str, Any]:
        for row in corpus_json["tokens"]:
            row["train_tokens"] = unique_tokens
        given = {"train.loss": loss, "ladder.widths": [16, 24, 32], "arms.losses": [],
                 **{name.replace("__", "."): value for name, value in settings.items()}}  # fmt: skip
        return build(Inputs(study(set=given), corpus_json, fake_machine), "2026-01-01")

    return made


def number(made: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in made["numbers"] if each["name"] == name)


def test_a_decoder_s_ladder_is_bit_for_bit_what_it_was(make: Any) -> None:
    made = make("clm")
    top = made["experiments"][-1]
    assert top["tokens"] == pytest.approx(5 * top["params"]["total"], rel=1e-2)
    assert number(made, "ladder.factor")["value"] == 9.0
    for item in made["experiments"]:
        spec, size = item["spec"], item["spec"]["size"]
        longest = max(each["tokens"] for each in made["experiments"] if each["spec"]["size"] == size)
        assert spec["lr_hidden"] == 0.2 / size["width"] * (longest / 4.5e5) ** 0.307
        assert spec["lr_embedding"] == 0.06
        assert spec["options"] == {}
    assert not any(each["name"] == "target.tokens_per_param" for each in made["numbers"])


@pytest.mark.parametrize("loss", [*MASKS, *TELLS])
def test_a_masked_loss_is_trained_at_its_own_rates(make: Any, loss: str) -> None:
    made = make(loss)
    for item in made["experiments"]:
        assert item["spec"]["lr_hidden"] == MASKED.lr_scale / item["spec"]["size"]["width"]
        assert item["spec"]["lr_embedding"] == MASKED.lr_embedding
        assert item["spec"]["batch_tokens"] == MASKED.batch_tokens
    yours = make(loss, train__lr_scale=0.5, train__lr_embedding=0.01)["experiments"][0]["spec"]
    assert (yours["lr_hidden"], yours["lr_embedding"]) == (0.5 / 16, 0.01)


@pytest.mark.parametrize("loss", MASKS)
def test_a_masked_loss_masks_more_unless_told(make: Any, loss: str) -> None:
    assert {item["spec"]["options"]["rate"] for item in make(loss)["experiments"]} == {MASKED.masking_rate}
    told = make(loss, train__options__rate=0.15)
    assert {item["spec"]["options"]["rate"] for item in told["experiments"]} == {0.15}
    assert number(told, "train.options.rate")["yours"]


@pytest.mark.parametrize("loss", TELLS)
def test_a_discriminator_keeps_its_generator_s_rate(make: Any, loss: str) -> None:
    assert "rate" not in make(loss)["experiments"][0]["spec"]["options"]


@pytest.mark.parametrize("loss", [*MASKS, *TELLS])
def test_no_decoder_s_tokens_a_parameter(make: Any, loss: str) -> None:
    made = make(loss)
    top, target = made["experiments"][-1], made["targets"][0]
    for ratio in (top["tokens"] / top["params"]["total"], target["tokens"] / target["params"]):
        assert ratio > 1.5 * 20
    wanted = number(made, "target.tokens_per_param")
    assert wanted["value"] == "unknown"
    assert "keel fit" in wanted["formula"]
    assert "lab-notebook" in wanted["source"]
    assert wanted["valid"]
    assert f"target.tokens_per_param = unknown\n    formula {wanted['formula']}" in show(made)


def test_small_runs_are_past_the_plateau_and_within_the_epochs(make: Any) -> None:
    least = min(item["tokens"] for item in make("mlm", ladder__widths=[16, 32, 64])["experiments"])
    assert least >= 0.75 * MASKED.least_tokens, "a trunk ends where its longest branch begins to decay"
    few = make("mlm", 1e6, ladder__widths=[16, 32, 64])
    batch = few["experiments"][0]["spec"]["batch_tokens"]
    assert max(item["tokens"] for item in few["experiments"]) <= MASKED.most_epochs * 1e6 + batch


def test_every_judge_has_a_row() -> None:
    assert {facts.judge for facts in FACTS.values()} <= set(defaults.DEFAULTS)
    part = {"loss": "mlm", "share": 1.0}
    held = {"of": {"a": part, "b": {**part, "options": {"unit": "word"}}}}
    assert defaults.defaults_of("mixture", held) is defaults.DEFAULTS[facts_of("mixture", held).judge]
    assert defaults.masking_rate("mixture", held) is None, "the held losses say theirs"
    assert defaults.defaults_of("prefix_lm", {}) is PLAIN
