"""Licences, languages, corpora behind models, results and ages: known cases, and unknown shown as unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import study_error

from keel.catalog import age, behind, language_sets, languages, licence, results
from keel.catalog.deployed import trace
from keel.catalog.rows import Offer
from keel.catalog.store import Catalogue


def test_non_commercial_siblings_vanish_with_the_reason(known: Catalogue) -> None:
    gone = [name for name, model in known.models.items() if licence.allowed(model, "permissive")]
    assert {"mae-base", "qwen2.5-3b", *(name for name in known.models if name.startswith("opt-"))} <= set(gone)
    assert not {"qwen2.5-0.5b", "qwen2.5-7b", "falcon-7b", "phi-2"} & set(gone)
    reason = licence.allowed(known.models["qwen2.5-3b"], "permissive")
    for word in ("non-commercial", "qwen-research", "hub page tag", "2026-11-24"):
        assert word in reason


def test_a_stricter_limit_never_adds_a_model(known: Catalogue) -> None:
    passed = [{name for name, model in known.models.items() if not licence.allowed(model, limit)}
              for limit in ("permissive", "conditional", "any")]  # fmt: skip
    assert passed[0] < passed[1] < passed[2] < known.models.keys()


def test_weights_that_were_never_released_pass_no_limit(known: Catalogue) -> None:
    for limit in licence.LIMITS:
        assert "never released" in licence.allowed(known.models["palm-540b"], limit)


def test_an_unknown_licence_is_not_taken_for_a_free_one(known: Catalogue) -> None:
    assert "unknown licence" in licence.allowed(known.models["align-base"], "conditional")
    assert licence.allowed(known.models["align-base"], "any") == ""


def test_the_filter_comes_before_the_smallest_member(known: Catalogue) -> None:
    models = known.models.values()
    assert licence.smallest_allowed(models, "OPT", "permissive").model is None
    assert licence.smallest_allowed(models, "OPT", "any").model == known.models["opt-125m"]
    qwen = [model for model in models if model.id != "qwen2.5-0.5b" and model.id != "qwen2.5-1.5b"]
    found = licence.smallest_allowed(qwen, "Qwen2.5", "permissive")
    assert found.model == known.models["qwen2.5-7b"]
    assert [name for name, _ in found.dropped] == ["qwen2.5-3b", "qwen2.5-72b"]
    assert licence.by_family(models, "permissive")["FLUX.1"].model == known.models["flux.1-schnell"]


def test_a_limit_that_is_none_is_told(known: Catalogue) -> None:
    with study_error("did you mean 'permissive'?"):
        licence.allowed(known.models["gpt2"], "permisive")


@pytest.mark.parametrize(("name", "code", "yes"), [
    ("bert-base-uncased", "en", True), ("bert-base-uncased", "de", False), ("modernbert-base", "en", True),
    ("xlm-roberta-base", "de", True), ("xlm-roberta-base", "mt", False), ("mt5-small", "mt", True),
    ("bert-base-multilingual-cased", "th", True), ("bert-base-multilingual-cased", "ast", True),
    ("mbart-large-cc25", "pl", False), ("mbart-large-50", "pl", True), ("bloom-560m", "de", False),
    ("bloom-560m", "sw", True), ("m2m100-418m", "zu", True), ("nllb-moe-54b", "deu_Latn", True),
    ("t5-base", "de", True), ("t5-base", "it", False), ("opt-1.3b", "en", None), ("llama-3-8b", "en", True),
    ("llama-3-8b", "de", None), ("llama-3.1-8b", "de", True), ("llama-3.1-8b", "pl", None),
    ("siglip2-b16-224", "de", None), ("resnet-50", "en", None), ("xlm-roberta-base", "nb", True),
    ("xlm-roberta-base", "zh-TW", True), ("mdeberta-v3-base", "de", True), ("mdeberta-v3-base", "mt", None),
    ("alexatm-20b", "mr", True), ("alexatm-20b", "ru", False), ("eurobert-210m", "de", True),
])  # fmt: skip
def test_who_speaks_what(known: Catalogue, name: str, code: str, yes: bool | None) -> None:
    said = languages.told(known.models[name], code)
    assert said.yes is yes
    assert said.why


def test_every_count_of_languages_that_is_listed_belongs_to_a_row(known: Catalogue) -> None:
    rows = {(model.family, model.languages) for model in known.models.values()}
    assert language_sets.SETS.keys() <= rows
    assert language_sets.CORPORA.keys() <= known.corpora.keys()


@pytest.mark.parametrize(("name", "number"), [
    ("MBERT", 103), ("CC100", 93), ("MC4", 101), ("XLM_17", 17), ("XNLI_15", 15), ("M2M", 100), ("MBART_25", 25),
    ("MBART_50", 52), ("XGLM", 30), ("ALEXATM", 12), ("EUROBERT", 15), ("LLAMA_8", 8), ("BLOOM", 45),
])  # fmt: skip
def test_the_lists_are_as_long_as_their_sources(name: str, number: int) -> None:
    assert len(getattr(language_sets, name).codes) == number


def test_the_corpora_behind_a_model(known: Catalogue) -> None:
    assert {corpus.id for corpus in behind.corpora_of(known, known.models["t5-base"])} == {"c4-en"}
    lines = behind.describe(behind.corpora_of(known, known.models["gpt2"]))
    assert "WebText: 40 GB" in lines[0]
    assert "unknown" in lines[-1]
    assert behind.describe(()) == (behind.UNRECORDED, behind.OVERLAP)


def test_results_are_ranked_only_within_one_setting(known: Catalogue) -> None:
    shared = results.comparable(known, ["bert-large-uncased", "roberta-large"])
    assert all(len({row.group for row in rows}) == 1 for rows in shared.values())
    # GLUE of BERT is of the test set, that of RoBERTa of the development set.
    assert "GLUE" not in {dataset for dataset, _, _ in shared}


def test_one_harness_compares_its_checkpoints_though_each_names_its_own(known: Catalogue) -> None:
    rows = results.ranked(known, "ImageNet-1k zero-shot", "top-1 %", "zero-shot (ViT-B-32/openai)")
    assert len(rows) == 28
    assert rows[0].value > rows[-1].value
    assert {row.setting for row in rows} & {"zero-shot"} == set()


def test_less_is_better_where_the_metric_is_a_distance(known: Catalogue) -> None:
    rows = results.ranked(known, "COCO FID-30k", "FID", "zero-shot")
    assert [row.value for row in rows] == sorted(row.value for row in rows)
    top = results.ranked(known, "MMLU", "acc %", "few-shot base model (Open LLM Leaderboard settings)")
    assert [row.value for row in top] == sorted((row.value for row in top), reverse=True)


def test_the_score_of_an_adaptation_is_never_the_bases_own(known: Catalogue) -> None:
    found = results.best_adaptation(known.models["bert-base-uncased"])
    assert found is not None
    assert found.adaptation == "intfloat/e5-base"
    assert "not bert-base-uncased's own score" in str(found)
    assert results.best_adaptation(known.models["roberta-base"]) is None
    assert not [row for row in known.results if "MTEB" in row.dataset]


def test_prices_age_after_90_days_models_after_365_and_peaks_never(known: Catalogue) -> None:
    model, chip = known.models["gpt2"], known.accelerators["k80"]
    price = next(row for row in known.offers if row.as_of == "2026-07-20")
    assert age.warnings([price], "2026-10-18") == ()
    assert "more than 90 days" in age.warnings([price], "2026-10-19")[0].what
    assert age.warnings([model], "2027-11-24") == ()
    assert "more than 365 days" in age.warnings([model], "2027-11-25")[0].what
    assert age.warnings([chip], "2040-01-01") == ()


def test_a_row_without_a_date_is_not_taken_for_a_fresh_one(known: Catalogue) -> None:
    price: Offer = known.offers[0]._replace(as_of="")
    assert "have no date" in age.warnings([price], "2026-10-18")[0].what


@pytest.mark.parametrize(("name", "base"), [
    ("our-roberta-base-v3", "roberta-base"), ("google-bert/bert-base-uncased", "bert-base-uncased"),
    ("distilbert-sst2", "distilbert-base-uncased"), ("GPT-2", "gpt2"), ("gpt2-medium-support", "gpt2-medium"),
    ("Llama-3.1-8B-Instruct", "llama-3.1-8b"), ("xlm-roberta-large-ner", "xlm-roberta-large"),
    ("flan_t5_base_summaries", "flan-t5-base"), ("churn-model-7", None), ("", None),
])  # fmt: skip
def test_a_name_is_traced_to_its_base(known: Catalogue, name: str, base: str | None) -> None:
    row = trace(known, Path(), (name,)).rows[0]
    assert (row.base.id if row.base else None) == base
    assert row.why


def test_an_ambiguous_name_says_which_was_taken_and_of_how_many(known: Catalogue) -> None:
    row = trace(known, Path(), "bert").rows[0]
    assert row.base == known.models["bert-base-uncased"]
    for words in ("ambiguous", "7 models", "4.39M to 336M", "bert-base-uncased is taken"):
        assert words in row.why


def test_a_fleet_of_three_berts_and_a_gpt_2(known: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "fleet.csv").write_text("name,base,count\nintent,bert-base-uncased,3\nreplies,gpt2,\nold,,2\n")
    fleet = trace(known, tmp_path, "fleet.csv")
    assert fleet.params == (110e6, 124e6)
    assert fleet.summary == (
        "6 models in production: 3 x bert-base-uncased, 1 x gpt2, 2 x unknown; 110M to 124M parameters"
    )
    assert trace(known, tmp_path, ()).params is None


def test_a_fleets_file_is_checked_whole(known: Catalogue, tmp_path: Path) -> None:
    with study_error("fleet.csv is not there"):
        trace(known, tmp_path, "fleet.csv")
    (tmp_path / "fleet.csv").write_text("nme,count\nx,1\n")
    with study_error("did you mean 'name'?", "'name' is missing"):
        trace(known, tmp_path, "fleet.csv")
    (tmp_path / "fleet.csv").write_text("name,count\n,1\nx,many\n")
    with study_error("names no model", "count is 'many'"):
        trace(known, tmp_path, "fleet.csv")
