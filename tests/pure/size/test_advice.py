"""Money to FLOP, bytes to tokens, what to set and what to copy."""

from __future__ import annotations

import pytest
from helpers import study_error

from keel.catalog.store import Catalogue
from keel.laws.published import PUBLISHED
from keel.size.advice import advice
from keel.size.ask import CATEGORIES
from keel.size.budget import RESERVES, flop_in, flop_of, kept, usd_of
from keel.size.convert import SAME_BUILD, bytes_per_token, patches, tokens_of
from keel.size.hardware import find
from keel.size.proven import category_of, nearest, scale_of, unique_of
from keel.size.proven import flop_of as flop_of_model
from keel.size.speed import speed
from keel.size.starts import STARTS
from keel.size.time import Estimate
from keel.size.triangle import corners, triangle


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return Catalogue()


def test_money_is_flop_and_back(known: Catalogue) -> None:
    node = find(known, "aws:p4d.24xlarge")
    fast = speed(node, Estimate(0.4, 0.3, 0.5, "stated for a test"))
    bought = flop_of(20_000, node, fast, ())
    assert bought.value == pytest.approx(20_000 / 21.96 * 3600 * 8 * 312e12 * 0.4, rel=1e-3)
    assert bought.low / bought.value == pytest.approx(0.75)
    back = usd_of(bought.value, node, fast)
    assert back is not None
    assert back.value == pytest.approx(20_000)
    assert back.low < back.value < back.high
    hour = flop_in(3600.0, 2, node, fast)
    assert hour.value == pytest.approx(2 * 8 * 3600 * 312e12 * 0.4)


def test_reserves_say_why_and_leave_most() -> None:
    assert all(each.why for each in RESERVES)
    assert kept(RESERVES) == pytest.approx(0.8)


def test_bytes_a_token_come_from_corpora_of_one_build(known: Catalogue) -> None:
    """Mutant: a packed corpus (fineweb 2.7, dolma 2.1 bytes a token) or one counted in words (oscar 8.9) slips in."""
    for group, span in {"en": (4.0, 5.0), "many": (4.0, 5.0), "code": (2.5, 4.0)}.items():
        for name in SAME_BUILD[group]:
            row = known.corpora[name]
            assert row.bytes
            assert row.tokens
            assert span[0] < row.bytes / row.tokens < span[1], name


def test_a_measured_ratio_wins_and_languages_widen(known: Catalogue) -> None:
    measured = Estimate(3.9, 3.8, 4.0, "measured")
    assert bytes_per_token(known, ["en"], measured) is measured
    english, both = bytes_per_token(known, ["en"]), bytes_per_token(known, ["en", "de"])
    assert both.low < english.low
    assert both.high > english.high
    assert tokens_of(20e9, english).low < 4.3e9 < tokens_of(20e9, english).high
    with study_error("bytes a token"):
        bytes_per_token(known, ["en"], Estimate(0.0, 0.0, 0.0, "measured"))


def test_images_are_whole_patches() -> None:
    assert patches(224, 16) == 196
    assert patches(512, 2, latent=8) == 1024
    with study_error("not whole patches"):
        patches(225, 16)


def test_every_category_has_a_way_to_copy(known: Catalogue) -> None:
    units = {"vision": "images", "diffusion": "images", "vision-language": "pairs"}
    for category in CATEGORIES:
        found = nearest(known, category, units.get(category, "tokens"), 1e9, None)
        assert len(found) == 3, category
        assert all(category_of(each.model) == category and each.text for each in found)
        assert found[0].distance <= found[1].distance + 0.011 <= found[2].distance + 0.022


def test_bert_is_the_way_for_four_billion_tokens(known: Catalogue) -> None:
    """BERT's 3.3 billion words are about 4 billion tokens, by bytes a word and bytes a token of the catalogue."""
    words = unique_of(known.models["bert-base-uncased"], "tokens", scale_of(known))
    assert words == pytest.approx(3.3e9 * 1.2, rel=0.05)
    found = nearest(known, "encoder", "tokens", 4.3e9, None, params=1e8)
    assert found[0].model.id == "bert-base-uncased"
    assert "3.3 B words" in found[0].text


def test_the_licence_and_the_year_filter_before_the_nearest(known: Catalogue) -> None:
    found = nearest(known, "decoder", "tokens", 180e9, 3e20, limit="permissive", before=2023, most=50)
    assert found
    assert {each.model.licence_class for each in found} == {"permissive"}
    assert max(each.model.year for each in found) < 2023


def test_flop_of_a_model_says_where_they_come_from(known: Catalogue) -> None:
    assert flop_of_model(known.models["bloom"]) == (3.66e23, "Epoch estimate")
    found, source = flop_of_model(known.models["llama-2-7b"])
    assert found == pytest.approx(6 * 6.738e9 * 2e12)
    assert source == "6 N D"


def test_rates_of_decoders_are_the_laws_own(known: Catalogue) -> None:
    found = {each.name: each for each in advice(known, "decoder", 4e8, 8e9, 2.8)}
    law = PUBLISHED["step-lr"]
    assert found["advice.lr step-lr"].value == pytest.approx(float(law.at(params=4e8, tokens=8e9)))
    assert found["advice.lr step-lr"].low is not None
    assert found["advice.critical batch kaplan-critical-batch"].outside
    vocabulary = [float(each.value) for name, each in found.items() if "vocabulary" in name]
    assert len(vocabulary) == 3
    assert all(5e3 < entries < 1e5 for entries in vocabulary)


def test_tao_of_a_known_shape(known: Catalogue) -> None:
    """sizing.md 3e: 7e9 parameters want 62,280 / 67,450 / 59,547 entries; its width is 4096."""
    entries = [float(PUBLISHED[f"tao-{way}"].at(params_body=7e9)) / 4096 for way in ("flop", "derivative")]
    assert entries == pytest.approx([62_280, 67_450], rel=1e-3)


@pytest.mark.parametrize("category", sorted(STARTS))
def test_where_no_law_is_validated_a_sweep_is_asked_for(known: Catalogue, category: str) -> None:
    found = advice(known, category, 1e8, 1e10)
    rates = [each for each in found if each.name.startswith("advice.lr")]
    assert rates
    assert all("sweep" in each.valid and "arXiv" in each.source for each in rates)
    assert not any("step-lr" in each.name for each in found)


def test_shapes_are_those_of_released_models(known: Catalogue) -> None:
    found = {each.name: each for each in advice(known, "decoder", 6.5e9, 1e11)}
    width, layers = found["advice.width"], found["advice.layers"]
    assert width.low is not None
    assert width.high is not None
    assert width.low <= 4096 <= width.high
    assert 12 * float(width.value) ** 2 * float(layers.value) == pytest.approx(6.5e9, rel=0.05)


def test_one_corner_gives_the_others() -> None:
    by_size = {each.law: each for each in corners(triangle(67e9, None, None))}
    assert by_size["hoffmann-1-size"].flop == pytest.approx(5.5e23, rel=0.02)
    by_data = {each.law: each for each in corners(triangle(None, 1.5e12, None))}
    assert by_data["hoffmann-1-size"].params == pytest.approx(73e9, rel=0.02)
    best = next(each for each in corners(triangle(by_size["chinchilla-besiroglu"].params,
                                                  by_size["chinchilla-besiroglu"].tokens, None)))  # fmt: skip
    assert best.excess == pytest.approx(1.0, abs=0.01)
