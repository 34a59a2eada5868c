"""Phones that sleep: whom a push wakes, how soon, and what a broken FCM costs."""

import statistics
import time

import pytest
from django.conf import settings

from orders.models import Offer
from tests.dispatch.drive import north
from tests.events import fcm as fake
from tests.events.live import Phone
from tests.people import make_captains
from tests.running import running
from tests.scenarios.story import new_customer, until
from weelo.accounts.models import Device, Session
from weelo.events.models import Event, Push

SLEEPING_S, SILENT_S = 2.0, 4.0


@pytest.fixture(scope="module")
def site(fcm):
    at = {"FCM_CREDENTIALS": fcm.account, "FCM_URL": fcm.address}
    with running({**at, "SECRET_KEY": settings.SECRET_KEY}, ("http", "live", "loop")) as site:
        yield site


@pytest.fixture
def captains(dial):
    """Verified captains at the pickup; each line's session has a push token."""

    def make(*tokens):
        found = []
        for n, (token, fleet) in enumerate(zip(tokens, make_captains(len(tokens)), strict=True)):
            line = dial(fleet)
            bound = {"push_token": token, "platform": "android"}
            assert line.put("devices/current", bound).status_code == 204
            lat, lng = north(500 + 100 * n)
            assert line.post("positions", {"lat": lat, "lng": lng}).json()["accepted"] == 1
            found.append(fleet)
        return found

    return make


def session_of(fleet):
    return Session.objects.get(user=fleet.owner)


def seconds_to_push(fcm, token):
    """From the event to FCM."""
    n = fcm.tokens.index(token)
    event = Event.objects.get(
        stream__user__sessions__device__push_token=token,
        order_id=fcm.got[n]["data"]["order_id"],
        name="new_broadcast",
    )
    return (fcm.at[n] - event.at).total_seconds()


def test_21_sleeping_phones_are_woken_within_two_seconds_and_those_that_read_are_spared(
    dial, at_site, fcm, captains
):
    _, reading, silent, _ = captains("sleeping", "reading", "silent", "dead")
    fcm.answers["dead"] = fake.UNREGISTERED
    phones = [Phone(at_site.socket, session_of(fleet), "captain") for fleet in (reading, silent)]
    dial(new_customer()).confirming("key-1")()
    card = phones[0].next("event")
    phones[0].send(type="ack", seq=card["seq"])
    phones[1].next("event")
    until(lambda: not Push.objects.filter(ended_at=None).exists())
    assert sorted(fcm.tokens) == ["dead", "silent", "sleeping"]
    assert seconds_to_push(fcm, "sleeping") <= SLEEPING_S
    assert seconds_to_push(fcm, "silent") <= SILENT_S
    assert not Device.objects.filter(push_token="dead").exists()
    assert Push.objects.get(device__push_token="reading").outcome == "read"
    for phone in phones:
        phone.close()


def test_19_socket_and_push_both_deliver_and_to_the_phone_they_are_one_card(
    dial, at_site, fcm, captains
):
    (fleet,) = captains("both")
    phone = Phone(at_site.socket, session_of(fleet), "captain")
    confirmed = dial(new_customer()).confirming("key-1")()
    card = phone.next("event")
    until(lambda: "both" in fcm.tokens)
    told = fcm.got[fcm.tokens.index("both")]["data"]
    assert told["type"] == card["name"] == "new_broadcast"
    assert told["order_id"] == card["order_id"] == confirmed.json()["id"]
    assert (
        told["offer_id"]
        == card["data"]["offer_id"]
        == str(Offer.objects.get(order=confirmed.json()["id"], transporter=fleet).id)
    )
    assert told["seq"] == str(card["seq"])
    phone.close()


def test_21_a_broken_fcm_opens_the_breaker_and_confirms_are_not_slower(
    dial, at_site, fcm, captains
):
    captains("one", "two")
    well = seconds_to_confirm(dial)
    fcm.always, fcm.hang_s = fake.AWAY, 1.0
    try:
        badly = seconds_to_confirm(dial)
        until(lambda: "breaker opened" in at_site.log("loop"))
    finally:
        fcm.always, fcm.hang_s = None, 0.0
    assert statistics.median(badly) < 2 * statistics.median(well) + 0.05, (well, badly)


def seconds_to_confirm(dial):
    """Of five customers, each of whom has a phone told by push if it sleeps."""
    found = []
    for _ in range(5):
        line = dial(new_customer())
        line.get("me")
        started = time.monotonic()
        assert line.confirming("key-1")().status_code == 201
        found.append(time.monotonic() - started)
    return found
