"""A breakdown: a dispatcher ends a trip with goods on board, and a replacement is sought."""

from typing import Any
from uuid import UUID

import structlog
from django.conf import settings

from orders import messages
from orders.change import By, Change
from orders.models import Actor, Trip
from orders.refusals import IllegalStep
from orders.states import TRIP, TripStatus, TruckStatus
from orders.trucks import held
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)


@verb
def fail(dispatcher_id: UUID, trip_id: UUID, reason: str, *, replace: bool) -> dict[str, Any]:
    """End a trip as failed; with `replace` a new truck of the same fare is sought at once.

    Raises NotFound, IllegalStep when the goods are not on board.
    """
    by = By(Actor.DISPATCHER, dispatcher_id)
    change = Change.of(by, id__in=Trip.objects.filter(id=trip_id).values("order_id"))
    truck = next((t for t in change.trucks if (h := held(t)) and h.id == trip_id), None)
    trip = held(truck) if truck else None
    if truck is None or trip is None or not TRIP.allows(trip.status, TripStatus.FAILED):
        status = trip.status if trip else TripStatus.CANCELLED
        raise IllegalStep(f"The trip is {status}; only one with goods on board fails.", allowed=[])
    change.expire_overdue()
    change.step_trip(trip, TripStatus.FAILED, reason=reason[:200])
    change.move(truck, TruckStatus.FAILED)
    if replace:
        change.replace(truck)
        change.seek_for(settings.ORDER_TTL)
    change.finish()
    log.warning("trip failed", order_id=change.order.id, trip_id=trip_id, replace=replace)
    return messages.order_payload(change.order, change.trucks, change.now)
