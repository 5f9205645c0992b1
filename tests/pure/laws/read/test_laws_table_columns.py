"""Columns by name and unit: what is clear is read, what is not is asked for by flag, and all of it is shown."""

from __future__ import annotations

import math

import numpy as np
import pytest

from keel.errors import StudyError
from keel.laws.read.columns import Asked, find
from keel.laws.read.headings import heading, unit_factor
from keel.laws.read.table import read, text_of_columns
from keel.laws.verb import fit_table

TOTAL = {"params_count": "total"}
FLOP = [6 * n * r * n for n in (2e7, 5e7, 1e8) for r in (10, 40)]


def table_of(rows, params="params", tokens="tokens", loss="loss", flop=None, change=None, **more):
    """The ladder as a dict of columns under any headings; `change` holds a function a role."""
    change = change or {}
    cells = {"params": [r.params for r in rows], "tokens": [r.tokens for r in rows], "loss": [r.value for r in rows],
             "flop": [r.flop for r in rows]}  # fmt: skip
    names = {"params": params, "tokens": tokens, "loss": loss} | ({"flop": flop} if flop else {})
    found = {name: [change.get(role, float)(cell) for cell in cells[role]] for role, name in names.items()}
    return found | more


@pytest.mark.parametrize(
    ("name", "names", "scale", "log", "unit"),
    [
        ("N", ("n",), 1, 0, ""),
        ("Params (M)", ("params",), 1e6, 0, "M"),
        ("tokens_b", ("tokens",), 1e9, 0, "b"),
        ("n_params_in_millions", ("n_params",), 1e6, 0, "millions"),
        ("D (billion tokens)", ("d",), 1e9, 0, "billion"),
        ("tokens (x10^9)", ("tokens",), 1e9, 0, "x10^9"),
        ("C (1e21 FLOP)", ("c",), 1e21, 0, "1e21"),
        ("total exaflops", ("total_flops",), 1e18, 0, "exaflops"),
        ("compute (EF)", ("compute",), 1e18, 0, "EF"),
        ("compute (PF-days)", ("compute",), 8.64e19, 0, "PF-days"),
        ("petaflop/s-days", ("flops",), 8.64e19, 0, "PF-days"),
        ("log10 C", ("c",), 1, 10, "log10"),
        ("log10(N)", ("n",), 1, 10, "log10"),
        ("log_10(params)", ("params",), 1, 10, "log_10"),
        ("ln_tokens", ("tokens",), 1, math.e, "ln"),
        ("loss_m", ("loss_m",), 1, 0, ""),
        ("val/loss", ("val_loss",), 1, 0, ""),
        ("config.n_params", ("config_n_params", "n_params"), 1, 0, ""),
        ("tokens (per step)", ("tokens_per_step",), 1, 0, ""),
    ],
)
def test_headings(name, names, scale, log, unit):
    found = heading(name)
    assert (found.names, found.scale, found.log) == (names, scale, log)
    assert found.unit == unit or unit == "log_10"


@pytest.mark.parametrize(
    ("name", "counted"),
    [("params", ""), ("N", ""), ("params_total", "total"), ("N_total", "total"), ("n_noembed", "body"),
     ("N_nonemb", "body"), ("non-embedding params", "body"), ("params (body)", "body"), ("params_body", "body"),
     ("body params with head", "with-head"), ("params (incl. head)", "with-head")],
)  # fmt: skip
def test_the_count_as_the_name_says_it(name, counted):
    assert heading(name).counted == counted


def test_units_by_hand():
    assert unit_factor("M") == (1e6, 0.0)
    assert unit_factor("log10") == (1.0, 10.0)
    assert unit_factor("exaflop") == (1e18, 0.0)
    assert unit_factor("PF-days") == (8.64e19, 0.0)
    assert unit_factor("furlong") is None


