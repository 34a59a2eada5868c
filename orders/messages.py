"""What each person is told: pure builders of payloads, and who hears what after a change.

The same builders make the snapshots, so that an old snapshot plus the events is a fresh one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from orders import fees
from orders.models import Offer, Order, Trip, TruckRequest
from orders.states import OFFER_LISTED, OfferState, OrderStatus, TruckStatus
from orders.trucks import held, held_trips, status_at, truck_status
from weelo.accounts.models import User
from weelo.events.deliver import Message
from weelo.events.models import Role
from weelo.lib.wire import rfc3339

if TYPE_CHECKING:
    from orders.change import Change

CURRENCY = "INR"
PICKUP_SPEED_KMH = 30  # a truck in Indian city traffic, for the minutes shown to people
Payload = dict[str, Any]


def minutes(km: float) -> int:
    """Minutes to drive some kilometres in a city, at least 1."""
    return max(1, round(km / PICKUP_SPEED_KMH * 60))


# --- one order, for its customer ----------------------------------------------------------------


def order_payload(order: Order, trucks: Sequence[TruckRequest], now: datetime) -> Payload:
    """The order as its customer sees it at `now`; `trucks` carry `held` trips."""
    return {
        "id": order.id,
        "city": order.city_id,
        "created_at": rfc3339(order.created_at),
        "server_time": rfc3339(now),
        "pickup": order.pickup,
        "drop": order.drop,
        "stops": order.stops,
        "goods": order.goods,
        "payment": order.payment,
        "distance_km": float(order.distance_km),
        "fare_paise": order.fare_paise,
        "currency": CURRENCY,
        "captains_told": order.captains_told,
        **_moving_parts(order, trucks, now),
        "version": order.version,
        "trucks": [_truck(truck, order, now) for truck in trucks],
    }


def _moving_parts(order: Order, trucks: Sequence[TruckRequest], now: datetime) -> Payload:
    overdue = order.trucks_searching > 0 and now >= order.expires_at
    reason = expiry_reason(order) if overdue else order.reason
    return {
        "status": status_at(order, trucks, now),
        "seeking": order.is_seeking(now),
        "reason": reason or None,
        "trucks_wanted": order.trucks_wanted,
        "trucks_filled": order.trucks_filled,
        "payable_paise": order.payable_paise,
        "cancel_fee_paise": order.cancel_fee_paise,
        "cancel": fees.cancel_terms(order, trucks, now),
        "expires_at": rfc3339(order.expires_at),
    }


def _truck(truck: TruckRequest, order: Order, now: datetime) -> Payload:
    trip = held(truck)
    return {
        "id": truck.id,
        "vehicle_type": truck.vehicle_type_id,
        "load_kg": truck.load_kg,
        "status": truck_status(truck, order, now),
        "fare_paise": truck.fare_paise,
        "trip": trip_for_customer(trip) if trip else None,
    }


def expiry_reason(order: Order) -> str:
    """Why an order ran out, as one of the contract's words."""
    if order.trucks_filled > 0:
        return "PARTLY_FILLED"
    return "NO_CAPTAIN_ACCEPTED" if order.captains_told else "NO_CAPTAIN_ONLINE"


def trip_for_customer(trip: Trip) -> Payload:
    """A trip as the customer sees it: who comes, and both codes."""
    return {
        "id": trip.id,
        "order_id": trip.order_id,
        "truck_id": trip.truck_id,
        "status": trip.status,
        "vehicle": {"registration": trip.vehicle.registration},
        "driver": _driver(trip),
        "captain": _person(trip.transporter.owner, trip.transporter.business_name),
        "start_code": trip.start_code,
        "drop_code": trip.drop_code,
        "stops_state": trip.stops_state,
        "steps": trip.steps,
    }


def _person(user: User, fallback: str) -> Payload:
    return {"name": user.name or fallback, "phone": user.phone}


def _driver(trip: Trip) -> Payload:
    if trip.driver is not None:
        return {"name": trip.driver.name, "phone": trip.driver.phone}
    return _person(trip.transporter.owner, trip.transporter.business_name)


# --- one trip or offer, for its captain -------------------------------------------------------


def trip_for_captain(trip: Trip, order: Order, truck: TruckRequest) -> Payload:
    """A trip as captain and driver see it: the way, the contacts, the payout; no codes."""
    states = trip.stops_state
    stops = [{**stop, "state": states[i]} for i, stop in enumerate(order.stops)]
    return {
        "id": trip.id,
        "order_id": trip.order_id,
        "truck_id": trip.truck_id,
        "status": trip.status,
        "vehicle": {
            "id": trip.vehicle_id,
            "registration": trip.vehicle.registration,
            "vehicle_type": trip.vehicle_type_id,
        },
        "driver": {"id": trip.driver_id, **_driver(trip)},
        "pickup": order.pickup,
        "drop": order.drop,
        "stops": stops,
        "goods": order.goods,
        "load_kg": truck.load_kg,
        "payment": order.payment,
        "distance_km": float(order.distance_km),
        "payout_paise": truck.payout_paise,
        "fare_paise": truck.fare_paise,
        "currency": CURRENCY,
        "won_at": rfc3339(trip.won_at),
        "steps": trip.steps,
        "reason": trip.reason or None,
    }


