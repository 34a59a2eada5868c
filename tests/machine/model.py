"""The domain as a plain-Python model: what it says of states, written a second time.

It knows neither Django nor the product's code. A verb of `booking` or `haulage` either changes
the model or raises `Refused`, in which case nothing changed. Ids come from outside, when a row of
the database turns out to be the thing the model expected.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

TTL = timedelta(seconds=60)
LIVE = ("assigned", "en_route_pickup", "at_pickup", "in_transit", "at_drop")
UNLOADED = LIVE[:3]
LOADED = LIVE[3:]
TRIP_STATUSES = (*LIVE, "completed", "cancelled", "failed")
ACTIVE = ("broadcasting", "partially_filled", "filled", "in_progress")
WON = ("assigned", "completed", "failed")


class Refused(Exception):
    """A verb says no: the code of the refusal, and what it must tell besides."""

    def __init__(self, code, **extras):
        super().__init__(code)
        self.code, self.extras = code, extras


@dataclass(frozen=True)
class Span:
    """A moment that is known to lie between two others."""

    first: datetime
    last: datetime

    def __add__(self, delta):
        return Span(self.first + delta, self.last + delta)

    def later(self, moment):
        return Span(max(self.first, moment), max(self.last, moment))

    def __contains__(self, moment):
        return moment is not None and self.first <= moment <= self.last


@dataclass(eq=False)
class Vehicle:
    name: str
    id: object
    type: str
    in_service: bool = True
    papers_valid: bool = True


@dataclass(eq=False)
class Driver:
    name: str
    id: object
    user_id: object
    active: bool = True
    licence_valid: bool = True


@dataclass(eq=False)
class Fleet:
    name: str
    id: object
    owner_id: object
    vehicles: list
    drivers: list
    kyc: str = "verified"
    online: bool = True


@dataclass(eq=False)
class Customer:
    name: str
    id: object
    most_active: int
    orders: list = field(default_factory=list)


@dataclass(eq=False)
class Order:
    name: str
    customer: Customer
    key: str
    body: object
    stops: int
    photo_allowed: bool
    expires_at: object
    next_wave_at: object
    trucks: list = field(default_factory=list)
    offers: dict = field(default_factory=dict)
    id: object = None
    status: str = "broadcasting"
    reason: str = ""
    late: bool = False
    made_lately: bool = True
    wave: tuple = (0, 0)
    captains_told: int = 0
    fare_paise: object = 0
    payable_paise: object = 0
    cancel_fee_paise: int = 0
    captain_share_paise: int = 0

    def searching(self):
        return [truck for truck in self.trucks if truck.status == "searching"]

    def seeks(self):
        return bool(self.searching()) and not self.late

    def is_overdue(self):
        return bool(self.searching()) and self.late

    def counting(self):
        replaced = [truck.replaces for truck in self.trucks]
        return [truck for truck in self.trucks if truck not in replaced]

    def held_trips(self):
        return [truck.trip for truck in self.trucks if truck.trip]

    def trips(self):
        return [trip for truck in self.trucks for trip in truck.trips]

    def cell(self):
        return "overdue" if self.is_overdue() else self.status


@dataclass(eq=False)
class Truck:
    order: Order
    position: int
    type: str
    load_kg: object
    fare_paise: object
    payout_paise: object
    id: object = None
    status: str = "searching"
    give_backs: int = 0
    replaces: object = None
    trip: object = None
    trips: list = field(default_factory=list)

    def seen(self):
        """Its status for a reader, who need not wait until the expiry is stored."""
        return "expired" if self.status == "searching" and self.order.late else self.status


@dataclass(eq=False)
class Offer:
    order: Order
    fleet: Fleet
    id: object = None
    state: str = "open"
    close_reason: object = ""
    again: bool = False
    listed: bool = False


@dataclass(eq=False)
class Trip:
    truck: Truck
    fleet: Fleet
    vehicle: Vehicle
    driver: Driver
    stops: list
    id: object = None
    status: str = "assigned"
    steps: list = field(default_factory=lambda: ["assigned"])
    reason: str = ""
    proof: object = None
    at_pickup_at: object = None
    codes: dict = field(default_factory=dict)
    tries: dict = field(default_factory=lambda: {"start_code": 0, "drop_code": 0})
    renewed: str = ""
    stars: object = None
    disputes: list = field(default_factory=list)

    def people(self):
        return {self.fleet.owner_id} | ({self.driver.user_id} if self.driver else set())


@dataclass(eq=False)
class Dispute:
    trip: Trip
    reason: str
    id: object = None
    settlement: object = None


class Model:
    """Everything there is, and what everybody heard of it."""

    def __init__(self, customers, fleets):
        self.customers, self.fleets = customers, fleets
        self.heard = Counter()
        self.sms = 0
        self.disputes = []

    def orders(self):
        return [order for customer in self.customers for order in customer.orders]

    def trips(self):
        return [trip for order in self.orders() for trip in order.trips()]

    def offers(self):
        return [offer for order in self.orders() for offer in order.offers.values()]

    def is_busy(self, thing):
        return any(thing in (t.vehicle, t.driver) for t in self.trips() if t.status in LIVE)

    def tell(self, user_id, role, name):
        self.heard[user_id, role, name] += 1

    def expire_overdue(self, order):
        """Past the deadline what still searches is expired; returns whether anything was."""
        overdue = order.searching() if order.late else []
        for truck in overdue:
            truck.status = "expired"
        return bool(overdue)

    def seek_again(self, order, now):
        order.expires_at = (now + TTL).later(order.expires_at)
        order.next_wave_at = now
        order.late = False

    def settle(self, order, close_reason="FILLED", expired=False):
        """What follows from the trucks: counters, status, offers, and who hears of it."""
        was = order.status
        won = [truck for truck in order.counting() if truck.status in WON]
        order.payable_paise = sum(truck.fare_paise for truck in won)
        if not order.searching():
            order.next_wave_at = None
        if expired:
            told = "NO_CAPTAIN_ACCEPTED" if order.captains_told else "NO_CAPTAIN_ONLINE"
            order.reason = "PARTLY_FILLED" if won else told
            self.tell(order.customer.id, "customer", "order_expired")
        order.status = order_status(order)
        if order.status == "completed" != was:
            self.tell(order.customer.id, "customer", "order_completed")
        for offer in order.offers.values():
            self._follow(offer, bool(order.searching()), close_reason)

    def _follow(self, offer, seeking, close_reason):
        if offer.state == "open" and not seeking:
            offer.state, offer.close_reason = "closed", close_reason
        elif offer.state == "closed" and seeking and offer.fleet.kyc == "verified":
            offer.state, offer.close_reason, offer.again = "open", "", True
        self.list_or_not(offer)

    def list_or_not(self, offer):
        """The captain's list holds open and accepted offers of orders that seek."""
        listed = offer.state in ("open", "accepted") and bool(offer.order.searching())
        if listed != offer.listed:
            name = "new_broadcast" if listed else "broadcast_dismissed"
            self.tell(offer.fleet.owner_id, "captain", name)
        offer.listed = listed


def order_status(order, seen=False):
    """The status as a function of the trucks; `seen`: for a reader at this moment."""
    trucks = [(t.seen() if seen else t.status, t.trip) for t in order.counting()]
    statuses = [status for status, _ in trucks]
    ended = all(status not in ("searching", "assigned") for status in statuses)
    past = any(s in WON and trip.status in (*LOADED, "completed", "failed") for s, trip in trucks)
    if past and not ended:
        return "in_progress"
    if "searching" in statuses:
        return "partially_filled" if set(statuses) & set(WON) else "broadcasting"
    if "assigned" in statuses:
        return "filled"
    return next((end for end in ("completed", "expired") if end in statuses), "cancelled")
