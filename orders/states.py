"""The state machines of orders, trucks, offers and trips, as data.

Each machine lists every legal move; `orders.change` asks here before it writes a status. The
diagram in docs/ARCHITECTURE.md is drawn from the same arrows.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db import models


class OrderStatus(models.TextChoices):
    """Computed from the trucks by `order_status`, never set by hand."""

    BROADCASTING = "broadcasting"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class TruckStatus(models.TextChoices):
    """One truck wanted within an order."""

    SEARCHING = "searching"
    ASSIGNED = "assigned"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


class OfferState(models.TextChoices):
    """One transporter told of one order."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"
    GIVEN_BACK = "given_back"


class TripStatus(models.TextChoices):
    """A truck request won by a vehicle, from accept to delivery."""

    ASSIGNED = "assigned"
    EN_ROUTE_PICKUP = "en_route_pickup"
    AT_PICKUP = "at_pickup"
    IN_TRANSIT = "in_transit"
    AT_DROP = "at_drop"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class CloseReason(models.TextChoices):
    """Why an offer was closed."""

    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True)
class Machine:
    """One state machine: from each state, the states it may move to."""

    name: str
    arrows: Mapping[str, frozenset[str]]

    def allows(self, here: str, there: str) -> bool:
        """Whether one step leads from `here` to `there`."""
        return there in self.arrows[here]

    @property
    def terminal(self) -> frozenset[str]:
        """The states that nothing leads out of."""
        return frozenset(state for state, nexts in self.arrows.items() if not nexts)


def _machine(name: str, states: Iterable[str], arrows: dict[str, Collection[str]]) -> Machine:
    return Machine(name, {str(s): frozenset(map(str, arrows.get(s, ()))) for s in states})


T, O, S = TripStatus, OfferState, TruckStatus

TRUCK = _machine(
    "truck request",
    TruckStatus,
    {
        S.SEARCHING: {S.ASSIGNED, S.EXPIRED, S.CANCELLED},
        S.ASSIGNED: {S.COMPLETED, S.SEARCHING, S.EXPIRED, S.CANCELLED, S.FAILED},
    },
)
TRIP = _machine(
    "trip",
    TripStatus,
    {
        T.ASSIGNED: {T.EN_ROUTE_PICKUP, T.AT_PICKUP, T.CANCELLED},
        T.EN_ROUTE_PICKUP: {T.AT_PICKUP, T.CANCELLED},
        T.AT_PICKUP: {T.IN_TRANSIT, T.CANCELLED},
        T.IN_TRANSIT: {T.AT_DROP, T.FAILED},
        T.AT_DROP: {T.COMPLETED, T.FAILED},
    },
)
OFFER = _machine(
    "offer",
    OfferState,
    {
        O.OPEN: {O.ACCEPTED, O.DECLINED, O.WITHDRAWN, O.CLOSED},
        O.ACCEPTED: {O.GIVEN_BACK},
        O.DECLINED: {O.ACCEPTED},
        O.CLOSED: {O.OPEN},
        O.WITHDRAWN: {O.OPEN},
    },
)
_ORDER_LIVE = {
    OrderStatus.BROADCASTING,
    OrderStatus.PARTIALLY_FILLED,
    OrderStatus.FILLED,
    OrderStatus.IN_PROGRESS,
}
ORDER = _machine("order", OrderStatus, {live: set(OrderStatus) - {live} for live in _ORDER_LIVE})

ORDER_ACTIVE = frozenset(map(str, _ORDER_LIVE))
TRIP_LIVE = frozenset(map(str, set(TripStatus) - {T.COMPLETED, T.CANCELLED, T.FAILED}))
TRIP_PAST_PICKUP = frozenset(map(str, (T.IN_TRANSIT, T.AT_DROP, T.COMPLETED, T.FAILED)))
TRIP_BEFORE_PICKUP_DONE = frozenset(map(str, (T.ASSIGNED, T.EN_ROUTE_PICKUP, T.AT_PICKUP)))
TRUCK_WON = frozenset(map(str, (S.ASSIGNED, S.COMPLETED, S.FAILED)))
OFFER_LISTED = frozenset(map(str, (O.OPEN, O.ACCEPTED)))


def order_status(trucks: Collection[tuple[str, str | None]]) -> OrderStatus:
    """The order's status as a function of its trucks.

    `trucks`: for each truck that counts (a replaced one does not), its status and the status
    of the trip that holds it, or None.
    """
    statuses = [truck for truck, _ in trucks]
    ended = TRUCK.terminal
    past_pickup = any(
        trip in TRIP_PAST_PICKUP for truck, trip in trucks if truck in TRUCK_WON and trip
    )
    if past_pickup and not all(status in ended for status in statuses):
        return OrderStatus.IN_PROGRESS
    if S.SEARCHING in statuses:
        won = any(status in TRUCK_WON for status in statuses)
        return OrderStatus.PARTIALLY_FILLED if won else OrderStatus.BROADCASTING
    if S.ASSIGNED in statuses:
        return OrderStatus.FILLED
    if S.COMPLETED in statuses:
        return OrderStatus.COMPLETED
    if S.EXPIRED in statuses:
        return OrderStatus.EXPIRED
    return OrderStatus.CANCELLED
