"""What the customer says of a trip, and what comes of a dispute."""

import pytest

from orders import refusals
from orders.models import Dispute, Rating
from orders.verbs.rate import dispute, rate
from orders.verbs.settle import settle
from tests.orders.test_steps import drive, win
from tests.people import make_dispatcher, make_order
from weelo.lib.problems import NotFound


@pytest.fixture
def trip(asha, balu):
    return win(balu, make_order(asha))


def facts(trip, kind):
    found = trip.order.facts.filter(kind=kind).order_by("id")
    return [(fact.by, fact.by_user_id, fact.subject_id, fact.data) for fact in found]


def test_a_rating_keeps_stars_comment_and_time_and_is_a_fact(trip, asha):
    drive(trip, "at_pickup", "in_transit", "at_drop", "completed")
    given = rate(asha.id, trip.id, 4, "good")
    assert given == {"trip_id": str(trip.id), "stars": 4, "comment": "good"}
    assert rate(asha.id, trip.id, 4, "other words") == given
    rating = Rating.objects.get()
    assert (rating.stars, rating.comment, rating.trip_id) == (4, "good", trip.id)
    assert facts(trip, "trip_rated") == [("customer", asha.id, trip.id, {"stars": 4})]
    assert trip.order.facts.get(kind="trip_rated").at == rating.at


def test_a_rating_needs_no_comment(trip, asha):
    drive(trip, "at_pickup", "in_transit", "at_drop", "completed")
    assert rate(asha.id, trip.id, 5)["comment"] == ""


def test_a_trip_of_another_customer_is_not_rated(trip, balu):
    with pytest.raises(NotFound):
        rate(balu.owner_id, trip.id, 5)


def test_a_dispute_keeps_what_was_said_and_is_a_fact(trip, asha):
    told = dispute(asha.id, trip.id, "damaged", "a leg is off")
    opened = Dispute.objects.get()
    assert told == {
        "id": str(opened.id),
        "trip_id": str(trip.id),
        "reason": "damaged",
        "notes": "a leg is off",
    }
    assert (opened.trip_id, opened.reason, opened.notes) == (trip.id, "damaged", "a leg is off")
    about = {"dispute_id": str(opened.id), "about": "damaged"}
    assert facts(trip, "dispute_opened") == [("customer", asha.id, trip.id, about)]
    assert trip.order.facts.get(kind="dispute_opened").at == opened.at


def test_a_dispute_needs_no_notes(trip, asha):
    assert dispute(asha.id, trip.id, "late")["notes"] == ""


def test_another_reason_or_a_settled_dispute_makes_another_one(trip, asha):
    first = dispute(asha.id, trip.id, "damaged")
    assert dispute(asha.id, trip.id, "damaged") == first
    assert dispute(asha.id, trip.id, "late")["id"] != first["id"]
    settle(make_dispatcher().id, first["id"], "paid")
    assert dispute(asha.id, trip.id, "damaged")["id"] != first["id"]


def test_a_dispute_is_settled_once_and_a_fact_tells_by_whom(trip, asha):
    devi = make_dispatcher()
    opened = dispute(asha.id, trip.id, "damaged")
    settle(devi.id, opened["id"], "₹500 paid back")
    settle(devi.id, opened["id"], "₹500 paid back")
    with pytest.raises(refusals.AlreadySettled):
        settle(devi.id, opened["id"], "nothing paid")
    settled = Dispute.objects.get()
    assert settled.settlement == "₹500 paid back"
    about = {"dispute_id": opened["id"]}
    assert facts(trip, "dispute_settled") == [("dispatcher", devi.id, trip.id, about)]
    assert trip.order.facts.get(kind="dispute_settled").at == settled.settled_at
