"""Accepting: the first to accept wins."""

import uuid
from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import refusals
from orders.change import By
from orders.models import Actor, Trip
from orders.states import OfferState, OrderStatus, TripStatus
from orders.verbs.accept import Accepted, _has_lost, accept, four_digits
from orders.verbs.cancel import cancel
from orders.verbs.decline import decline
from orders.verbs.expire import expire
from orders.verbs.give_back import give_back
from tests.orders.clock import overdue
from tests.people import (
    make_captain,
    make_customer,
    make_driver,
    make_order,
    make_vehicle,
    tell_them,
    vehicle_ids,
)
from transporters import fleet as fleets
from transporters.models import Kyc, Transporter
from weelo.lib.problems import NotFound, Refusal
from weelo.lib.wire import rfc3339


def test_the_first_to_accept_wins_and_everyone_hears_of_it(asha, balu, chitra, heard):
    order = make_order(asha)
    offer, other = tell_them(order, [balu, chitra])
    won = accept(balu.owner_id, offer.id, vehicle_ids(balu))
    order.refresh_from_db()
    assert (order.status, order.trucks_filled, won.trucks_left) == (OrderStatus.FILLED, 1, 0)
    assert heard(asha) == [
        "order_created",
        "captains_told",
        "trucks_remaining_update",
        "truck_assigned",
        "order_status_changed",
    ]
    assert heard(chitra) == ["new_broadcast", "broadcast_dismissed"]
    assert heard(balu) == ["new_broadcast", "broadcast_dismissed", "trip_changed"]
    other.refresh_from_db()
    assert (other.state, other.close_reason) == (OfferState.CLOSED, "FILLED")
    with pytest.raises(refusals.TruckTaken):
        accept(chitra.owner_id, other.id, vehicle_ids(chitra))


def statements_of(do):
    with CaptureQueriesContext(connection) as queries:
        do()
    ends = ("SAVEPOINT", "RELEASE", "ROLLBACK")
    return [q["sql"] for q in queries if not q["sql"].startswith(ends)]


def test_an_accept_takes_seven_statements(asha, balu):
    (offer,) = tell_them(make_order(asha), [balu])
    ids = vehicle_ids(balu)
    statements = statements_of(lambda: accept(balu.owner_id, offer.id, ids))
    assert len(statements) == 7, "\n\n".join(statements)


def test_who_is_too_late_costs_two_statements(asha, balu, chitra):
    offer, other = tell_them(make_order(asha), [balu, chitra])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    ids = vehicle_ids(chitra)

    def too_late():
        with pytest.raises(refusals.TruckTaken):
            accept(chitra.owner_id, other.id, ids)

    assert len(statements_of(too_late)) == 2


def suspended(chitra, **_):
    Transporter.objects.filter(id=chitra.id).update(kyc_status=Kyc.SUSPENDED)


def busy(asha, chitra, **_):
    (offer,) = tell_them(make_order(make_customer("+919000000007", "Ravi")), [chitra])
    accept(chitra.owner_id, offer.id, vehicle_ids(chitra))


def out_of_service(chitra, **_):
    chitra.vehicles.update(in_service=False)


def papers_expired(chitra, **_):
    chitra.vehicles.update(puc_expires_on=date(2020, 1, 1))


def cancelled(asha, order, **_):
    cancel(By(Actor.CUSTOMER, asha.id), order.id)


def given_back(balu, **_):
    give_back(balu.owner_id, Trip.objects.get().id)


def nothing(**_):
    pass


@pytest.mark.parametrize(
    ("meanwhile", "answer"),
    [
        (nothing, refusals.TruckTaken),
        (suspended, refusals.NotVerified),
        (busy, refusals.VehicleBusy),
        (out_of_service, refusals.WrongVehicle),
        (papers_expired, refusals.WrongVehicle),
        (cancelled, refusals.OrderCancelled),
        (given_back, Accepted),
    ],
)
def test_who_is_too_late_hears_what_the_verb_would_say_under_the_lock(
    asha, balu, chitra, meanwhile, answer, monkeypatch
):
    order = make_order(asha)
    offer, other = tell_them(order, [balu, chitra])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    meanwhile(asha=asha, balu=balu, chitra=chitra, order=order)
    call = (chitra.owner_id, other.id, vehicle_ids(chitra))
    assert _has_lost(*call) == (answer is refusals.TruckTaken)
    monkeypatch.setattr("orders.verbs.accept._has_lost", lambda *_: False)
    try:
        outcome = accept(*call)
    except Refusal as refusal:
        outcome = refusal
    assert type(outcome) is answer


@pytest.mark.parametrize("whose", ["of a wrong type", "another's", "twice the same"])
def test_who_is_too_late_with_wrong_vehicles_hears_of_the_vehicles(asha, balu, chitra, whose):
    tipper = make_vehicle(chitra, "tipper-20-24-t")
    offer, other = tell_them(make_order(asha), [balu, chitra])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    own = vehicle_ids(chitra)[0]
    ids = {
        "of a wrong type": [own, tipper.id],
        "another's": [own, make_vehicle(make_captain("+919000000004", "Dev")).id],
        "twice the same": [own, own],
    }[whose]
    with pytest.raises(refusals.WrongVehicle):
        accept(chitra.owner_id, other.id, ids)


