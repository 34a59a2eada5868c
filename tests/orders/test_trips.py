"""From a won truck to its delivery, and the ways in which it can fail."""

import pytest
from django.db import connection

from orders import refusals
from orders.change import SYSTEM, By
from orders.models import Actor, Offer, Order, Trip
from orders.snapshots import order_payload
from orders.states import OfferState, OrderStatus, TripStatus
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.drive import set_driver
from orders.verbs.expire import expire, expire_due
from orders.verbs.give_back import give_back
from orders.verbs.rate import dispute, rate
from orders.verbs.steps import Step, check_stop, step
from orders.verbs.withdraw import reinstate_all, withdraw_all
from tests.accounts.doors import sign_in
from tests.orders.clock import overdue
from tests.people import (
    make_driver,
    make_order,
    place,
    tell_them,
    vehicle_ids,
)
from weelo.accounts.models import SmsMessage
from weelo.lib.problems import NotFound


@pytest.fixture
def order(asha, balu, chitra):
    order = make_order(asha)
    tell_them(order, [balu, chitra])
    return order


@pytest.fixture
def trip(order, balu):
    accept(balu.owner_id, order.offers.get(transporter=balu).id, vehicle_ids(balu))
    return Trip.objects.get()


def drive(trip, *statuses):
    """Take the trip through these steps as its captain, with the right codes."""
    trip.refresh_from_db()
    for status in statuses:
        proof = {"kind": "code", "code": trip.drop_code}
        step(trip.transporter.owner, trip.id, Step(status, trip.start_code, proof))
    trip.refresh_from_db()


WAY = ("en_route_pickup", "at_pickup", "in_transit", "at_drop", "completed")


def test_a_trip_goes_its_way_to_a_completed_order_and_all_are_free_again(trip, asha, balu, heard):
    drive(trip, *WAY)
    order = Order.objects.get()
    assert (trip.status, order.status) == (TripStatus.COMPLETED, OrderStatus.COMPLETED)
    assert order.payable_paise == order.fare_paise
    assert trip.proof["kind"] == "code"
    assert heard(asha)[-1] == "order_completed"
    make_order(asha)  # the customer's place is free
    assert [s["status"] for s in trip.steps] == ["assigned", *WAY]


def test_the_receiver_gets_the_drop_code_once_the_goods_are_on_their_way(trip):
    drive(trip, "at_pickup")
    assert not SmsMessage.objects.exists()
    drive(trip, "in_transit")
    message = SmsMessage.objects.get()
    assert (message.to, message.code) == ("+919000000009", trip.drop_code)


def test_the_goods_leave_only_with_the_start_code_and_five_wrong_tries_end_it(trip, balu):
    drive(trip, "at_pickup")
    wrong = "0000" if trip.start_code != "0000" else "1111"
    for tries_left in (4, 3, 2, 1, 0, 0):
        with pytest.raises(refusals.CodeWrong) as refused:
            step(balu.owner, trip.id, Step("in_transit", wrong))
        assert refused.value.extras["tries_left"] == tries_left
    with pytest.raises(refusals.CodeWrong):
        step(balu.owner, trip.id, Step("in_transit", trip.start_code))


def test_a_delivery_needs_the_drop_code_or_a_photo_where_the_city_allows_it(trip, balu):
    drive(trip, "at_pickup", "in_transit", "at_drop")
    photo = {"kind": "photo", "reference": "s3://proof/1.jpg"}
    for proof in (None, {}, photo):
        with pytest.raises(refusals.ProofRequired):
            step(balu.owner, trip.id, Step("completed", proof=proof))
    city = Order.objects.get().city
    city.photo_proof_allowed = True
    city.save()
    step(balu.owner, trip.id, Step("completed", proof=photo))
    trip.refresh_from_db()
    assert trip.proof == photo