# Every way to write the same ladder gives the same numbers.
@pytest.mark.parametrize(
    ("names", "change", "flags"),
    [
        ({"params": "Params (M)", "tokens": "D (B)"}, {"params": lambda n: n / 1e6, "tokens": lambda d: d / 1e9}, {}),
        ({"params": "log10 N", "tokens": "log10_tokens"}, {"params": math.log10, "tokens": math.log10}, {}),
        ({"params": "N", "tokens": "D", "flop": "log10_flops"}, {"flop": math.log10}, {}),
        ({"params": "N", "tokens": "D", "flop": "C (exaflop)"}, {"flop": lambda c: c / 1e18}, {}),
        ({"params": "N", "tokens": "D", "flop": "PF-days"}, {"flop": lambda c: c / 8.64e19}, {}),
        ({"params": "size", "tokens": "seen"}, {"params": lambda n: n / 1e6, "tokens": lambda d: d / 1e9},
         {"params": "size:M", "tokens": "seen:B"}),
        ({"params": "size", "tokens": "D", "flop": "cost"}, {"flop": math.log}, {"params": "size", "flop": "cost:ln"}),
        ({"params": "N", "tokens": "D"}, {"params": lambda n: f"{n / 1e6:.17g}M", "tokens": lambda d: f"{d:,.0f}"}, {}),
    ],
)  # fmt: skip
def test_units_change_nothing(rows, names, change, flags):
    found = read(table_of(rows, **names, change=change), flags | TOTAL)
    for attribute in ("params", "tokens", "flop", "value"):
        wanted = [getattr(row, attribute) for row in rows]
        assert [getattr(row, attribute) for row in found.rows] == pytest.approx(wanted, rel=1e-12), attribute


@pytest.mark.parametrize(
    ("header", "role", "wanted"),
    [
        ("N D val/loss train/loss", "loss", "val/loss"),
        ("N D train_loss", "loss", "train_loss"),
        ("N D c4_loss lambada:acc", "loss", "c4_loss"),
        ("N D lambada:ppl", "loss", "lambada:ppl"),
        ("N N_noembed D loss", "params", "N"),
        ("n_nonembedding_params D loss", "params", "n_nonembedding_params"),
        ("config.n_params summary.n_params D loss", "params", "config.n_params"),
        ("config.loss N D summary.loss", "loss", "summary.loss"),
        ("N D loss train/total_flos", "flop", "train/total_flos"),
        ("N train/num_input_tokens_seen loss", "tokens", "train/num_input_tokens_seen"),
        ("N D loss learning_rate train/learning_rate", "lr", "learning_rate"),
        ("N D loss epochs", "unique", "epochs"),
        ("N D loss lr_scheduler_type", "schedule", "lr_scheduler_type"),
    ],
)
def test_names_of_columns(header, role, wanted):
    found = find(header.split(" "), Asked(), "t")
    assert found.problems == []
    assert found.columns[role].name == wanted


@pytest.mark.parametrize(
    ("header", "flag"),
    [("n_params num_params D loss", "--params"), ("N D tokens loss", "--tokens"), ("N D val_loss test_loss", "--loss"),
     ("N D loss flops compute", "--flop"), ("N D loss_a loss_b", "--loss"), ("D loss", "--params"), ("N D", "--loss")],
)  # fmt: skip
def test_what_could_be_two_or_none_is_asked(header, flag):
    problems = find(header.split(" "), Asked(), "t").problems
    assert len(problems) == 1
    assert f"{flag} COL" in problems[0].fix


def test_a_column_of_words_is_no_count(rows):
    kinds = {"param_count": ["standard", "kaplan", "all"] * 5}
    assert find(["params", "param_count", "D", "loss"], Asked(), "t").problems
    assert read(table_of(rows, **kinds), TOTAL).columns[0].column == "params"