def test_an_offer_to_another_is_not_found_also_when_it_is_too_late(asha, balu, chitra):
    offer, other = tell_them(make_order(asha), [balu, chitra])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    with pytest.raises(NotFound):
        accept(balu.owner_id, other.id, vehicle_ids(chitra))


def test_the_same_vehicles_again_give_the_same_trips(asha, balu):
    (offer,) = tell_them(make_order(asha), [balu])
    first = accept(balu.owner_id, offer.id, vehicle_ids(balu))
    assert accept(balu.owner_id, offer.id, vehicle_ids(balu)) == first
    assert Trip.objects.count() == 1


def test_a_fleet_wins_as_many_trucks_as_are_left_in_the_order_asked(asha, balu):
    make_vehicle(balu)
    make_vehicle(balu)
    (offer,) = tell_them(make_order(asha, trucks=2), [balu])
    ids = list(reversed(vehicle_ids(balu)))
    won = accept(balu.owner_id, offer.id, ids)
    assert [trip["vehicle"]["id"] for trip in won.trips] == ids[:2]
    assert won.trucks_left == 0


def test_a_further_accept_with_other_vehicles_wins_further_trucks(asha, balu):
    make_vehicle(balu)
    (offer,) = tell_them(make_order(asha, trucks=3), [balu])
    one, two = vehicle_ids(balu)
    assert accept(balu.owner_id, offer.id, [one]).trucks_left == 2
    assert accept(balu.owner_id, offer.id, [two]).trucks_left == 1


def test_a_declined_offer_can_still_be_accepted_while_the_order_seeks(asha, balu, heard):
    (offer,) = tell_them(make_order(asha), [balu])
    decline(balu.owner_id, offer.id, "too far")
    assert decline(balu.owner_id, offer.id)["state"] == OfferState.DECLINED
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    assert heard(balu) == ["new_broadcast", "broadcast_dismissed", "trip_changed"]


def test_an_offer_of_another_captain_does_not_exist(asha, balu, chitra):
    (offer,) = tell_them(make_order(asha), [balu])
    with pytest.raises(NotFound):
        accept(chitra.owner_id, offer.id, vehicle_ids(chitra))
    with pytest.raises(NotFound):
        accept(balu.owner_id, uuid.uuid4(), vehicle_ids(balu))


def test_a_suspended_transporter_cannot_accept(asha, balu):
    (offer,) = tell_them(make_order(asha), [balu])
    balu.kyc_status = Kyc.SUSPENDED
    balu.save()
    with pytest.raises(refusals.NotVerified):
        accept(balu.owner_id, offer.id, vehicle_ids(balu))


def test_an_accept_that_comes_too_late_stores_the_expiry_that_it_noticed(asha, balu, heard):
    order = make_order(asha)
    (offer,) = tell_them(order, [balu])
    overdue(order)
    with pytest.raises(refusals.OrderExpired):
        accept(balu.owner_id, offer.id, vehicle_ids(balu))
    order.refresh_from_db()
    assert (order.status, order.reason) == (OrderStatus.EXPIRED, "NO_CAPTAIN_ACCEPTED")
    assert heard(asha)[-1] == "order_expired"
    assert not expire(order.id)
    with pytest.raises(refusals.OrderExpired):
        accept(balu.owner_id, offer.id, vehicle_ids(balu))


def test_of_an_order_that_ran_out_partly_filled_no_truck_is_left(asha, balu, chitra):
    order = make_order(asha, trucks=2)
    one, other = tell_them(order, [balu, chitra])
    accept(balu.owner_id, one.id, vehicle_ids(balu))
    overdue(order)
    assert expire(order.id)
    with pytest.raises(refusals.OrderExpired):
        accept(chitra.owner_id, other.id, vehicle_ids(chitra))


def test_who_declined_an_order_that_ran_out_hears_that_it_did(asha, balu):
    order = make_order(asha)
    (offer,) = tell_them(order, [balu])
    decline(balu.owner_id, offer.id)
    overdue(order)
    assert expire(order.id)
    with pytest.raises(refusals.OrderExpired):
        accept(balu.owner_id, offer.id, vehicle_ids(balu))


def test_a_further_accept_past_the_deadline_is_answered_alike_before_and_after_it_is_stored(
    asha, balu
):
    order = make_order(asha, trucks=2)
    (offer,) = tell_them(order, [balu])
    make_vehicle(balu)
    one, other = vehicle_ids(balu)
    accept(balu.owner_id, offer.id, [one])
    overdue(order)
    for _ in ("it stores the expiry", "it is stored"):
        with pytest.raises(refusals.TruckTaken):
            accept(balu.owner_id, offer.id, [other])
        assert order.trucks.filter(status="expired").count() == 1


