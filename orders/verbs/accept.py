"""A captain takes trucks of an order with his vehicles: the first to accept wins."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import QuerySet

from orders import messages
from orders.change import SYSTEM, By, Change, locked, read_offers
from orders.crew import crew_for
from orders.models import Actor, Offer, Order, Trip, TruckRequest
from orders.refusals import NotVerified, OfferClosed, OrderCancelled, OrderExpired, TruckTaken
from orders.states import TRIP_LIVE, CloseReason, OfferState, OrderStatus, TripStatus
from transporters.fleet import look_again
from transporters.models import Driver, Kyc, Transporter, Vehicle
from weelo.lib.compiled import compiled
from weelo.lib.problems import NotFound
from weelo.lib.retries import verb
from weelo.lib.wire import rfc3339

log = structlog.get_logger(__name__)

# How many of these vehicles would be refused for this offer with TruckTaken and nothing else: the
# offer was closed as filled, its captain is verified, and each vehicle could have taken it.
# Steps that PostgreSQL plans one by one: as one join of five tables it plans 2.7 ms, here 0.6.
_LOST = """
WITH lost AS MATERIALIZED (
    SELECT offer.transporter_id, o.id AS order_id, o.city_id
    FROM orders_offer offer JOIN orders_order o ON o.id = offer.order_id
    WHERE offer.id = %s AND offer.state = 'closed' AND offer.close_reason = 'FILLED'
      AND o.status NOT IN ('cancelled', 'expired')
), fleet AS MATERIALIZED (
    SELECT fleet.id, lost.order_id,
           (statement_timestamp() AT TIME ZONE city.timezone)::date AS today
    FROM lost
    JOIN transporters_transporter fleet ON fleet.id = lost.transporter_id
    JOIN cities_city city ON city.slug = lost.city_id
    WHERE fleet.owner_id = %s AND fleet.kyc_status = 'verified'
)
SELECT count(*) FROM fleet JOIN transporters_vehicle vehicle ON vehicle.transporter_id = fleet.id
WHERE vehicle.id = ANY(%s) AND vehicle.in_service AND vehicle.papers_expire_on >= fleet.today
  AND vehicle.vehicle_type_id IN
      (SELECT vehicle_type_id FROM orders_truckrequest WHERE order_id = fleet.order_id)
  AND NOT EXISTS (
      SELECT FROM orders_trip trip WHERE trip.vehicle_id = vehicle.id AND trip.status = ANY(%s))