def test_an_optional_column_that_could_be_two_is_left_and_said(rows):
    table = read(table_of(rows, lr=[1e-3] * 15, lr_peak=[2e-3] * 15), TOTAL)
    assert math.isnan(table.rows[0].lr)
    assert "--lr COL" in table.notes[0].fix
    assert read(table_of(rows, lr=[1e-3] * 15, lr_peak=[2e-3] * 15), TOTAL | {"lr": "lr_peak"}).rows[0].lr == 2e-3


def test_tflops_may_be_a_rate(rows):
    table = read(table_of(rows, tflops=[312.0] * 15), TOTAL)
    assert table.flop_from == "6 N D"
    assert "rate" in table.notes[0].why
    assert read(table_of(rows, flop="cost"), TOTAL | {"flop": "cost"}).flop_from == "column cost"


def test_a_flag_settles_it_and_a_wrong_one_is_told(rows):
    table = table_of(rows, loss="c4") | {"pile": [2.0] * 15}
    assert read(table, {"loss": "c4"}).unit == "c4"
    with pytest.raises(StudyError, match="no such column"):
        read(table, {"loss": "c5"})
    with pytest.raises(StudyError, match="no unit"):
        read(table, {"loss": "c4", "params": "params:stone"})
    with pytest.raises(StudyError, match="no count of parameters"):
        read(table, {"loss": "c4", "params_count": "embedding"})
    with pytest.raises(StudyError, match="did you mean 'tokens'"):
        read(table, {"loss": "c4", "token": "D"})


def test_a_column_with_a_colon_in_its_name(rows):
    assert (
        read(table_of(rows, loss="lambada:ppl", change={"loss": math.exp}), {"loss": "lambada:ppl"}).unit
        == "perplexity"
    )


@pytest.mark.parametrize(
    ("heading_", "change", "flags", "unit"),
    [
        ("val_bpb", float, {}, "bits_per_byte"),
        ("loss (nats/token)", float, {}, "nats_per_token"),
        ("bits_per_token", float, {"loss": "bits_per_token"}, "bits_per_token"),
        ("eval/perplexity", math.exp, {}, "perplexity"),
        ("score", math.exp, {"loss": "score", "unit": "ppl"}, "perplexity"),
        ("top1_acc", lambda v: 1 / v, {}, "accuracy"),
        ("top1_acc", lambda v: 100 / v, {}, "accuracy_percent"),
        ("acc (%)", lambda v: 1 / v, {}, "accuracy_percent"),
        ("error_rate", lambda v: v / 10, {}, "error"),
        ("error_rate", lambda v: v * 10, {}, "error_percent"),
        ("loss", float, {}, "loss"),
        ("loss", float, {"unit": "nats/token"}, "nats_per_token"),
        ("loss", float, {"unit": "joules"}, "joules"),
    ],
)
def test_the_unit_of_the_loss(rows, heading_, change, flags, unit):
    table = read(table_of(rows, loss=heading_, change={"loss": change}), flags | TOTAL)
    assert table.unit == unit
    assert table.rows[3].value == change(rows[3].value)  # values stay in the input's unit


@pytest.mark.parametrize(
    ("heading_", "change", "flags", "words"),
    [
        ("acc", lambda v: 3 / v, {}, "--unit accuracy_percent"),  # some above 1, some below
        ("loss", float, {"unit": "accurracy"}, "did you mean 'accuracy'"),
        ("loss", float, {"unit": "accuracy"}, "not between 0 and 1 (accuracy)"),
        ("acc", lambda v: 1.0, {}, "not between 0 and 1 (accuracy)"),
        ("ppl", lambda v: v / 10, {}, "not above 1"),
        ("log_likelihood", lambda v: -v, {"loss": "log_likelihood"}, "every value is negative"),
    ],
)
def test_a_loss_that_cannot_be(rows, heading_, change, flags, words):
    with pytest.raises(StudyError) as error:
        read(table_of(rows, loss=heading_, change={"loss": change}), flags)
    assert words in str(error.value)
    assert all(problem.what and problem.why and problem.fix for problem in error.value.problems)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"params": lambda n: n / 1e6}, "--params 'params':M"),
        ({"params": lambda n: n / 1e9}, "--params 'params':M"),
        ({"tokens": lambda d: d / 1e9}, "--tokens 'tokens':M"),
        ({"tokens": math.log10}, "--tokens 'tokens':log10"),
        ({"params": lambda n: n / 1e9 if n > 3e8 else n}, "two units in one column"),
        ({"flop": lambda c: c / 1e18}, "--flop 'flop':exaflop"),
        ({"flop": math.log10}, "--flop 'flop':log10"),
    ],
)
def test_small_numbers_without_a_unit_are_asked_about(rows, change, words):
    with pytest.raises(StudyError) as error:
        read(table_of(rows, flop="flop", change=change))
    assert words in str(error.value)


