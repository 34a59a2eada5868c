"""Who wins, who loses, and what both of them hear."""

from datetime import timedelta

import pytest
from django.db import connection

from orders import refusals
from orders.change import By
from orders.models import Actor, Trip
from orders.states import OfferState, OrderStatus, TripStatus, TruckStatus
from orders.verbs.accept import Accepted, accept
from orders.verbs.cancel import cancel
from orders.verbs.drive import set_driver
from orders.verbs.expire import expire
from orders.verbs.give_back import give_back
from orders.verbs.steps import Step, step
from tests.dispatch.drive import look, shift, stand
from tests.orders.clock import overdue
from tests.orders.test_rules import attack, copy_of
from tests.people import (
    make_captains,
    make_driver,
    make_order,
    make_vehicle,
    tell_them,
    vehicle_ids,
)
from tests.races.racing import line_up_for, race_for
from tests.scenarios.story import WAY, drive, heard, names, new_customer, win
from weelo.lib.clock import database_now

at_once = pytest.mark.django_db(transaction=True)


def accepting(fleet, offer, vehicle_id=None, driver=None):
    ids = [vehicle_id or vehicle_ids(fleet)[0]]
    return lambda: accept(fleet.owner_id, offer.id, ids, [driver and driver.id])


def cancelling(order):
    by = By(Actor.CUSTOMER, order.customer_id)
    return lambda: cancel(by, order.id, customer_id=order.customer_id)


def kinds(results):
    return sorted(type(result).__name__ for result in results)


@at_once
def test_02_three_trucks_and_ten_captains_at_once_make_exactly_three_trips(asha):
    fleets = make_captains(10)
    order, other = make_order(asha, trucks=3), make_order(new_customer(), trucks=7)
    offers, later = tell_them(order, fleets), tell_them(other, fleets)
    results = race_for(order, *map(accepting, fleets, offers))
    assert kinds(results) == ["Accepted"] * 3 + ["TruckTaken"] * 7
    order.refresh_from_db()
    assert (order.status, order.trucks_filled, order.trucks_searching) == ("filled", 3, 0)
    assert len(set(Trip.objects.values_list("truck_id", "vehicle_id"))) == 3
    assert sorted(won.trucks_left for won in results if isinstance(won, Accepted)) == [0, 1, 2]
    losers = [n for n, result in enumerate(results) if isinstance(result, refusals.TruckTaken)]
    for n in losers:
        accepting(fleets[n], later[n])()
    other.refresh_from_db()
    assert (other.status, other.trucks_filled) == ("filled", 7)


# --- 4: one driver ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["assigned", *WAY[:-1]])
def test_04_a_driver_on_a_live_trip_cannot_have_another_also_while_standing_at_the_drop(
    asha, balu, status
):
    driver = make_driver(balu, "+919000000005")
    make_vehicle(balu)
    order, other = make_order(asha), make_order(new_customer(), trucks=2)
    tell_them(order, [balu])
    (offer,) = tell_them(other, [balu])
    trip = win(order, balu, driver=driver)
    drive(trip, *WAY[: WAY.index(status) + 1 if status in WAY else 0])
    assert trip.status == status
    vehicle = vehicle_ids(balu)[1]
    with pytest.raises(refusals.DriverBusy):
        accepting(balu, offer, vehicle, driver)()
    second = win(other, balu, vehicle)
    with pytest.raises(refusals.DriverBusy):
        set_driver(balu.owner_id, second.id, driver.id)
    # And whatever the code does, the database refuses.
    rule = attack("UPDATE orders_trip SET driver_id = %s WHERE id = %s", driver.id, second.id)
    assert rule == "one_live_trip_per_driver"
    free, third = other.trucks.get(status="searching"), make_vehicle(balu)
    changes = {"truck_id": free.id, "vehicle_id": third.id, "order_id": other.id}
    changes["status"] = "assigned"
    quoted = {name: f"'{value}'" for name, value in changes.items()}
    assert attack(copy_of("orders_trip", trip.id, **quoted)) == "one_live_trip_per_driver"
    drive(trip, *WAY[WAY.index(status) + 1 if status in WAY else 0 :])
    assert set_driver(balu.owner_id, second.id, driver.id)["driver"]["phone"] == driver.phone


