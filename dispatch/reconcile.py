"""Reconciliation: finds what should never be, one query a kind, and repairs it under the lock.

Every finding is asked for again once its order is locked, so that runs which meet repair nothing
twice and what is right is never touched. On a healthy system there is nothing to find.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models.functions import Now

from dispatch.audit import COUNTERS_WRONG, RECOUNT, STATUS_WRONG
from dispatch.models import Reconciliation
from orders.change import SYSTEM, Change
from orders.models import Trip, TruckRequest
from orders.states import (
    TRIP,
    TRIP_BEFORE_PICKUP_DONE,
    CloseReason,
    OfferState,
    TripStatus,
    TruckStatus,
)
from orders.trucks import held
from weelo.lib.away import database_is_away
from weelo.lib.problems import Refusal
from weelo.lib.retries import verb
from weelo.lib.rows import Row, rows_of

log = structlog.get_logger(__name__)

MOST_ROWS = 500
BEYOND_REPAIR = "TRUCK_AND_TRIP_DISAGREE"
_REASON = "reconciliation"


# Each query names the order of its rows and can be narrowed to one: NULL asks for all.
_OVERDUE = """
SELECT o.id AS order_id, o.expires_at, o.trucks_searching FROM orders_order o
WHERE o.trucks_searching > 0 AND o.expires_at < statement_timestamp() - interval '5 seconds'
  AND o.id = coalesce(%(order_id)s, o.id)
"""
_TRUCK_AND_TRIP = """
SELECT t.order_id, t.id AS truck_id, t.status AS truck, trip.id AS trip_id, trip.status AS trip
FROM orders_order o
JOIN orders_truckrequest t ON t.order_id = o.id
LEFT JOIN orders_trip trip ON trip.truck_id = t.id AND trip.status <> 'cancelled'
WHERE o.status IN ('broadcasting', 'filled', 'in_progress', 'partially_filled')
  AND o.id = coalesce(%(order_id)s, o.id) AND coalesce(trip.flagged, '') <> %(beyond_repair)s
  AND (t.status = 'assigned') <> coalesce(
      trip.status IN ('assigned', 'at_drop', 'at_pickup', 'en_route_pickup', 'in_transit'), false)
UNION ALL
SELECT t.order_id, t.id, t.status, trip.id, trip.status
FROM orders_trip trip
JOIN orders_truckrequest t ON t.id = trip.truck_id
JOIN orders_order o ON o.id = t.order_id
WHERE trip.status IN ('assigned', 'at_drop', 'at_pickup', 'en_route_pickup', 'in_transit')
  AND o.status NOT IN ('broadcasting', 'filled', 'in_progress', 'partially_filled')
  AND o.id = coalesce(%(order_id)s, o.id) AND trip.flagged <> %(beyond_repair)s
"""
_COUNTS = RECOUNT.format(
    orders="""(
        SELECT * FROM orders_order
        WHERE status IN ('broadcasting', 'filled', 'in_progress', 'partially_filled')
          AND id = coalesce(%(order_id)s, id)
    )""",
    wrong=f"{COUNTERS_WRONG} OR {STATUS_WRONG}",
)
_OFFERS = """
SELECT offer.order_id, offer.id AS offer_id, offer.state FROM orders_offer offer
JOIN orders_order o ON o.id = offer.order_id
WHERE offer.state = 'open' AND o.trucks_searching = 0 AND o.id = coalesce(%(order_id)s, o.id)
UNION ALL
SELECT offer.order_id, offer.id, offer.state FROM orders_order o
JOIN orders_offer offer ON offer.order_id = o.id AND offer.state = 'closed'
JOIN transporters_transporter fleet ON fleet.id = offer.transporter_id
WHERE o.trucks_searching > 0 AND o.expires_at > statement_timestamp()
  AND fleet.kyc_status = 'verified' AND o.id = coalesce(%(order_id)s, o.id)
"""
_SUSPENDED = """
SELECT offer.order_id, offer.id AS offer_id, offer.state, fleet.kyc_status
FROM orders_offer offer JOIN transporters_transporter fleet ON fleet.id = offer.transporter_id
WHERE offer.state = 'open' AND fleet.kyc_status <> 'verified'
  AND offer.order_id = coalesce(%(order_id)s, offer.order_id)
