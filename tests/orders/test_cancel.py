"""Cancelling an order or a truck of it: who pays what, and who hears of it."""

import uuid

import pytest

from orders import refusals
from orders.change import SYSTEM, By
from orders.models import Actor, Trip
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from tests.orders.clock import overdue
from tests.orders.test_steps import drive
from tests.people import make_order, tell_them, vehicle_ids
from weelo.events.models import Event
from weelo.lib.problems import NotFound


@pytest.fixture
def order(asha, balu, chitra):
    """Two trucks, both won, by Balu and by Chitra."""
    order = make_order(asha, trucks=2)
    for fleet, offer in zip((balu, chitra), tell_them(order, [balu, chitra]), strict=True):
        accept(fleet.owner_id, offer.id, vehicle_ids(fleet))
    return order


def by(asha):
    return By(Actor.CUSTOMER, asha.id)


def told(fleet, name):
    events = Event.objects.filter(stream__user=fleet.owner, name=name)
    return [event.data for event in events.order_by("seq")]


def fees(order):
    order.refresh_from_db()
    return order.cancel_fee_paise, order.captain_share_paise


def test_each_cancelled_truck_adds_its_fee_and_its_captain_alone_hears(order, asha, balu, chitra):
    first, second = order.trucks.order_by("position")
    seen = cancel(by(asha), order.id, truck_id=first.id, reason="one is enough")
    assert (seen["status"], fees(order)) == ("filled", (5000, 4500))
    assert told(chitra, "order_cancelled") == []
    (heard,) = told(balu, "order_cancelled")
    assert heard["reason"] == "one is enough"
    cancel(by(asha), order.id, truck_id=second.id)
    assert fees(order) == (10000, 9000)
    assert order.status == "cancelled"
    facts = order.facts.filter(kind="cancel_fee_recorded").order_by("id")
    assert [fact.data for fact in facts] == [
        {"cancel_fee_paise": 5000, "captain_share_paise": 4500},
        {"cancel_fee_paise": 10000, "captain_share_paise": 9000},
    ]


def test_the_reason_stays_with_the_trips(order, asha):
    cancel(by(asha), order.id, reason="r" * 300)
    assert set(Trip.objects.values_list("status", "reason")) == {("cancelled", "r" * 200)}


def test_a_dispatcher_cancels_without_a_fee(order):
    cancel(SYSTEM, order.id, with_fee=False, reason="storm")
    assert fees(order) == (0, 0)
    assert order.status == "cancelled"
    assert not order.facts.filter(kind="cancel_fee_recorded").exists()


def test_a_reason_of_blanks_is_none(order, asha, balu):
    drive(Trip.objects.get(transporter=balu), "at_pickup")
    with pytest.raises(refusals.ReasonRequired):
        cancel(by(asha), order.id, reason="  ")


def test_one_truck_on_its_way_holds_the_whole_order_but_not_the_other_truck(order, asha, balu):
    trip = drive(Trip.objects.get(transporter=balu), "at_pickup", "in_transit")
    with pytest.raises(refusals.CannotCancel) as refused:
        cancel(by(asha), order.id)
    assert refused.value.extras == {"order_id": str(order.id)}
    other = order.trucks.exclude(id=trip.truck_id).get()
    cancel(by(asha), order.id, truck_id=other.id)
    assert fees(order) == (5000, 4500)
    assert order.status == "in_progress"


def test_a_truck_of_another_order_is_not_found(order, asha):
    with pytest.raises(NotFound):
        cancel(by(asha), order.id, truck_id=uuid.uuid4())


def test_offers_are_closed_as_cancelled(asha, balu):
    order = make_order(asha)
    (offer,) = tell_them(order, [balu])
    cancel(by(asha), order.id)
    offer.refresh_from_db()
    assert (offer.state, offer.close_reason) == ("closed", "CANCELLED")


def test_what_ran_out_or_was_delivered_is_not_cancelled_and_the_answer_says_which(
    asha, balu, chitra
):
    order = make_order(asha)
    (offer,) = tell_them(order, [balu])
    overdue(order)
    with pytest.raises(refusals.CannotCancel) as refused:
        cancel(by(asha), order.id)
    assert "ran out" in refused.value.detail
    order = make_order(asha)
    (offer,) = tell_them(order, [chitra])
    accept(chitra.owner_id, offer.id, vehicle_ids(chitra))
    drive(Trip.objects.get(), "at_pickup", "in_transit", "at_drop", "completed")
    with pytest.raises(refusals.CannotCancel) as refused:
        cancel(by(asha), order.id)
    assert refused.value.detail == "The order is completed; there is nothing left to cancel."
