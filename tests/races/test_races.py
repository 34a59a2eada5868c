"""Who comes at the same instant: one outcome, and the same one for everybody."""

import pytest
from django.db import transaction

from orders import refusals
from orders.change import By
from orders.models import Actor, Order, Trip
from orders.states import OrderStatus, TripStatus
from orders.verbs.accept import Accepted, accept
from orders.verbs.cancel import cancel
from orders.verbs.confirm import confirm
from orders.verbs.expire import expire
from orders.verbs.give_back import give_back
from orders.verbs.tell import Plan, tell
from tests.orders.clock import overdue
from tests.people import (
    CHITRA,
    make_captain,
    make_captains,
    make_city,
    make_customer,
    make_order,
    make_vehicle,
    tell_them,
    vehicle_ids,
    wish,
)
from tests.races.racing import race, race_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asha():
    make_city()
    return make_customer()


def by_customer(asha):
    return By(Actor.CUSTOMER, asha.id)


def accepting(fleet, offer, ids=None):
    ids = ids or vehicle_ids(fleet)
    return lambda: accept(fleet.owner_id, offer.id, ids)


def kinds(results):
    return sorted(type(result).__name__ for result in results)


@pytest.mark.parametrize("_again", range(3))
def test_two_captains_accept_the_same_truck_at_once_and_one_wins(asha, _again):
    fleets = [make_captain(), make_captain(CHITRA, "Chitra")]
    order = make_order(asha)
    offers = tell_them(order, fleets)
    results = race_for(order, *map(accepting, fleets, offers))
    assert kinds(results) == ["Accepted", "TruckTaken"]
    assert Trip.objects.count() == 1


def test_who_is_too_late_hears_so_without_waiting_for_the_order(asha):
    fleets = [make_captain(), make_captain(CHITRA, "Chitra")]
    order = make_order(asha)
    offer, other = tell_them(order, fleets)
    accept(fleets[0].owner_id, offer.id, vehicle_ids(fleets[0]))
    late = accepting(fleets[1], other)
    with transaction.atomic(durable=True):
        Order.objects.select_for_update(no_key=True).get(id=order.id)
        assert kinds(race(late)) == ["TruckTaken"]


def test_three_trucks_and_ten_captains_make_three_trips(asha):
    fleets = make_captains(10)
    order = make_order(asha, trucks=3)
    offers = tell_them(order, fleets)
    results = race_for(order, *map(accepting, fleets, offers))
    assert kinds(results) == ["Accepted"] * 3 + ["TruckTaken"] * 7
    order.refresh_from_db()
    assert (order.status, order.trucks_filled, Trip.objects.count()) == ("filled", 3, 3)


def test_one_vehicle_accepted_for_two_orders_at_once_wins_one(asha):
    balu, ravi = make_captain(), make_customer("+919000000007", "Ravi")
    orders = [make_order(asha), make_order(ravi)]
    offers = [tell_them(order, [balu])[0] for order in orders]
    results = race_for(balu, *(accepting(balu, offer) for offer in offers))
    assert kinds(results) == ["Accepted", "VehicleBusy"]
    assert Trip.objects.count() == 1


def test_twenty_confirms_with_different_keys_make_one_order(asha):
    results = race(*(lambda k=k: confirm(asha, wish(), f"key-{k}") for k in range(20)))
    assert kinds(results).count("Confirmed") == 1
    assert set(kinds(results)) <= {"Confirmed", "ActiveOrderExists", "ConcurrentRequest"}
    assert Order.objects.count() == 1


def test_twenty_confirms_with_the_same_key_all_name_the_same_order(asha):
    results = race(*(lambda: confirm(asha, wish(), "key-1") for _ in range(20)))
    assert kinds(results) == ["Confirmed"] * 20
    assert len({str(result.order["id"]) for result in results}) == 1
    assert sum(not result.replayed for result in results) == 1


def test_without_the_courtesy_lock_the_constraint_still_lets_one_order_through(asha, settings):
    settings.REDIS_TIMEOUT = 0.01
    from weelo.lib import redis

    redis.breaker._open_until = float("inf")  # as if Redis were away
    try:
        results = race(*(lambda k=k: confirm(asha, wish(), f"key-{k}") for k in range(10)))
    finally:
        redis.breaker._open_until = 0.0
    assert kinds(results) == ["ActiveOrderExists"] * 9 + ["Confirmed"]


def test_accept_and_expiry_in_the_same_millisecond_have_one_outcome(asha):
    balu = make_captain()
    order = make_order(asha)
    (offer,) = tell_them(order, [balu])
    overdue(order)
    results = race_for(order, accepting(balu, offer), lambda: expire(order.id))
    assert isinstance(results[0], refusals.OrderExpired)
    assert order.facts.filter(kind="order_expired").count() == 1, "by whoever was first"
    assert not Trip.objects.exists()


def test_accept_and_cancel_at_once_are_serialised(asha):
    balu = make_captain()
    order = make_order(asha)
    (offer,) = tell_them(order, [balu])
    accepted, cancelled = race_for(
        order,
        accepting(balu, offer),
        lambda: cancel(by_customer(asha), order.id, customer_id=asha.id),
    )
    order.refresh_from_db()
    assert cancelled["status"] == order.status == OrderStatus.CANCELLED
    if isinstance(accepted, Accepted):
        assert order.cancel_fee_paise == 5000
        assert Trip.objects.get().status == TripStatus.CANCELLED
    else:
        assert isinstance(accepted, refusals.OrderCancelled)
        assert order.cancel_fee_paise == 0


def test_a_double_tap_on_accept_wins_once(asha):
    balu = make_captain()
    order = make_order(asha)
    (offer,) = tell_them(order, [balu])
    first, second = race_for(order, *[accepting(balu, offer)] * 2)
    assert first == second
    assert Trip.objects.count() == 1


def test_a_double_tap_on_give_back_gives_back_once(asha):
    balu = make_captain()
    order = make_order(asha)
    (offer,) = tell_them(order, [balu])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    trip = Trip.objects.get()
    race_for(order, *[lambda: give_back(balu.owner_id, trip.id)] * 2)
    assert order.trucks.get().give_backs == 1


def test_two_loops_send_a_wave_once(asha):
    balu = make_captain()
    order = make_order(asha)
    policy = order.city.policies.get()
    plan = Plan(order.id, 1, 0, 5000, policy.id, [], [], "redis", None)
    results = race_for(order, lambda: tell(plan), lambda: tell(plan))
    assert {str(result) for result in results} == {"True", "False"}
    assert order.waves.count() == 1
    assert balu.offers.count() == 0


def test_two_orders_and_one_fleet_with_two_trucks_do_not_deadlock(asha):
    balu, ravi = make_captain(), make_customer("+919000000007", "Ravi")
    make_vehicle(balu)
    one, two = vehicle_ids(balu)
    orders = [make_order(asha), make_order(ravi)]
    first, second = (tell_them(order, [balu])[0] for order in orders)
    results = race(accepting(balu, first, [one]), accepting(balu, second, [two]))
    assert kinds(results) == ["Accepted", "Accepted"]
