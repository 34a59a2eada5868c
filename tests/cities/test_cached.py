"""Reads for search: cached for minutes, void after an edit, right without Redis."""

import socket
import time
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from weelo.cities import cached
from weelo.cities.catalogue import DEMO_MULTIPLIERS, DEMO_RATES
from weelo.cities.current import for_confirm
from weelo.cities.models import City, RateCard, VehicleType

BENGALURU = (12.975377, 77.696664)
SEA = (15.0, 88.0)
pytestmark = pytest.mark.usefixtures("closed_breaker")


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()
    yield
    cache.clear()


def slug_at(point=BENGALURU):
    here = cached.city_at(*point, timezone.now())
    return here and here.city.slug


def test_a_second_look_asks_no_database(two_cities, django_assert_num_queries):
    first = cached.city_at(*BENGALURU, timezone.now())
    with django_assert_num_queries(0):
        again = cached.city_at(*BENGALURU, timezone.now())
    assert (again.city, again.rate_card) == (first.city, first.rate_card)
    assert list(again.vehicle_types) == list(first.vehicle_types)
    assert len(again.vehicle_types) == 65


def test_it_says_what_confirm_would_read(two_cities):
    kept = cached.city_at(*BENGALURU, timezone.now())
    fresh = for_confirm(*BENGALURU, list(kept.vehicle_types))
    for one, other in ((kept.city, fresh.city), (kept.rate_card, fresh.rate_card)):
        fields = [field.attname for field in one._meta.concrete_fields]
        unread = {"created_at", "is_demo"}
        assert all(getattr(one, f) == getattr(other, f) for f in fields if f not in unread)
    assert kept.vehicle_types == fresh.vehicle_types


def test_outside_every_area_there_is_no_city(two_cities):
    assert slug_at(SEA) is None
    assert slug_at(SEA) is None


def test_an_edit_counts_once_it_is_committed(two_cities, django_capture_on_commit_callbacks):
    assert slug_at() == "bengaluru"
    with django_capture_on_commit_callbacks(execute=True):
        City.objects.filter(slug="bengaluru").update(is_open=False)
        cached.forget()
        assert slug_at() == "bengaluru"
    assert slug_at() is None


def test_a_value_read_before_an_edit_and_stored_after_it_does_not_count(two_cities, monkeypatch):
    """The reader loses the race: it stores the old catalogue after the editor's `forget`."""
    read = cached._types

    def slow_read():
        old = read()
        VehicleType.objects.filter(slug="open-17-ft").update(name="Eicher")
        cached._renew()
        return old

    with monkeypatch.context() as patched:
        patched.setattr(cached, "_types", slow_read)
        cached.vehicle_types()
    assert "Eicher" in {row["name"] for row in cached.vehicle_types()}


def test_a_card_comes_into_force_on_time_also_from_the_cache(two_cities):
    start = timezone.now() + timedelta(hours=1)
    RateCard.objects.create(
        city_id="bengaluru",
        version=2,
        effective_from=start,
        rates=DEMO_RATES,
        multipliers=DEMO_MULTIPLIERS,
    )
    at = {
        "before": cached.city_at(*BENGALURU, start - timedelta(microseconds=1)),
        "then": cached.city_at(*BENGALURU, start),
    }
    assert {when: here.rate_card.version for when, here in at.items()} == {"before": 1, "then": 2}


def test_nothing_is_kept_longer_than_five_minutes(two_cities):
    slug_at()
    keys = [key for key in cache.keys("*") if not key.endswith("generation")]
    assert len(keys) == 2
    assert all(0 < cache.ttl(key) <= 300 for key in keys)


@pytest.fixture
def frozen_redis(settings):
    """Something that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        location = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": location}}
        yield


def test_a_frozen_redis_costs_three_timeouts_and_then_nothing(
    two_cities, frozen_redis, closed_breaker, settings
):
    for _ in range(3):
        started = time.monotonic()
        assert slug_at() == "bengaluru"
    assert closed_breaker.is_open
    assert time.monotonic() - started < settings.REDIS_TIMEOUT
    cached._renew()


def test_without_redis_the_answer_is_the_same(two_cities, settings, closed_breaker):
    away = "redis://127.0.0.1:1/0"
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": away}}
    assert slug_at() == "bengaluru"
    assert slug_at(SEA) is None
    assert len(cached.vehicle_types()) == 65
