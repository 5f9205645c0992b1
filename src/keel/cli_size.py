"""`keel size` at the command line; heavy imports inside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keel.outcome import finish

if TYPE_CHECKING:
    from keel.answer import Answer


def size(
    compute: Annotated[str | None, typer.Option(metavar="FLOP", help="The run's training FLOP: 1e21.")] = None,
    params: Annotated[str | None, typer.Option(help="The model's parameters: 7e9, 350M.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Training tokens, repeats included: 1e12.")] = None,
    usd: Annotated[str | None, typer.Option(help="Money, with --hardware.")] = None,
    hardware: Annotated[
        str | None, typer.Option(help="aws:p4d.24xlarge, h100-sxm ...: `keel catalog instances`.")
    ] = None,
    nodes: Annotated[str | None, typer.Option(help="How many of it.")] = None,
    deadline: Annotated[str | None, typer.Option(help='With its unit: "6 weeks".')] = None,
    mfu: Annotated[str | None, typer.Option(help="Share of the peak that you reach: .4 or .3-.5.")] = None,
    region: Annotated[str | None, typer.Option(help="Of the price: us-east-1.")] = None,
    unique: Annotated[str | None, typer.Option(help="Unique tokens, images or pairs of your data.")] = None,
    bytes_: Annotated[str | None, typer.Option("--bytes", help="Or its bytes of text.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Of the bytes; may repeat.")] = None,
    category: Annotated[
        str | None, typer.Option(help="encoder | decoder | encoder-decoder | vision | vision-language | diffusion")
    ] = None,
    loss: Annotated[str | None, typer.Option(help="Says the category: mlm, clm, span_corruption ...")] = None,
    serve_tokens: Annotated[str | None, typer.Option(help="Tokens served over the model's life.")] = None,
    max_epochs: Annotated[str | None, typer.Option(help="How often the data may be seen (text: 4).")] = None,
    reserve: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SHARE", help="ladder, evaluation, failures.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of released models to follow: permissive, conditional.")] = None,
    scaling: Annotated[
        str | None, typer.Option(metavar="N=TIME,...", help="Measured times: 1=99min,8=13.5min; what of more nodes?")
    ] = None,
    run_of: Annotated[str | None, typer.Option(metavar="ID", help="A released model's own run, on --hardware.")] = None,
    study: Annotated[Path, typer.Option("--study", help="A study, for your own catalogue rows.")] = Path("."),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Model, data and compute: give two, or one, and see the rest, law by law, with what it costs."""

    def work() -> Answer:
        from keel.size import asides
        from keel.size.verb import size as sized

        if scaling:
            return asides.scaling(scaling, hardware or "", study, region or "")
        if run_of:
            return asides.run_of(run_of, hardware or "", study)

        given = {
            "compute": compute, "params": params, "tokens": tokens, "usd": usd, "hardware": hardware, "nodes": nodes,
            "deadline": deadline, "mfu": mfu, "region": region, "unique": unique, "bytes": bytes_, "category": category,
            "loss": loss, "serve_tokens": serve_tokens, "max_epochs": max_epochs, "licence": licence,
        }  # fmt: skip
        return sized(given, language or [], reserve or [], study)

    finish("size", json, work)
