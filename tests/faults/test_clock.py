"""Processes whose own clock is an hour off: time is the database's, and no deadline moves.

A web process, a socket process and the only loop run under libfaketime; a second web process and a
second socket process beside them have the right time.
"""

import copy
import re
import uuid
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import libfaketime
import pytest
from django.conf import settings

from orders.models import Offer
from tests.faults.town import Town, is_sound, until
from tests.orders.clock import overdue
from tests.people import CENTRE, vehicle_ids, wish
from tests.ports import two_free_ports
from tests.running import running
from weelo.accounts import sessions
from weelo.lib.clock import database_now

TTL = timedelta(seconds=6)
LATE = timedelta(seconds=2)  # on a machine that is busy with other tests
LIBRARY = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"


def off_by(hours):
    """The environment of a process whose clock is so many hours ahead; a second stays a second."""
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME": f"{hours:+d}h",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
        "NO_FAKE_STAT": "1",
    }


@pytest.fixture(scope="module", params=[1, -1])
def hours(request):
    return request.param


@pytest.fixture(scope="module")
def site(hours, django_db_blocker):
    """`site.off`: where the web and the socket process listen whose clock is off."""
    set_up = {"SECRET_KEY": settings.SECRET_KEY, "ORDER_TTL": str(TTL.seconds)}
    with running(set_up, services=("http", "live")) as site:
        port = two_free_ports()
        site.off = SimpleNamespace(
            api=f"http://127.0.0.1:{port}", socket=f"ws://127.0.0.1:{port + 1}"
        )
        site.start("http-off", "live-off", PORT=str(port), **off_by(hours))
        site.start("loop", **off_by(hours))
        site.wait()
        until(
            lambda: answers(f"http://127.0.0.1:{port}") and answers(f"http://127.0.0.1:{port + 1}")
        )
        with django_db_blocker.unblock(), site.django():
            yield site


def answers(address):
    try:
        return httpx.get(f"{address}/livez")
    except httpx.TransportError:
        return None


@pytest.fixture
def town(site):
    """A town whose people call the process with the right time; `town.off`: the other one."""
    town = Town(site)
    town.off = copy.copy(town)
    town.off.site = site.off
    yield town
    town.leave()
    assert is_sound()


def confirm(town, **body):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    answer = town.ask(town.asha, "orders", wish(**body), **key)
    assert answer.status_code == 201, answer.text
    return answer.json()


def accept(town, offer, fleet):
    return town.ask(fleet.owner, f"offers/{offer.id}/accept", vehicles_of(fleet))


def vehicles_of(fleet):
    return {"vehicle_ids": [str(vehicle) for vehicle in vehicle_ids(fleet)]}


def test_their_clocks_are_an_hour_off_and_the_others_are_not(site, hours):
    def ahead(address):
        return parsedate_to_datetime(answers(address).headers["date"]) - database_now()

    hour, near = timedelta(hours=hours), timedelta(seconds=30)
    assert abs(ahead(site.api)) < near
    for address in (site.off.api, site.off.socket.replace("ws:", "http:")):
        assert abs(ahead(address) - hour) < near
    said = re.findall(r"\d{4}-\d\d-\d\dT[\d:.]+Z", site.log("loop"))
    assert abs(datetime.fromisoformat(said[-1]) - database_now() - hour) < 2 * near


def test_an_order_confirmed_there_has_its_whole_time_and_the_loop_ends_it_then(town):
    before = database_now()
    said = confirm(town.off)
    order = town.orders().get()
    assert before <= order.created_at <= database_now()
    assert order.expires_at == order.created_at + TTL
    expires_at = datetime.fromisoformat(said["expires_at"])
    assert abs(expires_at - order.expires_at) < timedelta(milliseconds=1)
    until(lambda: town.orders().filter(status="expired").exists())
    order.refresh_from_db()
    assert timedelta() <= order.ended_at - order.expires_at <= LATE


