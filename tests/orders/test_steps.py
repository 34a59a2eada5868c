"""The steps of a trip one by one: codes, proof and stops."""

from datetime import timedelta

import pytest

from orders import refusals
from orders.change import By
from orders.models import Actor, Trip
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.drive import set_driver
from orders.verbs.steps import Step, check_stop, step
from tests.orders.clock import overdue
from tests.people import make_driver, make_order, place, tell_them, vehicle_ids
from weelo.accounts.models import SmsMessage
from weelo.lib.problems import NotFound


@pytest.fixture
def trip(asha, balu):
    return win(balu, make_order(asha))


def win(fleet, order):
    (offer,) = tell_them(order, [fleet])
    accept(fleet.owner_id, offer.id, vehicle_ids(fleet)[:1])
    return Trip.objects.get(order=order)


def drive(trip, *statuses):
    for status in statuses:
        proof = {"kind": "code", "code": trip.drop_code}
        step(trip.transporter.owner, trip.id, Step(status, trip.start_code, proof))
    trip.refresh_from_db()
    return trip


def wrong(code):
    return f"{(int(code) + 1) % 10_000:04}"


def test_the_arrival_at_the_pickup_is_remembered(trip):
    assert trip.at_pickup_at is None
    drive(trip, "en_route_pickup")
    assert trip.at_pickup_at is None
    drive(trip, "at_pickup")
    assert trip.order.facts.get(kind="trip_at_pickup").at == trip.at_pickup_at


def test_a_step_past_the_deadline_stores_that_the_rest_of_the_order_ran_out(asha, balu):
    order = make_order(asha, trucks=2)
    trip = win(balu, order)
    overdue(order)
    drive(trip, "en_route_pickup")
    order.refresh_from_db()
    assert (order.status, order.reason) == ("filled", "PARTLY_FILLED")


def test_nothing_follows_on_a_cancelled_trip(trip, balu):
    cancel(By(Actor.SYSTEM), trip.order_id)
    with pytest.raises(refusals.IllegalStep) as refused:
        step(balu.owner, trip.id, Step("at_pickup"))
    assert refused.value.extras["allowed"] == []


def test_a_captain_neither_cancels_nor_fails_a_trip_by_a_step(trip, balu):
    with pytest.raises(refusals.IllegalStep):
        step(balu.owner, trip.id, Step("cancelled"))
    drive(trip, "at_pickup", "in_transit")
    with pytest.raises(refusals.IllegalStep) as refused:
        step(balu.owner, trip.id, Step("failed"))
    assert refused.value.extras["allowed"] == ["at_drop"]


def test_the_facts_tell_the_captains_steps_from_the_drivers(trip, balu):
    driver = make_driver(balu, "+919000000005")
    set_driver(balu.owner_id, trip.id, driver.id)
    step(balu.owner, trip.id, Step("en_route_pickup"))
    step(driver.user, trip.id, Step("at_pickup"))
    took = trip.order.facts.filter(kind__in=["trip_en_route_pickup", "trip_at_pickup"])
    assert list(took.order_by("id").values_list("by", "by_user_id")) == [
        ("captain", balu.owner_id),
        ("driver", driver.user_id),
    ]


def test_a_start_code_that_was_not_sent_is_a_wrong_one(trip, balu):
    drive(trip, "at_pickup")
    with pytest.raises(refusals.CodeWrong) as refused:
        step(balu.owner, trip.id, Step("in_transit"))
    assert refused.value.extras["tries_left"] == 4


@pytest.mark.parametrize("status", ["in_transit", "completed"])
def test_five_wrong_codes_end_the_tries_and_each_is_a_fact(trip, balu, status):
    name = {"in_transit": "start_code", "completed": "drop_code"}[status]
    drive(trip, "at_pickup", *(["in_transit", "at_drop"] if status == "completed" else []))

    def send(code):
        step(balu.owner, trip.id, Step(status, code, {"kind": "code", "code": code}))

    for tries_left, advice in ((4, "Ask"), (3, "Ask"), (2, "Ask"), (1, "Ask"), (0, "Call")):
        with pytest.raises(refusals.CodeWrong) as refused:
            send(wrong(getattr(trip, name)))
        assert refused.value.extras["tries_left"] == tries_left
        assert f"the {name.replace('_', ' ')}. {advice}" in str(refused.value.detail)
    with pytest.raises(refusals.CodeWrong) as refused:
        send(getattr(trip, name))
    assert refused.value.extras["tries_left"] == 0
    facts = trip.order.facts.filter(kind=f"{name}_wrong").order_by("id")
    assert [fact.data for fact in facts] == [{f"{name}_tries": tries} for tries in range(1, 6)]