@at_once
def test_04_a_driver_named_for_two_trips_at_once_gets_one(asha, balu):
    driver = make_driver(balu, "+919000000005")
    make_vehicle(balu)
    orders = [make_order(asha), make_order(new_customer())]
    offers = [tell_them(order, [balu])[0] for order in orders]
    taps = [
        accepting(balu, offer, vehicle_id, driver)
        for offer, vehicle_id in zip(offers, vehicle_ids(balu), strict=True)
    ]
    assert kinds(race_for(balu, *taps)) == ["Accepted", "DriverBusy"]
    assert Trip.objects.count() == 1


# --- 13: accept and expiry ----------------------------------------------------------------------

# How many milliseconds after the deadline the order is let go of.
AROUND = [-200, -200, -5, -2, -1, 0, 1, 2, 5, 60]


def let_the_deadline_come(order, ms):
    """While the order is held: its deadline is near, and `ms` after it the order is let go of."""
    overdue(order, seconds=-0.25)
    order.refresh_from_db()
    until = order.expires_at + timedelta(milliseconds=ms)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep_until(%s)", [until])


def accept_and_expire(ms):
    """Both wait for an order whose deadline is nearing; returns whether the accept won."""
    ravi, (balu,) = new_customer(), make_captains(1)
    order = make_order(ravi)
    (offer,) = tell_them(order, [balu])
    accepted, expired = race_for(
        order,
        accepting(balu, offer),
        lambda: expire(order.id),
        then=lambda: let_the_deadline_come(order, ms),
    )
    has_won = isinstance(accepted, Accepted)
    if not has_won:
        assert isinstance(
            accepted, refusals.OrderExpired
        )  # whoever of the two came first stored it
    else:
        assert expired is False
    is_consistent(order, ravi, balu, has_won)
    return has_won


def is_consistent(order, ravi, balu, has_won):
    order.refresh_from_db()
    assert order.status == (OrderStatus.FILLED if has_won else OrderStatus.EXPIRED)
    assert [trip.won_at < order.expires_at for trip in order.trips.all()] == [True] * has_won
    assert has_won or order.ended_at >= order.expires_at
    customer, captain = heard(ravi, order), heard(balu, order)
    assert names(customer).count("truck_assigned") == has_won
    assert names(customer).count("order_expired") == (not has_won)
    assert ("trip_changed" in names(captain)) == has_won
    dismissed = [data["reason"] for name, data in captain if name == "broadcast_dismissed"]
    assert dismissed == ["FILLED" if has_won else "EXPIRED"]


@at_once
def test_13_accept_and_expiry_in_the_same_millisecond_have_one_outcome_told_to_both(asha):
    outcomes = {accept_and_expire(ms) for ms in AROUND}
    assert outcomes == {True, False}


# --- 14: accept and cancel ----------------------------------------------------------------------


@at_once
@pytest.mark.parametrize("_again", range(2))
def test_14_cancel_comes_first_and_the_captain_hears_that_the_order_was_cancelled(
    asha, balu, _again
):
    order, other = make_order(asha), make_order(new_customer())
    (offer,), (later,) = tell_them(order, [balu]), tell_them(other, [balu])
    cancelled, accepted = line_up_for(order, cancelling(order), accepting(balu, offer))
    assert isinstance(accepted, refusals.OrderCancelled)
    assert (accepted.code, accepted.status) == ("ORDER_CANCELLED", 410)
    assert (cancelled["status"], cancelled["cancel_fee_paise"]) == ("cancelled", 0)
    assert not Trip.objects.exists()
    accepting(balu, later)()


@at_once
@pytest.mark.parametrize("_again", range(2))
def test_14_accept_comes_first_and_the_cancel_applies_the_next_stage_and_frees_the_vehicle(
    asha, balu, _again
):
    order, other = make_order(asha), make_order(new_customer())
    (offer,), (later,) = tell_them(order, [balu]), tell_them(other, [balu])
    accepted, cancelled = line_up_for(order, accepting(balu, offer), cancelling(order))
    assert isinstance(accepted, Accepted)
    assert (cancelled["status"], cancelled["cancel_fee_paise"]) == ("cancelled", 50_00)
    assert Trip.objects.get().status == TripStatus.CANCELLED
    assert names(heard(balu, order))[-2:] == ["trip_changed", "order_cancelled"]
    accepting(balu, later)()


