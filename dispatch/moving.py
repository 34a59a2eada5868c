"""Shows a truck on its way to its customer: `location_updated`, a live frame that may get lost."""

import time
from collections.abc import Mapping
from functools import lru_cache
from uuid import UUID

import structlog
from django.db import Error

from orders.models import Trip
from transporters import presence
from transporters.fleet import Fleet
from transporters.presence import Fix, Member
from weelo.events.live import send_live
from weelo.events.models import Role

log = structlog.get_logger(__name__)
EVERY_S = 1.0
MOST_TRIPS = 100_000
_shown_at: dict[UUID, float] = {}


@presence.follow
def show(fleet: Fleet, newest: Mapping[Member, Fix]) -> None:
    """Tell the customers of a fleet's live trips where their trucks are, at most once a second.

    Called with every report of a fleet on a trip; no SQL once a trip is known to this process.
    """
    for member, fix in newest.items():
        trip_id = _trip_of(fleet, member)
        if trip_id is None or not _is_due(trip_id):
            continue
        try:
            customer_id, registration = _known(trip_id)
        except (Trip.DoesNotExist, Error) as fault:
            log.debug("position not shown", trip_id=trip_id, reason=str(fault))
            continue
        send_live(
            [(customer_id, Role.CUSTOMER)], "location_updated", _frame(trip_id, registration, fix)
        )


def _trip_of(fleet: Fleet, member: Member) -> UUID | None:
    """The trip of a vehicle; a captain's own point is that of his only vehicle on a trip."""
    if member.vehicle_id is not None:
        return fleet.trips.get(member.vehicle_id)
    return next(iter(fleet.trips.values())) if len(fleet.trips) == 1 else None


def _is_due(trip_id: UUID) -> bool:
    now = time.monotonic()
    if now - _shown_at.get(trip_id, -EVERY_S) < EVERY_S:
        return False
    if len(_shown_at) >= MOST_TRIPS:
        _shown_at.clear()
    _shown_at[trip_id] = now
    return True


@lru_cache(MOST_TRIPS)
def _known(trip_id: UUID) -> tuple[UUID, str]:
    """Customer and registration of a trip, which never change."""
    trip = Trip.objects.select_related("order", "vehicle").get(id=trip_id)
    return trip.order.customer_id, trip.vehicle.registration


def _frame(trip_id: UUID, registration: str, fix: Fix) -> dict[str, object]:
    return {
        "trip_id": trip_id,
        "vehicle": {"registration": registration},
        "lat": fix.lat,
        "lng": fix.lng,
        "heading": fix.heading,
        "speed_mps": fix.speed_mps,
        "at": fix.at,
    }
