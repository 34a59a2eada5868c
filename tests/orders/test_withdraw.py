"""Offers follow the papers of their transporter."""

import pytest

from dispatch.audit import audit
from dispatch.reconcile import reconcile
from orders import refusals
from orders.change import SYSTEM
from orders.states import OfferState
from orders.verbs.accept import accept
from orders.verbs.decline import decline
from orders.verbs.expire import expire, expire_due
from orders.verbs.give_back import give_back
from orders.verbs.withdraw import reinstate, reinstate_all, withdraw, withdraw_all
from tests.orders.clock import overdue
from tests.people import (
    make_captain,
    make_city,
    make_customer,
    make_dispatcher,
    make_order,
    tell_them,
    vehicle_ids,
)
from transporters import kyc
from transporters.models import Kyc, Transporter
from weelo.events.models import Event
from weelo.lib.wire import rfc3339


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


@pytest.mark.django_db(transaction=True)
def test_the_offers_tell_by_whom_they_were_withdrawn():
    make_city()
    balu = make_captain()
    order = make_order(make_customer())
    tell_them(order, [balu])
    devi = make_dispatcher()
    kyc.decide(balu.id, Kyc.SUSPENDED, by=devi.id, reason="papers forged")
    fact = order.facts.get(kind="offer_withdrawn")
    assert (fact.by, fact.by_user_id) == ("dispatcher", devi.id)


def test_only_the_open_offers_of_this_transporter_are_withdrawn(asha, balu, chitra):
    first, second = make_order(asha), make_order(make_customer("+919000000007", "Ravi"))
    open_, of_chitra = tell_them(first, [balu, chitra])
    (declined,) = tell_them(second, [balu])
    decline(balu.owner_id, declined.id)
    assert withdraw_all(SYSTEM, balu.id) == 1
    assert states(open_, of_chitra, declined) == ["withdrawn", "open", "declined"]
    withdraw(SYSTEM, first.id, balu.id)
    assert withdraw_all(SYSTEM, balu.id) == 0
    withdraw_all(SYSTEM, chitra.id)
    assert reinstate_all(SYSTEM, balu.id) == 1
    assert states(open_, of_chitra, declined) == ["open", "withdrawn", "declined"]
    fact = first.facts.filter(kind="offer_open").latest("id")
    assert fact.data == {"again": True, "told_at": rfc3339(fact.at)}
    open_.refresh_from_db()
    assert (open_.again, open_.told_at) == (True, fact.at)


def test_an_offer_of_an_order_that_seeks_no_more_stays_withdrawn(asha, balu):
    order = make_order(asha)
    (offer,) = tell_them(order, [balu])
    withdraw_all(SYSTEM, balu.id)
    overdue(order)
    assert reinstate_all(SYSTEM, balu.id) == 1
    assert states(offer) == ["withdrawn"]
    expire(order.id)
    assert reinstate_all(SYSTEM, balu.id) == 0
    reinstate(SYSTEM, order.id, balu.id)
    assert states(offer) == ["withdrawn"]


@pytest.mark.django_db(transaction=True)
def test_an_offer_closed_before_the_suspension_opens_with_the_papers_and_not_with_the_order():
    make_city()
    balu, chitra = make_captain(), make_captain("+919000000003", "Chitra")
    order = make_order(make_customer())
    offer, other = tell_them(order, [balu, chitra])
    won = accept(balu.owner_id, offer.id, vehicle_ids(balu))
    kyc.decide(chitra.id, Kyc.SUSPENDED, reason="papers forged")
    give_back(balu.owner_id, won.trips[0]["id"])
    assert states(other) == ["closed"]
    assert reconcile("beat") == []
    assert [finding for finding in audit() if finding.rows] == []
    heard = Event.objects.filter(stream__user=chitra.owner, name="new_broadcast")
    assert heard.count() == 1
    kyc.decide(chitra.id, Kyc.VERIFIED)
    assert states(other) == ["open"]
    assert (other.again, other.close_reason, heard.count()) == (True, "", 2)
    accept(chitra.owner_id, other.id, vehicle_ids(chitra))


def test_who_was_suspended_hears_nothing_of_the_second_end_of_an_order(asha, balu, chitra, heard):
    order = make_order(asha, trucks=2)
    offer, _ = tell_them(order, [balu, chitra])
    won = accept(balu.owner_id, offer.id, vehicle_ids(balu))
    overdue(order)
    assert expire(order.id)
    Transporter.objects.filter(id=chitra.id).update(kyc_status=Kyc.SUSPENDED)
    give_back(balu.owner_id, won.trips[0]["id"])
    before = heard(chitra)
    overdue(order)
    assert expire_due() == 1
    assert heard(chitra) == before
    assert before.count("new_broadcast") == before.count("broadcast_dismissed") == 1


def states(*offers):
    for offer in offers:
        offer.refresh_from_db()
    return [offer.state for offer in offers]
