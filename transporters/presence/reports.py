"""Positions come in: checked, followed in order of time, indexed. No SQL on this way."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings

from transporters.presence import buffer, index
from transporters.presence.seen import Fix, Member
from transporters.presence.track import Track, Verdict, judge, read
from weelo.lib import clock
from weelo.lib.redis import RedisAway

if TYPE_CHECKING:
    from transporters.fleet import Fleet

TRIES = 3
MOST_TRACKS = 200_000


@dataclass
class Report:
    """What became of reported points; `newest` are the live positions that moved."""

    accepted: int = 0
    stale: int = 0
    duplicate: int = 0
    invalid: int = 0
    newest: dict[Member, Fix] = field(default_factory=dict)

    def as_payload(self) -> dict[str, int]:
        """The answer on the wire."""
        return {
            "accepted": self.accepted,
            "stale": self.stale,
            "duplicate": self.duplicate,
            "invalid": self.invalid,
        }


Follower = Callable[["Fleet", Mapping[Member, Fix]], None]
_followers: list[Follower] = []


def follow(follower: Follower) -> Follower:
    """Have `follower(fleet, newest)` called whenever a fleet with live trips has moved.

    For the floors above, which show moving trucks to their customers. It runs where the report
    came in and must neither block nor raise. Returns the follower: use it as a decorator.
    """
    _followers.append(follower)
    return follower


def report(fleet: "Fleet", points: Iterable[object], now: datetime | None = None) -> Report:
    """Take points as they came in JSON, at `now` (aware) if not at present.

    The present is the database's: a process whose clock is an hour off would take no point for new.

    `fleet` was resolved at most 30 s ago. Blocks for Redis only, at most `REDIS_TIMEOUT`.
    A point counts as `invalid` when it is no point on the map, is another's vehicle's, lies over
    60 s ahead, jumps faster than a truck or is the third within a second; as `stale` when it is
    older than what is known or than the TTL, or comes while the fleet is off and on no trip.
    """
    now = now or clock.now()
    result = Report()
    fixes: defaultdict[Member, list[Fix]] = defaultdict(list)
    for raw in points:
        point = read(raw, now)
        member = fleet.member_of(point[0]) if point else None
        if point is None or member is None:
            result.invalid += 1
        else:
            fixes[member].append(point[1])
    for member, taken in fixes.items():
        if fleet.is_followed(member):
            _add(result, member, _follow(fleet, member, taken, now))
        else:
            result.stale += len(taken)
    if fleet.trips and result.newest:
        for follower in _followers:
            follower(fleet, result.newest)
    buffer.start_write_back()
    return result


def _follow(fleet: "Fleet", member: Member, fixes: list[Fix], now: datetime) -> Verdict:
    """Judge the points from the newest track that any process knows, and store the verdict.

    Compare and set: usually this process knows what Redis holds, and one trip does both.
    """
    types = fleet.types_of(member)
    known = base = _tracks.get(member)
    for _ in range(TRIES):
        verdict = judge(base, fixes, now, settings.POSITION_TTL)
        if verdict.track is base:
            return verdict
        try:
            stored, known = index.track(member, known, verdict, types if fleet.is_listed else {})
        except RedisAway:
            break
        if stored:
            break
        base = _newer(base, known)
    _remember(member, verdict.track)
    buffer.keep(member, types, verdict)
    return verdict


def _newer(one: Track | None, other: Track | None) -> Track | None:
    if one is None or other is None:
        return one or other
    return max(one, other)


def _add(result: Report, member: Member, verdict: Verdict) -> None:
    result.accepted += verdict.accepted
    result.stale += verdict.stale
    result.duplicate += verdict.duplicate
    result.invalid += verdict.invalid
    if verdict.newest is not None:
        result.newest[member] = verdict.newest


# What this process knows of members that report through it; the longest silent go first.
_tracks: dict[Member, Track] = {}
_lock = threading.Lock()


def _remember(member: Member, track: Track | None) -> None:
    if track is None:
        return
    with _lock:
        _tracks.pop(member, None)
        _tracks[member] = track
        if len(_tracks) > MOST_TRACKS:
            del _tracks[next(iter(_tracks))]
