"""GET search: fares, quotes and what is near, for anybody; nothing is written."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders.pricing import distance_km
from orders.search_serializers import FoundSerializer
from tests import people
from transporters import fleet as fleets
from transporters import presence
from transporters.geo import Point
from weelo.cities import cached
from weelo.cities.models import City, RateCard
from weelo.lib import redis

PICKUP, DROP = people.CENTRE, (13.05, 77.70)
PATH = "/api/v1/search"


@pytest.fixture(autouse=True)
def quiet_redis():
    redis.breaker.succeeded()
    with redis.guarded() as connected:
        connected.flushdb()
        connected.set("presence:filled", "1")
    yield
    redis.breaker.succeeded()
    cache.clear()


@pytest.fixture
def town(db):
    return people.make_city()


def text(*points):
    return ";".join(f"{lat},{lng}" for lat, lng in points)


def search(client, **query):
    return client.get(PATH, {"pickup": text(PICKUP), "drop": text(DROP), **query})


def options(answer):
    assert answer.status_code == 200, answer.content
    return {option["vehicle_type"]["slug"]: option for option in answer.json()["options"]}


def errors(answer):
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID")
    assert answer["Content-Type"] == "application/problem+json"
    return {error["pointer"]: error["code"] for error in answer.json()["errors"]}


def stand(fleet, lat, lng):
    """The fleet's captain is seen at this place."""
    point = {"lat": lat, "lng": lng}
    assert presence.report(fleets.of_user(fleet.owner), [point]).accepted == 1


def test_an_answer_looks_as_the_contract_says(client, town):
    before = timezone.now()
    body = search(client).json()
    assert set(body) == {"city", "distance_km", "options", "server_time"}
    assert body["city"] == "bengaluru"
    assert body["distance_km"] == round(float(distance_km([Point(*PICKUP), Point(*DROP)], 1.4)), 2)
    assert [option["vehicle_type"] for option in body["options"]] == [
        {"slug": slug, "name": name, "category": category, "capacity_kg": capacity_kg}
        for slug, name, category, capacity_kg in (
            ("open-17-ft", "open 17 ft", "open", 7000),
            ("mini-tata-ace", "mini tata ace", "mini", 1000),
            ("tipper-20-24-t", "tipper 20 24 t", "tipper", 24000),
        )
    ]
    option = body["options"][0]
    assert set(option) == {
        *("vehicle_type", "fare_paise", "currency", "nearby", "nearest_km", "eta_minutes"),
        *("quote", "quote_expires_at"),
    }
    schema = FoundSerializer().fields
    assert set(schema) == set(body)
    assert set(schema["options"].child.fields) == set(option)
    assert option["currency"] == "INR"
    assert option["fare_paise"] % 100 == 0
    assert (option["nearby"], option["nearest_km"], option["eta_minutes"]) == (0, None, None)
    ends = datetime.fromisoformat(option["quote_expires_at"])
    assert body["server_time"].endswith("Z")
    assert timedelta(minutes=4, seconds=58) < ends - before <= timedelta(minutes=5, seconds=2)


def test_stops_make_the_way_longer(client, town):
    stops = text((13.2, 77.5), (13.3, 77.6))
    assert (
        search(client, stops=stops).json()["distance_km"]
        > search(client).json()["distance_km"] + 50
    )
    near, far = options(search(client)), options(search(client, stops=stops))
    assert near["open-17-ft"]["fare_paise"] < far["open-17-ft"]["fare_paise"]


def test_types_that_cannot_carry_the_load_are_left_out(client, town):
    assert set(options(search(client, load_kg=1000))) == {
        *("open-17-ft", "mini-tata-ace", "tipper-20-24-t"),
    }
    assert set(options(search(client, load_kg=1001))) == {"open-17-ft", "tipper-20-24-t"}
    assert set(options(search(client, load_kg=24000))) == {"tipper-20-24-t"}


def test_a_load_that_nothing_carries_is_refused_with_the_most_that_goes(client, town):
    answer = search(client, load_kg=24001)
    assert (answer.status_code, answer.json()["code"]) == (422, "LOAD_OVER_CAPACITY")
    assert answer.json()["capacity_kg"] == 24000


