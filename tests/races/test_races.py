"""Who comes at the same instant: one outcome, and the same one for everybody."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from orders import refusals
from orders.change import By
from orders.models import Actor, Order
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.confirm import confirm
from orders.verbs.tell import Plan, tell
from tests.people import (
    CHITRA,
    make_captain,
    make_city,
    make_customer,
    make_order,
    make_vehicle,
    tell_them,
    vehicle_ids,
    wish,
)
from tests.races.racing import race, race_for, wait_for_waiters

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asha():
    make_city()
    return make_customer()


def accepting(fleet, offer, ids=None):
    ids = ids or vehicle_ids(fleet)
    return lambda: accept(fleet.owner_id, offer.id, ids)


def kinds(results):
    return sorted(type(result).__name__ for result in results)


def test_who_is_too_late_hears_so_without_waiting_for_the_order(asha):
    fleets = [make_captain(), make_captain(CHITRA, "Chitra")]
    order = make_order(asha)
    offer, other = tell_them(order, fleets)
    accept(fleets[0].owner_id, offer.id, vehicle_ids(fleets[0]))
    late = accepting(fleets[1], other)
    with transaction.atomic(durable=True):
        Order.objects.select_for_update(no_key=True).get(id=order.id)
        assert kinds(race(late)) == ["TruckTaken"]


def test_a_confirm_that_meets_its_own_key_in_another_place_gives_that_order(asha):
    asha.max_active_orders = 2
    asha.save()
    order = make_order(asha, key="key-0")
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(durable=True):
            change_unseen(order, "idempotency_key", "key-1")
            racing = pool.submit(race, lambda: confirm(asha, wish(), "key-1"))
            assert wait_for_waiters(1) == 1
        (result,) = racing.result(20)
    assert (result.replayed, result.order["id"]) == (True, order.id)
    assert Order.objects.count() == 1


def test_a_confirm_whose_place_was_taken_and_is_free_again_is_to_be_sent_again(asha):
    asha.max_active_orders = 2
    asha.save()
    first, order = make_order(asha), make_order(asha)
    cancel(By(Actor.CUSTOMER, asha.id), first.id)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(durable=True):
            change_unseen(order, "slot", 1)
            racing = pool.submit(race, lambda: confirm(asha, wish(), "key-1"))
            assert wait_for_waiters(1) == 1
        (refusal,) = racing.result(20)
    assert isinstance(refusal, refusals.ConcurrentRequest)
    assert refusal.headers == {"Retry-After": "1"}


def change_unseen(order, column, value):
    """In the caller's transaction, as if another process were about to commit it."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # both are frozen
        cursor.execute(f"UPDATE orders_order SET {column} = %s WHERE id = %s", [value, order.id])
        cursor.execute("SET LOCAL session_replication_role = origin")


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
