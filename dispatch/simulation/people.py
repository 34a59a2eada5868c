"""Who the simulated people are: numbers, ids and places that follow from a seed. Pure."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

from transporters.geo import Point
from weelo.cities.cells import cell_of

CUSTOMER, CAPTAIN = "customer", "captain"
MOST_OF_A_ROLE = 1_000_000
SEEDS = 40
# Blocks of a million customers and a million captains each. All numbers are valid Indian mobile
# numbers that begin with +9169.
REPLAY_BLOCK, DEMO_BLOCK, _FIRST_SEEDED_BLOCK = 8, 9, 10

# The common types, in the order in which captains get them, one after the other.
COMMON_TYPES = (
    "mini-tata-ace",
    "lcv-open-14-ft",
    "mini-pickup-dost",
    "open-17-ft",
    "lcv-container-14-ft",
)
# The demo's simulated captains leave `open-17-ft` to Balu and Chitra, whom people play by hand.
DEMO_TYPES = ("mini-tata-ace", "mini-pickup-dost", "lcv-open-14-ft", "lcv-container-14-ft")

DEMO_CITY, DEMO_CAPTAINS, DEMO_SPREAD_KM = "bengaluru", 6, 3.0

SPREAD_KM = 8.0
_OURS = UUID("5b0c5c5e-3f0a-5c7e-9d6b-1f9c9a6b7d21")
_NAMES = ("Anil", "Bina", "Chandru", "Deepa", "Eshan", "Farida", "Ganesh", "Hema", "Irfan", "Jaya")
_KM_PER_DEGREE = 111.2
_TRIES = 1_000


@dataclass(frozen=True)
class Account:
    """Somebody signed in: tokens, vehicles, and a place to be. Customers have no vehicle.

    `access` holds until `until` (seconds since 1970).
    """

    role: str
    phone: str
    user_id: str
    access: str
    refresh: str
    until: float
    vehicle_ids: tuple[str, ...]
    vehicle_type: str | None
    lat: float
    lng: float

    @property
    def point(self) -> Point:
        return Point(self.lat, self.lng)

    def line(self) -> Mapping[str, Any]:
        """What `manage.py seed` writes of it."""
        return {
            "role": self.role,
            "phone": self.phone,
            "user_id": self.user_id,
            "access": self.access,
            "vehicle_ids": list(self.vehicle_ids),
            "vehicle_type": self.vehicle_type,
            "lat": self.lat,
            "lng": self.lng,
        }


@dataclass(frozen=True)
class Person:
    """The `number`th (0, 1, …) of a role in a block: everything about it follows from these."""

    block: int
    role: str
    number: int

    @property
    def phone(self) -> str:
        """E.164."""
        return f"+9169{self._series:02}{self.number:06}"

    @cached_property
    def user_id(self) -> UUID:
        return uuid5(_OURS, self.phone)

    @cached_property
    def fleet_id(self) -> UUID:
        return uuid5(self.user_id, "fleet")

    @property
    def name(self) -> str:
        return f"{_NAMES[self.number % len(_NAMES)]} {self.number}"

    def vehicle_id(self, nth: int) -> UUID:
        """Of the `nth` (0, 1, …) vehicle of the fleet."""
        return uuid5(self.user_id, f"vehicle {nth}")

    def registration(self, nth: int) -> str:
        """Of the same."""
        return f"WS{self._series:02}{self.number:06}{nth or ''}"

    @property
    def _series(self) -> int:
        return 2 * self.block + (self.role == CAPTAIN)


def block_of(seed: int) -> int:
    """The block of a seed; seeds that lie a multiple of 40 apart share theirs."""
    return _FIRST_SEEDED_BLOCK + seed % SEEDS


@dataclass(frozen=True)
class Area:
    """A city's service area: its slug, its centre, and its H3 cells."""

    city: str
    centre: Point
    cells: frozenset[int]

    def place(self, rng: random.Random, spread_km: float = SPREAD_KM) -> Point:
        """A point of the area, denser towards the centre (standard deviation `spread_km`)."""
        return self.place_near(self.centre, rng, spread_km)

    def place_near(self, near: Point, rng: random.Random, spread_km: float) -> Point:
        """A point of the area around another one. Raises ValueError when there hardly is one."""
        degrees = spread_km / _KM_PER_DEGREE
        for _ in range(_TRIES):
            lat = round(near.lat + rng.gauss(0, degrees), 6)
            lng = round(near.lng + rng.gauss(0, degrees), 6)
            if cell_of(lat, lng) in self.cells:
                return Point(lat, lng)
        raise ValueError(f"{self.city} has no service area around {near.lat}, {near.lng}.")
