"""Phones on the line to a running site, and the browser of a dispatcher."""

import os
import re
import ssl
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import httpx

from orders.models import Order
from orders.states import ORDER_ACTIVE
from tests.dispatch.drive import north
from tests.events.live import Phone
from tests.scenarios.story import body, heard, names
from weelo.accounts import sessions
from weelo.accounts.models import User

_numbers = count(1)
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # once: each client would read all certificates


class Line:
    """A signed-in phone on one connection, so with one process of the http service."""

    def __init__(self, site, user):
        self.site, access = site, sessions.sign_in_by_phone(user.phone).access
        self.http = httpx.Client(
            base_url=f"{site.api}/api/v1/",
            headers={"Authorization": f"Bearer {access}"},
            timeout=10,
            verify=NO_TLS,
        )

    def get(self, path, **query):
        return self.http.get(path, params=query)

    def post(self, path, body=None, **headers):
        return self.http.post(path, json=body or {}, headers=headers)

    def put(self, path, body):
        return self.http.put(path, json=body)

    def confirming(self, key, **changes):
        """A tap on confirm with this key; asks the database nothing when it is called."""
        return partial(self.post, "orders", body(**changes), **{"Idempotency-Key": key})

    def process(self):
        """The id of the process that answers on this line."""
        answer = self.get("me")
        _, port = answer.extensions["network_stream"].get_extra_info("client_addr")
        return process_behind(self.site.port, port, self.site.workers("http"))

    def stand(self, metres, **fields):
        """The captain reports a point so many metres north of the centre."""
        lat, lng = north(metres)
        answer = self.post("positions", {"lat": lat, "lng": lng, **fields})
        assert answer.json()["accepted"] == 1, answer.text


class Ear(Phone):
    """A signed-in phone's socket, so with one process of the live service: of a customer, of the
    captain of a fleet, or of the phone of an ear, which comes back with what it holds."""

    def __init__(self, site, who):
        self.site, held = site, {}
        if isinstance(who, Ear):
            self.who, self.session = who.who, who.session
            held = {"epoch": who.epoch, "after": who.after}
        else:
            user = getattr(who, "owner", who)
            self.who, self.session = who, sessions.sign_in_by_phone(user.phone).session
        role = "captain" if hasattr(self.who, "owner") else "customer"
        super().__init__(site.socket, self.session, role, **held)

    def hear(self, name, timeout=5.0):
        """The next event of this name."""
        while (frame := self.next("event", timeout))["name"] != name:
            pass
        return frame

    def all_until_silent(self, seconds):
        """The names of the events that come until there was silence for so long."""
        first = len(self.events)
        try:
            while True:
                self.next("event", seconds)
        except TimeoutError:
            return [event["name"] for event in self.events[first:]]

    def accept(self, offer_id, *vehicle_ids):
        """The reply to an accept."""
        ids = [str(vehicle_id) for vehicle_id in vehicle_ids]
        return self.ask("accept", offer_id=str(offer_id), vehicle_ids=ids)

    def stand(self, metres, **fields):
        """The captain reports a point so many metres north of the centre."""
        lat, lng = north(metres)
        assert self.ask("position", lat=lat, lng=lng, **fields)["data"]["accepted"] == 1

    def process(self):
        """The id of the process that has this socket."""
        port = self.line.socket.getsockname()[1]
        return process_behind(self.site.port + 1, port, self.site.workers("live"))


class Desk:
    """The browser of a dispatcher, signed in to the admin of a running site."""

    def __init__(self, site):
        signed_in = {"username": f"devi {next(_numbers)}", "password": "a long enough password"}
        User.objects.create_superuser(**signed_in)
        self.http = httpx.Client(base_url=site.api, follow_redirects=True, timeout=10)
        self.post("/admin/login/?next=/admin/", **signed_in)

    def post(self, page, **fields):
        """Fill in a page's form; returns the page that follows."""
        token = re.search('csrfmiddlewaretoken" value="(.*?)"', self.http.get(page).text)[1]
        answer = self.http.post(page, data={**fields, "csrfmiddlewaretoken": token})
        assert answer.status_code == 200, answer.text
        return answer.text

    def decide(self, transporter_id, to, **reason):
        """What becomes of a transporter's papers."""
        page = f"/admin/transporters/transporter/{transporter_id}/kyc/{to}/"
        assert f"is {to}" in self.post(page, **reason)

    def block(self, user):
        page = self.post("/admin/accounts/user/", action="block", _selected_action=str(user.id))
        assert "is blocked" in page


def seconds_since(frame):
    """How long ago the event of this frame was written."""
    return (datetime.now(UTC) - datetime.fromisoformat(frame["at"])).total_seconds()


def process_behind(port, client_port, processes):
    """Which of these processes serves the connection from `client_port` to `port`."""
    here, there = f":{port:04X}", f":{client_port:04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
    (socket,) = [f"socket:[{r[9]}]" for r in rows if r[1].endswith(here) and there in r[2]]
    (process,) = [pid for pid in processes if socket in files_of(pid)]
    return process


def one_of_twenty(customer, answers):
    """1 × 201, 19 × 409 that say why, one active row, and one message of it."""
    order = Order.objects.get(customer=customer, status__in=ORDER_ACTIVE)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert {problem["code"] for problem in refused} <= {"ACTIVE_ORDER_EXISTS", "CONCURRENT_REQUEST"}
    assert {p["order_id"] for p in refused if p["code"] == "ACTIVE_ORDER_EXISTS"} <= {str(order.id)}
    assert names(heard(customer)) == ["order_created"]
    assert Order.objects.filter(customer=customer).count() == 1
    return {problem["code"] for problem in refused}


def files_of(pid):
    """What a process has open."""
    return {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