def test_an_accept_before_the_deadline_wins_and_one_after_it_is_refused(town):
    mine, other = offers_of(confirm(town.off), town)
    assert accept(town.off, mine, town.balu).status_code == 200
    lost = accept(town.off, other, town.chitra)
    assert (lost.status_code, lost.json()["code"]) == (409, "TRUCK_TAKEN")
    town.off.ask(town.asha, f"orders/{mine.order_id}/cancel", {"reason": "rain"})
    mine, _ = offers_of(confirm(town.off), town)
    overdue(mine.order)
    refused = accept(town.off, mine, town.balu)
    assert (refused.status_code, refused.json()["code"]) == (410, "ORDER_EXPIRED")


def offers_of(order, town):
    """What the loop tells Balu and Chitra, who report where the clock is off."""
    town.off.stand_near()
    told = Offer.objects.filter(order_id=order["id"]).select_related("order")
    until(lambda: told.count() == 2)
    return told.get(transporter=town.balu), told.get(transporter=town.chitra)


def test_who_reports_there_is_near_everywhere_and_is_told_in_time(town):
    town.off.stand_near()
    (vehicle,) = vehicle_ids(town.balu)
    at = (database_now() + timedelta(milliseconds=10)).isoformat()
    point = {"vehicle_id": str(vehicle), "lat": CENTRE[0], "lng": CENTRE[1], "at": at}
    for place in (town.off, town):
        answer = place.ask(town.balu.owner, "positions", point)
        assert answer.json()["invalid"] == answer.json()["stale"] == 0, answer.text
    for offer in offers_of(confirm(town), town):
        assert timedelta() <= offer.told_at - offer.order.created_at <= LATE


def test_a_quote_of_theirs_holds_at_the_others_as_long_as_any(town):
    pair = ",".join(map(str, CENTRE))
    params = {"pickup": pair, "drop": "13.05,77.70"}
    found = httpx.get(f"{town.off.site.api}/api/v1/search", params=params).json()
    (option,) = (o for o in found["options"] if o["vehicle_type"]["slug"] == "open-17-ft")
    left = datetime.fromisoformat(option["quote_expires_at"]) - database_now()
    assert abs(left - settings.QUOTE_TTL) < timedelta(seconds=10)
    assert abs(datetime.fromisoformat(found["server_time"]) - database_now()) < LATE


def test_tokens_of_either_hold_at_the_other(town):
    signed_in = sessions.sign_in_by_phone(town.asha.phone)
    for signs, reads in ((town.off, town), (town, town.off)):
        refresh = {"refresh": signed_in.refresh}
        signed = httpx.post(f"{signs.site.api}/api/v1/auth/token/refresh", json=refresh).json()
        headers = {"Authorization": f"Bearer {signed['access']}"}
        assert httpx.get(f"{reads.site.api}/api/v1/me", headers=headers).status_code == 200
        signed_in = SimpleNamespace(refresh=signed["refresh"])


def test_sockets_there_open_and_hear_at_once(town):
    phone = until(lambda: welcomed(town))
    started = phone.after
    confirm(town.off)
    phone.until(started + 1)
    assert phone.events[0]["name"] == "order_created"
    phone.close()


def welcomed(town):
    """Her socket; on a busy machine the first of a process takes longer than a phone waits."""
    try:
        return town.off.socket(town.asha, "customer")
    except TimeoutError:
        return None


def test_limits_there_last_their_minute(town):
    answer = town.off.ask(town.asha, "me", None, method="GET")
    (reset_s,) = re.findall(r"t=(\d+)", answer.headers["RateLimit"])
    assert 0 < int(reset_s) <= 60
    for _ in range(5):
        order_id = confirm(town.off)["id"]
        town.ask(town.asha, f"orders/{order_id}/cancel", {"reason": "rain"})
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    refused = town.off.ask(town.asha, "orders", wish(), **headers)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