def test_a_cancelled_order_cannot_be_accepted(asha, balu):
    order = make_order(asha)
    (offer,) = tell_them(order, [balu])
    cancel(By(Actor.CUSTOMER, asha.id), order.id, customer_id=asha.id)
    with pytest.raises(refusals.OrderCancelled):
        accept(balu.owner_id, offer.id, vehicle_ids(balu))


def test_a_vehicle_on_a_trip_cannot_take_another(asha, balu):
    asha.max_active_orders = 2
    asha.save()
    first, second = make_order(asha), make_order(asha)
    (one,), (two,) = tell_them(first, [balu]), tell_them(second, [balu])
    (vehicle_id,) = vehicle_ids(balu)
    accept(balu.owner_id, one.id, [vehicle_id])
    with pytest.raises(refusals.VehicleBusy) as refused:
        accept(balu.owner_id, two.id, [vehicle_id])
    assert refused.value.extras == {"vehicle_ids": [str(vehicle_id)]}


@pytest.mark.parametrize(
    "fields",
    [
        {"vehicle_type": "tipper-20-24-t"},
        {"in_service": False},
        {"puc_expires_on": "2020-01-01"},
    ],
)
def test_a_vehicle_that_cannot_serve_is_refused_and_named(asha, balu, fields):
    (offer,) = tell_them(make_order(asha), [balu])
    bad = make_vehicle(balu, **fields)
    with pytest.raises(refusals.WrongVehicle) as refused:
        accept(balu.owner_id, offer.id, [bad.id])
    assert refused.value.extras["vehicle_ids"] == [str(bad.id)]
    assert not Trip.objects.exists()


def test_a_vehicle_of_another_fleet_is_refused(asha, balu, chitra):
    (offer,) = tell_them(make_order(asha), [balu])
    with pytest.raises(refusals.WrongVehicle):
        accept(balu.owner_id, offer.id, vehicle_ids(chitra))


def test_naming_a_vehicle_that_won_for_another_fleet_shows_nothing_of_its_trip(asha, balu, chitra):
    one, other = tell_them(make_order(asha, trucks=2), [balu, chitra])
    accept(balu.owner_id, one.id, vehicle_ids(balu))
    with pytest.raises(refusals.WrongVehicle):
        accept(chitra.owner_id, other.id, vehicle_ids(balu))


def test_a_busy_driver_is_told_before_a_wrong_vehicle(asha, balu, chitra):
    driver = make_driver(balu, "+919000000005")
    (offer,) = tell_them(make_order(asha, trucks=2), [balu])
    accept(balu.owner_id, offer.id, vehicle_ids(balu), [driver.id])
    with pytest.raises(refusals.DriverBusy):
        accept(balu.owner_id, offer.id, vehicle_ids(chitra), [driver.id])


def test_a_driver_has_one_live_trip(asha, balu):
    make_vehicle(balu)
    driver = make_driver(balu, "+919000000005")
    (offer,) = tell_them(make_order(asha, trucks=2), [balu])
    one, two = vehicle_ids(balu)
    won = accept(balu.owner_id, offer.id, [one], [driver.id])
    assert won.trips[0]["driver"]["phone"] == "+919000000005"
    with pytest.raises(refusals.DriverBusy):
        accept(balu.owner_id, offer.id, [two], [driver.id])


def test_the_captain_never_sees_a_code_and_sees_the_contacts_once_he_won(asha, balu):
    (offer,) = tell_them(make_order(asha), [balu])
    (trip,) = accept(balu.owner_id, offer.id, vehicle_ids(balu)).trips
    assert "start_code" not in trip and "drop_code" not in trip
    assert trip["pickup"]["contact"]["phone"] == asha.phone
    assert trip["status"] == TripStatus.ASSIGNED


def test_a_won_truck_makes_its_fleet_the_least_idle(asha, balu):
    (offer,) = tell_them(make_order(asha), [balu])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    balu.refresh_from_db()
    assert balu.last_won_at is not None


def test_a_trip_begins_with_the_step_of_its_win(asha, balu):
    (offer,) = tell_them(make_order(asha), [balu])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    trip = Trip.objects.get()
    assert trip.steps == [{"status": "assigned", "at": rfc3339(trip.won_at)}]


def test_positions_are_those_of_the_trip_as_soon_as_it_is_won(
    asha, balu, django_capture_on_commit_callbacks
):
    (offer,) = tell_them(make_order(asha), [balu])
    assert fleets.remembered(balu.owner).trips == {}
    with django_capture_on_commit_callbacks(execute=True):
        accept(balu.owner_id, offer.id, vehicle_ids(balu))
    assert list(fleets.remembered(balu.owner).trips) == vehicle_ids(balu)


@pytest.mark.parametrize(("drawn", "code"), [(0, "0000"), (-1, "9999")])
def test_the_least_and_the_greatest_code_have_four_digits(monkeypatch, drawn, code):
    monkeypatch.setattr("secrets.randbelow", lambda below: range(below)[drawn])
    assert four_digits() == code
