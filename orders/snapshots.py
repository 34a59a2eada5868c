"""What a person sees now: the lists of the API and the snapshots of the sockets.

Reading writes nothing: an overdue order is shown as expired whether or not that is stored yet.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet
from django.db.models.functions import Now

from orders import messages
from orders.models import Fact, Offer, Order, Trip, TruckRequest
from orders.states import OFFER_LISTED, ORDER_ACTIVE, TRIP_LIVE
from orders.trucks import status_at, with_held_trips
from transporters.messages import standing
from transporters.models import Transporter
from weelo.lib.problems import NotFound
from weelo.lib.wire import rfc3339

Payload = dict[str, Any]
RECENT_TRIPS = timedelta(hours=1)
LAST_ORDER = timedelta(hours=24)


# --- the customer ------------------------------------------------------------------------------


def orders_of(customer_id: UUID) -> QuerySet[Order]:
    """A customer's orders, newest first, ready for `order_payloads`."""
    return with_trucks(Order.objects.filter(customer_id=customer_id)).order_by("-created_at", "id")


def with_trucks(orders: QuerySet[Order]) -> QuerySet[Order]:
    """Orders with their trucks, trips and the database's clock, in two statements."""
    trucks = Prefetch("trucks", with_held_trips(TruckRequest.objects.all()), to_attr="loaded")
    return orders.annotate(now=Now()).prefetch_related(trucks)


def loaded(order: Order) -> tuple[Sequence[TruckRequest], datetime]:
    """The trucks and the clock of an order read by `with_trucks`."""
    return order.loaded, order.now  # type: ignore[attr-defined]


def order_payloads(orders: Iterable[Order]) -> list[Payload]:
    """The orders as their customer sees them."""
    return [messages.order_payload(order, *loaded(order)) for order in orders]


def order_of(customer_id: UUID, order_id: UUID) -> Order:
    """One order of a customer, ready for `order_payloads`. Raises NotFound."""
    order = orders_of(customer_id).filter(id=order_id).first()
    if order is None:
        raise NotFound("There is no such order of yours.")
    return order


def order_payload(customer_id: UUID, order_id: UUID) -> Payload:
    """One order as its customer sees it. Raises NotFound."""
    (payload,) = order_payloads([order_of(customer_id, order_id)])
    return payload


def active_orders(customer_id: UUID) -> list[Order]:
    """A customer's orders that a reader sees as active, newest first."""
    stored = orders_of(customer_id).filter(status__in=ORDER_ACTIVE)
    return [order for order in stored if status_at(order, *loaded(order)) in ORDER_ACTIVE]


def customer_snapshot(customer_id: UUID) -> Payload:
    """`{order, orders, last_order}`: the active orders, and the last ended one of 24 h."""
    active = active_orders(customer_id)
    payloads = order_payloads(active)
    ids = {order.id for order in active}
    recent = orders_of(customer_id).filter(created_at__gt=Now() - LAST_ORDER).exclude(id__in=ids)
    last = order_payloads(recent[:1])
    return {
        "order": payloads[0] if payloads else None,
        "orders": payloads,
        "last_order": last[0] if last else None,
    }


def timeline(customer_id: UUID, order_id: UUID) -> list[Payload]:
    """What happened to an order, oldest first: `[{at, kind, by, data}]`. Raises NotFound."""
    if not Order.objects.filter(id=order_id, customer_id=customer_id).exists():
        raise NotFound("There is no such order of yours.")
    facts = Fact.objects.filter(order_id=order_id).order_by("id")
    return [
        {
            "at": rfc3339(fact.at),
            "kind": fact.kind,
            "by": fact.by,
            "data": {
                fact.subject: str(fact.subject_id),
                "from": fact.from_status or None,
                "to": fact.to_status or None,
            },
        }
        for fact in facts
    ]


# --- captain and driver -----------------------------------------------------------------------


def offers_of(captain_id: UUID) -> list[Payload]:
    """A captain's offers, open or accepted, whose order still seeks; nearest deadline first."""
    listed = (
        Offer.objects.filter(
            transporter__owner_id=captain_id,
            state__in=OFFER_LISTED,
            order__trucks_searching__gt=0,
            order__expires_at__gt=Now(),
        )
        .annotate(now=Now())
        .select_related("order")
        .order_by("order__expires_at", "id")
    )
    return _offer_payloads(list(listed))


def offer_of(captain_id: UUID, offer_id: UUID) -> Payload:
    """One offer of a captain, in whatever state. Raises NotFound."""
    own = Offer.objects.filter(id=offer_id, transporter__owner_id=captain_id)
    found = _offer_payloads(list(own.annotate(now=Now()).select_related("order")))
    if not found:
        raise NotFound("There is no such offer to you.")
    return found[0]


def _offer_payloads(offers: list[Offer]) -> list[Payload]:
    trucks: dict[UUID, list[TruckRequest]] = defaultdict(list)
    wanted = {offer.order_id for offer in offers}
    for truck in TruckRequest.objects.filter(order_id__in=wanted).order_by("position"):
        trucks[truck.order_id].append(truck)
    payloads = []
    for offer in offers:
        now: datetime = offer.now  # type: ignore[attr-defined]
        payload = messages.offer_payload(offer, offer.order, trucks[offer.order_id], now)
        left = (offer.order.expires_at - now).total_seconds()
        payloads.append({**payload, "remaining_s": max(0.0, round(left, 3))})
    return payloads


def trips_of(user_id: UUID) -> QuerySet[Trip]:
    """The trips that a user answers for as captain, or drives; newest first."""
    mine = Q(transporter__owner_id=user_id) | Q(driver__user_id=user_id)
    return (
        Trip.objects.filter(mine)
        .select_related("order", "truck", "vehicle", "driver", "transporter__owner")
        .order_by("-won_at", "id")
    )


def trip_payload(trip: Trip) -> Payload:
    """A trip read by `trips_of`, as captain and driver see it."""
    return messages.trip_for_captain(trip, trip.order, trip.truck)


def captain_snapshot(user_id: UUID) -> Payload:
    """`{transporter, offers, trips}`: trips live, or ended less than an hour ago."""
    fleet = Transporter.objects.filter(owner_id=user_id).first()
    recent = Q(status__in=TRIP_LIVE) | Q(ended_at__gt=Now() - RECENT_TRIPS)
    return {
        "transporter": standing(fleet, fleet.vehicles.order_by("created_at", "id"))
        if fleet
        else None,
        "offers": offers_of(user_id) if fleet else [],
        "trips": [trip_payload(trip) for trip in trips_of(user_id).filter(recent)],
    }
