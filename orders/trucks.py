"""An order's trucks, each read together with the trip that holds it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import FilteredRelation, Q, QuerySet
from django.db.models.functions import Now

from orders.models import Order, Trip, TruckRequest
from orders.states import TripStatus, TruckStatus, order_status
from weelo.lib.compiled import IsAnyOf, compiled


def with_held_trips(trucks: QuerySet[TruckRequest]) -> QuerySet[TruckRequest]:
    """Each truck with `held` (its trip that was not cancelled) and `now` (the database's clock).

    One statement; ordered by order and position.
    """
    not_cancelled = ~Q(trips__status=TripStatus.CANCELLED)
    return (
        trucks.annotate(now=Now(), held=FilteredRelation("trips", condition=not_cancelled))
        .select_related(  # type: ignore[misc]
            "held__vehicle", "held__driver", "held__transporter__owner"
        )
        .order_by("order_id", "position")
    )


def trucks_of(order_ids: list[UUID], *, told: bool) -> list[TruckRequest]:
    """The trucks of some orders as `with_held_trips`; one statement, or none without orders.

    Orders that nobody was `told` of have no trips to look for.
    """
    if not order_ids:
        return []
    return _with_trips(order_ids) if told else _without_trips(order_ids)


@compiled
def _with_trips(order_ids: list[UUID]) -> QuerySet[TruckRequest]:
    return with_held_trips(TruckRequest.objects.filter(IsAnyOf("order_id", order_ids)))


@compiled
def _without_trips(order_ids: list[UUID]) -> QuerySet[TruckRequest]:
    trucks = TruckRequest.objects.filter(IsAnyOf("order_id", order_ids))
    return trucks.annotate(now=Now()).order_by("order_id", "position")


def held(truck: TruckRequest) -> Trip | None:
    """The trip that holds a truck, as read by `with_held_trips`, or None."""
    return getattr(truck, "held", None)


def held_trips(trucks: Sequence[TruckRequest]) -> list[Trip]:
    """The trips that hold these trucks, in their order."""
    return [trip for truck in trucks if (trip := held(truck))]


def counting(trucks: Sequence[TruckRequest]) -> list[TruckRequest]:
    """The trucks that count: one that was replaced after a breakdown does not."""
    replaced = {truck.replaces_id for truck in trucks if truck.replaces_id}
    return [truck for truck in trucks if truck.id not in replaced]


def truck_status(truck: TruckRequest, order: Order, now: datetime) -> str:
    """A truck's status for a reader at `now`: past the deadline a search has expired."""
    if truck.status == TruckStatus.SEARCHING and now >= order.expires_at:
        return str(TruckStatus.EXPIRED)
    return truck.status


def status_at(order: Order, trucks: Sequence[TruckRequest], now: datetime) -> str:
    """The order's status for a reader at `now`, whether or not its expiry is stored yet."""
    return order_status(
        [
            (truck_status(truck, order, now), trip.status if (trip := held(truck)) else None)
            for truck in counting(trucks)
        ]
    )


def born(truck: TruckRequest) -> dict[str, Any]:
    """What a truck is when it comes into being, for the fact that tells of it."""
    return {
        "truck_id": truck.id,
        "vehicle_type_id": truck.vehicle_type_id,
        "load_kg": truck.load_kg,
        "fare_paise": truck.fare_paise,
        "payout_paise": truck.payout_paise,
    }
