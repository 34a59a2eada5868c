"""From a won truck to its end, whatever the end is, and what is free again afterwards."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.urls import reverse

from orders.change import By
from orders.models import Actor, Trip, TruckRequest
from orders.states import TRIP, OfferState, OrderStatus, TripStatus, TruckStatus
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.decline import decline
from orders.verbs.expire import expire
from orders.verbs.fail import fail
from orders.verbs.give_back import give_back
from tests.dispatch.drive import shift
from tests.orders.clock import overdue
from tests.people import (
    make_captains,
    make_dispatcher,
    make_driver,
    make_order,
    tell_them,
    vehicle_ids,
)
from tests.races.racing import end_waiting, race_for
from tests.scenarios.story import WAY, drive, heard, names, new_customer, win
from weelo.events.models import Stream
from weelo.lib.clock import database_now
from weelo.lib.ids import short_id

at_once = pytest.mark.django_db(transaction=True)


@pytest.fixture
def driver(balu):
    return make_driver(balu, "+919000000005")


def by_customer(order):
    return {"by": By(Actor.CUSTOMER, order.customer_id), "customer_id": order.customer_id}


# --- 15: free again in the same transaction ---------------------------------------------------


def give_back_for_the_fourth_time(trip):
    """Three others have given the truck back before."""
    order = trip.order
    give_back(trip.transporter.owner_id, trip.id)
    others = make_captains(3)
    tell_them(order, others)
    for other in others:
        given = win(order, other)
        give_back(other.owner_id, given.id)
    assert TruckRequest.objects.get(id=given.truck_id).status == TruckStatus.EXPIRED
    return given


def complete(trip):
    drive(trip, *WAY)


def break_down(trip):
    drive(trip, *WAY[1:3])
    fail(make_dispatcher().id, trip.id, "axle", replace=True)


ENDS = {
    "given back": lambda trip: give_back(trip.transporter.owner_id, trip.id),
    "given back at the pickup": lambda trip: (
        drive(trip, "at_pickup"),
        give_back(trip.transporter.owner_id, trip.id),
    ),
    "order cancelled": lambda trip: cancel(order_id=trip.order_id, **by_customer(trip.order)),
    "truck cancelled": lambda trip: cancel(
        order_id=trip.order_id, truck_id=trip.truck_id, **by_customer(trip.order)
    ),
    "completed": complete,
    "broken down": break_down,
}


def written_by(table, row_id):
    """The transaction that wrote a row last."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT xmin::text FROM {table} WHERE id = %s", [row_id])
        return cursor.fetchone()[0]


def can_win_again(fleet, driver, offer):
    """The same vehicle and driver take another order at once."""
    won = accept(fleet.owner_id, offer.id, vehicle_ids(fleet), [driver and driver.id])
    assert [trip["status"] for trip in won.trips] == ["assigned"]


@at_once
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_15_vehicle_and_driver_are_free_in_the_transaction_that_ends_the_trip(
    asha, balu, driver, end
):
    order, other = make_order(asha), make_order(new_customer())
    tell_them(order, [balu])
    (later,) = tell_them(other, [balu])
    trip = win(order, balu, driver=driver)
    end(trip)
    fact = trip.order.facts.filter(subject="trip", subject_id=trip.id).latest("id")
    trip.refresh_from_db()
    assert trip.status == fact.to_status and trip.status in TRIP.terminal
    one = written_by("orders_trip", trip.id)
    assert written_by("orders_truckrequest", trip.truck_id) == one
    assert written_by("orders_order", order.id) == written_by("orders_fact", fact.id) == one
    can_win_again(balu, driver, later)


@at_once
def test_15_the_fourth_give_back_ends_the_truck_and_frees_the_vehicle_in_one_transaction(
    asha, balu
):
    order, other = make_order(asha), make_order(new_customer())
    tell_them(order, [balu])
    trip = give_back_for_the_fourth_time(win(order, balu))
    (later,) = tell_them(other, [trip.transporter])
    one = written_by("orders_trip", trip.id)
    assert written_by("orders_truckrequest", trip.truck_id) == one
    assert written_by("orders_order", order.id) == one
    can_win_again(trip.transporter, None, later)


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (lambda order, offer: decline(offer.transporter.owner_id, offer.id), OfferState.DECLINED),
        (lambda order, offer: (overdue(order), expire(order.id)), OfferState.CLOSED),
    ],
    ids=["declined", "expired"],
)
def test_15_an_offer_that_was_declined_or_expired_holds_no_vehicle(asha, balu, driver, end, state):
    order, other = make_order(asha), make_order(new_customer())
    (offer,), (later,) = tell_them(order, [balu]), tell_them(other, [balu])
    end(order, offer)
    offer.refresh_from_db()
    assert offer.state == state
    can_win_again(balu, driver, later)


