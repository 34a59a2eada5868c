"""Giving a truck back: what seeks again, and for how long."""

from datetime import timedelta

import pytest

from orders import refusals
from orders.models import Trip
from orders.verbs.accept import accept
from orders.verbs.give_back import give_back
from tests.orders.clock import overdue
from tests.orders.test_steps import drive, win
from tests.people import make_order, make_vehicle, tell_them, vehicle_ids
from weelo.lib.problems import NotFound

TTL = timedelta(seconds=60)


def seeks_from(order, fact):
    order.refresh_from_db()
    return (order.expires_at, order.seeking_since, order.next_wave_at) == (
        fact.at + TTL,
        fact.at,
        fact.at,
    )


def test_a_truck_given_back_seeks_for_a_whole_ttl_from_now(asha, balu):
    order = make_order(asha)
    trip = win(balu, order)
    overdue(order)
    seen = give_back(balu.owner_id, trip.id, "r" * 300)
    assert (seen["id"], seen["status"]) == (trip.id, "cancelled")
    assert seeks_from(order, order.facts.get(kind="truck_searching"))
    trip.refresh_from_db()
    assert trip.reason == "r" * 200


def test_a_give_back_past_the_deadline_stores_that_the_other_truck_ran_out(asha, balu):
    order = make_order(asha, trucks=2)
    trip = win(balu, order)
    overdue(order)
    give_back(balu.owner_id, trip.id)
    assert sorted(order.trucks.values_list("status", flat=True)) == ["expired", "searching"]


def test_the_offer_is_given_back_once_and_keeps_when(asha, balu):
    make_vehicle(balu)
    order = make_order(asha, trucks=2)
    (offer,) = tell_them(order, [balu])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    for trip in Trip.objects.order_by("truck__position"):
        give_back(balu.owner_id, trip.id)
    offer.refresh_from_db()
    fact = order.facts.get(kind="offer_given_back")
    assert (offer.state, offer.answered_at) == ("given_back", fact.at)
    with pytest.raises(refusals.OfferClosed):
        accept(balu.owner_id, offer.id, vehicle_ids(balu))


@pytest.mark.parametrize(("before", "status"), [(2, "searching"), (3, "expired")])
def test_only_the_fourth_give_back_of_a_truck_ends_it(asha, balu, before, status):
    order = make_order(asha)
    order.trucks.update(give_backs=before)
    trip = win(balu, order)
    give_back(balu.owner_id, trip.id)
    truck = order.trucks.get()
    assert (truck.status, truck.give_backs) == (status, before + 1)
    trip.refresh_from_db()
    assert trip.reason == ""


def test_goods_on_board_do_not_go_back_and_nothing_else_is_allowed_instead(asha, balu, chitra):
    trip = win(balu, make_order(asha))
    with pytest.raises(NotFound):
        give_back(chitra.owner_id, trip.id)
    drive(trip, "at_pickup", "in_transit")
    with pytest.raises(refusals.IllegalStep) as refused:
        give_back(balu.owner_id, trip.id)
    assert refused.value.extras == {"allowed": []}