"""


@dataclass(frozen=True)
class Accepted:
    """The trips won, as the captain sees them, and how many trucks are left."""

    trips: list[dict[str, Any]]
    trucks_left: int


def accept(
    captain_id: UUID,
    offer_id: UUID,
    vehicle_ids: Sequence[UUID],
    driver_ids: Sequence[UUID | None] = (),
) -> Accepted:
    """Win as many of the order's trucks as are left, with these vehicles, in the order asked.

    `driver_ids` go with the vehicles by position; None means that the captain drives. The same
    vehicles again give the same trips. Raises, in this order: NotFound, NotVerified,
    OrderExpired, OrderCancelled, OfferClosed, VehicleBusy, DriverBusy, WrongVehicle, TruckTaken.
    """
    accepted = None
    while accepted is None:  # the first time it may have found, and stored, that the time is over
        accepted = _accept(captain_id, offer_id, vehicle_ids, driver_ids)
    return accepted


@compiled
def _unfilled(offer_id: UUID, captain_id: UUID) -> QuerySet[Order]:
    """The order, locked, unless the offer is closed as filled: who is too late must not queue for
    the lock behind those who are not."""
    filled = {"state": OfferState.CLOSED, "close_reason": CloseReason.FILLED}
    own = Offer.objects.filter(id=offer_id, transporter__owner_id=captain_id).exclude(**filled)
    return locked(Order.objects.filter(id__in=own.values("order_id")).order_by())


def _has_lost(captain_id: UUID, offer_id: UUID, vehicle_ids: Sequence[UUID]) -> bool:
    """Whether the verb, at this moment, would answer TruckTaken; one statement, no lock."""
    with connection.cursor() as cursor:
        cursor.execute(_LOST, [offer_id, captain_id, list(vehicle_ids), sorted(TRIP_LIVE)])
        (lost,) = cursor.fetchone()
    return bool(lost) and lost == len(vehicle_ids)


@verb
def _accept(
    captain_id: UUID,
    offer_id: UUID,
    vehicle_ids: Sequence[UUID],
    driver_ids: Sequence[UUID | None],
) -> Accepted | None:
    """None when it stored an expiry that nobody had: what it answers is the same before and
    after that, and a refusal would undo it.
    """
    by = By(Actor.CAPTAIN, captain_id)
    change = Change.first(by, _unfilled(offer_id, captain_id))
    if change is None and not any(driver_ids) and _has_lost(captain_id, offer_id, vehicle_ids):
        raise _taken()
    own = Offer.objects.filter(id=offer_id, transporter__owner_id=captain_id)
    change = change or Change.find(by, id__in=own.values("order_id"))
    if change is None:
        raise NotFound("There is no such offer to you.")
    # The fleet's lock stands for its vehicles and drivers: every verb that changes them takes it.
    fleets = own.select_for_update(no_key=True, of=("transporter",))
    offer = fleets.select_related("transporter__owner").get()
    fleet = offer.transporter
    if fleet.kyc_status != Kyc.VERIFIED:
        raise NotVerified(f"{fleet.business_name} is {fleet.kyc_status}; orders need verified.")
    before = _trips_of(change, fleet, vehicle_ids)
    if before:
        return _accepted(change, before)
    if change.now >= change.order.expires_at and change.searching():
        change.by = SYSTEM  # the captain did nothing to this order
        read_offers([change])
        change.expire_overdue()
        change.finish()
        return None
    _refuse_unless_it_seeks(change, offer)
    vehicles, drivers = crew_for(change, fleet, vehicle_ids, driver_ids)
    pairs = _match(change, vehicles)
    # Only who wins reads whom else to tell: the lock is short for all who wait for it in vain.
    read_offers([change])
    offer = change.offer(offer_id)
    won = [_win(change, fleet, truck, vehicle, drivers[i]) for i, truck, vehicle in pairs]
    if offer.state != OfferState.ACCEPTED:
        change.move(offer, OfferState.ACCEPTED, answered_at=change.now)
    change.set(fleet, last_won_at=change.now)
    change.finish()
    # Positions from now on are those of a trip; other processes learn of it within 30 s.
    transaction.on_commit(partial(look_again, captain_id))
    log.info("trucks won", order_id=change.order.id, offer_id=offer.id, trucks=len(won))
    return _accepted(change, won)


def _trips_of(change: Change, fleet: Transporter, vehicle_ids: Sequence[UUID]) -> list[Trip]:
    """The trips that these same vehicles of the fleet won of this order before, or none."""
    own = [trip for trip in change.trips() if trip.transporter_id == fleet.id]
    by_vehicle = {trip.vehicle_id: trip for trip in own}
    if vehicle_ids and all(vehicle_id in by_vehicle for vehicle_id in vehicle_ids):
        return [by_vehicle[vehicle_id] for vehicle_id in vehicle_ids]
    return []


def _refuse_unless_it_seeks(change: Change, offer: Offer) -> None:
    order = change.order
    if offer.close_reason == CloseReason.EXPIRED or order.status == OrderStatus.EXPIRED:
        raise OrderExpired("The order ran out before your answer arrived. Wait for the next one.")
    if offer.close_reason == CloseReason.CANCELLED or order.status == OrderStatus.CANCELLED:
        raise OrderCancelled("The customer cancelled before your answer arrived.")
    if offer.state in (OfferState.WITHDRAWN, OfferState.GIVEN_BACK):
        raise OfferClosed(f"This offer is {offer.state} and cannot be accepted any more.")


def _match(change: Change, vehicles: list[Vehicle]) -> list[tuple[int, TruckRequest, Vehicle]]:
    """Trucks for as many vehicles as there are trucks left of their type."""
    free = change.searching()
    pairs = []
    for i, vehicle in enumerate(vehicles):
        truck = next((t for t in free if t.vehicle_type_id == vehicle.vehicle_type_id), None)
        if truck is not None:
            free.remove(truck)
            pairs.append((i, truck, vehicle))
    if not pairs:
        raise _taken()
    return pairs


def _taken() -> TruckTaken:
    return TruckTaken("All trucks of this order are taken. Wait for the next broadcast.")


def _win(
    change: Change,
    fleet: Transporter,
    truck: TruckRequest,
    vehicle: Vehicle,
    driver: Driver | None,
) -> Trip:
    trip = Trip(
        order=change.order,
        truck=truck,
        transporter=fleet,
        vehicle=vehicle,
        vehicle_type_id=vehicle.vehicle_type_id,
        driver=driver,
        start_code=four_digits(),
        drop_code=four_digits(),
        stops_state=["pending"] * len(change.order.stops),
        steps=[{"status": str(TripStatus.ASSIGNED), "at": rfc3339(change.now)}],
        won_at=change.now,
    )
    change.add_trip(truck, trip)
    return trip


def four_digits() -> str:
    """A code that a person reads to another."""
    return f"{secrets.randbelow(10_000):04}"


def _accepted(change: Change, trips: list[Trip]) -> Accepted:
    trucks = {truck.id: truck for truck in change.trucks}
    return Accepted(
        [messages.trip_for_captain(t, change.order, trucks[t.truck_id]) for t in trips],
        trucks_left=len(change.searching()),
    )
