"""What the customer says of a trip: stars when it is done, a dispute when it went wrong."""

from typing import Any
from uuid import UUID

from orders.models import Dispute, Rating, Trip
from orders.refusals import CannotRate
from orders.states import TripStatus
from weelo.lib.problems import NotFound
from weelo.lib.retries import verb


def _own_trip(customer_id: UUID, trip_id: UUID) -> Trip:
    own = Trip.objects.filter(id=trip_id, order__customer_id=customer_id)
    trip = own.select_for_update(no_key=True).first()
    if trip is None:
        raise NotFound("There is no such trip of yours.")
    return trip


@verb
def rate(customer_id: UUID, trip_id: UUID, stars: int, comment: str = "") -> dict[str, Any]:
    """Rate a completed trip once (1 to 5 stars); the same stars again: the same success.

    Raises NotFound, CannotRate.
    """
    trip = _own_trip(customer_id, trip_id)
    if trip.status != TripStatus.COMPLETED:
        raise CannotRate(f"The trip is {trip.status}; it can be rated once it is completed.")
    rating, _ = Rating.objects.get_or_create(
        trip=trip, defaults={"stars": stars, "comment": comment}
    )
    if rating.stars != stars:
        raise CannotRate(f"You gave {rating.stars} stars before; a rating stays as it is.")
    return {"trip_id": str(trip_id), "stars": rating.stars, "comment": rating.comment}


@verb
def dispute(customer_id: UUID, trip_id: UUID, reason: str, notes: str = "") -> dict[str, Any]:
    """Open a dispute about a trip; the same reason while it is open: the same dispute.

    Raises NotFound.
    """
    trip = _own_trip(customer_id, trip_id)
    found, _ = Dispute.objects.get_or_create(
        trip=trip, reason=reason, settled_at=None, defaults={"notes": notes}
    )
    return {"id": str(found.id), "trip_id": str(trip_id), "reason": reason, "notes": found.notes}
