"""Phones on the line to a running site."""

import os
from functools import partial
from pathlib import Path

import httpx

from orders.models import Order
from orders.states import ORDER_ACTIVE
from tests.scenarios.story import body, heard, names
from weelo.accounts import sessions


class Line:
    """A signed-in phone on one connection, so with one process of the http service."""

    def __init__(self, site, user):
        self.site, access = site, sessions.sign_in_by_phone(user.phone).access
        self.http = httpx.Client(
            base_url=f"{site.api}/api/v1/",
            headers={"Authorization": f"Bearer {access}"},
            timeout=10,
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
        here, there = f":{self.site.port:04X}", f":{port:04X}"
        rows = map(str.split, Path("/proc/net/tcp").read_text().splitlines())
        (socket,) = [f"socket:[{r[9]}]" for r in rows if r[1].endswith(here) and there in r[2]]
        (process,) = [pid for pid in self.site.workers("http") if socket in files_of(pid)]
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
