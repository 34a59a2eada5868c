"""Reads a mailbox: the events after a position, and a snapshot that belongs to a position."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from weelo.accounts.models import User
from weelo.events.models import Role
from weelo.lib.wire import encode, rfc3339

RESUME_LIMIT = 500  # events; whoever missed more gets a snapshot


# The data of an event, true at the time of reading: phones count down from what `server_time` and
# `expires_at` differ by, and one that was cut off reads a broadcast long after it was written.
DATA_NOW = """
CASE WHEN event.data ? 'server_time' THEN event.data || jsonb_build_object('server_time',
         to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
     ELSE event.data END::text"""


def event_frame(event: Sequence[Any]) -> str:
    """An event as it goes over the wire, from a row: seq, name, at, order_id, order_version, and
    data as JSON text (`DATA_NOW`), which is passed on as it is."""
    *head, data = event
    shown = dict(zip(("seq", "name", "at", "order_id", "order_version"), head, strict=True))
    return f'{encode({"type": "event", **shown})[:-1]},"data":{data}}}'


@dataclass(frozen=True)
class Reading:
    """What a stream held at one moment: its epoch, its newest seq, and events as frames.

    `epoch` is None while nothing was ever delivered to this stream.
    """

    epoch: UUID | None
    head: int
    server_time: datetime
    frames: list[str]
    first: int | None

    def continues(self, epoch: UUID | None, after: int) -> bool:
        """Whether these events join on to what a client holds, without a gap; a client that has
        no epoch yet has nothing that could differ."""
        if epoch not in (None, self.epoch) or after > self.head:
            return False
        return after == self.head or self.first == after + 1


_READ = f"""
SELECT stream.epoch, stream.head, clock_timestamp(), event.*
FROM (SELECT 1) AS always
LEFT JOIN events_stream stream ON stream.user_id = %(user)s AND stream.role = %(role)s
LEFT JOIN LATERAL (
    SELECT seq, name, at, order_id, order_version, {DATA_NOW} AS data
    FROM events_event AS event
    WHERE stream_id = stream.id AND seq > %(after)s
    ORDER BY seq LIMIT %(limit)s
) event ON true
"""  # noqa: S608 - constants only  # nosec B608  # names are constants of the module; values are bound


def read(user_id: UUID, role: Role, *, after: int, limit: int) -> Reading:
    """At most `limit` events after `after`, with the head of the same moment, in one statement."""
    with connection.cursor() as cursor:
        values: dict[str, Any] = {
            "user": user_id,
            "role": str(role),
            "after": after,
            "limit": limit,
        }
        cursor.execute(_READ, values)
        rows = cursor.fetchall()
    epoch, head, server_time, first, *_ = rows[0]
    frames = [event_frame(row[3:]) for row in rows if row[3] is not None]
    return Reading(epoch, head or 0, server_time, frames, first)


@dataclass(frozen=True)
class Opening:
    """What a socket says first: a welcome, and the events that were missed.

    Events from `seq` + 1 on follow: with a snapshot `seq` is the position it shows, without one
    it is the position that the client already holds.
    """

    epoch: UUID
    seq: int
    server_time: datetime
    snapshot: dict[str, Any] | None
    missed: list[str]

    @property
    def welcome(self) -> str:
        return encode(
            {
                "type": "welcome",
                "epoch": self.epoch,
                "seq": self.seq,
                "server_time": rfc3339(self.server_time),
                "snapshot": self.snapshot,
            }
        )


def opening(
    user: User,
    role: Role,
    *,
    epoch: UUID | None,
    after: int | None,
    snapshot: Callable[[User], dict[str, Any]],
) -> Opening:
    """Resume after (`epoch`, `after`) when at most 500 events were missed; else a snapshot.

    The stream must exist. `snapshot` reads what the person sees now.
    """
    if epoch is not None and after is not None:
        reading = read(user.pk, role, after=after, limit=RESUME_LIMIT)
        if reading.continues(epoch, after) and reading.head - after == len(reading.frames):
            return Opening(epoch, after, reading.server_time, None, reading.frames)
    return with_snapshot(user, role, snapshot)


def with_snapshot(user: User, role: Role, snapshot: Callable[[User], dict[str, Any]]) -> Opening:
    """Stream position and snapshot of the same moment.

    One repeatable-read transaction sees both; it is read-only, so `snapshot` cannot write.
    """
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        at = read(user.pk, role, after=0, limit=0)
        shown = snapshot(user)
    if at.epoch is None:
        raise LookupError(f"No {role} stream of {user.pk}; the hub makes it before.")
    return Opening(at.epoch, at.head, at.server_time, shown, [])