def every_row():
    """The rows of an order and its messages as the database has them."""
    tables = ("order", "truckrequest", "offer", "trip", "wave", "fact")
    with connection.cursor() as cursor:
        for table in (*(f"orders_{name}" for name in tables), "events_stream", "events_event"):
            cursor.execute(f"SELECT to_jsonb(row) FROM {table} row ORDER BY row.id::text")
            yield table, cursor.fetchall()


def at_drop(trip):
    drive(trip, *WAY[:4])


# What has to be done before, and what is cut off by a crash.
CUT_OFF = {
    "accept": (
        lambda order, fleet, driver: None,
        lambda order, fleet, driver: win(order, fleet, driver=driver),
    ),
    "give-back": (win, lambda order, fleet, driver: ENDS["given back"](order.trips.get())),
    "cancel": (win, lambda order, fleet, driver: ENDS["order cancelled"](order.trips.get())),
    "completion": (
        lambda order, fleet, driver: at_drop(win(order, fleet, driver=driver)),
        lambda order, fleet, driver: drive(order.trips.get(), "completed"),
    ),
    "expiry": (lambda order, fleet, driver: overdue(order), lambda order, *_: expire(order.id)),
}


@at_once
@pytest.mark.parametrize(("before", "verb"), CUT_OFF.values(), ids=CUT_OFF)
def test_15_a_crash_between_leaves_everything_as_it_was_and_the_verb_to_be_repeated(
    asha, balu, driver, before, verb
):
    order = make_order(asha)
    tell_them(order, [balu])
    before(order, balu, driver=driver)
    rows = dict(every_row())
    stream = Stream.objects.get(user=asha)  # the messages are a verb's last statement
    (crashed,) = race_for(stream, lambda: verb(order, balu, driver), then=end_waiting)
    assert isinstance(crashed, OperationalError)
    assert dict(every_row()) == rows
    verb(order, balu, driver)
    assert dict(every_row()) != rows


# --- 16: a captain who never moves ------------------------------------------------------------


def test_16_a_dispatcher_sees_a_captain_who_accepted_and_never_moves(asha, balu, driver, desk):
    order = make_order(asha)
    tell_them(order, [balu])
    trip = win(order, balu, driver=driver)
    Trip.objects.update(won_at=trip.won_at - timedelta(minutes=47))
    orders = desk.get(reverse("admin:orders_order_changelist")).content.decode()
    for shown in (short_id(order.id), "Filled", "Asha +919000000001", "1 of 1"):
        assert shown in orders
    listed = desk.get(reverse("admin:orders_trip_changelist"), {"status__exact": "assigned"})
    page = listed.content.decode()
    for shown in (short_id(trip.id), "Assigned", trip.vehicle.registration, "Dinesh", "47 min"):
        assert shown in page
    drive(trip, "at_pickup")
    listed = desk.get(reverse("admin:orders_trip_changelist"), {"status__exact": "assigned"})
    assert short_id(trip.id) not in listed.content.decode()


# --- 32: steps --------------------------------------------------------------------------------

# From each step, where it may go next; anything else is refused, and itself is no news.
NEXT = {
    "assigned": ["at_pickup", "en_route_pickup"],
    "en_route_pickup": ["at_pickup"],
    "at_pickup": ["in_transit"],
    "in_transit": ["at_drop"],
    "at_drop": ["completed"],
    "completed": [],
}


