"""The sections of the request: facts of the ask, what it buys, other sums, risks, what the sum is made of."""

from __future__ import annotations

from collections.abc import Iterator

from keel.report.markup import bullets, code, esc, facts, linked, paragraph, section, table, tag, unbroken
from keel.report.request_figure import MoneyBuys
from keel.report.request_input import Request, Tree
from keel.report.request_sums import grows, passes, said, sums
from keel.report.request_words import base_words, money
from keel.report.words import number, percent, show, sig_interval
from keel.units import show_count, show_duration, show_usd

HOURS_A_WEEK = 168.0
SERVES = {"yes": ("served", "hit"), "weak": ("served weakly", "bad"), "no": ("not served", "bad")}
UNKNOWN = "unknown"


def ask_facts(made: Request) -> str:
    """The ask at a glance."""
    pairs = [
        ("Compute", money(made.usd_low, made.usd_high), _node(made)),
        ("People", f"{made.people_days:g} days" if made.people_days is not None else "not said", ""),
        ("Done", _done(made), _time(made)),
        ("Share of the yearly value", *_share(made)),
    ]  # fmt: skip
    inner = "".join(
        f"<div><dt>{esc(name)}</dt><dd>{unbroken(value)}{f'<small>{esc(more)}</small>' if more else ''}</dd></div>"
        for name, value, more in pairs
    )
    return f'<dl class="ask">{inner}</dl>'


def _node(made: Request) -> str:
    return f"on {machines(made)}" if made.node and made.usd_high else ""


def machines(made: Request) -> str:
    """The nodes by number and type."""
    return f"{made.nodes:g} x {made.node}" if made.nodes > 1 else f"one {made.node}"


def _done(made: Request) -> str:
    if not made.deadline:
        return "no date is said"
    return f"by {made.deadline}" if made.deadline[:1].isdigit() and "-" in made.deadline else f"within {made.deadline}"


def _time(made: Request) -> str:
    most = most_hours(made)
    return f"{show_duration(most * 3600)} of training at most" if most else ""


def most_hours(made: Request) -> float | None:
    """The longest that the training may take; where the budget ends it, the dear end is the shorter one."""
    return max((hours for hours in (made.hours_low, made.hours, made.hours_high) if hours), default=None)


def _share(made: Request) -> tuple[str, str]:
    if made.value_usd is None:
        return "unknown", "the study says no value"
    if not made.value_usd or made.usd_high is None:
        return "unknown", f"of {show_usd(made.value_usd)}"
    return f"{percent(made.usd_high / made.value_usd)} at most", f"of {show_usd(made.value_usd)} a year"


def bought(made: Request) -> str:
    """Route, base, size, how much is seen, how often it can be tried; and which use cases it serves."""
    return section("What it buys", facts(_bought(made)), _uses(made))


def _bought(made: Request) -> Iterator[tuple[str, str]]:
    yield "route", f"<b>{esc(made.route)}</b>: {linked(made.route_why)}"
    yield "base", _base(made)
    yield "size", _size(made)
    yield "sees", _sees(made)
    yield "experiments", _experiments(made)


def _base(made: Request) -> str:
    """The base, and whence its licence is known."""
    if not made.base:
        return ""
    basis, read = made.base.get("licence_basis"), made.base.get("as_of")
    return esc(base_words(made) + (f"; licence by {basis}, read {read}" if basis and read else ""))


def _size(made: Request) -> str:
    """The band of fresh weights, with what sets its ends; a base has its own size."""
    if made.route != "scratch":
        return ""
    if made.params_low is None or made.params_high is None:
        return f"no size is known: {esc(made.high_set_by or UNKNOWN)}"
    one = f"{show_count(made.params)} parameters, within " if made.params else ""
    ends = f"{one}{show_count(made.params_low)} to {show_count(made.params_high)}"
    return f"{esc(ends)} (low end: {esc(made.low_set_by)}; high end: {esc(made.high_set_by)})"


def _sees(made: Request) -> str:
    if not made.tokens:
        return ""
    unit = made.unit if made.unit == "tokens" else f"tokens of {made.unit}"
    most = made.tokens_high if made.tokens_high and made.tokens_high > made.tokens * 1.01 else None
    times = passes(made, most or made.tokens)
    upto = f", {show_count(most)} at most" if most else ""
    return esc(f"{show_count(made.tokens)} {unit}{upto}" + (f": {times} over the data" if times else ""))


