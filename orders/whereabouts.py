"""Where an order's trucks are: for who asks over HTTP, never within a snapshot or an event."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count

from orders import snapshots
from orders.models import Order, Trip
from orders.states import TRIP_LIVE
from orders.trucks import held_trips
from transporters import presence
from transporters.presence import Fix, Member
from weelo.lib.wire import rfc3339

Payload = dict[str, Any]


def placed_payloads(orders: Sequence[Order]) -> list[Payload]:
    """The orders as their customer sees them, read by `snapshots.with_trucks`; each truck on its
    way carries `position {lat, lng, at}`, or null while none is known.

    One Redis round trip for all; PostgreSQL's copy (≤ 15 s old) where Redis does not know.
    """
    held = [held_trips(snapshots.loaded(order)[0]) for order in orders]
    found = _positions([trip for trips in held for trip in trips if trip.status in TRIP_LIVE])
    payloads = snapshots.order_payloads(orders)
    for truck in (truck for payload in payloads for truck in payload["trucks"]):
        if truck["trip"]:
            truck["trip"]["position"] = found.get(truck["trip"]["id"])
    return payloads


def _positions(trips: Sequence[Trip]) -> dict[UUID, Payload]:
    """By trip: the vehicle's own point, or that of a captain who drives his only trip himself."""
    if not trips:
        return {}
    own = {trip.id: Member(trip.transporter_id, trip.vehicle_id) for trip in trips}
    captains = {Member(trip.transporter_id) for trip in trips}
    fixes = presence.last_seen({*own.values(), *captains})
    unseen = [trip for trip in trips if own[trip.id] not in fixes]
    alone = _with_one_trip({trip.transporter_id for trip in unseen})
    for trip in unseen:
        if trip.transporter_id in alone:
            own[trip.id] = Member(trip.transporter_id)
    return {trip_id: _position(fixes[member]) for trip_id, member in own.items() if member in fixes}


def _with_one_trip(transporter_ids: Collection[UUID]) -> set[UUID]:
    if not transporter_ids:
        return set()
    live = Trip.objects.filter(transporter_id__in=transporter_ids, status__in=TRIP_LIVE)
    counted = live.values_list("transporter_id").annotate(trips=Count("id")).order_by()
    return {transporter_id for transporter_id, trips in counted if trips == 1}


def _position(fix: Fix) -> Payload:
    return {"lat": fix.lat, "lng": fix.lng, "at": rfc3339(fix.at)}
