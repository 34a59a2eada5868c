"""From who is near to what is known of them: the facts that matching judges.

Presence answers who is near and knows nothing of busy or verified; PostgreSQL knows the rest.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from dispatch.matching import Candidate, Fix, History, VehicleView
from transporters.geo import Point, metres
from transporters.presence import Seen

_TRANSPORTERS = """
SELECT t.id AS transporter_id, t.owner_id, t.kyc_status = 'verified' AS is_verified,
       t.is_online AND u.is_active AS is_online, t.last_won_at, t.woken_at,
       t.online_changed_at AS online_at, told.state AS offer, p.lat, p.lng, p.at,
       (SELECT count(*) FROM orders_offer open
        JOIN orders_order o ON o.id = open.order_id
        WHERE open.transporter_id = t.id AND open.state = 'open'
          AND o.trucks_searching > 0 AND o.expires_at > statement_timestamp()) AS offers_open
FROM transporters_transporter t
JOIN accounts_user u ON u.id = t.owner_id
LEFT JOIN orders_offer told ON told.transporter_id = t.id AND told.order_id = %s
LEFT JOIN LATERAL (
    SELECT lat, lng, at FROM transporters_currentposition
    WHERE transporter_id = t.id AND vehicle_id IS NULL ORDER BY at DESC LIMIT 1
) p ON true
WHERE t.id = ANY(%s)
"""

# The list of live statuses is that of the index one_live_trip_per_vehicle, so that it serves.
_VEHICLES = """
SELECT v.transporter_id, v.id, v.registration, v.vehicle_type_id AS vehicle_type,
       v.papers_expire_on, v.in_service, trip.id IS NOT NULL AS on_trip, p.lat, p.lng, p.at
FROM transporters_vehicle v
LEFT JOIN orders_trip trip ON trip.vehicle_id = v.id
     AND trip.status IN ('assigned', 'at_drop', 'at_pickup', 'en_route_pickup', 'in_transit')
LEFT JOIN transporters_currentposition p ON p.transporter_id = v.transporter_id
     AND p.vehicle_id = v.id AND p.vehicle_type_id = v.vehicle_type_id
WHERE v.transporter_id = ANY(%s)
"""

# A trip that ended after the last wave was won within three days, and the index is on won_at.
_FREED = """
SELECT transporter_id, max(ended_at) AS freed_at FROM orders_trip
WHERE transporter_id = ANY(%s) AND won_at > statement_timestamp() - interval '3 days'
  AND ended_at > %s
GROUP BY transporter_id
"""


def known(
    order_id: UUID,
    pickup: Point,
    seen: Collection[Seen],
    *,
    also: Iterable[UUID] = (),
    wave_at: datetime | None = None,
    frontier_m: int | None = None,
) -> tuple[list[Candidate], History]:
    """The transporters seen (and `also` these), and what this order did with them before.

    Two statements; a third when `frontier_m` says that the last wave (at `wave_at`) was full,
    since then it matters who became free after it. A point that presence has not seen within its
    radius is PostgreSQL's, at most 15 s old, so that a truck far off is not taken for one
    without a fix.
    """
    ids = list({one.transporter_id for one in seen} | set(also))
    if not ids:
        return [], History({}, wave_at, frontier_m)
    fixes = _Fixes(pickup, seen)
    vehicles = _vehicles(ids, fixes)
    freed = _freed(ids, wave_at) if frontier_m is not None else {}
    candidates, offers = [], {}
    for row in _rows(_TRANSPORTERS, [order_id, ids]):
        id_, offer, online_at = row["transporter_id"], row.pop("offer"), row.pop("online_at")
        if offer is not None:
            offers[id_] = offer
        fix = fixes.newest(id_, None, row.pop("lat"), row.pop("lng"), row.pop("at"))
        since = max((at for at in (online_at, freed.get(id_)) if at), default=None)
        candidates.append(
            Candidate(vehicles=tuple(vehicles[id_]), fix=fix, available_since=since, **row)
        )
    return candidates, History(offers, wave_at, frontier_m)


def _vehicles(ids: list[UUID], fixes: "_Fixes") -> dict[UUID, list[VehicleView]]:
    fleets: dict[UUID, list[VehicleView]] = {id_: [] for id_ in ids}
    for row in _rows(_VEHICLES, [ids]):
        owner, lat, lng, at = (row.pop(name) for name in ("transporter_id", "lat", "lng", "at"))
        fleets[owner].append(VehicleView(fix=fixes.newest(owner, row["id"], lat, lng, at), **row))
    return fleets


class _Fixes:
    """The newest point of each vehicle and captain, from presence and from PostgreSQL."""

    def __init__(self, pickup: Point, seen: Iterable[Seen]) -> None:
        self._pickup = pickup
        self._seen = {
            (one.transporter_id, one.vehicle_id): Fix(one.distance_m, one.at) for one in seen
        }

    def newest(
        self,
        transporter_id: UUID,
        vehicle_id: UUID | None,
        lat: float,
        lng: float,
        at: datetime | None,
    ) -> Fix | None:
        """`lat`, `lng` and `at` are PostgreSQL's; without `at` it knows of no point."""
        live = self._seen.get((transporter_id, vehicle_id))
        if at is None or (live is not None and live.at >= at):
            return live
        return Fix(metres(self._pickup, Point(lat, lng)), at)


def _freed(ids: list[UUID], wave_at: datetime | None) -> dict[UUID, datetime]:
    rows = _rows(_FREED, [ids, wave_at])
    return {row["transporter_id"]: row["freed_at"] for row in rows}


def _rows(statement: str, values: list[Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
