"""From who is near to what is known of them: the facts that matching judges.

Presence answers who is near and knows nothing of busy or verified; PostgreSQL knows the rest.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from dispatch.matching import Candidate, Fix, VehicleView
from transporters.geo import Point, metres
from transporters.presence import Seen
from weelo.lib.rows import Row, rows_of

_TRANSPORTERS = """
SELECT t.id AS transporter_id, t.owner_id, t.kyc_status = 'verified' AS is_verified,
       t.is_online AND u.is_active AS is_online, t.last_won_at, t.woken_at,
       t.online_changed_at AS online_at, p.lat, p.lng, p.at,
       (SELECT count(*) FROM orders_offer open
        JOIN orders_order o ON o.id = open.order_id
        WHERE open.transporter_id = t.id AND open.state = 'open'
          AND o.trucks_searching > 0 AND o.expires_at > statement_timestamp()) AS offers_open
FROM transporters_transporter t
JOIN accounts_user u ON u.id = t.owner_id
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


class Fleets:
    """What PostgreSQL knows of some transporters, for all orders that are looked at together.

    Two statements; a third with `freed_since`, which is wanted when the last wave of one of the
    orders was full, since then it matters who became free after it.
    """

    def __init__(self, ids: Collection[UUID], *, freed_since: datetime | None = None) -> None:
        listed = list(ids)
        self._fleets: dict[UUID, Row] = {}
        self._vehicles: dict[UUID, list[Row]] = {id_: [] for id_ in listed}
        if listed:
            self._read(listed, freed_since)

    def _read(self, listed: list[UUID], freed_since: datetime | None) -> None:
        for row in rows_of(_VEHICLES, [listed]):
            self._vehicles[row.pop("transporter_id")].append(row)
        freed = _freed(listed, freed_since) if freed_since is not None else {}
        for row in rows_of(_TRANSPORTERS, [listed]):
            since = [row.pop("online_at"), freed.get(row["transporter_id"])]
            row["available_since"] = max((at for at in since if at), default=None)
            self._fleets[row["transporter_id"]] = row

    def candidates(self, pickup: Point, seen: Collection[Seen]) -> list[Candidate]:
        """The transporters seen near one pickup.

        A point that presence has not seen within its radius is PostgreSQL's, at most 15 s old, so
        that a truck far off is not taken for one without a fix.
        """
        fixes = _Fixes(pickup, seen)
        ids = dict.fromkeys(one.transporter_id for one in seen)
        return [self._candidate(self._fleets[id_], fixes) for id_ in ids if id_ in self._fleets]

    def _candidate(self, fleet: Row, fixes: "_Fixes") -> Candidate:
        id_ = fleet["transporter_id"]
        vehicles = tuple(
            VehicleView(fix=fixes.newest(id_, row["id"], row), **_without_place(row))
            for row in self._vehicles[id_]
        )
        return Candidate(
            vehicles=vehicles, fix=fixes.newest(id_, None, fleet), **_without_place(fleet)
        )


class _Fixes:
    """The newest point of each vehicle and captain, from presence and from PostgreSQL."""

    def __init__(self, pickup: Point, seen: Iterable[Seen]) -> None:
        self._pickup = pickup
        self._seen = {
            (one.transporter_id, one.vehicle_id): Fix(one.distance_m, one.at) for one in seen
        }

    def newest(self, transporter_id: UUID, vehicle_id: UUID | None, row: Row) -> Fix | None:
        """`lat`, `lng` and `at` of the row are PostgreSQL's; without `at` it knows no point."""
        live, at = self._seen.get((transporter_id, vehicle_id)), row["at"]
        if at is None or (live is not None and live.at >= at):
            return live
        return Fix(metres(self._pickup, Point(row["lat"], row["lng"])), at)


def _without_place(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("lat", "lng", "at")}


def _freed(ids: list[UUID], since: datetime) -> dict[UUID, datetime]:
    return {row["transporter_id"]: row["freed_at"] for row in rows_of(_FREED, [ids, since])}
