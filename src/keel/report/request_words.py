"""The request in sentences: the ask, what it is for, what binds."""

from __future__ import annotations

from keel.report.request_input import Request
from keel.report.words import percent
from keel.units import show_count, show_usd

ROUTES = {
    "use": "Nothing is trained: {base} is used as it was released.",
    "fine-tune": "{base} is fine-tuned on {data}.",
    "continue": "The pretraining of {base} goes on, on {data}.",
    "scratch": "A new model is trained from fresh weights on {data}.",
    "collect": "Nothing is trained yet: data are collected first.",
}  # fmt: skip
BINDS = {
    "data": "The data bind, not the money: a larger sum would only repeat them.",
    "compute": "The money binds: the data would carry a larger model.",
    "memory": "Memory binds: a larger model would not fit.",
    "latency": "Latency binds: a larger model would answer too late.",
    "licence": "Licences bind: what would serve may not be used.",
    "nothing": "Nothing binds.",
}  # fmt: skip
NO_SUM = "The sum is not known yet"
CLOSE = 1.02


def money(low: float | None, high: float | None) -> str:
    """A range of USD, or one sum where both ends agree.

    Example:
        >>> money(190.2, 1204), money(500, 500), money(0.1, 5), money(0.1, 0.2), money(None, 5)
        ('$190 to $1,204', '$500', 'up to $5', 'less than $1', 'unknown')
    """
    if low is None or high is None:
        return "unknown"
    if 0 < low < 1:
        return f"up to {show_usd(high)}" if high >= 1 else "less than $1"
    return show_usd(high) if high <= low * CLOSE else f"{show_usd(low)} to {show_usd(high)}"


def headline(made: Request) -> str:
    """The ask in one sentence."""
    more = [f"{made.people_days:g} people-days"] if made.people_days else []
    when = f", by {made.deadline}" if made.deadline[:1].isdigit() and "-" in made.deadline else ""
    when = when or (f", within {made.deadline}" if made.deadline else "")
    if made.usd_low is None or made.usd_high is None:
        return f"{NO_SUM}: {_lacking(made)}"
    if made.usd_high == 0:
        return " and ".join(["No compute is asked for", *(f"{each} are" for each in more)]) + when
    return " and ".join([f"We ask for {money(made.usd_low, made.usd_high)} of compute", *more]) + when


def _lacking(made: Request) -> str:
    if made.allowed_usd is None:
        return "the study says no budget"
    return "the hardware has no public price" if not made.prices else "what is to be trained on is unknown"


def leads(made: Request) -> list[str]:
    """What it is for, its share of the value, what stays unspent and why."""
    return [sentence for sentence in (route_words(made), value_words(made), _unspent(made)) if sentence]


def route_words(made: Request) -> str:
    """The route in plain words."""
    return ROUTES.get(made.route, "The route is not known.").format(base=base_words(made), data=_data(made))


def base_words(made: Request) -> str:
    """The base with its size and licence."""
    if made.base is None:
        return "a released model"
    size = made.base.get("params")
    parts = [f"{show_count(size)} parameters" if isinstance(size, (int, float)) else "size unknown"]
    parts.append(str(made.base.get("licence") or "licence unknown"))
    return f"{made.base.get('id')} ({', '.join(parts)})"


def _data(made: Request) -> str:
    if made.unique is None:
        return "your data"
    mark = ", stated and not measured" if made.stated else ""
    return f"{show_count(made.unique)} {made.unit} of your own{mark}"


def value_words(made: Request) -> str:
    """The ask as a share of the yearly value, against the most that may be spent."""
    if made.value_usd is None or made.usd_high is None:
        return ""
    if made.value_usd == 0:
        return "The gain is said to be worth nothing."
    share = made.usd_high / made.value_usd
    within = "within" if share <= made.share else "above"
    worth = f"of the {show_usd(made.value_usd)} a year that the gain is said to be worth"
    return f"That is at most {percent(share)} {worth}, {within} the {percent(made.share)} that may be spent."


def _unspent(made: Request) -> str:
    binds = BINDS.get(made.binds, "") if made.usd_high else ""
    if made.allowed_usd is None or made.usd_high is None:
        return binds
    left = made.allowed_usd - made.usd_high
    if not made.usd_high:
        return f"The {show_usd(made.allowed_usd)} that the study allows stay unspent."
    if left > 0.05 * made.allowed_usd:
        return (
            f"Of the {show_usd(made.allowed_usd)} that the study allows, {show_usd(left)} or more stay unspent. {binds}"
        )
    if left < 0:
        return (
            f"That may be {show_usd(-left)} more than the {show_usd(made.allowed_usd)} that the study allows. {binds}"
        )
    return binds
