"""Metres between points."""

import math

from hypothesis import given
from hypothesis import strategies as st

from transporters.geo import EARTH_RADIUS_M, Point, length_m, metres, on_unit_sphere

points = st.builds(Point, st.floats(-90, 90), st.floats(-180, 180))


def test_a_quarter_of_the_globe_is_a_quarter_of_its_girth():
    quarter = EARTH_RADIUS_M * math.pi / 2
    assert math.isclose(metres(Point(0, 0), Point(0, 90)), quarter)
    assert math.isclose(metres(Point(0, 0), Point(90, 0)), quarter)


def test_the_antimeridian_is_no_distance():
    assert metres(Point(10, 179.9999), Point(10, -179.9999)) < 22


def test_bengaluru_to_chennai_is_290_km_as_the_crow_flies():
    crow_m = metres(Point(12.9716, 77.5946), Point(13.0827, 80.2707))
    assert math.isclose(crow_m, 290_200, rel_tol=0.005)


def test_a_way_is_as_long_as_its_parts():
    a, b, c = Point(12, 77), Point(13, 77), Point(13, 78)
    assert length_m([a, b, c]) == metres(a, b) + metres(b, c)
    assert length_m([a]) == length_m([]) == 0


def test_no_point_off_the_map_is_on_it():
    nan, inf = math.nan, math.inf
    for lat, lng in [(999, 0), (85.01, 0), (0, 181), (nan, 0), (0, nan), (inf, 0), (0, -inf)]:
        assert not Point(lat, lng).is_on_map()
    assert Point(85, -180).is_on_map()


@given(points, points)
def test_straight_distance_on_the_sphere_grows_with_distance_on_the_ground(a, b):
    straight = math.dist(on_unit_sphere(a), on_unit_sphere(b))
    chord = 2 * math.sin(metres(a, b) / EARTH_RADIUS_M / 2)
    assert math.isclose(chord, straight, abs_tol=1e-7)
