"""The shipped tables hold together; the user's rows are laid over them or refused, all faults at once."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import study_error

from keel.catalog import overlay, tables
from keel.catalog.age import day
from keel.catalog.licence import LIMITS
from keel.catalog.store import Catalogue, of_study
from keel.catalog.tables import TABLES

# Cells of the shipped models.csv that differ from the tables it was made of, with why; data/README.md lists them.
OPT = "the released weights contain those of OPT"
CORRECTED = {
    ("xlnet-large-cased", "is_family_base"): "it names itself as the base of its family",
    ("xlnet-large-cased", "notes"): "says so",
    ("deit3-huge", "context"): "patch 14, as in its hub id",
    ("deit3-huge", "notes"): "says so",
    **{(name, column): OPT for name in ("blip2-opt-2.7b", "blip2-opt-6.7b")
       for column in ("license_class", "license_basis", "notes")},
}  # fmt: skip
WIDE = {
    "glue_avg": ("GLUE",), "superglue": ("SuperGLUE",), "mnli_m": ("MNLI-m",), "squad2_f1": ("SQuAD2.0",),
    "xnli": ("XNLI",), "mmlu": ("MMLU",), "hellaswag": ("HellaSwag",), "wmt16_enro_bleu": ("WMT16 en-ro",),
    "cnndm_rouge1": ("CNN/DailyMail",), "in1k_top1": ("ImageNet-1k",), "in1k_zeroshot": ("ImageNet-1k zero-shot",),
    "coco_t2i_r1": ("COCO T2I",), "coco_i2t_r1": ("COCO I2T",), "coco_cider": ("COCO caption",),
    "coco_fid30k": ("COCO FID-30k",), "in256_fid50k": ("ImageNet 256 FID-50k", "ImageNet 256 FID"),
}  # fmt: skip


@pytest.fixture(scope="session")
def source_tables() -> Path:
    """The folder of the tables as they were collected: KEEL_CATALOG, or ../shared/catalog beside the repository."""
    named = os.environ.get("KEEL_CATALOG")
    folder = Path(named) if named else Path(__file__).parents[3].parent / "shared" / "catalog"
    if not folder.is_dir():
        pytest.skip("the collected tables are not here: set KEEL_CATALOG to their folder")
    return folder


def cells(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", TABLES)
def test_no_two_rows_have_one_key(name: str) -> None:
    table = TABLES[name]
    rows = tables.read(table, tables.FOLDER / table.file)
    keys = Counter(tuple(getattr(row, field) for field in table.key) for row in rows)
    assert [key for key, number in keys.items() if number > 1] == []


@pytest.mark.parametrize("name", TABLES)
def test_every_shipped_row_passes_what_the_users_rows_must(name: str, known: Catalogue) -> None:
    table = TABLES[name]
    rows = tables.read(table, tables.FOLDER / table.file)
    assert overlay.problems(table, rows, Path(table.file), known.names) == []


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_a_source_and_a_date_that_parses(name: str, known: Catalogue) -> None:
    table = TABLES[name]
    for row in tables.read(table, tables.FOLDER / table.file):
        assert row.source.strip(), row
        assert day(row.as_of), row


def test_no_name_stands_for_rows_of_two_tables(known: Catalogue) -> None:
    names = [*known.models, *known.corpora, *known.accelerators, *{row.type for row in known.offers}]
    assert [name for name, number in Counter(names).items() if number > 1] == []


def test_families_name_a_base_that_is_their_own(known: Catalogue) -> None:
    for model in known.models.values():
        if model.family_base_id:
            assert known.models[model.family_base_id].family == model.family, model.id
            assert known.models[model.family_base_id].is_family_base, model.id


def test_corpora_name_models_that_are_there(known: Catalogue) -> None:
    missing = {name for corpus in known.corpora.values() for name in corpus.used_by if name not in known.models}
    assert missing == set()


def test_the_count_times_the_price_of_one_is_the_price(known: Catalogue) -> None:
    checked = 0
    for row in known.offers:
        if row.usd_per_hour and row.usd_per_accelerator_hour and row.accelerators:
            checked += 1
            assert row.usd_per_accelerator_hour * row.accelerators == pytest.approx(row.usd_per_hour, rel=1e-3), row
    assert checked > 1300


def test_every_licence_class_has_a_place_among_the_limits(known: Catalogue) -> None:
    classes = {row.licence_class for row in [*known.models.values(), *known.corpora.values()]}
    assert classes - LIMITS["any"] == {"unreleased"}


def test_the_shipped_models_are_the_collected_ones_but_for_the_corrections(source_tables: Path) -> None:
    ours, theirs = cells(tables.FOLDER / "models.csv"), cells(source_tables / "models.csv")
    assert ours.keys() == theirs.keys()
    apart = {
        (name, column) for name, row in ours.items() for column, cell in row.items() if theirs[name][column] != cell
    }
    assert apart == CORRECTED.keys()


def test_the_wide_columns_agree_with_the_long_results(source_tables: Path, known: Catalogue) -> None:
    checked = 0
    for name, row in cells(source_tables / "models.csv").items():
        for column, datasets in WIDE.items():
            if not row[column]:
                continue
            values = [result.value for result in known.results if (result.model_id, result.dataset) in
                      {(name, dataset) for dataset in datasets}]  # fmt: skip
            checked += 1
            assert any(value == pytest.approx(float(row[column]), rel=1e-3) for value in values), (name, column)
    assert checked > 300


def test_unknown_stays_unknown(known: Catalogue) -> None:
    assert known.accelerators["a10g"].bf16_flop_s is None
    assert known.models["mdeberta-v3-base"].vocabulary is None
    assert known.models["mdeberta-v3-base"].vocabulary_said == "250K (approx.)"
    assert {row.usd_per_hour for row in known.offers if row.price_kind == "none listed"} == {None}


def test_a_row_of_the_user_wins_and_says_so(lay: Callable[[str, str], Path], known: Catalogue) -> None:
    folder = lay(
        "models.csv", "id,name,family,year,license,license_class\nroberta-base,mine,RoBERTa,2019,mit,permissive\n"
    )
    found = of_study(folder)
    assert found.models["roberta-base"].name == "mine"
    assert found.models["roberta-base"].kept == "catalog/models.csv"
    assert found.models["roberta-base"].as_of == ""
    assert len(found.models) == len(known.models)
    assert found.digest != known.digest
    assert found.overlays == ("catalog/models.csv",)


PRICE = "provider,instance,region,accelerator_id,accelerator_count,price_usd_per_hour,price_kind,as_of\n"


def test_a_newer_refresh_lies_over_an_older_and_the_users_own_over_both(lay: Callable[[str, str], Path]) -> None:
    row = "local,box,dc1,t4,1,{},on-demand,2026-11-01\n"
    lay("instances.2026-11-02.aws.csv", PRICE + row.format(2))
    folder = lay("instances.2026-11-01.aws.csv", PRICE + row.format(1))
    assert of_study(folder).offers[-1].usd_per_hour == 2
    lay("instances.csv", PRICE + row.format(3))
    assert [offer.usd_per_hour for offer in of_study(folder).offers if offer.provider == "local"] == [3]


def test_all_that_is_wrong_is_said_at_once(lay: Callable[[str, str], Path]) -> None:
    lay("models.csv", "id,nam,price_eur_per_hour\nx,y,1\n")
    lay("model_results.csv", "model_id,task,dataset,metric,value,setting\nbert-base-uncasd,nlu,mine,acc,.9,dev\n")
    lay("model.csv", "id\nx\n")
    folder = lay(
        "instances.csv", PRICE + "local,a,dc,a100-sxm-800,8,12,on-demand,\nlocal,b,dc,t4,1,EUR 3,on-demand,2026-11-01\n"
    )
    with study_error("did you mean 'name'?", "is in EUR", "USD only", "'year' is missing", "bert-base-uncased",
                     "did you mean 'a100-sxm-80'", "has no date", "plain number in USD",
                     "model.csv is read for no table") as seen:  # fmt: skip
        of_study(folder).check()
    assert len(seen[0].problems) == 8


@pytest.mark.parametrize(("line", "said"), [
    ("local,a,dc,t4,8,0,on-demand,2026-11-01", "a price is more than 0"),
    ("local,a,dc,t4,8,-3,on-demand,2026-11-01", "a price is more than 0"),
    ("local,a,dc,t4,8,nan,on-demand,2026-11-01", "a price is more than 0"),
    ("local,a,dc,t4,8,3,on-demand,yesterday", "has no date"),
    ("local,a,dc,t4,8,3,on-demand", "more or fewer cells"),
    ("local,a,dc,t4,8,3,on-demand,2026-11-01\nlocal,a,dc,t4,8,4,on-demand,2026-11-01", "is there twice"),
    (",a,dc,t4,8,3,on-demand,2026-11-01", "has no provider"),
])  # fmt: skip
def test_a_price_that_cannot_be_is_refused(lay: Callable[[str, str], Path], line: str, said: str) -> None:
    folder = lay("instances.csv", PRICE + line + "\n")
    with study_error(said):
        _ = of_study(folder).offers


def test_a_table_that_is_not_utf_8_is_told(lay: Callable[[str, str], Path]) -> None:
    folder = lay("models.csv", "")
    (folder / "catalog" / "models.csv").write_bytes(b"id,name\n\xff\xfe,x\n")
    with study_error("no CSV in UTF-8"):
        _ = of_study(folder).models
