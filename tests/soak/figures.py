"""One measured figure against its goal, and the small arithmetic for it."""

import math
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """What was measured (`name`), by doing what (`done`), against which goal; values as text."""

    name: str
    done: str
    goal: str
    value: str
    met: bool


def told(name, done, value):
    """A figure without a goal."""
    return Figure(name, done, "", value, True)


def exactly(name, done, wanted, value):
    """A figure that must be this value."""
    return Figure(name, done, str(wanted), str(value), value == wanted)


def at_most(name, done, most, value, unit):
    """A figure that must not be above a value, told with two decimals."""
    return Figure(name, done, f"≤ {most:g} {unit}", f"{value:.2f} {unit}", value <= most)


def at_least(name, done, least, value):
    """A count that must not be below a value."""
    return Figure(name, done, f"≥ {least:,}", f"{value:,}", value >= least)


def percentile(values, percent):
    """The smallest value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def tally(values):
    """Counts in words: `1 × 200, 999 × 409`."""
    return _listed(sorted(Counter(values).items()))


def in_words(counts):
    """The counts by name, the most common first; a name may be several words."""
    return _listed(Counter(counts).most_common())


def _listed(counts):
    words = ((" ".join(key) if isinstance(key, tuple) else key, number) for key, number in counts)
    return ", ".join(f"{number:,} × {key}" for key, number in words)
