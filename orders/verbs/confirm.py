"""A customer confirms: one order comes into being, or the same one is given again.

The order of checks is the contract's: key look-up (a replay ends here), limit of orders made,
lock, transaction. The constraints decide; every look before them only answers earlier.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Now

from orders import messages, pricing, quotes, snapshots
from orders.area import check_area
from orders.change import By, Change
from orders.models import Actor, Order, PaidBy, PaymentMode, TruckRequest
from orders.refusals import (
    ActiveOrderExists,
    ConcurrentRequest,
    KeyReused,
    UnknownVehicleType,
)
from orders.states import ORDER_ACTIVE
from orders.verbs.expire import expire
from transporters.geo import Point
from weelo.accounts.models import User
from weelo.cities.cells import cell_of
from weelo.cities.current import CityNow, for_confirm
from weelo.lib import limits
from weelo.lib.hints import hint
from weelo.lib.locks import courtesy_lock
from weelo.lib.retries import verb
from weelo.lib.wire import rfc3339
from weelo.lib.writes import violated

log = structlog.get_logger(__name__)
LOCK_TTL_S = 5
MADE_WINDOW = timedelta(seconds=60)
_BY_KEY = "one_order_per_idempotency_key"
_BY_SLOT = "one_active_order_per_customer_and_slot"
_WITHIN_SLOTS = "order_within_slots"

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Confirmed:
    """The order as its customer sees it; `replayed` when the key had made it before."""

    order: dict[str, Any]
    replayed: bool = False


def confirm(customer: User, body: Body, key: str = "") -> Confirmed:
    """Make an order of a checked body (`ConfirmSerializer`), at most one per idempotency key.

    Raises KeyReused, RateLimited, ConcurrentRequest, ActiveOrderExists, OutOfArea,
    UnknownVehicleType, Overload, QuoteInvalid.
    """
    digest = body_hash(body)
    past = _look(customer, key)
    if replay := _replay(customer, past, key, digest):
        return replay
    _limit_orders_made(past)
    with courtesy_lock(f"confirm:{customer.id}", ttl_s=LOCK_TTL_S, pass_for=key) as may_go_on:
        if not may_go_on:
            raise ConcurrentRequest(
                "Another order of yours is being confirmed. Wait a second and look at it.",
                headers={"Retry-After": "1"},
            )
        return _confirm(customer, body, key, digest, past)


def body_hash(body: Body) -> str:
    """SHA-256 of what was asked for, without the key; equal for equal wishes."""
    wish = {name: value for name, value in body.items() if name != "idempotency_key"}
    return hashlib.sha256(json.dumps(wish, sort_keys=True, default=str).encode()).hexdigest()


def _confirm(customer: User, body: Body, key: str, digest: str, past: list[Order]) -> Confirmed:
    for order in past:
        if order.trucks_searching and order.expires_at <= _now(order):
            expire(order.id)
            past = _look(customer, key)
    try:
        return _make(customer, body, key, digest, _free_slot(customer, past))
    except IntegrityError as fault:
        if violated(fault) not in (_BY_KEY, _BY_SLOT, _WITHIN_SLOTS):
            raise
    # Between the look and the insert another confirm of the customer was first, or a dispatcher
    # took a slot away.
    past = _look(customer, key)
    if replay := _replay(customer, past, key, digest):
        return replay
    _free_slot(customer, past)
    raise ConcurrentRequest(
        "Another order of yours was confirmed and ended just now. Send this one again.",
        headers={"Retry-After": "1"},
    )


def _look(customer: User, key: str) -> list[Order]:
    """In one statement: the order of this key, the active ones, those of the last minute."""
    made_lately = Q(created_at__gt=Now() - MADE_WINDOW)
    wanted = Q(status__in=ORDER_ACTIVE) | made_lately
    if key:
        wanted |= Q(idempotency_key=key)
    return list(Order.objects.filter(wanted, customer=customer).annotate(now=Now()))


def _now(order: Order) -> datetime:
    now: datetime = order.now  # type: ignore[attr-defined]
    return now


def _replay(customer: User, past: list[Order], key: str, digest: str) -> Confirmed | None:
    made = next((order for order in past if key and order.idempotency_key == key), None)
    if made is None:
        return None
    if made.body_hash != digest:
        raise KeyReused("This idempotency key confirmed another body. Use a new key for it.")
    return Confirmed(snapshots.order_payload(customer.id, made.id), replayed=True)


def _limit_orders_made(past: list[Order]) -> None:
    """Orders that came to be in the last 60 s; a refused confirm uses none."""
    lately = [o for o in past if o.created_at > _now(o) - MADE_WINDOW]
    if len(lately) >= settings.LIMIT_ORDERS:
        oldest = sorted(order.created_at for order in lately)[-settings.LIMIT_ORDERS]
        wait = (oldest + MADE_WINDOW - _now(lately[0])).total_seconds()
        raise limits.refusal("orders", int(wait) + 1)


def _free_slot(customer: User, past: list[Order]) -> int:
    """The lowest free place for an active order. Raises ActiveOrderExists."""
    active = [order for order in past if order.status in ORDER_ACTIVE]
    taken = {order.slot for order in active}
    free = set(range(1, customer.max_active_orders + 1)) - taken
    if not free:
        newest = max(active, key=lambda order: order.created_at)
        raise ActiveOrderExists(
            "You have an active order. Wait for it, or cancel it, then confirm again.",
            order_id=str(newest.id),
            expires_at=rfc3339(newest.expires_at),
            server_time=rfc3339(_now(newest)),
        )
    return min(free)


def _make(customer: User, body: Body, key: str, digest: str, slot: int) -> Confirmed:
    points = [_point(place) for place in (body["pickup"], *body.get("stops", ()), body["drop"])]
    slugs = {line["vehicle_type"] for line in body["trucks"]}
    here = check_area(for_confirm(*points[0], slugs), points)
    km = pricing.distance_km(points, settings.ROAD_FACTOR)
    order = Order(
        customer=customer,
        slot=slot,
        idempotency_key=key or None,
        body_hash=digest,
        city=here.city,
        rate_card=here.rate_card,
        pickup=body["pickup"],
        drop=body["drop"],
        stops=body.get("stops", []),
        pickup_cell=cell_of(*points[0]),
        goods=body.get("goods"),
        payment=body.get("payment") or {"mode": PaymentMode.CASH, "paid_by": PaidBy.SENDER},
        distance_km=km.quantize(Decimal("0.01"), ROUND_HALF_UP),
    )
    return _write(order, _trucks(order, here, points, km, body["trucks"]), here.now)


def _trucks(
    order: Order, here: CityNow, points: Sequence[Point], km: Decimal, lines: Sequence[Body]
) -> list[TruckRequest]:
    """One row a truck, each with its fare: the quoted one while the quote holds, else of now."""
    trucks: list[TruckRequest] = []
    for line in lines:
        slug, load_kg, quote = line["vehicle_type"], line.get("load_kg"), line.get("quote")
        if slug not in here.vehicle_types:
            raise UnknownVehicleType(
                f"{here.city.name} has no vehicle type {slug}. Choose one from the search.",
                vehicle_type=slug,
            )
        fare = pricing.fare_now(here, slug, km, load_kg)
        if quote:
            wish = quotes.Wish(points, slug, load_kg, here.city.slug, here.rate_card.version)
            fare = quotes.check(quote, wish, now=here.now, fare_now_paise=fare)
        trucks += [
            TruckRequest(
                order=order,
                position=len(trucks) + i,
                vehicle_type_id=slug,
                load_kg=load_kg,
                fare_paise=fare,
                payout_paise=pricing.payout_paise(fare, here.city.commission_percent),
            )
            for i in range(1, line["quantity"] + 1)
        ]
    return trucks


@verb
def _write(order: Order, trucks: list[TruckRequest], now: datetime) -> Confirmed:
    order.created_at = order.seeking_since = order.next_wave_at = now
    order.expires_at = now + settings.ORDER_TTL
    order.trucks_wanted = order.trucks_searching = len(trucks)
    order.fare_paise = sum(truck.fare_paise for truck in trucks)
    change = Change.new(By(Actor.CUSTOMER, order.customer_id), order, trucks, now)
    change.finish()
    hint("hint:loop", "orders")
    log.info("order confirmed", order_id=order.id, city=order.city_id, trucks=len(trucks))
    return Confirmed(messages.order_payload(order, trucks, now))


def _point(place: Mapping[str, Any]) -> Point:
    return Point(place["lat"], place["lng"])