@at_once
def test_14_accept_and_cancel_at_once_have_no_third_outcome(asha):
    for _ in range(6):
        ravi, (balu,) = new_customer(), make_captains(1)
        order = make_order(ravi)
        (offer,) = tell_them(order, [balu])
        accepted, cancelled = race_for(order, accepting(balu, offer), cancelling(order))
        has_won = isinstance(accepted, Accepted)
        assert has_won or isinstance(accepted, refusals.OrderCancelled)
        assert cancelled["status"] == "cancelled"
        assert cancelled["cancel_fee_paise"] == (50_00 if has_won else 0)
        assert order.trips.filter(status=TripStatus.CANCELLED).count() == has_won


# --- 42: given back after it was filled --------------------------------------------------------


def test_42_a_truck_given_back_after_the_order_was_filled_is_offered_again_to_all_but_the_giver(
    asha,
):
    fleets = make_captains(5, vehicles=2)
    for n, fleet in enumerate(fleets):
        stand(fleet, 1000 + 100 * n)
    order = make_order(asha)
    look()
    for times, giver in enumerate(fleets[:4], 1):
        trip = win(order, giver)
        order.refresh_from_db()
        assert (order.status, order.next_wave_at) == (OrderStatus.FILLED, None)
        shift(order, 600)  # its time to seek is long over
        give_back(giver.owner_id, trip.id, "flat tyre")
        order.refresh_from_db()
        truck = order.trucks.get()
        assert truck.give_backs == times
        assert order.offers.get(transporter=giver).state == OfferState.GIVEN_BACK
        if times < 4:
            seeks_again(order, truck, fleets, times)
    assert (truck.status, order.status) == (TruckStatus.EXPIRED, OrderStatus.EXPIRED)
    assert names(heard(asha)).count("order_expired") == 1
    assert order.reason == "NO_CAPTAIN_ACCEPTED"
    # The fourth time nobody hears of it again, and nobody is on a trip.
    assert again_heard(fleets[4], order) == 3
    assert not Trip.objects.exclude(status=TripStatus.CANCELLED).exists()


def seeks_again(order, truck, fleets, times):
    """Everybody told before but the givers hears again, also when the next wave has gone out."""
    assert (truck.status, order.status) == (TruckStatus.SEARCHING, OrderStatus.BROADCASTING)
    assert order.is_seeking(database_now())
    shift(order, 1)
    look()
    for fleet in fleets[:times]:
        assert fleet.offers.get().state == OfferState.GIVEN_BACK
        assert names(heard(fleet, order))[-1] == "trip_changed"
        with pytest.raises(refusals.OfferClosed):
            accept(fleet.owner_id, fleet.offers.get().id, vehicle_ids(fleet)[1:])
    for fleet in fleets[times:]:
        assert again_heard(fleet, order) == times
        assert heard(fleet, order)[-1][1]["again"] is True


def again_heard(fleet, order):
    """How often a captain heard of the order again."""
    events = heard(fleet, order)
    return sum(name == "new_broadcast" and data["again"] for name, data in events)


@pytest.mark.parametrize("way", [(), ("en_route_pickup",), ("en_route_pickup", "at_pickup")])
def test_42_a_truck_is_given_back_from_any_step_before_the_goods_are_on_board(
    asha, balu, chitra, way
):
    order = make_order(asha)
    tell_them(order, [balu, chitra])
    trip = win(order, balu)
    drive(trip, *way)
    give_back(balu.owner_id, trip.id)
    assert again_heard(chitra, order) == 1
    drive(win(order, chitra), *WAY)
    order.refresh_from_db()
    assert (order.status, order.payable_paise) == (OrderStatus.COMPLETED, order.fare_paise)
    with pytest.raises(refusals.IllegalStep):
        step(balu.owner, trip.id, Step("at_pickup"))
