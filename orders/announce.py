"""Who hears what after a change: everyone who sees something else than before."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from orders import messages
from orders.messages import Payload
from orders.models import Offer, Order, Trip, TruckRequest
from orders.states import OFFER_LISTED, OfferState, OrderStatus, TruckStatus
from orders.trucks import held_trips
from weelo.events.deliver import Message
from weelo.events.models import Role
from weelo.lib.wire import rfc3339

if TYPE_CHECKING:
    from orders.change import Change

# What a sleeping phone is woken for. An offer is worth it while the order seeks; the rest for as
# long as somebody may look at the phone again and wonder.
PUSHED = {
    Role.CAPTAIN: {"new_broadcast", "order_cancelled"},
    Role.CUSTOMER: {"truck_assigned", "trip_changed", "order_expired", "order_completed"},
}
PUSH_TTL = timedelta(hours=1)


@dataclass(frozen=True)
class Before:
    """What people could see before a change."""

    left: Counter[str]
    listed: frozenset[UUID]
    states: dict[UUID, str]
    trips: dict[UUID, str]
    wave: tuple[int, int, int]
    version: int
    status: str

    @classmethod
    def of(cls, order: Order, trucks: list[TruckRequest], offers: list[Offer]) -> "Before":
        seeking = order.trucks_searching > 0
        return cls(
            left=_left(trucks),
            listed=frozenset(o.id for o in offers if seeking and o.state in OFFER_LISTED),
            states={offer.id: offer.state for offer in offers},
            trips={trip.id: trip_mark(trip) for trip in held_trips(trucks)},
            wave=(order.wave, order.radius_m, order.captains_told),
            version=order.version,
            status=order.status,
        )


def trip_mark(trip: Trip) -> str:
    """Changes whenever something that captain or customer see of a trip changes."""
    return f"{trip.status} {trip.driver_id} {trip.start_code} {trip.drop_code} {trip.stops_state}"


def _left(trucks: Sequence[TruckRequest]) -> Counter[str]:
    return Counter(t.vehicle_type_id for t in trucks if t.status == TruckStatus.SEARCHING)


def announce(change: "Change") -> list[Message]:
    """The messages of a change, for everyone who sees something else than before."""
    before = change.before
    if before is None:
        payload = messages.order_payload(change.order, change.trucks, change.now)
        return [_to_customer(change, "order_created", {"order": payload})]
    return [
        *_to_told_captains(change, before),
        *_about_trips(change, before),
        *_about_order(change, before),
    ]


def _message(change: "Change", user_id: UUID, role: Role, name: str, data: Payload) -> Message:
    order, until = change.order, None
    if name in PUSHED[role]:
        until = order.expires_at if name == "new_broadcast" else change.now + PUSH_TTL
    return Message(user_id, role, name, data, order.id, order.version, push_until=until)


def _to_customer(change: "Change", name: str, data: Payload) -> Message:
    return _message(change, change.order.customer_id, Role.CUSTOMER, name, data)


def _to_told_captains(change: "Change", before: Before) -> list[Message]:
    order, out = change.order, []
    left_changed = _left(change.trucks) != before.left
    remaining = _remaining(change)
    for offer in change.offers:
        owner = offer.captain_id
        was = offer.id in before.listed
        now = order.trucks_searching > 0 and offer.state in OFFER_LISTED
        if now and not was:
            data = messages.offer_payload(offer, order, change.trucks, change.now)
            out.append(_message(change, owner, Role.CAPTAIN, "new_broadcast", data))
        elif was and not now:
            data = {"offer_id": offer.id, "order_id": order.id, "reason": _why_gone(change, offer)}
            out.append(_message(change, owner, Role.CAPTAIN, "broadcast_dismissed", data))
        elif now and (left_changed or before.states.get(offer.id) != offer.state):
            data = {**remaining, "offer_id": offer.id, "state": offer.state}
            out.append(_message(change, owner, Role.CAPTAIN, "trucks_remaining_update", data))
    if left_changed:
        out.append(_to_customer(change, "trucks_remaining_update", remaining))
    return out


def _why_gone(change: "Change", offer: Offer) -> str:
    words = {
        OfferState.DECLINED: "DECLINED",
        OfferState.WITHDRAWN: "WITHDRAWN",
        OfferState.GIVEN_BACK: "GAVE_BACK",
    }
    return words.get(OfferState(offer.state), offer.close_reason or str(change.close_reason))


def _remaining(change: "Change") -> Payload:
    order = change.order
    return {
        "order_id": order.id,
        "trucks": messages.lines(change.trucks),
        "trucks_filled": order.trucks_filled,
        "trucks_wanted": order.trucks_wanted,
        "expires_at": rfc3339(order.expires_at),
    }


def _about_trips(change: "Change", before: Before) -> list[Message]:
    out = []
    trucks = {truck.id: truck for truck in change.trucks}
    for trip in [*change.trips(), *change.dropped]:
        if before.trips.get(trip.id) == trip_mark(trip):
            continue
        data = messages.trip_for_captain(trip, change.order, trucks[trip.truck_id])
        for user_id in people_of(trip) | change.former_drivers.get(trip.id, set()):
            out.append(_message(change, user_id, Role.CAPTAIN, "trip_changed", data))
        seen = messages.trip_for_customer(trip)
        if trip.id in before.trips:
            out.append(_to_customer(change, "trip_changed", seen))
        else:
            assigned = {"truck_id": trip.truck_id, "trip": seen}
            out.append(_to_customer(change, "truck_assigned", assigned))
    return out


def people_of(trip: Trip) -> set[UUID]:
    """The users on the captain's side of a trip: the captain, and the driver when there is one."""
    people = {trip.transporter.owner_id}
    if trip.driver is not None:
        people.add(trip.driver.user_id)
    return people


def _about_order(change: "Change", before: Before) -> list[Message]:
    order = change.order
    out = []
    if (order.wave, order.radius_m, order.captains_told) != before.wave:
        out.append(_to_customer(change, "captains_told", _captains_told(change)))
    elif order.version != before.version:
        shown = messages.order_status_changed(order, change.trucks, change.now)
        out.append(_to_customer(change, "order_status_changed", shown))
    if change.expired:
        data = {
            "reason": order.reason,
            "trucks_filled": order.trucks_filled,
            "trucks_wanted": order.trucks_wanted,
        }
        out.append(_to_customer(change, "order_expired", data))
    if order.status == OrderStatus.COMPLETED != before.status:
        out.append(_to_customer(change, "order_completed", {"payable_paise": order.payable_paise}))
    return out


def _captains_told(change: "Change") -> Payload:
    order = change.order
    nearest_m = min((offer.distance_m for offer in change.offers), default=None)
    return {
        "captains_told": order.captains_told,
        "nearest_km": None if nearest_m is None else round(nearest_m / 1000, 2),
        "radius_km": round(order.radius_m / 1000, 2),
        "wave": order.wave,
    }


def cancelled_trips(
    change: "Change", trips: list[Trip], reason: str, fee_paise: int, share_paise: int
) -> list[Message]:
    """Tell captain and drivers of won trips that the customer or a dispatcher cancelled."""
    by_person: dict[UUID, list[UUID]] = {}
    for trip in trips:
        for user_id in people_of(trip):
            by_person.setdefault(user_id, []).append(trip.id)
    data: Payload = {
        "order_id": change.order.id,
        "reason": reason,
        "cancel_fee_paise": fee_paise,
        "captain_share_paise": share_paise,
    }
    return [
        _message(change, user_id, Role.CAPTAIN, "order_cancelled", {**data, "trip_ids": ids})
        for user_id, ids in by_person.items()
    ]
