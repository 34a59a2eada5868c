"""What dispatchers watch: orders under way, their trucks, supply and demand by cell. Read only."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from h3 import int_to_str

from orders.models import Order, Trip
from orders.states import ORDER_ACTIVE, TRIP_LIVE
from transporters import presence
from transporters.models import Kyc, Transporter
from transporters.presence import Fix, Member
from weelo.lib.clock import database_now
from weelo.lib.wire import rfc3339

Row = dict[str, Any]
# Rows by what identifies them, in the tables orders, trips, cells and counts.
Board = dict[str, dict[str, Row]]


class Supply:
    """Who is on offer: counted over all fleets, hence kept for some seconds by who asks."""

    def __init__(self) -> None:
        self.by_cell = presence.supply()
        verified = Transporter.objects.filter(is_online=True, kyc_status=Kyc.VERIFIED)
        self.captains_online = verified.count()


def read(supply: Supply) -> Board:
    """The board of this moment: three statements, and one Redis round trip."""
    now = database_now()
    orders = list(Order.objects.filter(status__in=sorted(ORDER_ACTIVE)))
    trips = list(Trip.objects.filter(status__in=sorted(TRIP_LIVE)).select_related("vehicle"))
    fixes = presence.last_seen([_member(trip) for trip in trips])
    seeking = [order for order in orders if order.is_seeking(now)]
    return {
        "orders": {str(order.id): _order(order, now) for order in orders},
        "trips": {str(trip.id): _trip(trip, fixes.get(_member(trip))) for trip in trips},
        "cells": _cells(supply, seeking),
        "counts": {
            "all": {
                "orders": len(orders),
                "orders_seeking": len(seeking),
                "trucks_searching": sum(order.trucks_searching for order in seeking),
                "trips": len(trips),
                "captains_online": supply.captains_online,
            }
        },
    }


def difference(old: Board, new: Board) -> dict[str, Any]:
    """What turns the old board into the new one: by table `set`, the rows that are new or other,
    and `gone`, what identified those that are no more; nothing for a table that stayed."""
    found = {}
    for name, rows in new.items():
        before = old[name]
        changed = [row for key, row in rows.items() if before.get(key) != row]
        gone = [key for key in before if key not in rows]
        if changed or gone:
            found[name] = {"set": changed, "gone": gone}
    return found


def listed(board: Board) -> dict[str, list[Row]]:
    """The board as a snapshot shows it."""
    return {name: list(rows.values()) for name, rows in board.items()}


def _member(trip: Trip) -> Member:
    return Member(trip.transporter_id, trip.vehicle_id)


def _order(order: Order, now: datetime) -> Row:
    return {
        "id": str(order.id),
        "city": order.city_id,
        "status": order.status,
        "seeking": order.is_seeking(now),
        "created_at": rfc3339(order.created_at),
        "expires_at": rfc3339(order.expires_at),
        "trucks_wanted": order.trucks_wanted,
        "trucks_filled": order.trucks_filled,
        "captains_told": order.captains_told,
        "wave": order.wave,
        "radius_m": order.radius_m,
        "pickup": _point(order.pickup),
        "drop": _point(order.drop),
    }


def _trip(trip: Trip, fix: Fix | None) -> Row:
    return {
        "id": str(trip.id),
        "order_id": str(trip.order_id),
        "status": trip.status,
        "registration": trip.vehicle.registration,
        "won_at": rfc3339(trip.won_at),
        "flagged": trip.flagged or None,
        "position": {"lat": fix.lat, "lng": fix.lng, "at": rfc3339(fix.at)} if fix else None,
    }


def _cells(supply: Supply, seeking: list[Order]) -> dict[str, Row]:
    """Captains who are on offer and trucks that are sought, by H3 cell as text."""
    demand = Counter[int]()
    for order in seeking:
        demand[order.pickup_cell] += order.trucks_searching
    cells = sorted({*supply.by_cell, *demand})
    names = {cell: int_to_str(cell) for cell in cells}
    return {
        names[cell]: {
            "cell": names[cell],
            "supply": supply.by_cell.get(cell, 0),
            "demand": demand[cell],
        }
        for cell in cells
    }


def _point(place: Mapping[str, Any]) -> Row:
    return {"lat": place["lat"], "lng": place["lng"]}
