"""What each person is told: pure builders of payloads.

The same builders make the snapshots, so that an old snapshot plus the events is a fresh one.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from orders import fees
from orders.models import Offer, Order, Trip, TruckRequest
from orders.states import TruckStatus
from orders.trucks import held, status_at, truck_status
from weelo.accounts.models import User
from weelo.lib.wire import rfc3339

CURRENCY = "INR"
PICKUP_SPEED_KMH = 30  # a truck in Indian city traffic, for the minutes shown to people
Payload = dict[str, Any]


def eta_minutes(metres: float) -> int:
    """Minutes by road from a point this far away as the crow flies, in city traffic; at least 1."""
    return max(1, round(metres / 1000 * settings.ROAD_FACTOR / PICKUP_SPEED_KMH * 60))


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
        "pickup_distance_km": round(offer.distance_m / 1000, 2),
        "pickup_eta_minutes": eta_minutes(offer.distance_m),
        "trucks": lines(trucks),
        "your_vehicles": offer.vehicles,
        "goods": {"category": goods.get("category"), "description": goods.get("description")},
        "expires_at": rfc3339(order.expires_at),
        "server_time": rfc3339(now),
        "currency": CURRENCY,
        "again": offer.again,
    }


def _place_without_contact(place: Payload) -> Payload:
    return {key: place.get(key) for key in ("lat", "lng", "address")}


def lines(trucks: Sequence[TruckRequest]) -> list[Payload]:
    """Trucks that are alike as one line: how many wanted, how many left."""
    alike: dict[tuple[Any, ...], list[TruckRequest]] = {}
    for truck in trucks:
        what = (truck.vehicle_type_id, truck.fare_paise, truck.payout_paise, truck.load_kg)
        alike.setdefault(what, []).append(truck)
    return [
        {
            "vehicle_type": slug,
            "wanted": len(group),
            "left": sum(truck.status == TruckStatus.SEARCHING for truck in group),
            "fare_paise": fare_paise,
            "payout_paise": payout_paise,
            "load_kg": load_kg,
        }
        for (slug, fare_paise, payout_paise, load_kg), group in alike.items()
    ]