def offer_payload(
    offer: Offer, order: Order, trucks: Sequence[TruckRequest], now: datetime
) -> Payload:
    """The broadcast: what a captain sees of an order before he won it (no contacts, no names)."""
    km = round(offer.distance_m / 1000, 2)
    goods = order.goods or {}
    return {
        "offer_id": offer.id,
        "order_id": order.id,
        "state": offer.state,
        "city": order.city_id,
        "pickup": _place_without_contact(order.pickup),
        "drop": _place_without_contact(order.drop),
        "stops": [_place_without_contact(stop) for stop in order.stops],
        "distance_km": float(order.distance_km),
        "pickup_distance_km": km,
        "pickup_eta_minutes": minutes(km),
        "trucks": _lines(trucks, with_money=True),
        "your_vehicles": offer.vehicles,
        "goods": {"category": goods.get("category"), "description": goods.get("description")},
        "expires_at": rfc3339(order.expires_at),
        "server_time": rfc3339(now),
        "currency": CURRENCY,
        "again": offer.again,
    }


def _place_without_contact(place: Payload) -> Payload:
    return {key: place.get(key) for key in ("lat", "lng", "address")}


def _lines(trucks: Sequence[TruckRequest], *, with_money: bool) -> list[Payload]:
    """Trucks that are alike as one line: how many wanted, how many left."""
    alike: dict[tuple[Any, ...], list[TruckRequest]] = {}
    for truck in trucks:
        money = (truck.fare_paise, truck.payout_paise, truck.load_kg) if with_money else ()
        alike.setdefault((truck.vehicle_type_id, *money), []).append(truck)
    lines = []
    for (slug, *_), group in alike.items():
        first = group[0]
        left = sum(truck.status == TruckStatus.SEARCHING for truck in group)
        line: Payload = {"vehicle_type": slug, "wanted": len(group), "left": left}
        if with_money:
            line |= {
                "fare_paise": first.fare_paise,
                "payout_paise": first.payout_paise,
                "load_kg": first.load_kg,
            }
        lines.append(line)
    return lines


# --- who hears what after a change ------------------------------------------------------------


@dataclass(frozen=True)
class Before:
    """What people could see before a change."""

    seeking: bool
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
            seeking=seeking,
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
        payload = order_payload(change.order, change.trucks, change.now)
        return [_to_customer(change, "order_created", {"order": payload})]
    return [
        *_to_told_captains(change, before),
        *_about_trips(change, before),
        *_about_order(change, before),
    ]


def _message(change: "Change", user_id: UUID, role: Role, name: str, data: Payload) -> Message:
    order = change.order
    return Message(user_id, role, name, data, order_id=order.id, order_version=order.version)


def _to_customer(change: "Change", name: str, data: Payload) -> Message:
    return _message(change, change.order.customer_id, Role.CUSTOMER, name, data)


def _to_told_captains(change: "Change", before: Before) -> list[Message]:
    order, out = change.order, []
    left_changed = _left(change.trucks) != before.left
    for offer in change.offers:
        owner = offer.transporter.owner_id
        was = offer.id in before.listed
        now = order.trucks_searching > 0 and offer.state in OFFER_LISTED
        if now and not was:
            data = offer_payload(offer, order, change.trucks, change.now)
            out.append(_message(change, owner, Role.CAPTAIN, "new_broadcast", data))
        elif was and not now:
            data = {"offer_id": offer.id, "order_id": order.id, "reason": _why_gone(change, offer)}
            out.append(_message(change, owner, Role.CAPTAIN, "broadcast_dismissed", data))
        elif now and (left_changed or before.states.get(offer.id) != offer.state):
            data = {**_remaining(change), "offer_id": offer.id, "state": offer.state}
            out.append(_message(change, owner, Role.CAPTAIN, "trucks_remaining_update", data))
    if left_changed:
        out.append(_to_customer(change, "trucks_remaining_update", _remaining(change)))
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
        "trucks": _lines(change.trucks, with_money=True),
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
        data = trip_for_captain(trip, change.order, trucks[trip.truck_id])
        for user_id in people_of(trip) | change.former_drivers.get(trip.id, set()):
            out.append(_message(change, user_id, Role.CAPTAIN, "trip_changed", data))
        seen = trip_for_customer(trip)
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
        shown = order_status_changed(order, change.trucks, change.now)
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


def order_status_changed(order: Order, trucks: Sequence[TruckRequest], now: datetime) -> Payload:
    """All parts of the order that move, for its customer."""
    return {
        **_moving_parts(order, trucks, now),
        "trucks": [
            {
                "id": truck.id,
                "status": truck_status(truck, order, now),
                "trip_id": trip.id if (trip := held(truck)) else None,
                "vehicle_type": truck.vehicle_type_id,
                "load_kg": truck.load_kg,
                "fare_paise": truck.fare_paise,
            }
            for truck in trucks
        ],
    }


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
