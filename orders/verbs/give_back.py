"""A captain gives a won truck back before the pickup is done: it seeks again."""

from typing import Any
from uuid import UUID

import structlog
from django.conf import settings

from orders import messages
from orders.change import By, Change
from orders.models import Actor, Trip
from orders.refusals import IllegalStep
from orders.states import TRIP_BEFORE_PICKUP_DONE, OfferState, TripStatus, TruckStatus
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)
MOST_GIVE_BACKS = 4


@verb
def give_back(captain_id: UUID, trip_id: UUID, reason: str = "") -> dict[str, Any]:
    """Give a trip back; its truck seeks again for at least the TTL, the 4th time it expires.

    Given back before: the same success. Raises NotFound; IllegalStep once the goods are on board.
    """
    own = Trip.objects.filter(id=trip_id, transporter__owner_id=captain_id)
    change = Change.of(By(Actor.CAPTAIN, captain_id), id__in=own.values("order_id"))
    trip = own.select_related("vehicle", "driver", "transporter__owner").get()
    truck = change.truck(trip.truck_id)
    if trip.status == TripStatus.CANCELLED:
        return messages.trip_for_captain(trip, change.order, truck)
    if trip.status not in TRIP_BEFORE_PICKUP_DONE:
        raise IllegalStep(
            f"The trip is {trip.status}; only before the goods are on board it can go back.",
            allowed=[],
        )
    change.expire_overdue()
    dropped = change.drop_trip(truck, reason[:200])
    _close_own_offer(change, dropped)
    times = truck.give_backs + 1
    if times >= MOST_GIVE_BACKS:
        change.move(truck, TruckStatus.EXPIRED, give_backs=times)
    else:
        change.move(truck, TruckStatus.SEARCHING, give_backs=times)
        change.seek_for(settings.ORDER_TTL)
    change.finish()
    log.info("truck given back", order_id=change.order.id, trip_id=trip_id, times=truck.give_backs)
    return messages.trip_for_captain(dropped, change.order, truck)


def _close_own_offer(change: Change, trip: Trip) -> None:
    """The giver is not asked again for this order; its other trips on it stay."""
    offer = next(o for o in change.offers if o.transporter_id == trip.transporter_id)
    if offer.state == OfferState.ACCEPTED:
        change.move(offer, OfferState.GIVEN_BACK, answered_at=change.now)
