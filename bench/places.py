"""Points as a city has them: most near a few hubs, the rest strewn thinly far around. Pure."""

import math
import random

from transporters.geo import EARTH_RADIUS_M, Point

# Bengaluru: its centre, and where trucks wait: markets, yards and the ends of highways.
CENTRE = Point(12.9716, 77.5946)
HUBS = tuple(
    Point(*place)
    for place in (
        (12.9650, 77.5760),  # K R Market
        (13.0280, 77.5170),  # Peenya
        (12.8450, 77.6600),  # Electronic City
        (13.1000, 77.5960),  # Yelahanka
        (12.9850, 77.7300),  # Whitefield
        (12.8100, 77.4000),  # Bidadi
    )
)
SPREAD_M = 3_000  # standard deviation around a hub
FAR_M = 60_000  # how far out the thinly strewn go
NEAR_A_HUB = 0.8


def somewhere(rng: random.Random) -> Point:
    """A point of the city: four in five lie around a hub."""
    if rng.random() < NEAR_A_HUB:
        return moved(rng.choice(HUBS), rng.gauss(0, SPREAD_M), rng.gauss(0, SPREAD_M))
    way, angle = FAR_M * rng.random(), 2 * math.pi * rng.random()
    return moved(CENTRE, way * math.cos(angle), way * math.sin(angle))


def moved(point: Point, north_m: float, east_m: float) -> Point:
    """The point so many metres farther north and east, kept to a centimetre as at intake."""
    lat = point.lat + math.degrees(north_m / EARTH_RADIUS_M)
    east = math.degrees(east_m / EARTH_RADIUS_M / math.cos(math.radians(lat)))
    return Point(round(lat, 7), round(point.lng + east, 7))
