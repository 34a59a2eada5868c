"""A city's dispatch policy: when waves go out, how far they reach and how many they tell.

A policy is a frozen value; its versions are rows of `cities.DispatchPolicy`, and every wave keeps
the row that it followed.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import structlog

from weelo.cities.models import DispatchPolicy

log = structlog.get_logger(__name__)

FARTHEST_M = 500_000
MOST_TOLD = 100
CACHED_S = 30.0


class PolicyError(ValueError):
    """The values of a policy cannot be followed; the text names every fault."""


@dataclass(frozen=True)
class Step:
    """One wave of the timetable: seconds since the order began to seek, and its radius."""

    after_s: float
    radius_m: int


_DEFAULT_WAVES = tuple(
    Step(after_s, radius_m)
    for after_s, radius_m in ((0, 5_000), (12, 10_000), (24, 20_000), (36, 40_000), (48, 80_000))
)


@dataclass(frozen=True)
class Policy:
    """How an order finds its captains. `id` and `version` name the row, 0 for none."""

    waves: tuple[Step, ...] = _DEFAULT_WAVES
    wave_min: int = 10
    per_truck: int = 3
    wave_max: int = MOST_TOLD
    offers_cap: int = 3
    newcomers_every_s: float = 2.0
    id: int = 0
    version: int = 0

    @classmethod
    def of(cls, values: Mapping[str, Any], *, row_id: int = 0, version: int = 0) -> Self:
        """The policy that `DispatchPolicy.values` describes; what is not named has its default.

        Raises PolicyError, which names every fault at once.
        """
        faults = list(_faults(values))
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
            **{name: getattr(self, name) for name in _NUMBERS},
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


# name: least, most, and whether it must be whole
_NUMBERS: dict[str, tuple[float, float, bool]] = {
    "wave_min": (1, MOST_TOLD, True),
    "per_truck": (0, MOST_TOLD, True),
    "wave_max": (1, MOST_TOLD, True),
    "offers_cap": (1, 1_000, True),
    "newcomers_every_s": (0.5, 60, False),
}


def _faults(values: Mapping[str, Any]) -> list[str]:
    faults = [f"{name}: unknown" for name in values if name not in (*_NUMBERS, "waves")]
    for name, (least, most, whole) in _NUMBERS.items():
        if name in values and not _is_number(values[name], least, most, whole=whole):
            faults.append(f"{name}: must be a number from {least:g} to {most:g}")
    if "waves" in values:
        faults += _faults_of_waves(values["waves"])
    if not faults:
        defaults = {"wave_min": Policy.wave_min, "wave_max": Policy.wave_max, **values}
        if defaults["wave_min"] > defaults["wave_max"]:
            faults.append("wave_min: must not exceed wave_max")
    return faults


def _faults_of_waves(waves: Any) -> list[str]:
    if not isinstance(waves, list) or not 1 <= len(waves) <= 20:
        return ["waves: must be a list of 1 to 20"]
    for wave in waves:
        if not isinstance(wave, dict) or set(wave) != {"after_s", "radius_m"}:
            return ["waves: each must have after_s and radius_m, and nothing else"]
        if not _is_number(wave["after_s"], 0, 3600, whole=False):
            return ["waves: after_s must be seconds from 0 to 3600"]
        if not _is_number(wave["radius_m"], 1, FARTHEST_M, whole=True):
            return [f"waves: radius_m must be whole metres from 1 to {FARTHEST_M}"]
    faults = []
    if waves[0]["after_s"] != 0:
        faults.append("waves: the first must go out after 0 s")
    pairs = list(pairwise(waves))
    if any(later["after_s"] <= wave["after_s"] for wave, later in pairs):
        faults.append("waves: after_s must rise from wave to wave")
    if any(later["radius_m"] < wave["radius_m"] for wave, later in pairs):
        faults.append("waves: radius_m must not fall from wave to wave")
    return faults


def _is_number(value: Any, least: float, most: float, *, whole: bool) -> bool:
    kinds = int if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most


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
