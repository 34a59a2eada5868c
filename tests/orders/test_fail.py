"""A trip that broke down with goods on board, and its replacement."""

from datetime import timedelta

import pytest

from orders import refusals
from orders.change import SYSTEM
from orders.models import Trip
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.fail import fail
from tests.orders.clock import overdue
from tests.orders.test_steps import drive, win
from tests.people import make_dispatcher, make_order, make_vehicle, tell_them, vehicle_ids

TTL = timedelta(seconds=60)


@pytest.mark.parametrize("replace", [True, False])
def test_a_trip_that_fails_keeps_its_reason_and_is_replaced_when_asked(asha, balu, replace):
    devi = make_dispatcher()
    order = make_order(asha)
    trip = drive(win(balu, order), "at_pickup", "in_transit")
    overdue(order)
    seen = fail(devi.id, trip.id, "r" * 300, replace=replace)
    assert (seen["id"], seen["status"]) == (
        order.id,
        "broadcasting" if replace else "cancelled",
    )
    trip.refresh_from_db()
    assert (trip.status, trip.reason) == ("failed", "r" * 200)
    fact = order.facts.get(kind="trip_failed")
    assert (fact.by, fact.by_user_id) == ("dispatcher", devi.id)
    order.refresh_from_db()
    assert (order.expires_at == fact.at + TTL) == (order.next_wave_at == fact.at) == replace
    assert order.trucks.count() == 1 + replace


def test_a_failure_past_the_deadline_stores_that_the_other_truck_ran_out(asha, balu):
    order = make_order(asha, trucks=2)
    trip = drive(win(balu, order), "at_pickup", "in_transit")
    overdue(order)
    fail(make_dispatcher().id, trip.id, "axle", replace=True)
    assert sorted(order.trucks.values_list("status", flat=True)) == [
        "expired",
        "failed",
        "searching",
    ]


def test_only_a_trip_with_goods_on_board_fails(asha, balu):
    devi = make_dispatcher()
    trip = win(balu, make_order(asha))
    for status in ("assigned", "cancelled"):
        with pytest.raises(refusals.IllegalStep) as refused:
            fail(devi.id, trip.id, "axle", replace=True)
        assert refused.value.extras == {"allowed": []}
        assert refused.value.detail.startswith(f"The trip is {status};")
        cancel(SYSTEM, trip.order_id)


def test_of_two_trips_the_named_one_fails(asha, balu):
    make_vehicle(balu)
    order = make_order(asha, trucks=2)
    (offer,) = tell_them(order, [balu])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    _, second = Trip.objects.order_by("truck__position")
    drive(second, "at_pickup", "in_transit")
    fail(make_dispatcher().id, second.id, "axle", replace=False)
    assert list(Trip.objects.order_by("truck__position").values_list("status", flat=True)) == [
        "assigned",
        "failed",
    ]