def test_stops_are_checked_off_in_order(asha, balu):
    order = make_order(asha, stops=[place(13.0, 77.6), place(13.01, 77.61)])
    (offer,) = tell_them(order, [balu])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    trip = Trip.objects.get()
    with pytest.raises(refusals.IllegalStep):
        check_stop(balu.owner, trip.id, 1, "arrived")
    drive(trip, "at_pickup", "in_transit")
    with pytest.raises(refusals.IllegalStep):
        check_stop(balu.owner, trip.id, 2, "arrived")
    check_stop(balu.owner, trip.id, 1, "arrived")
    seen = check_stop(balu.owner, trip.id, 1, "done")
    assert [stop["state"] for stop in seen["stops"]] == ["done", "pending"]
    with pytest.raises(NotFound):
        check_stop(balu.owner, trip.id, 3, "arrived")


def test_a_driver_drives_his_own_trip_and_no_other(trip, balu):
    driver = make_driver(balu, "+919000000005")
    with pytest.raises(NotFound):
        step(driver.user, trip.id, Step("at_pickup"))
    set_driver(balu.owner_id, trip.id, driver.id)
    step(driver.user, trip.id, Step("at_pickup"))
    set_driver(balu.owner_id, trip.id, None)
    drive(trip, "in_transit")
    with pytest.raises(refusals.IllegalStep):
        set_driver(balu.owner_id, trip.id, driver.id)


def test_a_driver_signs_in_and_sees_his_own_trips_and_no_other(trip, asha, balu, chitra):
    driver = make_driver(balu, "+919000000005")
    phone, _ = sign_in(driver.phone)
    assert phone.get("trips").body["results"] == []
    assert phone.get(f"trips/{trip.id}").status_code == 404
    set_driver(balu.owner_id, trip.id, driver.id)
    assert [one["id"] for one in phone.get("trips").body["results"]] == [str(trip.id)]
    assert phone.get(f"trips/{trip.id}").body["id"] == str(trip.id)
    for path in ("offers", "vehicles", "drivers", "transporter"):
        refused = phone.get(path)
        assert refused.status_code in (403, 404), path
    step_back = phone.post(f"trips/{trip.id}/give-back", {"reason": "tired"})
    assert step_back.status_code in (403, 404)
    set_driver(balu.owner_id, trip.id, None)
    assert phone.get("trips").body["results"] == []


def test_goods_on_board_cannot_be_given_back(trip, balu):
    drive(trip, "at_pickup", "in_transit")
    with pytest.raises(refusals.IllegalStep):
        give_back(balu.owner_id, trip.id)


def test_cancelling_before_anybody_won_costs_nothing(order, asha, chitra, heard):
    cancel(By(Actor.CUSTOMER, asha.id), order.id, customer_id=asha.id)
    order.refresh_from_db()
    assert (order.status, order.cancel_fee_paise) == (OrderStatus.CANCELLED, 0)
    assert heard(chitra) == ["new_broadcast", "broadcast_dismissed"]
    again = cancel(By(Actor.CUSTOMER, asha.id), order.id, customer_id=asha.id)
    assert again["status"] == OrderStatus.CANCELLED
    make_order(asha)


def test_cancelling_a_won_truck_costs_fifty_rupees_and_frees_the_vehicle(
    trip, order, asha, balu, heard
):
    cancel(By(Actor.CUSTOMER, asha.id), order.id, customer_id=asha.id)
    order.refresh_from_db()
    trip.refresh_from_db()
    assert (order.cancel_fee_paise, order.captain_share_paise) == (5000, 4500)
    assert trip.status == TripStatus.CANCELLED
    assert heard(balu)[-2:] == ["trip_changed", "order_cancelled"]


def test_cancelling_at_the_pickup_needs_a_reason_and_costs_for_the_waiting(trip, order, asha):
    drive(trip, "at_pickup")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_trip SET at_pickup_at = now() - interval '34 minutes 30 s'")
    by = By(Actor.CUSTOMER, asha.id)
    with pytest.raises(refusals.ReasonRequired):
        cancel(by, order.id, customer_id=asha.id)
    cancel(by, order.id, reason="no loaders", customer_id=asha.id)
    order.refresh_from_db()
    assert order.cancel_fee_paise == 150_00  # 30 begun minutes beyond five, ₹5 each


