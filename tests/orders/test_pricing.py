"""What a truck costs."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.pricing import (
    SLABS,
    Tariff,
    distance_km,
    fare_now,
    fare_paise,
    payout_paise,
    slab_km,
    tariff,
    time_factor,
)
from orders.refusals import Overload
from transporters.geo import Point, metres
from weelo.cities.catalogue import DEMO_MULTIPLIERS, DEMO_RATES, VEHICLE_TYPES
from weelo.cities.current import CityNow
from weelo.cities.models import City, RateCard, VehicleType

CARD = RateCard(version=1, rates=DEMO_RATES, multipliers=DEMO_MULTIPLIERS)
TYPES = {
    shipped.slug: VehicleType(
        slug=shipped.slug,
        category=shipped.category,
        name=shipped.name,
        capacity_kg=shipped.capacity_kg,
    )
    for shipped in VEHICLE_TYPES
}
WEDNESDAY = datetime(2026, 11, 18, 14)
SATURDAY = datetime(2026, 11, 21, 14)
BENGALURU = Point(12.975377, 77.696664)
MYSURU = Point(12.3164, 76.6458)


def fare(slug, km, load_kg=None, at=WEDNESDAY):
    return fare_paise(tariff(CARD, TYPES[slug]), Decimal(str(km)), load_kg, at)


def siblings():
    """Pairs of types of one category and body, the second carrying at least as much."""
    bodies = {}
    for slug, one in TYPES.items():
        body = slug.split("-")[1] if one.category == "lcv" else ""
        bodies.setdefault((one.category, body), []).append(slug)
    for slugs in bodies.values():
        yield from pairwise(sorted(slugs, key=lambda slug: TYPES[slug].capacity_kg))


@pytest.mark.parametrize(
    ("slug", "km", "load_kg", "at", "paise"),
    [
        # 1500 + 5·1.3·25 + 7·5·4 = 1802.50, below the least fare
        ("open-17-ft", 5, None, WEDNESDAY, 2000_00),
        # 1500 + (65 + 60 + 20)·25 + 5·120·4
        ("open-17-ft", 120, 5000, WEDNESDAY, 7525_00),
        # (2000 + (65 + 60 + 200 + 190 + 90)·30 + 24·600·4.5)·1.7·1.2·1.05 = 181962.90
        ("container-32-ft-multi-axle", 600, None, SATURDAY.replace(hour=9), 181963_00),
        # (4500 + 26·55 + 40·20·4.5)·1.6·1.1 = 16772.80
        ("bulker-32-40-t", 20, None, WEDNESDAY.replace(hour=23), 16773_00),
        # (500 + 10·1.3·12 + 0.5·10·8)·0.9·1.1 = 689.04, below the least fare
        ("mini-tata-ace", 10, 500, WEDNESDAY.replace(hour=23), 800_00),
    ],
)
def test_a_fare_is_what_the_formula_gives_by_hand(slug, km, load_kg, at, paise):
    assert fare(slug, km, load_kg, at) == paise


@pytest.mark.parametrize(("base", "rupees"), [("100.49", 100), ("100.50", 101), ("101.50", 102)])
def test_a_fare_is_rounded_half_up_to_whole_rupees(base, rupees):
    price = Tariff(Decimal(base), *(Decimal(0),) * 3, multiplier=Decimal(1), capacity_kg=1000)
    assert fare_paise(price, Decimal(5), None, WEDNESDAY) == rupees * 100


@given(
    slug=st.sampled_from(sorted(TYPES)),
    km=st.decimals(5, 4000, places=3),
    more_km=st.decimals(0, 500, places=3),
    share=st.fractions(0, 1),
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
)
def test_a_fare_never_falls_as_distance_or_load_grow(slug, km, more_km, share, at):
    load_kg = max(1, int(TYPES[slug].capacity_kg * share))
    base = fare(slug, km, load_kg, at)
    assert base <= fare(slug, km + more_km, load_kg, at)
    assert base <= fare(slug, km, None, at)


@given(
    pair=st.sampled_from(sorted(siblings())),
    km=st.decimals(5, 4000, places=3),
    share=st.fractions(0, 1) | st.none(),
)
def test_a_fare_never_falls_as_capacity_grows_within_a_category_and_body(pair, km, share):
    smaller, larger = pair
    load_kg = None if share is None else int(TYPES[smaller].capacity_kg * share)
    assert fare(smaller, km, load_kg) <= fare(larger, km, load_kg)


@pytest.mark.parametrize("edge", [edge for edge, _ in SLABS[:-1]])
def test_there_is_no_cliff_at_the_edge_of_a_slab(edge):
    metre = Decimal("0.001")
    assert 0 < slab_km(edge + metre) - slab_km(edge) < 2 * metre
    assert 0 < slab_km(edge) - slab_km(edge - metre) < 2 * metre


@pytest.mark.parametrize(
    ("clock", "factor"),
    [
        ("00:00", "1.1"),
        ("05:59:59.999999", "1.1"),
        ("06:00", "1"),
        ("07:59:59.999999", "1"),
        ("08:00", "1.2"),
        ("10:59:59.999999", "1.2"),
        ("11:00", "1"),
        ("16:59:59.999999", "1"),
        ("17:00", "1.2"),
        ("19:59:59.999999", "1.2"),
        ("20:00", "1"),
        ("21:59:59.999999", "1"),
        ("22:00", "1.1"),
    ],
)
def test_peak_and_night_begin_on_the_minute_and_end_before_it(clock, factor):
    assert time_factor(datetime.fromisoformat(f"2026-11-18T{clock}")) == Decimal(factor)


def test_saturday_and_sunday_cost_a_further_five_percent():
    factors = [time_factor(WEDNESDAY + timedelta(days=day)) for day in range(7)]
    assert factors == [1, 1, 1, Decimal("1.05"), Decimal("1.05"), 1, 1]
    assert time_factor(SATURDAY.replace(hour=8)) == Decimal("1.26")


def test_the_citys_clock_decides_about_peaks():
    at = datetime.fromisoformat("2026-11-18T02:30:00+00:00")  # 08:00 in India
    types = {"open-17-ft": TYPES["open-17-ft"]}
    here = CityNow(City(timezone="Asia/Kolkata"), CARD, types, at)
    assert fare_now(here, "open-17-ft", Decimal(120), 5000) == 7525_00 * 12 // 10


def test_a_load_over_capacity_is_refused():
    types = {"open-17-ft": TYPES["open-17-ft"]}
    here = CityNow(City(timezone="Asia/Kolkata"), CARD, types, SATURDAY.astimezone())
    assert fare_now(here, "open-17-ft", Decimal(5), 7000)
    with pytest.raises(Overload) as refusal:
        fare_now(here, "open-17-ft", Decimal(5), 7001)
    assert refusal.value.extras == {"vehicle_type": "open-17-ft", "capacity_kg": 7000}


def test_distance_is_the_great_circle_by_the_road_factor_over_all_stops():
    stop = Point(12.5, 77.0)
    straight = metres(BENGALURU, stop) + metres(stop, MYSURU)
    km = distance_km([BENGALURU, stop, MYSURU], 1.4)
    assert float(km) == pytest.approx(straight * 1.4 / 1000)
    assert km > distance_km([BENGALURU, MYSURU], 1.4)


def test_at_least_five_kilometres_are_charged():
    assert distance_km([BENGALURU, BENGALURU], 1.4) == 5


@pytest.mark.parametrize(
    ("fare", "percent", "payout"),
    [(7525_00, "10", 6772_50), (1_00, "12.50", 88), (2000_00, "0", 2000_00)],
)
def test_the_captain_gets_the_fare_less_the_commission(fare, percent, payout):
    assert payout_paise(fare, Decimal(percent)) == payout
