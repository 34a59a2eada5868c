"""Points on the earth and the metres between them. Pure; WGS84 degrees on a sphere."""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

EARTH_RADIUS_M = 6_371_008.8  # mean radius, IUGG
# Redis' GEO sets end at 85.05°; the index and its twin in PostgreSQL share one round limit.
MAX_LAT = 85.0


class Point(NamedTuple):
    """A place: latitude and longitude in degrees."""

    lat: float
    lng: float

    def is_on_map(self) -> bool:
        """Whether both are finite, |lat| ≤ 85 and |lng| ≤ 180 (NaN is not)."""
        return abs(self.lat) <= MAX_LAT and abs(self.lng) <= 180.0


def metres(a: Point, b: Point) -> float:
    """Great-circle distance by haversine."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    lat_part = math.sin((lat_b - lat_a) / 2) ** 2
    lng_part = math.sin(math.radians(b.lng - a.lng) / 2) ** 2
    half = min(1.0, lat_part + math.cos(lat_a) * math.cos(lat_b) * lng_part)
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(half))


def length_m(points: Iterable[Point]) -> float:
    """Metres along the great circles from each point to the next; 0 for fewer than two."""
    return sum(metres(a, b) for a, b in pairwise(points))


def holds_pole(centre: Point, radius_m: float) -> bool:
    """Whether a pole lies within the radius: all longitudes then do, near it."""
    return radius_m >= math.radians(90 - abs(centre.lat)) * EARTH_RADIUS_M


def on_unit_sphere(point: Point) -> tuple[float, float, float]:
    """x, y, z on a sphere of radius 1, where straight distance grows with great-circle distance.

    No edge at the antimeridian and no pole, hence what nearest-neighbour indexes want.
    """
    lat, lng = math.radians(point.lat), math.radians(point.lng)
    return math.cos(lat) * math.cos(lng), math.cos(lat) * math.sin(lng), math.sin(lat)