def test_goods_on_board_cannot_be_cancelled(trip, order, asha):
    drive(trip, "at_pickup", "in_transit")
    with pytest.raises(refusals.CannotCancel):
        cancel(By(Actor.CUSTOMER, asha.id), order.id, customer_id=asha.id)


def test_one_truck_can_be_cancelled_alone(asha, balu):
    order = make_order(asha, trucks=2)
    tell_them(order, [balu])
    truck = order.trucks.first()
    cancel(By(Actor.CUSTOMER, asha.id), order.id, truck_id=truck.id, customer_id=asha.id)
    order.refresh_from_db()
    assert (order.status, order.trucks_searching) == ("broadcasting", 1)


def test_a_truck_cancelled_before_stays_so_whether_or_not_the_rest_is_stored_as_expired(asha):
    order = make_order(asha, trucks=2)
    by, truck = By(Actor.CUSTOMER, asha.id), order.trucks.first()
    cancel(by, order.id, truck_id=truck.id)
    overdue(order)
    assert cancel(by, order.id, truck_id=truck.id)["status"] == "expired"
    expire(order.id)
    assert cancel(by, order.id, truck_id=truck.id)["status"] == "expired"


def test_nothing_can_be_cancelled_of_what_is_delivered_or_ran_out(asha, balu):
    order = make_order(asha, trucks=2)
    (offer,) = tell_them(order, [balu])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    drive(Trip.objects.get(), *WAY)
    assert order_payload(asha.id, order.id)["cancel"]["allowed"]
    overdue(order)
    for _ in ("before its expiry is stored", "and after"):
        seen = order_payload(asha.id, order.id)
        assert (seen["status"], seen["cancel"]["allowed"]) == ("completed", False)
        expire(order.id)


def test_an_order_of_another_customer_cannot_be_cancelled(order, balu):
    with pytest.raises(NotFound):
        cancel(By(Actor.CUSTOMER, balu.owner_id), order.id, customer_id=balu.owner_id)


def test_the_sweep_expires_what_is_due_and_nothing_else(asha, order):
    assert expire_due() == 0
    assert not expire(order.id)
    overdue(order)
    assert expire_due() == 1
    assert expire_due() == 0
    order.refresh_from_db()
    assert order.reason == "NO_CAPTAIN_ACCEPTED"
    assert set(order.offers.values_list("state", "close_reason")) == {("closed", "EXPIRED")}


def test_a_suspended_transporters_open_offers_go_and_come_back(order, balu, heard):
    assert withdraw_all(SYSTEM, balu.id) == 1
    assert Offer.objects.get(transporter=balu).state == OfferState.WITHDRAWN
    assert reinstate_all(SYSTEM, balu.id) == 1
    assert Offer.objects.get(transporter=balu).state == OfferState.OPEN
    assert heard(balu) == ["new_broadcast", "broadcast_dismissed", "new_broadcast"]


def test_a_completed_trip_is_rated_once(trip, asha):
    with pytest.raises(refusals.CannotRate):
        rate(asha.id, trip.id, 5)
    drive(trip, *WAY)
    assert rate(asha.id, trip.id, 4, "good")["stars"] == 4
    assert rate(asha.id, trip.id, 4)["stars"] == 4
    with pytest.raises(refusals.CannotRate):
        rate(asha.id, trip.id, 1)


def test_the_same_dispute_is_opened_once(trip, asha, balu):
    first = dispute(asha.id, trip.id, "damaged", "a leg is off")
    assert dispute(asha.id, trip.id, "damaged")["id"] == first["id"]
    with pytest.raises(NotFound):
        dispute(balu.owner_id, trip.id, "damaged")
