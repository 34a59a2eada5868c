"""Which city serves a point."""

import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weelo.cities.areas import SHIPPED
from weelo.cities.cells import cell_of

AREAS = {city.slug: city.cells() for city in SHIPPED}
GOA_STATE = {
    "Tiracol": (15.7219, 73.6878),
    "Pernem": (15.7230, 73.7970),
    "Valpoi": (15.5326, 74.1367),
    "Mollem": (15.3755, 74.2290),
    "Vasco da Gama": (15.3982, 73.8113),
    "Quepem": (15.2128, 74.0772),
    "Canacona": (14.9959, 74.0500),
    "Polem": (14.9080, 74.0800),
}


def destination(lat, lng, bearing, km):
    """The point `km` away along a great circle."""
    arc, lat, lng = km / 6371.0088, math.radians(lat), math.radians(lng)
    to_lat = math.asin(
        math.sin(lat) * math.cos(arc) + math.cos(lat) * math.sin(arc) * math.cos(bearing)
    )
    to_lng = lng + math.atan2(
        math.sin(bearing) * math.sin(arc) * math.cos(lat),
        math.cos(arc) - math.sin(lat) * math.sin(to_lat),
    )
    return math.degrees(to_lat), math.degrees(to_lng)


@given(
    city=st.sampled_from(SHIPPED),
    bearing=st.floats(0, 2 * math.pi),
    km=st.floats(0, 30) | st.just(30.0),
)
def test_a_city_serves_every_point_within_30_km_of_its_centre(city, bearing, km):
    assert cell_of(*destination(city.lat, city.lng, bearing, km)) in AREAS[city.slug]


@given(city=st.sampled_from(SHIPPED[:2]), bearing=st.floats(0, 2 * math.pi))
def test_a_city_ends_within_6_km_of_its_radius(city, bearing):
    assert cell_of(*destination(city.lat, city.lng, bearing, 36)) not in AREAS[city.slug]


@pytest.mark.parametrize(("lat", "lng"), GOA_STATE.values(), ids=GOA_STATE)
def test_goa_serves_the_whole_state(lat, lng):
    assert cell_of(lat, lng) in AREAS["goa"]


def test_no_cell_belongs_to_two_cities():
    assert not any(AREAS[one] & AREAS[other] for one, other in combinations(AREAS, 2))


def test_a_cell_fits_a_signed_64_bit_column():
    assert all(0 < cell < 2**63 for area in AREAS.values() for cell in area)
