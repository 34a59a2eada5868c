"""A town in which dispatch can be tried: captains who wait, drift and drive, and what is wished.

Seeded: the same seed gives the same captains, wishes and answers, whoever is told of what. Times
are seconds since the start.
"""

import math
import random
from dataclasses import dataclass, field
from uuid import UUID

from bench import places
from transporters.geo import Point, metres

TYPES = {"open-17-ft": 0.5, "mini-tata-ace": 0.3, "tipper-20-24-t": 0.2}  # shares
TRUCKS = {1: 0.85, 2: 0.10, 3: 0.05}  # of an order, shares
ORDERS_PER_HOUR = 120
ROAD_FACTOR = 1.4
SPEED_MPS = 25 / 3.6
HANDLING_S = 20 * 60  # at the pickup, and again at the drop
STANDS_S = (10 * 60, 40 * 60)  # one without work, before driving to another place to wait

# How captains answer.
LOOKS = 0.85  # of those told look at the phone at all before the deadline
EAGER = 0.6  # of those who look accept an order at their door
FAR_M = 15_000  # and 1/e of that so far away
DECLINES = 0.5  # of the others say no, the rest nothing
THINKS_S, SPREAD = 7.0, 0.6  # median and sigma of a log-normal delay
SLOWER_S_PER_KM = 0.1  # a far order takes a longer look


@dataclass(frozen=True, slots=True)
class Wish:
    """An order to come."""

    number: int
    at: float
    pickup: Point
    drop: Point
    vehicle_type: str
    trucks: int


@dataclass(slots=True)
class Captain:
    """One captain with one truck. `freed_at` is when it came online or its last trip ended."""

    id: UUID
    owner_id: UUID
    vehicle_id: UUID
    vehicle_type: str
    rng: random.Random
    here: Point
    since: float = 0.0
    there: Point | None = None
    arrives: float = 0.0
    freed_at: float = 0.0
    busy: bool = False
    won_at: float | None = None
    offers: set[int] = field(default_factory=set)

    def point(self, now: float) -> Point:
        """Where it is; who has no work stands a while and drives to another place to wait."""
        while not self.busy and now >= self.arrives:
            self._drift()
        if self.there is None or now <= self.since:
            return self.here
        part = min(1.0, (now - self.since) / max(1.0, self.arrives - self.since))
        return Point(
            self.here.lat + (self.there.lat - self.here.lat) * part,
            self.here.lng + (self.there.lng - self.here.lng) * part,
        )

    def haul(self, wish: Wish, now: float) -> float:
        """Drive this trip; returns when it ends, where the captain then is."""
        way_m = metres(self.point(now), wish.pickup) + metres(wish.pickup, wish.drop)
        self.busy, self.won_at = True, now
        self.here, self.there = wish.drop, None
        return now + 2 * HANDLING_S + drive_s(way_m)

    def be_free(self, now: float) -> None:
        self.busy, self.freed_at, self.there = False, now, None
        self.since = self.arrives = now

    def _drift(self) -> None:
        """The next leg: a stand where it is, then the way to another place."""
        if self.there is not None:
            self.here = self.there
        self.there = places.somewhere(self.rng)
        self.since = self.arrives + self.rng.uniform(*STANDS_S)
        self.arrives = self.since + drive_s(metres(self.here, self.there))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a captain makes of an offer: after so many seconds yes, no, or (None) nothing."""

    after_s: float
    accepts: bool | None


def captains(seed: int, number: int) -> list[Captain]:
    """So many captains, each with a truck of a type and somewhere to wait."""
    return [_captain(random.Random(f"captain {seed} {i}"), i) for i in range(number)]


def _captain(rng: random.Random, i: int) -> Captain:
    ids = (UUID(int=(i + 1) * 10 + part) for part in range(3))
    return Captain(*ids, _drawn(TYPES, rng), rng, places.somewhere(rng))


def wishes(seed: int, hours: float) -> list[Wish]:
    """What customers will wish for, in order of time."""
    rng, at, made = random.Random(f"wishes {seed}"), 0.0, []
    while (at := at + rng.expovariate(ORDERS_PER_HOUR / 3600)) < hours * 3600:
        pickup, drop = places.somewhere(rng), places.somewhere(rng)
        made.append(Wish(len(made), at, pickup, drop, _drawn(TYPES, rng), _drawn(TRUCKS, rng)))
    return made


def answer(seed: int, wish: Wish, captain: Captain, distance_m: float) -> Answer:
    """How the captain answers, always the same for the same order and distance."""
    rng = random.Random(f"answer {seed} {wish.number} {captain.id.int}")
    looks, wants, speaks = rng.random(), rng.random(), rng.random()
    after_s = rng.lognormvariate(math.log(THINKS_S), SPREAD) + SLOWER_S_PER_KM * distance_m / 1000
    if looks >= LOOKS:
        return Answer(after_s, None)
    if wants < EAGER * math.exp(-distance_m / FAR_M):
        return Answer(after_s, True)
    return Answer(after_s, False if speaks < DECLINES else None)


def drive_s(straight_m: float) -> float:
    return straight_m * ROAD_FACTOR / SPEED_MPS


def _drawn(shares, rng: random.Random):
    return rng.choices(list(shares), list(shares.values()))[0]