@pytest.mark.parametrize("here", NEXT)
def test_32_a_step_is_taken_once_and_forward_the_same_again_is_no_news_and_a_step_back_refused(
    asha, balu, phone, here
):
    order = make_order(asha)
    tell_them(order, [balu])
    trip = win(order, balu)
    drive(trip, *WAY[: list(NEXT).index(here)])
    line = phone(balu)

    def take(status):
        proof = {"kind": "code", "code": trip.drop_code}
        body = {"status": status, "start_code": trip.start_code, "proof": proof}
        return line.post(f"trips/{trip.id}/status", body)

    before = order.facts.count(), heard(asha), heard(balu)
    for status in TripStatus.values:
        answer = take(status) if status not in NEXT[here] else None
        if status == here:
            assert (answer.status_code, answer.body["status"]) == (200, here)
            assert [s["status"] for s in answer.body["steps"]] == [s["status"] for s in trip.steps]
        elif answer:
            assert (answer.status_code, answer.body["code"]) == (409, "ILLEGAL_MOVE")
            assert answer.body["allowed"] == NEXT[here]
    assert (order.facts.count(), heard(asha), heard(balu)) == before
    for status in NEXT[here][-1:]:
        assert take(status).body["status"] == status


# --- 41: a breakdown --------------------------------------------------------------------------


@pytest.fixture
def broken_down(asha, balu, chitra, driver, desk):
    """A dispatcher has failed the trip of a truck in transit; a replacement is sought."""
    order = make_order(asha)
    tell_them(order, [balu, chitra])
    trip = win(order, balu, driver=driver)
    drive(trip, *WAY[:3])
    shift(order, 7200)  # its time to seek is long over
    page = reverse("admin:orders_trip_fail", args=[trip.id])
    assert desk.post(page, {"replace": "on"}).status_code == 200, "without a reason it asks again"
    trip.refresh_from_db()
    assert trip.status == TripStatus.IN_TRANSIT
    assert desk.post(page, {"reason": "axle broken", "replace": "on"}).status_code == 302
    trip.refresh_from_db()
    order.refresh_from_db()
    return order, trip


def test_41_a_truck_that_breaks_down_in_transit_is_replaced_and_the_goods_arrive(
    asha, balu, chitra, driver, broken_down
):
    order, trip = broken_down
    assert (trip.status, trip.reason) == (TripStatus.FAILED, "axle broken")
    fact = order.facts.get(kind="trip_failed")
    assert (fact.by, fact.by_user.username) == ("dispatcher", "devi")
    new = order.trucks.get(replaces=trip.truck)
    assert (new.status, new.fare_paise) == (TruckStatus.SEARCHING, trip.truck.fare_paise)
    assert (order.status, order.trucks_wanted, order.trucks_filled) == ("broadcasting", 1, 0)
    assert order.is_seeking(database_now()) and order.next_wave_at == order.seeking_since
    told = [data for name, data in heard(chitra) if name == "new_broadcast"]
    assert [data["again"] for data in told] == [False, True]
    seen = [data["status"] for name, data in heard(asha) if name == "trip_changed"]
    assert seen[-1] == "failed"
    free_to_work(balu, driver)
    second = win(order, chitra)
    drive(second, *WAY)
    order.refresh_from_db()
    assert order.status == OrderStatus.COMPLETED
    assert order.payable_paise == order.fare_paise == second.truck.fare_paise
    make_order(asha)
    free_to_work(chitra)


def test_41_when_no_replacement_is_found_customer_and_vehicle_are_free_all_the_same(
    asha, balu, driver, broken_down
):
    order, _ = broken_down
    overdue(order)
    assert expire(order.id)
    order.refresh_from_db()
    assert (order.status, order.payable_paise) == (OrderStatus.EXPIRED, 0)
    assert names(heard(asha)).count("order_expired") == 1
    make_order(asha)
    free_to_work(balu, driver)


def free_to_work(fleet, driver=None):
    order = make_order(new_customer())
    (offer,) = tell_them(order, [fleet])
    can_win_again(fleet, driver, offer)


def test_41_only_a_dispatcher_fails_a_trip(asha, balu, phone):
    order = make_order(asha)
    tell_them(order, [balu])
    trip = win(order, balu)
    drive(trip, *WAY[:3])
    refused = phone(balu).post(f"trips/{trip.id}/status", {"status": "failed"})
    assert (refused.status_code, refused.body["code"]) == (409, "ILLEGAL_MOVE")
