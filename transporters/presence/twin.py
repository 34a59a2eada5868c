"""PostgreSQL's twin of the index: the same questions, and where the answers survive.

Exact at any latitude: straight distance between points on the unit sphere (`on_sphere`, a cube
of three coordinates) grows with great-circle distance, so the GiST index finds the nearest.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from transporters.geo import Point, metres, on_unit_sphere
from transporters.models import CurrentPosition, Kyc
from transporters.presence.seen import COUNT_MOST, Count, Fix, Member, Seen
from transporters.presence.track import to_ms
from weelo.cities.cells import cell_of

REFILL_ROWS = 2000

# Who may be found: as in the index, fleets that are verified and online, vehicles in service, and
# the captain's point while it stands for a vehicle without a fresh fix of its own. OFFSET 0 keeps
# PostgreSQL from hashing all vehicles first: it expects to look at many more than the limit does.
_FRESH = "p.at >= statement_timestamp() - %(ttl)s"
_LISTED = f"""
    fleet.is_online AND fleet.kyc_status = '{Kyc.VERIFIED}' AND CASE WHEN p.vehicle_id IS NULL
        THEN EXISTS (
            SELECT FROM transporters_vehicle v
            WHERE v.transporter_id = p.transporter_id AND v.vehicle_type_id = p.vehicle_type_id
                AND v.in_service AND NOT EXISTS (
                    SELECT FROM transporters_currentposition own
                    WHERE own.transporter_id = v.transporter_id AND own.vehicle_id = v.id
                        AND own.at >= statement_timestamp() - %(ttl)s) OFFSET 0)
        ELSE EXISTS (
            SELECT FROM transporters_vehicle v WHERE v.id = p.vehicle_id AND v.in_service OFFSET 0)
    END"""  # noqa: S608 - constants only, here and below  # nosec B608  # names are constants of the module; values are bound
# No condition on the radius: its selectivity is guessed so low that PostgreSQL would sort all of a
# city instead of walking the index in order of distance, which the limit ends soon anyway.
_NEAREST = f"""
SELECT wanted.slug, found.*
FROM unnest(%(types)s::varchar[]) AS wanted (slug) CROSS JOIN LATERAL (
    SELECT p.transporter_id, p.vehicle_id, p.lat, p.lng, p.at
    FROM transporters_currentposition p
    JOIN transporters_transporter fleet ON fleet.id = p.transporter_id
    WHERE p.vehicle_type_id = wanted.slug AND {_FRESH} AND {_LISTED}
    ORDER BY p.on_sphere <-> cube(%(here)s::float8[])
    LIMIT %(want)s
) found
"""  # noqa: S608  # nosec B608  # names are constants of the module; values are bound

# Sorted, so that two processes that write the same rows never wait for each other in a ring.
_WRITE_CURRENT = """
INSERT INTO transporters_currentposition AS kept
    (transporter_id, vehicle_id, vehicle_type_id, cell, lat, lng, at, accuracy_m, speed_mps,
     heading)
SELECT new.*
FROM unnest(%s::uuid[], %s::uuid[], %s::varchar[], %s::bigint[], %s::float8[], %s::float8[],
            %s::timestamptz[], %s::float8[], %s::float8[], %s::float8[])
    AS new (transporter_id, vehicle_id, vehicle_type_id, cell, lat, lng, at, accuracy_m, speed_mps,
            heading)
JOIN transporters_transporter fleet ON fleet.id = new.transporter_id
LEFT JOIN transporters_vehicle v ON v.id = new.vehicle_id
WHERE new.vehicle_id IS NULL OR v.id IS NOT NULL
ORDER BY 1, 2, 3
ON CONFLICT (transporter_id, vehicle_id, vehicle_type_id) DO UPDATE
SET cell = excluded.cell, lat = excluded.lat, lng = excluded.lng, at = excluded.at,
    accuracy_m = excluded.accuracy_m, speed_mps = excluded.speed_mps, heading = excluded.heading
WHERE kept.at < excluded.at
"""
_WRITE_HISTORY = """
INSERT INTO transporters_positionhistory (transporter_id, vehicle_id, lat, lng, at)
SELECT new.*
FROM unnest(%s::uuid[], %s::uuid[], %s::float8[], %s::float8[], %s::timestamptz[])
    AS new (transporter_id, vehicle_id, lat, lng, at)
