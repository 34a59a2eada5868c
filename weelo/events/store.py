"""The hub's own way to PostgreSQL: a few batched statements over three asynchronous connections.

Django's ORM would need a thread for each; here thousands of sockets share one statement.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import AsyncConnection

from weelo.events.mailbox import DATA_NOW
from weelo.events.models import Role

EVENTS_AT_ONCE = 2000

# What is raised while PostgreSQL is away.
AWAY = (psycopg.Error, OSError)

Row = tuple[Any, ...]

_STREAM = "SELECT id, epoch, head FROM events_stream WHERE user_id = %s AND role = %s"

# The update changes nothing: it only makes an existing row come back.
_NEW_STREAM = """
INSERT INTO events_stream AS kept (user_id, role, epoch, head)
VALUES (%s, %s, gen_random_uuid(), 0)
ON CONFLICT (user_id, role) DO UPDATE SET head = kept.head
RETURNING id, epoch, head
"""

_CHANGED = """
SELECT known.id, stream.epoch
FROM unnest(%s::bigint[], %s::bigint[], %s::uuid[]) AS known (id, sent, epoch)
LEFT JOIN events_stream stream ON stream.id = known.id
WHERE stream.id IS NULL OR stream.head <> known.sent OR stream.epoch <> known.epoch
"""

_EVENTS = f"""
SELECT event.stream_id, event.seq, event.name, event.at, event.order_id, event.order_version,
       {DATA_NOW}
FROM unnest(%s::bigint[], %s::bigint[]) AS known (id, sent)
JOIN events_event event ON event.stream_id = known.id AND event.seq > known.sent
ORDER BY event.stream_id, event.seq
LIMIT %s
"""  # noqa: S608 - constants only  # nosec B608  # names are constants of the module; values are bound

_SESSIONS = """
SELECT session.id, person.is_active,
       session.revoked_at IS NULL AND session.expires_at > clock_timestamp()
FROM accounts_session session JOIN accounts_user person ON person.id = session.user_id
WHERE session.id = ANY(%s)
"""

# Joined to what still exists, so that one session deleted meanwhile does not lose the others'.
_ACKS = """
INSERT INTO events_ack AS kept (session_id, stream_id, seq, at)
SELECT session.id, stream.id, given.seq, clock_timestamp()
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS given (session_id, stream_id, seq)
JOIN accounts_session session ON session.id = given.session_id
JOIN events_stream stream ON stream.id = given.stream_id
ORDER BY session.id, stream.id
ON CONFLICT (session_id, stream_id)
DO UPDATE SET seq = excluded.seq, at = excluded.at WHERE kept.seq < excluded.seq
"""


class Line:
    """One connection, opened when it is needed and again after it broke; one statement at a time.

    psycopg's own pool waits for seconds between its tries to reconnect, and would make every cut
    that long; here the next call tries at once.
    """

    def __init__(self) -> None:
        self._connection: AsyncConnection[Row] | None = None
        self._turn = asyncio.Lock()

    async def rows(self, statement: LiteralString, values: Row) -> list[Row]:
        """Run a statement that may be repeated. Raises one of AWAY."""
        async with self._turn:
            was_open = self._connection is not None
            try:
                return await self._run(statement, values)
            except psycopg.OperationalError:
                # Cut since the last call: a new connection may do. A timeout leaves it open.
                if not was_open or self._connection is not None:
                    raise
            return await self._run(statement, values)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _run(self, statement: LiteralString, values: Row) -> list[Row]:
        if self._connection is None:
            self._connection = await AsyncConnection.connect(**_connection_kwargs())
        try:
            cursor = await self._connection.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []
        finally:
            if self._connection.closed:
                self._connection = None


class Store:
    """What the hub asks PostgreSQL. Every method raises one of AWAY while it is away, and works
    again with the first call after it is back."""

    def __init__(self, on_ack: LiteralString) -> None:
        self._on_ack = on_ack
        # Looking for events waits for nothing else.
        self._looks, self._joins, self._keeps = Line(), Line(), Line()

    async def close(self) -> None:
        for line in (self._looks, self._joins, self._keeps):
            await line.close()

    async def stream(self, user_id: UUID, role: Role) -> tuple[int, UUID, int]:
        """Id, epoch and head of a stream, made when there is none yet."""
        values = (user_id, str(role))
        found = await self._joins.rows(_STREAM, values)
        if not found:
            found = await self._joins.rows(_NEW_STREAM, values)
        stream_id, epoch, head = found[0]
        return stream_id, epoch, head

    async def changed(
        self, ids: Sequence[int], sent: Sequence[int], epochs: Sequence[UUID]
    ) -> list[tuple[int, UUID | None]]:
        """Id and epoch of the streams that differ from what was sent; None for one that is gone."""
        rows = await self._looks.rows(_CHANGED, (ids, sent, epochs))
        return [(stream_id, epoch) for stream_id, epoch in rows]

    async def events(self, ids: Sequence[int], sent: Sequence[int]) -> list[Row]:
        """Events after `sent`, in order within each stream, at most EVENTS_AT_ONCE in all: stream
        id, then the columns of `mailbox.event_frame`."""
        return await self._looks.rows(_EVENTS, (ids, sent, EVENTS_AT_ONCE))

    async def sessions(self, ids: Iterable[UUID]) -> dict[UUID, tuple[bool, bool]]:
        """Whether the user is active and the session lives, for each session that exists."""
        rows = await self._keeps.rows(_SESSIONS, (list(ids),))
        return {session: (is_active, is_live) for session, is_active, is_live in rows}

    async def keep_acks(self, acks: Mapping[tuple[UUID, int], int]) -> None:
        """Keep the farthest seq for each (session, stream)."""
        values = [key[0] for key in acks], [key[1] for key in acks], list(acks.values())
        if self._on_ack:
            await self._keeps.rows(self._on_ack, values)
        await self._keeps.rows(_ACKS, values)


def _connection_kwargs() -> dict[str, Any]:
    """Django's database, without the ORM: the same server, limits and timeouts."""
    known = connection.settings_dict
    options = known["OPTIONS"]
    through_pgbouncer = known.get("DISABLE_SERVER_SIDE_CURSORS", False)
    kwargs = {
        "dbname": known["NAME"],
        "user": known["USER"],
        "password": known["PASSWORD"],
        "host": known["HOST"],
        "port": known["PORT"],
        "options": options.get("options", ""),
        "connect_timeout": options.get("connect_timeout", 3),
        "application_name": f"weelo-{settings.WEELO_PROCESS}-hub",
        # A server that vanished without a word is given up after as many milliseconds.
        "tcp_user_timeout": 5000,
    }
    return {
        **{name: value for name, value in kwargs.items() if value != ""},
        "autocommit": True,
        "prepare_threshold": None if through_pgbouncer else 2,
    }
