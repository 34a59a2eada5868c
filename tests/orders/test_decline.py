"""Saying no to an offer."""

import pytest

from orders import refusals
from orders.change import SYSTEM
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.decline import decline
from tests.people import make_order, tell_them, vehicle_ids
from weelo.lib.problems import NotFound


@pytest.fixture
def offer(asha, balu):
    return tell_them(make_order(asha), [balu])[0]


def test_a_decline_keeps_its_reason_and_time(offer, balu):
    answer = decline(balu.owner_id, offer.id, "r" * 300)
    assert answer == {"offer_id": str(offer.id), "state": "declined"}
    offer.refresh_from_db()
    fact = offer.order.facts.get(kind="offer_declined")
    assert (offer.reason, offer.answered_at) == ("r" * 200, fact.at)
    assert (fact.by, fact.by_user_id) == ("captain", balu.owner_id)


def test_a_decline_needs_no_reason_and_a_second_one_changes_nothing(offer, balu):
    decline(balu.owner_id, offer.id)
    decline(balu.owner_id, offer.id, "changed my mind")
    offer.refresh_from_db()
    assert (offer.state, offer.reason) == ("declined", "")
    assert offer.order.facts.filter(kind="offer_declined").count() == 1


def test_declining_what_closed_by_itself_is_a_success(offer, balu):
    cancel(SYSTEM, offer.order_id)
    assert decline(balu.owner_id, offer.id)["state"] == "closed"


def test_what_was_accepted_is_given_back_and_not_declined(offer, balu):
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    with pytest.raises(refusals.OfferClosed):
        decline(balu.owner_id, offer.id)


def test_an_offer_of_another_captain_cannot_be_declined(offer, chitra):
    with pytest.raises(NotFound):
        decline(chitra.owner_id, offer.id)