def test_a_category_narrows_the_search(client, town):
    assert set(options(search(client, category="mini"))) == {"mini-tata-ace"}
    assert errors(search(client, category="rocket")) == {"/category": "unknown"}


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ({"pickup": ""}, {"/pickup": "form"}),
        ({"pickup": "12.97"}, {"/pickup": "form"}),
        ({"pickup": "nan,77.5"}, {"/pickup": "form"}),
        ({"pickup": "inf,77.5"}, {"/pickup": "form"}),
        ({"pickup": "1e1,77.5"}, {"/pickup": "form"}),
        ({"pickup": "１２,77.5"}, {"/pickup": "form"}),
        ({"pickup": "12.9,77.5\n"}, {"/pickup": "form"}),
        ({"pickup": "12.9,77.5,0"}, {"/pickup": "form"}),
        ({"pickup": "85.1,77.5"}, {"/pickup": "range"}),
        ({"drop": "12.9,180.5"}, {"/drop": "range"}),
        ({"stops": "12.9,77.5;"}, {"/stops": "form"}),
        ({"stops": "1,1;1,1;1,1"}, {"/stops": "many"}),
        ({"load_kg": "0"}, {"/load_kg": "min_value"}),
        ({"load_kg": "-5"}, {"/load_kg": "min_value"}),
        ({"load_kg": "1.5"}, {"/load_kg": "invalid"}),
        ({"load_kg": "9" * 30}, {"/load_kg": "max_value"}),
        ({"category": "\0"}, {"/category": "null_characters_not_allowed"}),
        ({"pickup": "x", "load_kg": "x"}, {"/pickup": "form", "/load_kg": "invalid"}),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_named(client, town, query, faults):
    assert errors(search(client, **query)) == faults


def test_pickup_and_drop_are_needed(client, town):
    assert errors(client.get(PATH)) == {"/pickup": "required", "/drop": "required"}


@pytest.mark.parametrize(
    "query",
    [
        {"pickup": "28.61,77.20"},
        {"pickup": "0,0"},
        {"drop": "0,0"},
        {"drop": "6.9271,79.8612"},
        {"stops": "6.9271,79.8612"},
    ],
    ids=str,
)
def test_what_we_do_not_serve_is_out_of_area(client, town, query):
    answer = search(client, **query)
    assert (answer.status_code, answer.json()["code"]) == (422, "OUT_OF_AREA")


def test_a_closed_city_is_out_of_area(client, town):
    City.objects.update(is_open=False)
    assert search(client).json()["code"] == "OUT_OF_AREA"


def test_trucks_near_the_pickup_are_counted_by_type(client, town):
    stand(people.make_captain(), PICKUP[0] + 0.05, PICKUP[1])
    stand(people.make_captain(people.CHITRA, "Chitra"), PICKUP[0] + 0.02, PICKUP[1])
    far = people.make_captain("+919000000004", "Dev")
    stand(far, PICKUP[0] + 0.5, PICKUP[1])
    found = options(search(client))
    assert found["open-17-ft"]["nearby"] == 2
    assert found["open-17-ft"]["nearest_km"] == pytest.approx(2.22, abs=0.01)
    # 2.22 km · 1.4 at 30 km/h
    assert found["open-17-ft"]["eta_minutes"] == 6
    assert found["mini-tata-ace"]["nearby"] == 0


def test_a_new_rate_card_makes_a_new_price(client, town, django_capture_on_commit_callbacks):
    old = options(search(client))["open-17-ft"]["fare_paise"]
    card = RateCard.objects.get()
    card.rates["open"]["base"] = "9500"
    with django_capture_on_commit_callbacks(execute=True):
        RateCard.objects.create(
            city=town,
            version=2,
            effective_from=timezone.now() - timedelta(seconds=1),
            rates=card.rates,
            multipliers=card.multipliers,
        )
        cached.forget()
    new = options(search(client))["open-17-ft"]["fare_paise"]
    assert new - old >= Decimal(8000_00)


def test_a_search_writes_nothing_and_the_second_reads_no_city(client, town):
    with CaptureQueriesContext(connection) as first:
        search(client)
    assert all(query["sql"].startswith("SELECT") for query in first.captured_queries)
    with CaptureQueriesContext(connection) as second:
        search(client)
    assert len(second) == 0


def test_without_redis_a_search_answers_the_same(client, town, settings):
    kept = search(client).json()
    away = "redis://127.0.0.1:1/0"
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": away}}
    fresh = search(client).json()
    assert kept["distance_km"] == fresh["distance_km"]
    slugs = [option["vehicle_type"] for option in kept["options"]]
    assert [option["vehicle_type"] for option in fresh["options"]] == slugs


def test_an_address_that_searches_too_much_waits(client, town, settings):
    settings.LIMIT_SEARCH_ADDRESS = 2
    assert [search(client).status_code for _ in range(3)] == [200, 200, 429]
    refused = search(client)
    assert refused.json()["code"] == "RATE_LIMITED"
    assert int(refused["Retry-After"]) >= 1