def test_a_logarithm_without_its_base_is_asked_about(rows):
    table = table_of(rows, params="log N", change={"params": math.log})
    with pytest.raises(StudyError, match="of which base") as error:
        read(table)
    assert "--params 'log N':log10" in error.value.problems[0].fix
    assert read(table, {"params": "log N:ln"}).rows[0].params == pytest.approx(2e7)
    assert read(table_of(rows, loss="log_loss")).rows[0].value == rows[0].value  # the name of a cross-entropy


def test_a_small_number_that_is_meant_so(rows):
    table = table_of(rows, change={"params": lambda n: n / 1e4})
    assert read(table, {"params": "params:1"}).rows[0].params == 2000.0


def test_the_optional_columns(rows):
    more = {"epochs": [4.0] * 14 + [None], "learning rate": [1e-3] * 14 + ["auto"], "batch (K tokens)": [512] * 15,
            "seed": [0, 1, 2] * 5, "schedule": ["wsd"] * 15}  # fmt: skip
    flags = TOTAL | {"batch": "batch (K tokens)"}
    table = read(table_of(rows, **more), flags)
    first, last = table.rows[0], table.rows[-1]
    assert (first.unique_tokens, first.lr, first.batch_tokens) == (first.tokens / 4, 1e-3, 512e3)
    assert dict(first.meta) == {"seed": "0", "schedule": "wsd"}
    assert math.isnan(last.unique_tokens)
    assert math.isnan(last.lr)
    assert [note.what for note in table.notes] == ["learning rate: 1 cells hold no positive number"]
    with pytest.raises(StudyError, match="row 15, learning rate: not a number"):
        read(table_of(rows, **more), flags | {"lr": "learning rate"})
    assert read(table_of(rows, **more, U=[1e8] * 15), flags).rows[0].unique_tokens == 1e8


