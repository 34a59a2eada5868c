"""A customer who asks over HTTP sees where the trucks of his order are."""

import pytest
from rest_framework.test import APIClient

from orders.models import Trip
from orders.verbs.accept import accept
from orders.verbs.steps import Step, step
from tests.people import make_captain, make_customer, make_order, tell_them, vehicle_ids
from transporters import fleet as fleets
from transporters import presence
from weelo.accounts import sessions
from weelo.lib.redis import breaker, guarded


@pytest.fixture(autouse=True)
def nobody_was_seen():
    with guarded() as redis:
        redis.flushdb()


def signed_in(user):
    client = APIClient()
    access = sessions.sign_in_by_phone(user.phone).access
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    return client


@pytest.fixture
def phone(asha):
    return signed_in(asha)


@pytest.fixture
def order(asha, balu):
    return make_order(asha, trucks=2)


def win(order, fleet, number=1):
    if not order.offers.filter(transporter=fleet).exists():
        tell_them(order, [fleet])
    accept(fleet.owner_id, order.offers.get(transporter=fleet).id, vehicle_ids(fleet)[:number])
    return list(Trip.objects.filter(transporter=fleet).order_by("vehicle_id"))


def report(fleet, lat, lng, vehicle_id=None):
    fleets.look_again(fleet.owner_id)
    point = {"lat": lat, "lng": lng, **({"vehicle_id": str(vehicle_id)} if vehicle_id else {})}
    assert presence.report(fleets.remembered(fleet.owner), [point]).accepted == 1


def places(phone, order):
    """What each of the ways to read the order says, by trip; they must agree."""
    one = phone.get(f"/api/v1/orders/{order.id}").json()
    active = phone.get("/api/v1/orders/active").json()
    (listed,) = phone.get("/api/v1/orders").json()["results"]
    seen = [
        {
            truck["trip"]["id"]: (p := truck["trip"]["position"]) and (p["lat"], p["lng"])
            for truck in answer["trucks"]
            if truck["trip"]
        }
        for answer in (one, active["order"], active["orders"][0], listed)
    ]
    assert all(place == seen[0] for place in seen)
    return seen[0]


def test_each_truck_on_its_way_is_where_its_vehicle_was_seen_last(phone, order, balu, chitra):
    (balus,), (chitras,) = win(order, balu), win(order, chitra)
    assert places(phone, order) == {str(balus.id): None, str(chitras.id): None}
    report(balu, 12.97, 77.59, balus.vehicle_id)
    report(chitra, 12.98, 77.60, chitras.vehicle_id)
    report(balu, 12.99, 77.5901)  # his own phone, elsewhere: the vehicle's point counts
    assert places(phone, order) == {
        str(balus.id): (12.97, 77.59),
        str(chitras.id): (12.98, 77.60),
    }


def test_a_captains_own_point_is_that_of_his_only_truck(phone, order, balu):
    (trip,) = win(order, balu)
    report(balu, 12.97, 77.59)
    assert places(phone, order) == {str(trip.id): (12.97, 77.59)}


def test_a_captain_of_two_trucks_is_in_neither_of_them(phone, order):
    fleet = make_captain("+919000000077", "Esha", vehicles=2)
    trips = win(order, fleet, number=2)
    report(fleet, 12.97, 77.59)
    assert places(phone, order) == {str(trip.id): None for trip in trips}


def test_who_has_delivered_is_followed_no_longer(phone, order, balu):
    (trip,) = win(order, balu)
    report(balu, 12.97, 77.59, trip.vehicle_id)
    for status in ("at_pickup", "in_transit", "at_drop", "completed"):
        proof = {"kind": "code", "code": trip.drop_code}
        step(balu.owner, trip.id, Step(status, trip.start_code, proof))
    assert places(phone, order) == {str(trip.id): None}


def test_without_redis_the_place_comes_from_postgresql(phone, order, balu):
    (trip,) = win(order, balu)
    report(balu, 12.97, 77.59, trip.vehicle_id)
    presence.write_back()
    breaker._open_until = float("inf")
    try:
        assert places(phone, order) == {str(trip.id): (12.97, 77.59)}
    finally:
        breaker.succeeded()


@pytest.mark.parametrize(("won", "seen", "statements"), [(0, 0, 0), (1, 1, 0), (1, 0, 2)])
def test_a_place_costs_statements_only_while_it_is_unknown(
    phone, order, balu, django_assert_num_queries, won, seen, statements
):
    trips = win(order, balu) if won else []
    for trip in trips[:seen]:
        report(balu, 12.97, 77.59, trip.vehicle_id)
        report(balu, 12.97, 77.59)
    with django_assert_num_queries(OWN + statements):
        assert phone.get(f"/api/v1/orders/{order.id}").status_code == 200


OWN = 4  # who asks, expiry of what is overdue, the order, its trucks


def test_another_customers_trucks_are_not_shown(order, balu):
    gita = make_customer("+919000000066", "Gita")
    assert signed_in(gita).get(f"/api/v1/orders/{order.id}").status_code == 404
