"""A town of a running site, what is true of it, and the calls that its people make."""

import time
from dataclasses import dataclass, field
from itertools import count

import httpx
from django.db import connection

from dispatch.audit import audit
from orders.change import By
from orders.models import Actor, Fact, Offer, Order, Trip, TruckRequest, Wave
from orders.verbs.cancel import cancel
from tests.events.live import Phone
from tests.people import CENTRE, make_captain, make_customer, vehicle_ids
from transporters.models import Transporter
from weelo.accounts import sessions
from weelo.accounts.models import SmsMessage
from weelo.events.models import Event

PATIENCE_S = 20
TABLES = (
    *("orders_order", "orders_truckrequest", "orders_offer", "orders_trip", "orders_wave"),
    *("orders_fact", "events_event", "events_stream", "accounts_smsmessage"),
    *("transporters_transporter", "transporters_vehicle", "transporters_driver"),
)
_numbers = count(1)


class Town:
    """A customer, and two captains with one truck each, near her."""

    def __init__(self, site):
        self.site = site
        phones = (f"+9170{next(_numbers):08}" for _ in range(3))
        self.asha = make_customer(next(phones))
        self.balu = make_captain(next(phones), "Balu")
        self.chitra = make_captain(next(phones), "Chitra")

    def orders(self):
        return Order.objects.filter(customer=self.asha).order_by("created_at")

    def leave(self):
        for order in self.orders().filter(trucks_searching__gt=0):
            cancel(By(Actor.DISPATCHER), order.id, reason="the test is over", with_fee=False)
        mine = [self.balu.id, self.chitra.id]
        Transporter.objects.filter(id__in=mine).update(is_online=False)

    def socket(self, user, role):
        """The person's phone, with a socket that was welcomed."""
        return Phone(self.site.socket, sessions.sign_in_by_phone(user.phone).session, role)

    def stand_near(self):
        """Both captains report that they are at the pickup."""
        for fleet in (self.balu, self.chitra):
            (vehicle,) = vehicle_ids(fleet)
            point = {"vehicle_id": str(vehicle), "lat": CENTRE[0], "lng": CENTRE[1]}
            assert self.ask(fleet.owner, "positions", point).status_code == 202

    def ask(self, user, path, body, *, method="POST", **headers):
        token = sessions.sign_in_by_phone(user.phone).access
        headers = {"Authorization": f"Bearer {token}", **headers}
        return httpx.request(
            method, f"{self.site.api}/api/v1/{path}", json=body, headers=headers, timeout=PATIENCE_S
        )

    def story(self):
        """What became of her orders, and what was told to whom, in words that have no ids."""
        mine = {"order__customer": self.asha}
        events = Event.objects.filter(order_id__in=self.orders().values("id"))
        registration = self.balu.vehicles.get().registration
        return {
            "orders": rows(
                self.orders(),
                *("status", "reason", "version", "slot", "trucks_wanted", "trucks_filled"),
                *("trucks_searching", "captains_told", "wave", "payable_paise", "cancel_fee_paise"),
            ),
            "trucks": rows(
                TruckRequest.objects.filter(**mine).order_by("order__created_at", "position"),
                *("status", "give_backs", "fare_paise"),
            ),
            "offers": rows(
                Offer.objects.filter(**mine).order_by("transporter__owner__name"),
                *("transporter__owner__name", "state", "close_reason", "wave"),
            ),
            "trips": rows(Trip.objects.filter(**mine).order_by("won_at"), "status", "stops_state"),
            "waves": rows(Wave.objects.filter(**mine).order_by("id"), "number", "part"),
            "facts": rows(
                Fact.objects.filter(**mine).order_by("id"),
                *("order_version", "kind", "subject", "from_status", "to_status", "by"),
            ),
            "messages": rows(
                events.order_by("stream__role", "stream__user__name", "seq"),
                *("stream__role", "stream__user__name", "name", "order_version"),
            ),
            "sms": SmsMessage.objects.filter(text__contains=registration).count(),
        }


def rows(found, *names):
    return list(found.values_list(*names))


@dataclass
class Call:
    """A request that can be sent again, and the ids in its answer."""

    town: Town
    user: object
    path: str
    body: dict
    headers: dict = field(default_factory=dict)

    def send(self):
        """The answer, or nothing when the server died over it."""
        try:
            return self.town.ask(self.user, self.path, self.body, **self.headers)
        except httpx.TransportError:
            return None

    def retry(self):
        """The first answer from whoever serves now."""
        return until(self.send)


def everything(*, but=()):
    """Every row of every table that a verb writes, but these columns."""
    with connection.cursor() as cursor:
        found = {}
        for table in TABLES:
            cursor.execute(f"SELECT to_jsonb(t) - %s::text[] FROM {table} t", [list(but)])
            found[table] = sorted(str(row) for (row,) in cursor.fetchall())
        return found


def is_sound():
    """Whether the audit finds nothing."""
    return [finding for finding in audit() if finding.rows] == []


def until(is_true):
    """What it returned once it was true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := is_true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found
