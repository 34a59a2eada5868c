"""What the customer says of a trip: stars when it is done, a dispute when it went wrong."""

from typing import Any
from uuid import UUID

import structlog

from orders.change import By, Change
from orders.models import Actor, Dispute, Rating, Trip
from orders.refusals import CannotRate
from orders.states import TripStatus
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)


@verb
def rate(customer_id: UUID, trip_id: UUID, stars: int, comment: str = "") -> dict[str, Any]:
    """Rate a completed trip once (1 to 5 stars); the same stars again: the same success.

    Raises NotFound, CannotRate.
    """
    change, trip = _own_trip(customer_id, trip_id)
    if trip.status != TripStatus.COMPLETED:
        raise CannotRate(f"The trip is {trip.status}; it can be rated once it is completed.")
    rating = Rating.objects.filter(trip=trip).first()
    if rating is None:
        rating = Rating(trip=trip, stars=stars, comment=comment, at=change.now)
        change.add(rating)
        change.note("trip_rated", trip, stars=stars)
        change.finish()
        log.info("trip rated", order_id=change.order.id, trip_id=trip_id, stars=stars)
    elif rating.stars != stars:
        raise CannotRate(f"You gave {rating.stars} stars before; a rating stays as it is.")
    return {"trip_id": str(trip_id), "stars": rating.stars, "comment": rating.comment}


@verb
def dispute(customer_id: UUID, trip_id: UUID, reason: str, notes: str = "") -> dict[str, Any]:
    """Open a dispute about a trip; the same reason while it is open: the same dispute.

    Raises NotFound.
    """
    change, trip = _own_trip(customer_id, trip_id)
    found = Dispute.objects.filter(trip=trip, reason=reason, settled_at=None).first()
    if found is None:
        found = Dispute(trip=trip, reason=reason, notes=notes, at=change.now)
        change.add(found)
        change.note("dispute_opened", trip, dispute_id=found.id, about=reason)
        change.finish()
        log.info("dispute opened", order_id=change.order.id, trip_id=trip_id, reason=reason)
    return {"id": str(found.id), "trip_id": str(trip_id), "reason": reason, "notes": found.notes}


def _own_trip(customer_id: UUID, trip_id: UUID) -> tuple[Change, Trip]:
    """Lock the order of a customer's trip. Raises NotFound."""
    own = Trip.objects.filter(id=trip_id, order__customer_id=customer_id)
    change = Change.of(By(Actor.CUSTOMER, customer_id), id__in=own.values("order_id"))
    return change, own.get()
