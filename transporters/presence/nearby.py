"""Who is near a point: asked of Redis, of PostgreSQL when Redis is away, of both after a flush."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import structlog

from transporters.geo import Point, holds_pole
from transporters.presence import index, twin
from transporters.presence.seen import Ask, Count, Fix, Member, Nearby, Seen
from transporters.presence.track import from_ms
from weelo.lib.redis import RedisAway

log = structlog.get_logger(__name__)


def nearest(point: Point, *, vehicle_types: Collection[str], radius_m: float, limit: int) -> Nearby:
    """The `limit` nearest fresh members of the vehicle types within the radius, nearest first.

    Equals brute force by haversine in set and order, up to 1 m. A member that stands for two of
    the types comes once. Knows nothing about who is busy. `point`: |lat| ≤ 85.
    """
    return nearest_of_each([Ask(point, vehicle_types, radius_m, limit)])[0]


def nearest_of_each(asks: Sequence[Ask]) -> list[Nearby]:
    """As `nearest` for several questions, in one round trip to Redis."""
    asks = [ask._replace(vehicle_types=sorted(set(ask.vehicle_types))) for ask in asks]
    try:
        answers = index.nearest(asks)
    except RedisAway as away:
        log.warning("nearest answered by postgres", reason=str(away))
        answers = [(False, [])] * len(asks)
    return [_nearby(ask, *answer) for ask, answer in zip(asks, answers, strict=True)]


def _nearby(ask: Ask, filled: bool, seen: list[Seen]) -> Nearby:
    # Redis' cells do not meet at a pole: a circle round one misses members.
    if filled and not holds_pole(ask.point, ask.radius_m):
        return Nearby(_order(seen, ask.radius_m)[: ask.limit], "redis")
    # A flushed index knows only who reported since; the newer point of each member counts.
    both = [*seen, *twin.nearest(ask.point, ask.vehicle_types, ask.limit)]
    return Nearby(_order(both, ask.radius_m)[: ask.limit], "postgres")


def counts(point: Point, *, vehicle_types: Collection[str], radius_m: float) -> dict[str, Count]:
    """For each vehicle type how many fresh members are within the radius (up to 100), and how far
    the nearest one is."""
    types = sorted(set(vehicle_types))
    try:
        filled, found = index.counts(point, types, radius_m)
    except RedisAway:
        return twin.counts(point, types, radius_m)
    if filled and not holds_pole(point, radius_m):
        return found
    other = twin.counts(point, types, radius_m)
    return {slug: max(found[slug], other[slug], key=_near) for slug in types}


def last_seen(members: Collection[Member]) -> dict[Member, Fix]:
    """The newest known point of each member, fresh or not; those never seen are left out.

    `members`: vehicles, and `Member(transporter_id)` for captains.
    """
    try:
        tracks = index.last_seen(list(members))
    except RedisAway:
        return twin.last_seen(members)
    fixes = {m: Fix(track.lat, track.lng, from_ms(track.at_ms)) for m, track in tracks.items()}
    missing = [member for member in members if member not in fixes]
    return {**twin.last_seen(missing), **fixes} if missing else fixes


def _order(found: Collection[Seen], radius_m: float) -> list[Seen]:
    """Each member once, at its newest point, within the radius, nearest first."""
    newest: dict[Member, Seen] = {}
    for seen in found:
        known = newest.get(seen.member)
        if known is None or known.at < seen.at:
            newest[seen.member] = seen
    near = (seen for seen in newest.values() if seen.distance_m <= radius_m)
    return sorted(near, key=_nearest_first)


def _nearest_first(seen: Seen) -> tuple[float, UUID, bool, datetime]:
    return (seen.distance_m, seen.transporter_id, seen.vehicle_id is not None, seen.at)


def _near(count: Count) -> int:
    return count.near