def test_after_four_wrong_codes_the_right_one_is_taken(trip, balu):
    drive(trip, "at_pickup")
    for _ in range(4):
        with pytest.raises(refusals.CodeWrong):
            step(balu.owner, trip.id, Step("in_transit", wrong(trip.start_code)))
    assert drive(trip, "in_transit").status == "in_transit"


def test_where_photos_are_allowed_the_drop_code_is_proof_as_well(trip, balu):
    trip.order.city.photo_proof_allowed = True
    trip.order.city.save()
    drive(trip, "at_pickup", "in_transit", "at_drop")
    for proof in (None, {"kind": "photo"}, {"kind": "photo", "reference": ""}, {"kind": "word"}):
        with pytest.raises(refusals.ProofRequired):
            step(balu.owner, trip.id, Step("completed", proof=proof))
    with pytest.raises(refusals.CodeWrong):
        step(balu.owner, trip.id, Step("completed", proof={"kind": "code"}))
    assert drive(trip, "completed").proof == {"kind": "code", "reference": ""}


def test_the_sms_to_the_receiver_names_truck_and_code_and_is_not_sent_after_an_hour(trip):
    drive(trip, "at_pickup", "in_transit")
    message = SmsMessage.objects.get()
    assert message.template == "drop_code"
    assert message.text == (
        f"Weelo: {trip.vehicle.registration} is on its way to you. "
        f"Give the driver code {trip.drop_code} when your goods have arrived."
    )
    assert message.expires_at - message.created_at == timedelta(hours=1)


@pytest.mark.parametrize("contact", [None, {}, {"name": "Ravi"}])
def test_a_receiver_without_a_phone_gets_no_sms(asha, balu, contact):
    trip = win(balu, make_order(asha, drop={**place(13.05, 77.70), "contact": contact}))
    assert drive(trip, "at_pickup", "in_transit").status == "in_transit"
    assert not SmsMessage.objects.exists()


@pytest.fixture
def with_stops(asha, balu):
    order = make_order(asha, stops=[place(13.0, 77.6), place(13.01, 77.61)])
    return drive(win(balu, order), "at_pickup", "in_transit")


def states(trip):
    trip.refresh_from_db()
    return trip.stops_state


def test_a_stop_is_arrived_at_then_done_and_the_same_again_changes_nothing(with_stops, balu):
    for number, state in ((1, "arrived"), (1, "done"), (2, "arrived"), (2, "done")):
        seen = check_stop(balu.owner, with_stops.id, number, state)
        assert seen["stops"][number - 1]["state"] == state
        assert check_stop(balu.owner, with_stops.id, number, state) == seen
        assert states(with_stops)[number - 1] == state
    facts = with_stops.order.facts.filter(kind__startswith="stop_").order_by("id")
    assert [(fact.kind, fact.data) for fact in facts] == [
        ("stop_arrived", {"stop": 1, "stops_state": ["arrived", "pending"]}),
        ("stop_done", {"stop": 1, "stops_state": ["done", "pending"]}),
        ("stop_arrived", {"stop": 2, "stops_state": ["done", "arrived"]}),
        ("stop_done", {"stop": 2, "stops_state": ["done", "done"]}),
    ]


@pytest.mark.parametrize(
    ("before", "number", "state", "allowed"),
    [
        (["pending", "pending"], 1, "done", ["arrived"]),
        (["arrived", "pending"], 1, "pending", ["done"]),
        (["pending", "pending"], 2, "arrived", []),
        (["arrived", "pending"], 2, "arrived", []),
        (["done", "pending"], 2, "done", ["arrived"]),
        (["done", "done"], 1, "arrived", []),
    ],
)
def test_a_stop_out_of_order_is_refused_with_what_is_allowed(
    with_stops, balu, before, number, state, allowed
):
    Trip.objects.filter(id=with_stops.id).update(stops_state=before)
    with pytest.raises(refusals.IllegalStep) as refused:
        check_stop(balu.owner, with_stops.id, number, state)
    assert refused.value.extras["allowed"] == allowed
    assert states(with_stops) == before


@pytest.mark.parametrize("number", [-1, 0, 3])
def test_a_stop_that_is_not_on_the_way_is_not_found(with_stops, balu, number):
    with pytest.raises(NotFound):
        check_stop(balu.owner, with_stops.id, number, "arrived")
