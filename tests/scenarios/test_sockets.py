"""What sockets hear when their line is cut, when they are with another process, when Redis is
gone, and when somebody is shut out."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import httpx
import pytest
from django.conf import settings
from django.db import transaction

from orders.models import Offer, Order, Trip
from orders.states import OfferState, OrderStatus, TripStatus
from tests.dispatch.drive import stand
from tests.orders.clock import overdue
from tests.people import make_captains, make_order, vehicle_ids
from tests.races.racing import race, wait_for_waiters
from tests.running import running
from tests.scenarios.site import seconds_since
from tests.scenarios.story import (
    drive,
    heard,
    names,
    new_customer,
    tell_beside_a_loop,
    until,
    win,
)
from transporters import kyc
from transporters.models import CurrentPosition, Kyc
from transporters.presence import buffer
from weelo.events.models import Role
from weelo.lib.clock import database_now

WITHOUT_REDIS_S = 1.2  # from a commit to a socket
SHUT_OUT_S = 30.0
CUT_OFF_S = 3.0  # nothing hangs on how long: sockets say hello again, and streams do not end


@pytest.fixture(scope="module")
def site(own_valkey):
    own = {"REDIS_URL": own_valkey.url, "LIVE_WORKERS": "2", "SECRET_KEY": settings.SECRET_KEY}
    with running(own, ("http", "live", "loop")) as site:
        yield site


def remaining_s(data):
    """What a phone counts down from: by difference, since its own clock may be wrong."""
    ends, now = (datetime.fromisoformat(data[at]) for at in ("expires_at", "server_time"))
    return (ends - now).total_seconds()


# --- 18: cut off -----------------------------------------------------------------------------


def test_18_a_captain_cut_off_during_a_broadcast_gets_it_once_with_the_true_seconds_left(
    dial, listen
):
    cut, hung = make_captains(2, vehicle_type="open-19-ft")
    for fleet in (cut, hung):
        dial(fleet).stand(1000)
    ears = [listen(cut), listen(hung)]
    ears[0].line.socket.close()  # the other goes on in the belief that it has its phone
    customer = dial(new_customer())
    made = customer.confirming("key-1", vehicle_type="open-19-ft")().json()
    order = Order.objects.get(id=made["id"])
    until(lambda: order.offers.count() == 2)
    time.sleep(CUT_OFF_S)
    for ear in ears:
        back = listen(ear)
        card = back.hear("new_broadcast")
        left_s = (order.expires_at - database_now()).total_seconds()
        assert back.welcome["snapshot"] is None
        assert card["data"]["order_id"] == made["id"]
        assert remaining_s(card["data"]) == pytest.approx(left_s, abs=0.5)
        assert left_s < 60 - CUT_OFF_S
        # Once: not again by the hub, which looks every second, and not by another hello.
        assert back.all_until_silent(1.5) == []
        assert listen(back).all_until_silent(0.3) == []
        (shown,) = dial(ear.who).get("offers").json()["results"]
        assert shown["offer_id"] == card["data"]["offer_id"]
        assert shown["remaining_s"] == pytest.approx(remaining_s(shown), abs=0.01)


# --- 20: another process ----------------------------------------------------------------------


def test_20_what_comes_in_on_one_process_reaches_the_sockets_of_another(dial, listen):
    (balu,) = make_captains(1, vehicle_type="open-20-ft")
    ravi = new_customer()
    captain = listen(balu)
    customer = listen(ravi, apart_from=captain)
    dial(balu).stand(1000)
    dial(ravi).confirming("key-1", vehicle_type="open-20-ft")()
    delays = [seconds_since(customer.hear("order_created"))]
    card = captain.hear("new_broadcast")
    delays.append(seconds_since(card))
    won = captain.accept(card["data"]["offer_id"], *vehicle_ids(balu))
    delays.append(seconds_since(customer.hear("truck_assigned")))
    assert customer.process() != captain.process()
    assert max(delays) < 1.0, delays
    captain.stand(1010)
    assert customer.next("live")["data"]["trip_id"] == won["data"]["trips"][0]["id"]


def test_20_with_valkey_down_every_message_arrives_within_1200_ms(dial, listen, valkey):
    (balu,) = make_captains(1, vehicle_type="open-22-ft")
    ravi = new_customer()
    captain = listen(balu)
    customer = listen(ravi, apart_from=captain)
    stand(balu, 1000)
    buffer.write_back()
    with valkey.killed():
        dial(ravi).confirming("key-1", vehicle_type="open-22-ft")()
        delays = [seconds_since(customer.hear("order_created"))]
        card = captain.hear("new_broadcast")
        delays.append(seconds_since(card))
        assert captain.accept(card["data"]["offer_id"], *vehicle_ids(balu))["status"] == 200
        delays.append(seconds_since(customer.hear("truck_assigned")))
        trip = Trip.objects.get(transporter=balu)
        for status in ("en_route_pickup", "at_pickup"):
            assert captain.ask("status", trip_id=str(trip.id), status=status)["status"] == 200
            delays.append(seconds_since(customer.hear("trip_changed")))
    assert max(delays) <= WITHOUT_REDIS_S, delays
    assert max(delays) > 0.15, "no hint was missed"


# --- 27: no Redis ------------------------------------------------------------------------------


def readiness(site):
    answer = httpx.get(f"{site.api}/readyz").json()
    return answer["status"], answer["checks"]["redis"].partition(":")[0]


def test_27_with_redis_lost_all_goes_on_by_postgres_and_readiness_says_degraded(
    dial, listen, at_site, valkey
):
    near, far = make_captains(2, vehicle_type="open-24-ft")
    lines = {fleet: dial(fleet) for fleet in (near, far)}
    ears = {fleet: listen(fleet) for fleet in (near, far)}
    wish = {"vehicle_type": "open-24-ft"}
    ravi, mina, tara = (dial(new_customer()) for _ in range(3))
    until(lambda: readiness(at_site) == ("degraded", "ok"))  # there is no beat here
    with valkey.killed():
        for metres, fleet in ((1000, near), (2000, far)):
            lines[fleet].stand(metres)
        assert readiness(at_site) == ("degraded", "away")
        known = CurrentPosition.objects.filter(transporter__in=[near, far])
        until(lambda: known.count() == 2)
        orders = [
            Order.objects.get(id=line.confirming(key, **wish)().json()["id"])
            for key, line in (("key-1", ravi), ("key-1", mina), ("key-1", tara))
        ]
        cards = [ears[near].hear("new_broadcast") for _ in orders]
        by_order = {card["order_id"]: card["data"]["offer_id"] for card in cards}
        won = ears[near].accept(by_order[str(orders[0].id)], *vehicle_ids(near))
        assert (won["status"], won["data"]["trucks_left"]) == (200, 0)
        assert mina.post(f"orders/{orders[1].id}/cancel").json()["status"] == "cancelled"
        overdue(orders[2], seconds=-0.2)
        until(lambda: Order.objects.get(id=orders[2].id).status == OrderStatus.EXPIRED, 2)
    for order, status in zip(orders, ("filled", "cancelled", "expired"), strict=True):
        order.refresh_from_db()
        assert order.status == status
        (wave,) = order.waves.filter(part=0)
        assert wave.source == "postgres"
        told = [one["transporter"] for one in wave.told]
        assert told == [str(near.id), str(far.id)]
    until(lambda: readiness(at_site) == ("degraded", "ok"), 6)


# --- 23: suspended, blocked ---------------------------------------------------------------------


def shown_driving(captain, customer):
    """The live frame of a position; one may get lost, as while Redis has just come back."""
    for n in range(8):
        captain.stand(1010 + n)
        with contextlib.suppress(TimeoutError):
            return customer.next("live", 1.5)
    raise AssertionError("no position was shown")


def test_23_who_is_suspended_between_broadcast_and_accept_wins_no_more_and_drives_on(
    dial, listen, office, at_site
):
    (balu,) = make_captains(1, vehicles=2, vehicle_type="container-19-ft")
    (chitra,) = make_captains(1, vehicle_type="container-19-ft")
    wish = {"vehicle_type": "container-19-ft"}
    ravi, line = new_customer(), dial(balu)
    captain, customer = listen(balu), listen(ravi)
    line.stand(1000)
    dial(ravi).confirming("key-1", **wish)()
    first, second = vehicle_ids(balu)
    running = captain.accept(captain.hear("new_broadcast")["data"]["offer_id"], first)
    trip_id = running["data"]["trips"][0]["id"]
    dial(new_customer()).confirming("key-1", **wish)()
    open_card = captain.hear("new_broadcast")["data"]

    office.decide(balu.id, "suspended", reason="papers are forged")
    dismissed = captain.hear("broadcast_dismissed")["data"]
    assert (dismissed["offer_id"], dismissed["reason"]) == (open_card["offer_id"], "WITHDRAWN")
    by_socket = captain.accept(open_card["offer_id"], second)
    by_http = line.post(f"offers/{open_card['offer_id']}/accept", {"vehicle_ids": [str(second)]})
    assert (by_socket["status"], by_http.status_code) == (403, 403)
    assert {by_socket["problem"]["code"], by_http.json()["code"]} == {"NOT_VERIFIED"}
    assert line.get("offers").json()["results"] == []

    # He drives on: positions, steps and the socket work; and stands in no wave by them.
    for status in ("en_route_pickup", "at_pickup"):
        assert captain.ask("status", trip_id=trip_id, status=status)["status"] == 200
    assert shown_driving(captain, customer)["data"]["trip_id"] == trip_id
    time.sleep(1)  # two points a second are taken
    line.stand(1020)
    dial(chitra).stand(2000)
    made = dial(new_customer()).confirming("key-1", **wish)().json()
    order = Order.objects.get(id=made["id"])
    until(lambda: order.waves.exists())
    assert [offer.transporter for offer in order.offers.all()] == [chitra]
    drive(Trip.objects.get(id=trip_id), "in_transit", "at_drop", "completed")
    assert "new_broadcast" not in captain.all_until_silent(2.5)  # past a look for newcomers


def test_23_a_suspension_that_comes_while_an_accept_waits_is_seen_inside_it(dial, listen, valkey):
    (balu,) = make_captains(1)
    order = make_order(new_customer())
    (offer,) = tell_beside_a_loop(order, [balu])
    line, captain = dial(balu), listen(balu)
    vehicles = vehicle_ids(balu)
    taps = [
        lambda: line.post(f"offers/{offer.id}/accept", {"vehicle_ids": list(map(str, vehicles))}),
        lambda: captain.accept(offer.id, *vehicles),
    ]
    with ThreadPoolExecutor(1) as pool, transaction.atomic(durable=True):
        kyc.move(balu.id, Kyc.SUSPENDED, reason="papers are forged")
        racing = pool.submit(race, *taps)
        seen = wait_for_waiters(2)
    by_http, by_socket = racing.result(10)
    assert seen == 2
    assert (by_http.status_code, by_http.json()["code"]) == (403, "NOT_VERIFIED")
    assert (by_socket["status"], by_socket["problem"]["code"]) == (403, "NOT_VERIFIED")
    offer.refresh_from_db()
    assert offer.state == OfferState.WITHDRAWN
    assert not order.trips.exists()


@pytest.mark.parametrize("who", ["the customer", "the captain"])
def test_23_who_is_blocked_loses_the_sockets_within_30_s_and_live_trips_are_flagged(
    dial, listen, office, at_site, who
):
    ravi, (balu,) = new_customer(), make_captains(1)
    order = make_order(ravi)
    tell_beside_a_loop(order, [balu])
    trip = win(order, balu)
    blocked = {"the customer": ravi, "the captain": balu}[who]
    other = {"the customer": balu, "the captain": ravi}[who]
    line, ears, witness = dial(blocked), [listen(blocked), listen(blocked)], listen(other)
    office.block(getattr(blocked, "owner", blocked))
    started = time.monotonic()
    assert {ear.code(SHUT_OUT_S) for ear in ears} <= {4401, 4403}
    assert time.monotonic() - started <= SHUT_OUT_S
    assert line.get("me").status_code == 401
    until(lambda: Trip.objects.get(id=trip.id).flagged == "ACCOUNT_BLOCKED")
    assert 'weelo_flagged_trips{flagged="ACCOUNT_BLOCKED"}' in at_site_metrics(at_site)
    assert Trip.objects.get(id=trip.id).status == TripStatus.ASSIGNED
    witness.send(type="ping")
    assert witness.next("pong")


def at_site_metrics(site):
    return httpx.get(f"{site.api}/metrics").text


# --- 43: two roles -----------------------------------------------------------------------------


def test_43_who_is_customer_and_captain_on_two_phones_has_two_gapless_streams_and_no_own_offer(
    dial, listen
):
    both, chitra = make_captains(2, vehicle_type="container-20-ft")
    wish, ravi = {"vehicle_type": "container-20-ft"}, new_customer()
    dial(both).stand(100)
    dial(chitra).stand(1000)
    ears = {Role.CUSTOMER: [listen(both.owner)], Role.CAPTAIN: [listen(both)]}
    other = listen(chitra)

    own = dial(both.owner).confirming("key-1", **wish)().json()
    card = other.hear("new_broadcast")
    assert card["order_id"] == own["id"]
    (wave,) = Order.objects.get(id=own["id"]).waves.filter(part=0)
    assert {"transporter": str(both.id), "reason": "OWN_ORDER"}.items() <= wave.skipped[0].items()
    other.accept(card["data"]["offer_id"], *vehicle_ids(chitra))
    dial(ravi).confirming("key-1", **wish)()
    card = ears[Role.CAPTAIN][0].hear("new_broadcast")
    ears[Role.CAPTAIN][0].accept(card["data"]["offer_id"], *vehicle_ids(both))
    ears[Role.CUSTOMER][0].hear("truck_assigned")

    # Both phones are cut off, both trips go on, both phones come back.
    for role in ears:
        ears[role][0].line.socket.close()
    for fleet in (chitra, both):
        drive(Trip.objects.get(transporter=fleet), "en_route_pickup", "at_pickup")
    for role, who in ((Role.CUSTOMER, both.owner), (Role.CAPTAIN, both)):
        ears[role].append(listen(ears[role][0]))
        ears[role][1].all_until_silent(1.5)
        got = [event for ear in ears[role] for event in ear.events]
        assert [event["seq"] for event in got] == list(range(1, len(got) + 1))
        assert names((e["name"], e["data"]) for e in got) == names(heard(who))
    told = {e["order_id"] for ear in ears[Role.CAPTAIN] for e in ear.events}
    assert own["id"] not in told
    assert not Offer.objects.filter(transporter=both, order_id=own["id"]).exists()
