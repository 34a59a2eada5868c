"""The index in Redis: the only code that knows the keys of presence.

    presence:geo:<type>     GEO set of the members of a vehicle type
    presence:seen:<type>    sorted set: when each of them was there (ms)
    presence:fix:<member>   the record of its track (see `track.Track`), for an hour
    presence:off:<fleet>    stands while late positions are to be kept out
    presence:filled         stands once the index holds what PostgreSQL knew

All functions raise RedisAway.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from redis import Redis
from redis.exceptions import NoScriptError

from transporters.geo import EARTH_RADIUS_M, Point, metres
from transporters.presence.seen import COUNT_MOST, Ask, Count, Member, Seen
from transporters.presence.track import Track, Verdict, from_ms, to_ms
from weelo.lib.redis import guarded

RECORD_FOR_MS = 3600 * 1000
# Longer than any process trusts a resolved fleet (`fleet.REFRESH_S`): after that it knows itself.
OFF_FOR_MS = 60 * 1000
# A few more than asked for, since Redis keeps points to 0.6 m and the order is made exact here.
SPARE = 8
_FILLED = "presence:filled"
# Redis measures on a sphere of its own; a wider search is cut back by exact distance.
_REDIS_RADIUS = 6_372_797.560856 / EARTH_RADIUS_M


Call = tuple[Sequence[str], Sequence[Any]]  # keys, arguments


class Script:
    """A Lua script beside this module, sent once and then called by its hash."""

    def __init__(self, name: str) -> None:
        path = Path(__file__).with_name("scripts") / f"{name}.lua"
        self._source = path.read_text()
        self._sha = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str], arguments: Iterable[Any]) -> Any:
        with guarded() as redis:
            values = (*keys, *arguments)
            try:
                return redis.evalsha(self._sha, len(keys), *values)
            except NoScriptError:
                return redis.eval(self._source, len(keys), *values)

    def each(self, calls: Sequence[Call]) -> list[Any]:
        """The answers to several calls, in one round trip."""
        with guarded() as redis:
            try:
                return self._pipelined(redis, calls)
            except NoScriptError:
                redis.script_load(self._source)
                return self._pipelined(redis, calls)

    def _pipelined(self, redis: Redis, calls: Sequence[Call]) -> list[Any]:
        pipeline = redis.pipeline(transaction=False)
        for keys, arguments in calls:
            pipeline.evalsha(self._sha, len(keys), *keys, *arguments)
        return pipeline.execute()


_track, _nearest = Script("track"), Script("nearest")
_forget, _refill = Script("forget"), Script("refill")


def track(
    member: Member,
    known: Track | None,
    verdict: Verdict,
    types: Mapping[str, Collection[Member]],
) -> tuple[bool, Track | None]:
    """Store a verdict that was reached from `known`, and list the member where it now is.

    `types`: the vehicle types to list it in, with the fleet's vehicles of each; empty to only
    remember it. Returns (True, the new track), or (False, what another process stored first).
    """
    assert verdict.track is not None
    fix = verdict.newest
    listed = types if fix is not None else {}
    place = (to_ms(fix.at), _lng(fix.lng), fix.lat) if fix else (0, 0, 0)
    answer = _track(
        [f"presence:fix:{member.name}", _off(member.transporter_id), *_sets(listed)],
        [
            known.pack() if known else b"",
            verdict.track.pack(),
            RECORD_FOR_MS,
            int(bool(listed)),
            _ttl_ms(),
            member.name,
            Member(member.transporter_id).name,
            *place,
            *_groups(listed.values()),
        ],
    )
    return (True, verdict.track) if answer == 1 else (False, Track.unpack(answer))


def nearest(asks: Sequence[Ask]) -> list[tuple[bool, list[Seen]]]:
    """To each question whether the index is filled, and at least the `limit` nearest fresh
    members, unsorted; one round trip for all.

    Exact to the 0.6 m to which Redis keeps points.
    """
    calls = [
        _call(ask.point, ask.vehicle_types, ask.radius_m, ask.limit + SPARE, summary=False)
        for ask in asks
    ]
    answers = _nearest.each(calls)
    return [_found(ask.point, answer) for ask, answer in zip(asks, answers, strict=True)]


def _found(point: Point, answer: list[Any]) -> tuple[bool, list[Seen]]:
    found = [_seen(point, part[i : i + 4]) for part in answer[1:] for i in range(1, len(part), 4)]
    return answer[0] == 1, found


def counts(
    point: Point, vehicle_types: Collection[str], radius_m: float
) -> tuple[bool, dict[str, Count]]:
    """Whether the index is filled, and for each type how many are near."""
    keys, arguments = _call(point, vehicle_types, radius_m, COUNT_MOST, summary=True)
    filled, *parts = _nearest(keys, arguments)
    found = {}
    for slug, part in zip(vehicle_types, parts, strict=True):
        first = _seen(point, part[1:5]).distance_m if part[0] else None
        found[slug] = Count(min(part[0], COUNT_MOST), first)
    return filled == 1, found


def last_seen(members: Sequence[Member]) -> dict[Member, Track]:
    """The newest point of each member that was seen within the hour, fresh or not."""
    if not members:
        return {}
    with guarded() as redis:
        records: Any = redis.mget([f"presence:fix:{member.name}" for member in members])
    tracks = ((m, Track.unpack(r)) for m, r in zip(members, records, strict=True) if r)
    return {member: track for member, track in tracks if track is not None}


def forget(transporter_id: UUID, types: Mapping[str, Collection[Member]]) -> None:
    """Take the members out, and keep late positions of the transporter out for a minute."""
    captain = Member(transporter_id)
    groups = [(captain, *members) for members in types.values()]
    _forget([_off(transporter_id), *_sets(types)], [OFF_FOR_MS, *_groups(groups)])


def admit(transporter_id: UUID) -> None:
    """Let positions of the transporter in again."""
    with guarded() as redis:
        redis.delete(_off(transporter_id))


def unlist(member: Member, vehicle_type: str) -> None:
    """Take one member out of the index of a vehicle type."""
    with guarded() as redis:
        for key in _sets([vehicle_type]):
            redis.zrem(key, member.name)


def is_filled() -> bool:
    """Whether the index holds what PostgreSQL knew; False after a flush."""
    with guarded() as redis:
        return bool(redis.exists(_FILLED))


def refill(places: Mapping[str, Collection[tuple[Member, Point, int]]]) -> None:
    """Put (member, point, at in ms) of each vehicle type in, where nothing newer is known."""
    for slug, rows in places.items():
        values = (
            (member.name, at_ms, _lng(point.lng), point.lat, _off(member.transporter_id))
            for member, point, at_ms in rows
        )
        _refill(_sets([slug]), chain.from_iterable(values))


def mark_filled() -> None:
    """Say that the index is whole."""
    with guarded() as redis:
        redis.set(_FILLED, "1")


def _call(
    point: Point, vehicle_types: Collection[str], radius_m: float, want: int, *, summary: bool
) -> Call:
    reach = radius_m * _REDIS_RADIUS + 1
    keys = [_FILLED, *_sets(vehicle_types)]
    return keys, [_lng(point.lng), point.lat, reach, want, _ttl_ms(), int(summary)]


def _seen(point: Point, part: Sequence[bytes]) -> Seen:
    member = Member.of_name(part[0].decode())
    place = Point(lat=float(part[2]), lng=float(part[1]))
    return Seen(*member, place, metres(point, place), from_ms(float(part[3])))


def _sets(vehicle_types: Iterable[str]) -> list[str]:
    return [f"presence:{kind}:{slug}" for slug in vehicle_types for kind in ("geo", "seen")]


def _groups(groups: Iterable[Collection[Member]]) -> list[str | int]:
    """Each group as its length and its members' names."""
    listed: list[str | int] = []
    for group in groups:
        listed += [len(group), *(member.name for member in group)]
    return listed


def _lng(lng: float) -> float:
    """Redis takes 180°, and what its cells round up to it, but files it beyond its last cell,
    where no search looks. Points are kept to seven decimals, a centimetre."""
    lng = round(lng, 7)
    return -180.0 if lng >= 180.0 else lng


def _off(transporter_id: UUID) -> str:
    return f"presence:off:{transporter_id.hex}"


def _ttl_ms() -> int:
    return settings.POSITION_TTL // timedelta(milliseconds=1)