JOIN transporters_transporter fleet ON fleet.id = new.transporter_id
LEFT JOIN transporters_vehicle v ON v.id = new.vehicle_id
WHERE new.vehicle_id IS NULL OR v.id IS NOT NULL
"""
_SUPPLY = f"""
SELECT p.cell, count(DISTINCT p.transporter_id)
FROM transporters_currentposition p
JOIN transporters_transporter fleet ON fleet.id = p.transporter_id
WHERE {_FRESH} AND fleet.is_online AND fleet.kyc_status = '{Kyc.VERIFIED}' AND p.cell IS NOT NULL
GROUP BY p.cell
"""  # noqa: S608  # nosec B608  # names are constants of the module; values are bound


def nearest(point: Point, vehicle_types: Collection[str], limit: int) -> list[Seen]:
    """The `limit` nearest fresh members of each type, however far, unsorted. One statement."""
    return [seen for _, seen in _search(point, vehicle_types, limit)]


def counts(point: Point, vehicle_types: Collection[str], radius_m: float) -> dict[str, Count]:
    """For each type how many are near, up to 100, and how far the nearest is."""
    near: dict[str, list[float]] = {slug: [] for slug in vehicle_types}
    for slug, seen in _search(point, vehicle_types, COUNT_MOST):
        if seen.distance_m <= radius_m:
            near[slug].append(seen.distance_m)
    return {slug: Count(len(found), min(found, default=None)) for slug, found in near.items()}


def last_seen(members: Collection[Member]) -> dict[Member, Fix]:
    """The newest point of each member, fresh or not."""
    wanted = set(members)
    rows = CurrentPosition.objects.filter(transporter_id__in={m.transporter_id for m in members})
    fixes = {
        Member(row.transporter_id, row.vehicle_id): Fix(
            row.lat, row.lng, row.at, row.accuracy_m, row.speed_mps, row.heading
        )
        for row in rows.order_by("at")
    }
    return {member: fix for member, fix in fixes.items() if member in wanted}


def write(newest: Mapping[tuple[Member, str], Fix], history: Sequence[tuple[Member, Fix]]) -> None:
    """Store newest points by member and vehicle type, unless a newer one is there, and history.

    One statement each. Points of fleets and vehicles that are gone are left out.
    """
    with connection.cursor() as cursor:
        if newest:
            rows = [
                (*member, slug, cell_of(fix.lat, fix.lng), fix.lat, fix.lng, fix.at, *fix[3:])
                for (member, slug), fix in newest.items()
            ]
            cursor.execute(_WRITE_CURRENT, _columns(rows))
        if history:
            cursor.execute(_WRITE_HISTORY, _columns([(*m, *fix[:3]) for m, fix in history]))


def supply() -> dict[int, int]:
    """How many transporters that may be found are in each H3 cell; one statement.

    One with vehicles in two cells counts in both.
    """
    return dict(_rows(_SUPPLY, {}))


def forget(transporter_id: UUID) -> None:
    """Delete all current points of the transporter."""
    CurrentPosition.objects.filter(transporter_id=transporter_id).delete()


def places() -> Iterator[dict[str, list[tuple[Member, Point, int]]]]:
    """All members that may be found, by vehicle type, in parts of some thousand rows."""
    statement = f"""
        SELECT p.id, p.vehicle_type_id, p.transporter_id, p.vehicle_id, p.lat, p.lng, p.at
        FROM transporters_currentposition p
        JOIN transporters_transporter fleet ON fleet.id = p.transporter_id
        WHERE p.id > %(after)s AND {_FRESH} AND {_LISTED}
        ORDER BY p.id LIMIT %(limit)s
    """  # noqa: S608  # nosec B608  # names are constants of the module; values are bound
    after = 0
    while True:
        rows = _rows(statement, {"after": after, "limit": REFILL_ROWS})
        if not rows:
            return
        after = rows[-1][0]
        part: dict[str, list[tuple[Member, Point, int]]] = {}
        for _, slug, transporter_id, vehicle_id, lat, lng, at in rows:
            place = (Member(transporter_id, vehicle_id), Point(lat, lng), to_ms(at))
            part.setdefault(slug, []).append(place)
        yield part


def _search(point: Point, vehicle_types: Collection[str], want: int) -> Iterator[tuple[str, Seen]]:
    parameters = {
        "types": list(vehicle_types),
        "here": list(on_unit_sphere(point)),
        "want": want,
    }
    for slug, transporter_id, vehicle_id, lat, lng, at in _rows(_NEAREST, parameters):
        place = Point(lat, lng)
        yield slug, Seen(transporter_id, vehicle_id, place, metres(point, place), at)


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    parameters["ttl"] = settings.POSITION_TTL
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