def _experiments(made: Request) -> str:
    """How often the whole training fits into a week of its nodes."""
    most, least = most_hours(made), made.hours_low
    if not most or not least:
        return ""
    slow, fast = (float(f"{HOURS_A_WEEK / hours:.2g}") for hours in (most, least))
    if slow < 1:
        return esc(f"one such training takes up to {most / HOURS_A_WEEK:.2g} weeks on {machines(made)}")
    often = show(fast) if fast <= slow else f"{show(slow)} to {show(fast)}"
    return esc(f"{often} such trainings a week on {machines(made)}, one after the other")


def _uses(made: Request) -> str:
    served = made.served
    if not served:
        return paragraph("No use case is said.", "muted")
    valued = any(use.value_usd is not None for use in served)
    rows = []
    for use in served:
        words, kind = SERVES.get(use.serves, (UNKNOWN, "muted"))
        named = f'{esc(use.name)}<span class="note muted">{esc(use.task)}</span>'
        row = [named, f"{use.weight:g}", f"{tag(words, kind)} {linked(use.why)}"]
        rows.append([*row, show_usd(use.value_usd) if use.value_usd is not None else "not said"] if valued else row)
    header = [
        "use case",
        "weight",
        "by this base" if made.base else "by such a model",
        *(["worth a year"] if valued else []),
    ]
    return table(header, rows, numeric=frozenset({1, 3}))


def other_sums(made: Request) -> str:
    """The figure, then what a tenth, half and more than the ask would buy."""
    rows = [[esc(cell) for cell in said(item)] for item in sums(made)]
    figure = MoneyBuys.of(made)
    buys = "what it buys" if grows(made) else "what it buys, at the dear end of price and speed"
    listed = table(("", "sum", buys), rows, frozenset({1})) if rows else ""
    return section("What other sums would buy", figure.figure() if figure else "", listed)


def risks(made: Request) -> str:
    """What binds, what is not measured, what lies outside its range."""
    found = list(made.risks)
    if made.tokens and made.tokens_high and made.tokens_high < 0.99 * made.tokens:
        share = percent(made.tokens_high / made.tokens)
        found.append(f"at the dear end of price and speed the money ends when {share} of the tokens are seen")
    if made.stated and not any("stated" in item for item in found):
        found.append("the amount of data is stated, not measured: the sum moves with it")
    unserved = [use for use in made.served if use.serves in ("no", "weak")]
    found += [f"'{use.name}' ({use.task}) is {SERVES[use.serves][0]} by this base" for use in unserved
              if not any(f"'{use.name}'" in item for item in found)]  # fmt: skip
    if made.value_usd and made.usd_high is not None and made.usd_high > made.share * made.value_usd:
        found.append(f"the ask is above {percent(made.share)} of the value that the gain is said to have")
    kept = list(dict.fromkeys(found))
    return section("What could go wrong", bullets(linked(item) for item in kept)) if kept else ""


def sum_parts(made: Request) -> str:
    """Price, speed and reserves that the sum is made of."""
    kept = ", ".join(f"{esc(item.get('name'))} {percent(number(item, 'share'))}" for item in made.reserves)
    if not made.usd_high:
        return ""
    pairs = [("trained", linked(made.how))]
    pairs += [("price", _price(item)) for item in made.prices if str(item.get("name")) == f"price.{made.node}"]
    pairs += [("kept back", f"{percent(made.kept)} of the sum: {kept}" if kept else "")]
    pairs += [
        ("made by", f"{code('keel plan')}, {code('keel report --request')}; every number with its source is there")
    ]
    return section("What the sum is made of", facts(pairs))


def _price(item: Tree) -> str:
    ends = sig_interval(number(item, "low"), number(item, "high"), "\u2013")
    value = number(item, "value")
    price = f"{show_usd(value)} an hour" if value is not None else UNKNOWN
    return f"{esc(price)}, {esc(ends)} over regions: {linked(item.get('source') or 'no source')}"


def sign(made: Request) -> str:
    """Where it is approved; a request that asks for nothing needs none."""
    if made.usd_high is None or made.usd_high == 0:
        return ""
    named = ("approved by", "sum", "date")
    return '<div class="sign">' + "".join(f"<span>{esc(name)}</span>" for name in named) + "</div>"