"""


@dataclass(frozen=True)
class Kind:
    """One kind of thing that should never be: its query, and what heals one order of it.

    `heal` changes the locked order; `Change.finish()`, which follows, computes counters, status
    and offers anew by itself.
    """

    name: str
    sql: str
    heal: Callable[[Change, list[Row]], None]


def reconcile(trigger: str) -> list[Row]:
    """Find and repair; returns the repairs, each a dict with `repair` (the kind) and the row.

    `trigger` is `start` or `beat`. Several runs at once share the work. Raises OperationalError
    when the database is away.
    """
    started = time.perf_counter()
    run = Reconciliation.objects.create(trigger=trigger)
    repairs = [repair for kind in KINDS for repair in _repair_all(kind)]
    Reconciliation.objects.filter(pk=run.pk).update(
        repairs=json.loads(json.dumps(repairs, default=str)), ended_at=Now()
    )
    ms = round((time.perf_counter() - started) * 1000, 1)
    log.info("reconciliation done", trigger=trigger, repairs=len(repairs), ms=ms)
    return repairs


def _repair_all(kind: Kind) -> list[Row]:
    repairs = []
    for order_id in dict.fromkeys(row["order_id"] for row in _find(kind)):
        try:
            rows = _repair(kind, order_id)
        except (DatabaseError, Refusal, AssertionError) as fault:
            if isinstance(fault, DatabaseError) and database_is_away(fault):
                raise
            log.exception("repair failed", repair=kind.name, order_id=order_id)
            continue
        for row in rows:
            log.warning("repaired", repair=kind.name, **row)
            repairs.append({"repair": kind.name, **row})
    return repairs


@verb
def _repair(kind: Kind, order_id: UUID) -> list[Row]:
    """Repair one order, if it is still wrong once it is locked; returns what was wrong."""
    change = Change.of(SYSTEM, id=order_id)
    rows = _find(kind, order_id)
    if rows:
        kind.heal(change, rows)
        change.finish()
    return rows


def _find(kind: Kind, order_id: UUID | None = None) -> list[Row]:
    values = {"order_id": order_id, "beyond_repair": BEYOND_REPAIR}
    return rows_of(kind.sql, values, MOST_ROWS)


def _expire(change: Change, _rows: list[Row]) -> None:
    change.expire_overdue()


def _join(change: Change, rows: list[Row]) -> None:
    for row in rows:
        truck = change.truck(row["truck_id"])
        trip = held(truck)
        if trip is None:
            change.move(truck, TruckStatus.SEARCHING)
            change.seek_for(settings.ORDER_TTL)
        elif truck.status == TruckStatus.ASSIGNED:
            change.move(truck, _END_OF[TripStatus(trip.status)])
        else:
            _join_live(change, truck, trip)


_END_OF = {
    TripStatus.COMPLETED: TruckStatus.COMPLETED,
    TripStatus.FAILED: TruckStatus.FAILED,
}


def _join_live(change: Change, truck: TruckRequest, trip: Trip) -> None:
    """A live trip of a truck that is not assigned: the truck's word counts once it has ended."""
    if truck.status == TruckStatus.SEARCHING:
        change.move(truck, TruckStatus.ASSIGNED)
    elif truck.status != TruckStatus.COMPLETED and trip.status in TRIP_BEFORE_PICKUP_DONE:
        change.drop_trip(truck, _REASON)
    elif truck.status != TruckStatus.COMPLETED and TRIP.allows(trip.status, TripStatus.FAILED):
        change.step_trip(trip, TripStatus.FAILED, reason=_REASON)
    else:
        log.error("truck and trip disagree", order_id=truck.order_id, trip_id=trip.id)
        change.set(trip, flagged=BEYOND_REPAIR)


def _count(_change: Change, _rows: list[Row]) -> None:
    """Nothing by itself: finishing a change counts."""


def _close_offers(change: Change, _rows: list[Row]) -> None:
    words = {reason.lower(): reason for reason in CloseReason}
    change.close_reason = words.get(change.order.status, CloseReason.FILLED)


def _withdraw(change: Change, rows: list[Row]) -> None:
    for row in rows:
        change.move(change.offer(row["offer_id"]), OfferState.WITHDRAWN)


KINDS = (
    Kind("overdue_order_expired", _OVERDUE, _expire),
    Kind("truck_and_trip_joined", _TRUCK_AND_TRIP, _join),
    Kind("order_counted_anew", _COUNTS, _count),
    Kind("offers_follow_the_order", _OFFERS, _close_offers),
    Kind("offers_of_suspended_fleets_withdrawn", _SUSPENDED, _withdraw),
)
