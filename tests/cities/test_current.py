"""What holds at a point when an order is confirmed: read fresh, in one statement."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from weelo.cities.catalogue import DEMO_MULTIPLIERS, DEMO_RATES
from weelo.cities.current import for_confirm
from weelo.cities.models import City, RateCard, VehicleType

BENGALURU = (12.975377, 77.696664)
SEA = (15.0, 88.0)


def database_now():
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def card(version, starts_in, **fields):
    return RateCard.objects.create(
        city_id="bengaluru",
        version=version,
        effective_from=database_now() + starts_in,
        **{"rates": DEMO_RATES, "multipliers": DEMO_MULTIPLIERS, **fields},
    )


def test_everything_is_read_in_one_statement(two_cities, django_assert_num_queries):
    with django_assert_num_queries(1):
        here = for_confirm(*BENGALURU, ["open-17-ft", "lcv-open-17-ft"])
        assert here.city.slug == "bengaluru"
        assert here.city.commission_percent == 10
        assert here.rate_card.version == 1
        assert here.rate_card.city.name == "Bengaluru"
        assert {slug: one.capacity_kg for slug, one in here.vehicle_types.items()} == {
            "open-17-ft": 7000,
            "lcv-open-17-ft": 5000,
        }
        assert here.local_time.utcoffset() == timedelta(hours=5, minutes=30)


def test_now_is_the_databases_clock(two_cities, wrong_clock):
    here = for_confirm(*BENGALURU, [])
    assert abs(here.now - database_now()) < timedelta(minutes=1)


def test_a_point_outside_every_area_has_no_city(two_cities):
    assert for_confirm(*SEA, ["open-17-ft"]) is None


def test_a_closed_city_serves_nobody(two_cities):
    City.objects.filter(slug="bengaluru").update(is_open=False)
    assert for_confirm(*BENGALURU, ["open-17-ft"]) is None


def test_a_city_without_a_card_in_force_serves_nobody(two_cities):
    RateCard.objects.filter(city="bengaluru").delete()
    card(1, timedelta(hours=1))
    assert for_confirm(*BENGALURU, ["open-17-ft"]) is None


def test_the_card_in_force_is_the_one_that_started_last(two_cities):
    card(2, timedelta(hours=-1))
    card(3, timedelta(hours=-2))
    card(4, timedelta(hours=1))
    assert for_confirm(*BENGALURU, []).rate_card.version == 2


def test_of_two_cards_that_start_together_the_later_version_holds(two_cities):
    start = RateCard.objects.get(city="bengaluru").effective_from
    RateCard.objects.create(
        city_id="bengaluru", version=2, effective_from=start, rates={}, multipliers={}
    )
    assert for_confirm(*BENGALURU, []).rate_card.version == 2


def test_types_that_are_unknown_inactive_or_without_a_price_are_missing(two_cities):
    VehicleType.objects.filter(slug="open-19-ft").update(is_active=False)
    VehicleType.objects.create(
        slug="open-21-ft", category="open", name="Open 21 ft", capacity_min_kg=1, capacity_kg=2
    )
    here = for_confirm(*BENGALURU, ["open-17-ft", "open-19-ft", "open-21-ft", "no-such"])
    assert set(here.vehicle_types) == {"open-17-ft"}


@pytest.fixture
def wrong_clock(monkeypatch):
    """This process' clock is an hour wrong."""
    ahead = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr(timezone, "now", lambda: ahead)
