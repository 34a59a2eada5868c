"""An offer carries when it was told, when it reached a phone, and when it was looked at."""

from functools import partial

import pytest
from django.db import connection

from orders.models import Offer, Receipt
from orders.receipts import DELIVERED, see
from orders.verbs.accept import accept
from orders.verbs.give_back import give_back
from tests.orders.phone import head
from tests.people import make_order, tell_them, vehicle_ids
from tests.races.racing import holding, race
from weelo.accounts import sessions
from weelo.accounts.models import Session
from weelo.events.models import Ack, Stream
from weelo.lib.problems import NotFound


@pytest.fixture
def order(asha, balu, chitra):
    order = make_order(asha)
    tell_them(order, [balu, chitra])
    return order


def offer_to(fleet):
    return Offer.objects.select_related("receipt").get(transporter=fleet)


def session_of(fleet):
    sessions.sign_in_by_phone(fleet.owner.phone)
    return Session.objects.filter(user=fleet.owner).latest("created_at")


def ack(session, seq=None):
    """As the hub does: first what it was given for acks, then the ack itself."""
    stream = Stream.objects.get(user=session.user, role="captain")
    seq = head(session.user, "captain") if seq is None else seq
    with connection.cursor() as cursor:
        cursor.execute(DELIVERED, [[session.pk], [stream.pk], [seq]])
        noted = cursor.rowcount
    Ack.objects.update_or_create(session=session, stream=stream, defaults={"seq": seq})
    return noted


def test_the_first_ack_of_a_device_says_that_the_offer_arrived(order, balu, chitra):
    phone, tablet = session_of(balu), session_of(balu)
    assert not Receipt.objects.exists()
    assert ack(phone) == 1
    offer = offer_to(balu)
    assert offer.told_at <= offer.receipt.delivered_at
    assert offer.receipt.seen_at is None
    assert ack(phone) == ack(tablet) == 0
    assert offer_to(balu).receipt.delivered_at == offer.receipt.delivered_at
    assert list(Receipt.objects.values_list("offer__transporter", flat=True)) == [balu.id]


def test_an_ack_of_what_was_before_the_offer_says_nothing_of_it(order, balu):
    before = head(balu.owner, "captain") - 1
    assert ack(session_of(balu), before) == 0
    assert not Receipt.objects.exists()


def test_the_first_look_counts_and_says_that_it_arrived(order, balu):
    offer = offer_to(balu)
    first = see(balu.owner_id, offer.id)
    assert see(balu.owner_id, offer.id) == first
    receipt = Receipt.objects.get()
    assert offer.told_at <= receipt.delivered_at == receipt.seen_at


def test_a_look_after_the_ack_leaves_the_time_of_arrival(order, balu):
    ack(session_of(balu))
    arrived = Receipt.objects.get().delivered_at
    see(balu.owner_id, offer_to(balu).id)
    receipt = Receipt.objects.get()
    assert receipt.delivered_at == arrived < receipt.seen_at


def test_an_offer_to_somebody_else_cannot_be_looked_at(order, balu, chitra):
    with pytest.raises(NotFound):
        see(chitra.owner_id, offer_to(balu).id)


def test_an_offer_that_is_told_again_begins_anew(order, balu, chitra):
    phone = session_of(balu)
    ack(phone)
    see(balu.owner_id, offer_to(balu).id)
    accept(chitra.owner_id, offer_to(chitra).id, vehicle_ids(chitra))
    old = head(balu.owner, "captain")
    give_back(chitra.owner_id, order.trips.get().id)
    told_again = offer_to(balu).told_at
    assert ack(phone, old) == 0, "the ack of what came before the second telling"
    assert ack(phone) == 1
    receipt = Receipt.objects.get(offer__transporter=balu)
    assert receipt.delivered_at >= told_again
    assert receipt.seen_at is None
    see(balu.owner_id, offer_to(balu).id)
    assert Receipt.objects.get(offer__transporter=balu).seen_at >= told_again


def test_a_look_at_an_offer_that_is_told_again_counts_anew(order, balu, chitra):
    first = see(balu.owner_id, offer_to(balu).id)
    accept(chitra.owner_id, offer_to(chitra).id, vehicle_ids(chitra))
    give_back(chitra.owner_id, order.trips.get().id)
    assert see(balu.owner_id, offer_to(balu).id) != first
    receipt = Receipt.objects.get(offer__transporter=balu)
    assert offer_to(balu).told_at <= receipt.delivered_at == receipt.seen_at


@pytest.mark.django_db(transaction=True)
def test_noting_it_waits_for_no_offer_that_a_verb_holds(order, balu, chitra):
    phone, offer = session_of(balu), offer_to(balu)
    with holding(offer):
        noted, seen = race(partial(ack, phone), partial(see, balu.owner_id, offer.id))
    assert noted in (0, 1), noted
    assert seen["offer_id"] == str(offer.id)
