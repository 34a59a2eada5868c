"""What happened in a simulation: counted while it runs, summed over processes, put in words."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

LIVE = ("orders", "told", "accepted", "completed", "expired")


@dataclass
class Tally:
    """The counts of one process. `faults` are answers that the contract does not know, by kind."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    offers: Counter[str] = field(default_factory=Counter)  # by captain
    seconds_to_accept: list[float] = field(default_factory=list)
    sockets: int = 0  # open now
    is_over: bool = False  # no more orders, and all have ended

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] += number

    def fault(self, what: str) -> None:
        """Something that must not happen: it makes the exit code 1."""
        self.faults[what] += 1


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of several processes' tallies."""
    whole = Tally()
    for one in tallies:
        whole.counts += one.counts
        whole.faults += one.faults
        whole.refusals += one.refusals
        whole.offers += one.offers
        whole.seconds_to_accept += one.seconds_to_accept
        whole.sockets += one.sockets
    return whole


def live_line(tally: Tally) -> str:
    """One line while it runs."""
    counts = [f"{name} {tally.counts[name]}" for name in LIVE]
    return "  ".join([*counts, f"sockets {tally.sockets}", f"errors {tally.faults.total()}"])


def summary(tally: Tally, captains: Collection[str]) -> list[str]:
    """The lines at the end; `captains` are all who could have been told, by user id."""
    counts, waits = tally.counts, sorted(tally.seconds_to_accept)
    asked = counts["orders"] - counts["cancelled while seeking"]
    offers = [tally.offers[captain] for captain in captains]
    lines = [
        live_line(tally),
        f"fill rate          {_percent(counts['filled'], asked)}  of orders not cancelled before",
        f"seconds to accept  p50 {_quantile(waits, 0.5)}  p90 {_quantile(waits, 0.9)}",
        f"offers per accept  {_ratio(tally.offers.total(), counts['accepted'])}",
        f"Gini of offers     {gini(offers):.2f}  over {len(offers)} captains",
    ]
    extras = sorted(set(counts) - set(LIVE) - {"filled"})
    if extras:
        lines.append("besides            " + ", ".join(f"{counts[n]} {n}" for n in extras))
    lines += [f"refused            {n} × {what}" for what, n in tally.refusals.most_common()]
    lines += [f"ERROR              {n} × {what}" for what, n in tally.faults.most_common()]
    return lines


def gini(values: Sequence[float]) -> float:
    """How unevenly something is spread: 0 when all have the same, towards 1 when one has all."""
    ordered, whole = sorted(values), sum(values)
    if not whole:
        return 0.0
    n = len(ordered)
    ranked = sum(rank * value for rank, value in enumerate(ordered, start=1))
    return 2 * ranked / (n * whole) - (n + 1) / n


def quantile(ordered: Sequence[float], part: float) -> float:
    """The least of the sorted values that at least `part` (0 to 1] of them do not exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def _quantile(ordered: Sequence[float], part: float) -> str:
    return f"{quantile(ordered, part):.1f}" if ordered else "none"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "none"


def _ratio(one: int, other: int) -> str:
    return f"{one / other:.1f}" if other else "none"
