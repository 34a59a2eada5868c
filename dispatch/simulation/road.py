"""How simulated trucks move. Pure; straight lines, metres and seconds."""

import math
import random

from transporters.geo import Point, metres

CITY_SPEED_MPS = 8.3  # a truck in Indian city traffic, 30 km/h
# The server refuses positions that moved faster than 55 m/s, so the speed-up ends below.
MOST_SPEED_MPS = 50.0
WALK_MPS = 4.0
_M_PER_DEGREE = 111_200.0


def speed_mps(speed_up: float) -> float:
    """The speed of driving with a speed-up factor."""
    return min(CITY_SPEED_MPS * speed_up, MOST_SPEED_MPS)


def toward(here: Point, goal: Point, reach_m: float) -> Point:
    """The point up to `reach_m` further on the way to the goal."""
    left_m = metres(here, goal)
    if left_m <= reach_m:
        return goal
    part = reach_m / left_m
    lat = here.lat + part * (goal.lat - here.lat)
    lng = here.lng + part * (goal.lng - here.lng)
    return Point(round(lat, 6), round(lng, 6))


def wander(here: Point, reach_m: float, rng: random.Random) -> Point:
    """A step of a random walk."""
    turn = rng.uniform(0, 2 * math.pi)
    degrees = reach_m / _M_PER_DEGREE
    lng = here.lng + degrees * math.sin(turn) / math.cos(math.radians(here.lat))
    return Point(round(here.lat + degrees * math.cos(turn), 6), round(lng, 6))


def heading(here: Point, there: Point) -> float:
    """Degrees clockwise from north, 0 to 360."""
    east = (there.lng - here.lng) * math.cos(math.radians(here.lat))
    return round(math.degrees(math.atan2(east, there.lat - here.lat)) % 360, 1)
