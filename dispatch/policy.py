"""A city's dispatch policy: when waves go out, how far they reach and how many they tell.

A policy is a frozen value; its versions are rows of `cities.DispatchPolicy`, and every wave keeps
the row that it followed.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import structlog

from weelo.cities import policies
from weelo.cities.catalogue import FIRST_POLICY
from weelo.cities.models import DispatchPolicy

log = structlog.get_logger(__name__)

CACHED_S = 30.0


class PolicyError(ValueError):
    """The values of a policy cannot be followed; the text names every fault."""


@dataclass(frozen=True)
class Step:
    """One wave of the timetable: seconds since the order began to seek, and its radius."""

    after_s: float
    radius_m: int


@dataclass(frozen=True)
class Policy:
    """How an order finds its captains. `id` and `version` name the row, 0 for none."""

    waves: tuple[Step, ...] = tuple(Step(**wave) for wave in FIRST_POLICY["waves"])
    wave_min: int = FIRST_POLICY["wave_min"]
    per_truck: int = FIRST_POLICY["per_truck"]
    wave_max: int = FIRST_POLICY["wave_max"]
    offers_cap: int = FIRST_POLICY["offers_cap"]
    newcomers_every_s: float = FIRST_POLICY["newcomers_every_s"]
    id: int = 0
    version: int = 0

    @classmethod
    def of(cls, values: Mapping[str, Any], *, row_id: int = 0, version: int = 0) -> Self:
        """The policy that `DispatchPolicy.values` describes; what is not named has its default.

        Raises PolicyError, which names every fault at once.
        """
        faults = policies.faults(values)
        if faults:
            raise PolicyError("; ".join(faults))
        fields = {name: value for name, value in values.items() if name != "waves"}
        if "waves" in values:
            fields["waves"] = tuple(Step(w["after_s"], w["radius_m"]) for w in values["waves"])
        return cls(**fields, id=row_id, version=version)

    def values(self) -> dict[str, Any]:
        """The JSON of `DispatchPolicy.values`; `Policy.of(p.values())` equals `p`."""
        return {
            "waves": [{"after_s": s.after_s, "radius_m": s.radius_m} for s in self.waves],
            **{name: getattr(self, name) for name in policies.NUMBERS},
        }

    def wave_size(self, trucks_open: int) -> int:
        """How many one wave tells at most while so many trucks are open."""
        return min(self.wave_max, max(self.wave_min, self.per_truck * trucks_open))

    def radii_m(self, number: int, reached_m: int) -> list[int]:
        """How far wave `number` (1, 2, …) looks, and where it widens to while it finds nobody.

        An order that reached farther before (`reached_m`) never shrinks.
        """
        own = self.waves[min(number, len(self.waves)) - 1].radius_m
        start = max(own, reached_m)
        return [start, *(step.radius_m for step in self.waves if step.radius_m > start)]


class Policies:
    """The current policy of each city, read from the database at most every 30 s.

    One per loop; not shared between threads.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Policy]] = {}

    def of(self, city: str) -> Policy:
        """The policy in force (see `current`), at most 30 s old."""
        until, policy = self._known.get(city, (0.0, None))
        if policy is None or time.monotonic() >= until:
            policy = current(city)
            self._known[city] = (time.monotonic() + CACHED_S, policy)
        return policy


def current(city: str) -> Policy:
    """The highest version of a city's policy that can be followed.

    A version with faults is told at ERROR and passed over: a slip in the admin must not stop a
    city. Raises LookupError when none is left.
    """
    rows = DispatchPolicy.objects.filter(city_id=city).order_by("-version")
    for row in rows[:10]:
        try:
            return Policy.of(row.values, row_id=row.id, version=row.version)
        except PolicyError:
            log.exception("policy passed over", city=city, version=row.version)
    raise LookupError(f"no dispatch policy for {city}")
