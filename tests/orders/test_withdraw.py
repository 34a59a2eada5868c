"""Offers follow the papers of their transporter."""

import pytest

from orders import refusals
from orders.states import OfferState
from orders.verbs.accept import accept
from tests.people import make_captain, make_city, make_customer, make_order, tell_them, vehicle_ids
from transporters import kyc
from transporters.models import Kyc


@pytest.mark.django_db(transaction=True)
def test_a_suspension_withdraws_open_offers_and_a_verification_brings_them_back():
    make_city()
    balu = make_captain()
    order = make_order(make_customer())
    (offer,) = tell_them(order, [balu])
    kyc.decide(balu.id, Kyc.SUSPENDED, reason="papers forged")
    offer.refresh_from_db()
    assert offer.state == OfferState.WITHDRAWN
    with pytest.raises(refusals.NotVerified):
        accept(balu.owner_id, offer.id, vehicle_ids(balu))
    kyc.decide(balu.id, Kyc.VERIFIED)
    offer.refresh_from_db()
    assert (offer.state, offer.again) == (OfferState.OPEN, True)
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
