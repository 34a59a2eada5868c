"""A dispatcher watches the board over a real socket, let in by the admin."""

import json
import re
import time
from contextlib import ExitStack

import httpx
import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from dispatch.ops import RECHECK_EVERY_S
from tests.contract.frames import validate_frame
from tests.people import make_captain, make_customer, make_dispatcher, make_order
from tests.running import running
from weelo.accounts import sessions

PASSWORD = "devi-devi-devi"


@pytest.fixture(scope="module")
def site(django_db_setup, django_db_blocker):
    known = {"SECRET_KEY": settings.SECRET_KEY}
    with running(known, services=("http", "live", "loop")) as site, django_db_blocker.unblock():
        with site.django():
            devi = make_dispatcher()
            devi.set_password(PASSWORD)
            devi.save()
            yield site


@pytest.fixture(autouse=True)
def lines():
    """What a test opens is closed after it."""
    with ExitStack() as _lines:
        open_line.stack = _lines
        yield


def open_line(url, **options):
    return open_line.stack.enter_context(connect(url, proxy=None, **options))


class Console:
    """Devi's browser."""

    def __init__(self, site):
        self.site = site
        self.http = open_line.stack.enter_context(
            httpx.Client(base_url=site.api, follow_redirects=True)
        )

    def sign_in(self):
        self._post("/admin/login/", username="devi", password=PASSWORD, next="/admin/")
        return self

    def sign_out(self):
        assert self._post("/admin/logout/").status_code == 200

    def ticket(self):
        answer = self._post("/admin/ops/ticket")
        assert answer.status_code == 201, answer.text
        return answer.json()["ticket"]

    def _post(self, path, **data):
        page = self.http.get("/admin/login/" if path == "/admin/login/" else "/admin/").text
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page)[1]
        return self.http.post(path, data={"csrfmiddlewaretoken": token, **data})

    def watch(self, ticket):
        return Watch(self.site, ticket)


class Watch:
    """One socket of the console; each frame is held to docs/asyncapi.yaml."""

    def __init__(self, site, ticket, hello=True):
        self.line = open_line(
            f"{site.socket}/ws/ops/",
            subprotocols=["weelo.v1", *([f"ticket.{ticket}"] if ticket else [])],
        )
        if hello:
            self.line.send(json.dumps({"type": "hello"}))

    def next(self, seconds=10):
        frame = json.loads(self.line.recv(timeout=seconds))
        validate_frame("ops", "send", frame)
        return frame

    def until(self, is_so, seconds=10):
        """The first difference of which it is so."""
        deadline = time.monotonic() + seconds
        while True:
            frame = self.next(max(0.01, deadline - time.monotonic()))
            if frame["type"] == "difference" and is_so(frame):
                return frame

    def code(self, seconds=10):
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.line.recv(timeout=max(0.01, deadline - time.monotonic()))
        except ConnectionClosed as end:
            return end.rcvd.code


@pytest.fixture
def devi(site, lines):
    return Console(site).sign_in()


def test_a_dispatcher_sees_what_is_and_then_what_changes(site, devi):
    watch = devi.watch(devi.ticket())
    first = watch.next()
    assert first["type"] == "snapshot"
    known = {row["id"] for row in first["orders"]}
    asha = make_customer("+919000000201", "Asha")
    order = make_order(asha)
    began = time.monotonic()
    seen = watch.until(lambda frame: frame.get("orders", {}).get("set"))
    assert time.monotonic() - began < 5
    assert str(order.id) in {row["id"] for row in seen["orders"]["set"]} - known
    make_captain("+919000000202", "Balu")
    watch.until(lambda frame: frame.get("counts", {}).get("set"), seconds=15)
    devi_too = devi.watch(devi.ticket())
    assert str(order.id) in {row["id"] for row in devi_too.next()["orders"]}


def test_nobody_comes_in_without_a_ticket_of_the_admin(site, devi):
    assert Watch(site, None, hello=False).code() == 4401
    assert Watch(site, "made-up", hello=False).code() == 4401
    ticket = devi.ticket()
    devi.watch(ticket).next()
    assert Watch(site, ticket, hello=False).code() == 4401, "a ticket opens one socket"


def test_a_phones_ticket_does_not_open_the_board_nor_an_access_token(site):
    gita = make_customer("+919000000203", "Gita")
    access = sessions.sign_in_by_phone(gita.phone).access
    headers = {"Authorization": f"Bearer {access}"}
    answer = httpx.post(f"{site.api}/api/v1/socket-ticket", headers=headers)
    assert answer.status_code == 201, answer.text
    assert Watch(site, answer.json()["ticket"], hello=False).code() == 4401
    line = open_line(f"{site.socket}/ws/ops/", additional_headers=headers)
    with pytest.raises(ConnectionClosed) as end:
        line.recv(timeout=5)
    assert end.value.rcvd.code == 4401


def test_a_dispatchers_ticket_opens_no_phones_socket(site, devi):
    line = open_line(
        f"{site.socket}/ws/captain/",
        subprotocols=["weelo.v1", f"ticket.{devi.ticket()}"],
    )
    with pytest.raises(ConnectionClosed) as end:
        line.recv(timeout=5)
    assert end.value.rcvd.code == 4401


def test_who_is_not_signed_in_gets_no_ticket(site):
    answer = httpx.post(f"{site.api}/admin/ops/ticket")
    assert answer.status_code in (302, 403)


@pytest.mark.parametrize("frame", ['{"type": "accept"}', '{"type": "ack", "seq": 1}', "[]"])
def test_a_dispatcher_says_nothing_but_hello_and_ping(site, devi, frame):
    watch = devi.watch(devi.ticket())
    watch.next()
    watch.line.send('{"type": "ping"}')
    while watch.next()["type"] != "pong":
        pass
    watch.line.send(frame)
    assert watch.code() == 4400


def test_who_signs_out_of_the_admin_loses_the_board(site, devi):
    watch = devi.watch(devi.ticket())
    watch.next()
    devi.sign_out()
    assert watch.code(RECHECK_EVERY_S + 10) == 4401


def test_a_deployment_says_when_to_come_back(site, devi):
    watch = devi.watch(devi.ticket())
    watch.next()
    site.stop("live")
    try:
        while (frame := watch.next())["type"] != "restart":
            pass
        assert 0 < frame["retry_in"] < 2
        assert watch.code() == 1012
    finally:
        site.start("live")
        site.wait()