def test_checkpoints_of_one_run_are_a_group(rows):
    more = {
        "run": ["a", "b", "c"] * 5,
        "step": [i // 3 for i in range(15)],
        "lr": [1e-3 / (1 + i // 3) for i in range(15)],
    }
    table = read(table_of(rows, **more), TOTAL)
    assert table.rows[4].id == "b at step 1"
    assert dict(table.rows[4].meta) == {"group": "b", "step": 1.0}
    assert math.isnan(table.rows[4].lr)  # it moves along the run: no peak
    assert "changes along a run" in table.notes[0].why
    # A size's label without steps groups nothing; neither does a name that is each row's own.
    assert "group" not in read(table_of(rows, model=["a", "b", "c"] * 5), TOTAL).rows[0].meta
    assert "group" not in read(table_of(rows, run=[f"r{i}" for i in range(15)]), TOTAL).rows[0].meta
    assert read(table_of(rows, arm=["a", "b", "c"] * 5), TOTAL | {"group": "arm"}).rows[0].meta["group"] == "a"


def test_where(rows):
    table = table_of(rows, set=["a", "b", "a"] * 5, step=list(range(15)))
    assert len(read(table, {"where": ["set=a", "step>=6", "step<12"]}).rows) == 4
    assert len(read(table, {"where": "set!=a"}).rows) == 5
    assert len(read(table, {"where": "params=20M"}).rows) == 3
    table["loss"][4] = math.nan
    table["loss"][7] = None
    found = read(table, {"where": "loss>0"} | TOTAL)
    assert len(found.rows) == 13
    assert found.rows[4].id == "row 6"
    assert "rows 5, 8" in found.notes[0].fix
    for wrong, words in (("set", "no condition"), ("sett=a", "did you mean 'set'"), ("set>a", "not a number"),
                         ("set=z", "no row is left")):  # fmt: skip
        with pytest.raises(StudyError) as error:
            read(table, {"where": wrong})
        assert words in str(error.value)


def test_doubts_are_notes(rows):
    swapped = read(table_of(rows, params="tokens", tokens="params"), TOTAL)
    assert swapped.notes[0].what == "every run has more params than tokens"
    forward = read(table_of(rows, flop="flop", change={"flop": lambda c: c / 1e3}), TOTAL)
    assert "flop is 0.001 x 6 N D" in forward.notes[0].what
    mixed = read(table_of(rows, change={"tokens": lambda d: d * 1e6 if d > 1e10 else d}), TOTAL)
    assert "two units may be mixed" in mixed.notes[0].why
    perplexity = read(table_of(rows, change={"loss": lambda v: math.exp(v)}), TOTAL)
    assert "--unit perplexity" in perplexity.notes[0].fix
    assert read(table_of(rows), TOTAL).notes == ()


def test_what_was_read_is_shown(rows):
    table = read(
        table_of(rows, params="N_noembed (M)", tokens="D", loss="val_bpb", change={"params": lambda n: n / 1e6})
    )
    lines = text_of_columns(table).splitlines()
    assert lines[0] == "[[Columns]] read from dict: 15 rows"
    assert lines[2].split("  ")[1:3] == ["params", "N_noembed (M)"]
    assert "M, count body" in lines[2]
    assert lines[2].split()[-3:] == ["20M", "400M", "15"]
    assert "bits_per_byte" in lines[4]
    assert "6 N D" in lines[5]
    seen = {one.role: one for one in table.columns}
    assert (seen["tokens"].low, seen["tokens"].high, seen["tokens"].known) == (2e8, 1.6e10, 15)
    assert np.allclose(seen["params"].high, 4e8)


def test_whole_numbers_do_not_overflow():
    big = read({"params": [3_000_000_000_000] * 2, "tokens": [2**62, 2**61], "loss": [2.0, 2.1]})
    assert big.rows[0].flop == 6.0 * 3e12 * 2.0**62
    with pytest.raises(StudyError, match="row 1, params: not finite"):
        read({"params": [10**400], "tokens": [1e9], "loss": [2.0]})
    assert math.isnan(read({"N": [1e7], "D": [1e9], "loss": [2.0], "epochs": [1e-320]}).rows[0].unique_tokens)
    with pytest.raises(StudyError, match="more than a number can hold"):
        read({"params": [1e200], "tokens": [1e200], "loss": [2.0]})


def test_columns_do_not_bend_a_forecast(rows, tmp_path):
    """The whole way: the same ladder in M, B and log10 has the same forecast."""
    aims = [{"params": 2e9, "tokens": 4e10}]
    paths = []
    for i, (names, change) in enumerate([
        ({}, {}),
        ({"params": "log10 N", "tokens": "Tokens (B)"}, {"params": math.log10, "tokens": lambda d: d / 1e9}),
    ]):  # fmt: skip
        table = table_of(rows, **names, change=change)
        path = tmp_path / f"{i}.csv"
        path.write_text("\n".join([",".join(table), *(",".join(map(repr, row)) for row in zip(*table.values()))]))
        paths.append(path)
    one, two = (fit_table(path, aims, columns=TOTAL).result["forecasts"][0] for path in paths)
    assert one["value"] == pytest.approx(two["value"], rel=1e-6)
