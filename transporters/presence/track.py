"""Which reported points are believed: in order of time, no faster than a truck. Pure."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from transporters.geo import Point, metres
from transporters.presence.seen import Fix

MOST_SPEED_MPS = 55.0
MOST_AHEAD = timedelta(seconds=60)  # a phone's clock may run ahead of ours by as much
SECOND_MS = 1000  # within one, two points are taken
# 1 cm; and nothing so close to 0 that PostgreSQL's trigonometry refuses it as underflow.
DECIMALS = 7
HISTORY_EVERY_MS = 15_000
HISTORY_EVERY_M = 75.0
HISTORY_AGE_MS = 24 * 3600 * SECOND_MS  # what a phone kept for longer is of no use to anybody

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RECORD = struct.Struct("<q2dqq2d")


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: float) -> datetime:
    """The reverse of `to_ms`, in UTC."""
    return _EPOCH + timedelta(milliseconds=ms)


class Track(NamedTuple):
    """What is remembered of a member: its newest point, the time of the one before, and the
    last point that went into history."""

    at_ms: int
    lat: float
    lng: float
    before_ms: int
    kept_ms: int
    kept_lat: float
    kept_lng: float

    def pack(self) -> bytes:
        """The record in Redis."""
        return _RECORD.pack(*self)

    @classmethod
    def unpack(cls, record: bytes) -> "Track | None":
        """The reverse of `pack`; None for an empty record or one of another version."""
        return cls(*_RECORD.unpack(record)) if len(record) == _RECORD.size else None

    @property
    def point(self) -> Point:
        return Point(self.lat, self.lng)


def read(raw: object, now: datetime) -> tuple[UUID | None, Fix] | None:
    """A point from JSON as (its vehicle_id, the fix), or None when it cannot be one.

    A point without `at` was taken `now`; one a little ahead of us too. The three readings are
    taken or left: a phone that cannot tell its heading is still somewhere.
    """
    if not isinstance(raw, Mapping):
        return None
    lat, lng = _number(raw.get("lat")), _number(raw.get("lng"))
    if lat is None or lng is None or not Point(lat, lng).is_on_map():
        return None
    try:
        at, vehicle_id = _time(raw.get("at"), now), _uuid(raw.get("vehicle_id"))
    except (TypeError, ValueError, AttributeError):
        return None
    if at.tzinfo is None or at > now + MOST_AHEAD:
        return None
    readings = (_reading(raw.get(key), most) for key, most in _READINGS)
    place = round(lat, DECIMALS), round(lng, DECIMALS)
    return vehicle_id, Fix(*place, min(at, now), *readings)


_READINGS = (("accuracy_m", 100_000.0), ("speed_mps", 2 * MOST_SPEED_MPS), ("heading", 360.0))


@dataclass
class Verdict:
    """What became of some points of one member; `track` is what to remember now."""

    track: Track | None
    newest: Fix | None = None
    history: list[Fix] = field(default_factory=list)
    accepted: int = 0
    stale: int = 0
    duplicate: int = 0
    invalid: int = 0


def judge(track: Track | None, fixes: Iterable[Fix], now: datetime, ttl: timedelta) -> Verdict:
    """Take the points in order of time, from `track` (None: never seen) on.

    accepted: moved the live position. duplicate: the same instant again. stale: older than what
    is known, or than `ttl` (then still good for the history). invalid: faster than a truck, or
    the third within a second. A jump is judged against points of the last `ttl` only, so that
    one wrong fix does not lock a truck out for long.
    """
    verdict = Verdict(track)
    now_ms, ttl_ms = to_ms(now), ttl // timedelta(milliseconds=1)
    last_ms = None
    for fix in sorted(fixes, key=_by_time):
        at_ms, known = to_ms(fix.at), verdict.track
        if at_ms == last_ms or (known is not None and at_ms == known.at_ms):
            verdict.duplicate += 1
        elif (known is not None and at_ms < known.at_ms) or at_ms < now_ms - HISTORY_AGE_MS:
            verdict.stale += 1
        elif known is not None and _is_impossible(known, fix, at_ms, ttl_ms):
            verdict.invalid += 1
        else:
            _take(verdict, fix, at_ms, is_live=at_ms >= now_ms - ttl_ms)
        last_ms = at_ms
    return verdict


def _take(verdict: Verdict, fix: Fix, at_ms: int, *, is_live: bool) -> None:
    known = verdict.track
    kept = known and (known.kept_ms, known.kept_lat, known.kept_lng)
    if kept is None or _is_due(kept, fix, at_ms):
        kept = (at_ms, fix.lat, fix.lng)
        verdict.history.append(fix)
    verdict.track = Track(at_ms, fix.lat, fix.lng, known.at_ms if known else 0, *kept)
    if is_live:
        verdict.accepted += 1
        verdict.newest = fix
    else:
        verdict.stale += 1


def _is_impossible(known: Track, fix: Fix, at_ms: int, ttl_ms: int) -> bool:
    elapsed_ms = at_ms - known.at_ms
    if at_ms - known.before_ms < SECOND_MS:
        return True
    if elapsed_ms > ttl_ms:
        return False
    # Within one second a receiver's own error may look like speed.
    reach_m = MOST_SPEED_MPS * max(elapsed_ms, SECOND_MS) / SECOND_MS
    return metres(known.point, fix.point) > reach_m


def _is_due(kept: tuple[int, float, float], fix: Fix, at_ms: int) -> bool:
    kept_ms, lat, lng = kept
    is_time = at_ms - kept_ms >= HISTORY_EVERY_MS
    return is_time or metres(Point(lat, lng), fix.point) >= HISTORY_EVERY_M


def _by_time(fix: Fix) -> datetime:
    return fix.at


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def _reading(value: object, most: float) -> float | None:
    number = _number(value)
    return number if number is not None and 0 <= number <= most else None


def _time(value: Any, now: datetime) -> datetime:
    if value is None:
        return now
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _uuid(value: Any) -> UUID | None:
    return value if value is None or isinstance(value, UUID) else UUID(value)
