"""What cancelling costs at each stage; pure, in paise."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orders.models import Order, Trip, TruckRequest
from orders.states import ORDER_ACTIVE, TRIP_LIVE, TRIP_PAST_PICKUP, TripStatus
from orders.trucks import held_trips, status_at

FEE_WON_PAISE = 50_00
FEE_AT_PICKUP_PAISE = 100_00
FEE_PER_MINUTE_PAISE = 5_00
FREE_WAITING = timedelta(minutes=5)


@dataclass(frozen=True)
class Terms:
    """Whether a cancel is allowed now, its fee, and whether a reason must be given."""

    allowed: bool
    fee_paise: int
    reason_required: bool


def trip_fee_paise(trip: Trip, now: datetime) -> int:
    """The fee for giving up one won truck before its goods are on board.

    ₹50; at the pickup the larger of ₹100 and ₹5 for each begun minute beyond five of waiting.
    """
    if trip.status != TripStatus.AT_PICKUP or trip.at_pickup_at is None:
        return FEE_WON_PAISE
    waited = now - trip.at_pickup_at - FREE_WAITING
    minutes = max(0, -(-waited // timedelta(minutes=1)))
    return max(FEE_AT_PICKUP_PAISE, minutes * FEE_PER_MINUTE_PAISE)


def terms(order: Order, trips: Sequence[Trip], now: datetime) -> Terms:
    """The terms for cancelling the live ones among these trips (of the order, or one truck)."""
    trips = [trip for trip in trips if trip.status in TRIP_LIVE]
    past = any(trip.status in TRIP_PAST_PICKUP for trip in trips)
    allowed = order.status in ORDER_ACTIVE and not past
    if not allowed:
        return Terms(allowed=False, fee_paise=0, reason_required=False)
    fee = sum(trip_fee_paise(trip, now) for trip in trips)
    waiting = any(trip.status == TripStatus.AT_PICKUP for trip in trips)
    return Terms(allowed=True, fee_paise=fee, reason_required=waiting)


def cancel_terms(order: Order, trucks: Sequence[TruckRequest], now: datetime) -> dict[str, Any]:
    """The order's `cancel` field for its customer."""
    found = terms(order, held_trips(trucks), now)
    is_active = status_at(order, trucks, now) in ORDER_ACTIVE  # also before an expiry is stored
    return {
        "allowed": found.allowed and is_active,
        "fee_paise": found.fee_paise,
        "reason_required": found.reason_required,
    }
