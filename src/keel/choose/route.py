"""Whether to train at all: use a released model, fine-tune it, go on with it, start from scratch, or collect first.

Each rule is a fact with its threshold (`reasons.py`); the first that holds decides, and every other route says why not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from keel.choose import reasons
from keel.choose.reasons import Known, Reason

Value = Literal["use", "scratch", "continue", "fine-tune", "collect"]
# In the order in which they are weighed.
ORDER: tuple[Value, ...] = ("use", "scratch", "continue", "fine-tune", "collect")


class Route(NamedTuple):
    """`others`: each other route with why it was not taken. `keel`: what the facts alone would say."""

    value: Value
    why: str
    others: Mapping[str, str]
    keel: Value


def decide(known: Known, start: str = "auto") -> Route:
    """The route; `start` is [start] from: with "scratch" it is the user's, with a named base it is never scratch."""
    facts: dict[Value, Reason] = {
        "use": reasons.use(known), "scratch": reasons.scratch(known), "continue": reasons.go_on(known),
        "fine-tune": reasons.fine_tune(known), "collect": reasons.collect(known),
    }  # fmt: skip
    own = start not in ("auto", "scratch")
    if own:
        facts["scratch"] = Reason(False, f"yours: [start] from = '{start}'")
    keel = next(name for name in ORDER if facts[name].holds)
    if start == "scratch":
        return _route("scratch", f"yours ([start] from); {_would(keel, facts)}", facts, keel)
    return _route(keel, (f"yours: from '{start}' ([start] from); " if own else "") + facts[keel].why, facts, keel)


def forced(way: Route, value: Value) -> Route:
    """The route that [set] names, with what keel would do."""
    others = {name: why for name, why in way.others.items() if name != value}
    return Route(value, f"yours ([set]); keel would {way.keel}: {way.why}", {**others, way.value: way.why}, way.keel)


def _would(keel: Value, facts: Mapping[Value, Reason]) -> str:
    return f"keel would start from {keel} too" if keel == "scratch" else f"keel would {keel}: {facts[keel].why}"


def _route(value: Value, why: str, facts: Mapping[Value, Reason], keel: Value) -> Route:
    """The others too: one that holds as well comes later in the order, and says so."""
    after = ORDER[ORDER.index(value) + 1 :]
    others = dict[str, str]()
    for name, reason in facts.items():
        if name != value:
            others[name] = f"it comes after {value}; {reason.why}" if reason.holds and name in after else reason.why
    return Route(value, why, others, keel)
