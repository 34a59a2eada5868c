"""What presence speaks of: members of the index, and where they were seen."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from transporters.geo import Point

# Counting stops here: nobody who searches needs to know of more trucks near.
COUNT_MOST = 100

Source = Literal["redis", "postgres"]


class Member(NamedTuple):
    """Who stands at a point: a vehicle of a transporter, or (None) its captain."""

    transporter_id: UUID
    vehicle_id: UUID | None = None

    @property
    def name(self) -> str:
        """The member's name in Redis: `<transporter>` or `<transporter>:<vehicle>`, hex."""
        if self.vehicle_id is None:
            return self.transporter_id.hex
        return f"{self.transporter_id.hex}:{self.vehicle_id.hex}"

    @classmethod
    def of_name(cls, name: str) -> "Member":
        """The reverse of `name`."""
        transporter, _, vehicle = name.partition(":")
        return cls(UUID(transporter), UUID(vehicle) if vehicle else None)


@dataclass(frozen=True, slots=True)
class Seen:
    """A fresh member near a point; without a vehicle it is the captain's own point."""

    transporter_id: UUID
    vehicle_id: UUID | None
    point: Point
    distance_m: float
    at: datetime

    @property
    def member(self) -> Member:
        return Member(self.transporter_id, self.vehicle_id)


@dataclass(frozen=True, slots=True)
class Nearby:
    """Who is near, nearest first, and which store said so."""

    seen: list[Seen]
    source: Source


class Ask(NamedTuple):
    """A question: the `limit` nearest of the vehicle types within the radius. |lat| ≤ 85."""

    point: Point
    vehicle_types: Collection[str]
    radius_m: float
    limit: int


@dataclass(frozen=True, slots=True)
class Count:
    """How many of a vehicle type are near, up to `COUNT_MOST`, and how far the nearest is."""

    near: int
    nearest_m: float | None


class Fix(NamedTuple):
    """One point as a phone reported it, already checked."""

    lat: float
    lng: float
    at: datetime
    accuracy_m: float | None = None
    speed_mps: float | None = None
    heading: float | None = None

    @property
    def point(self) -> Point:
        return Point(self.lat, self.lng)
