"""Puts numbered messages into mailboxes, within the transaction of what they tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from weelo.events.models import Role
from weelo.lib.hints import hint
from weelo.lib.wire import encode

HINT_CHANNEL = "hint:streams"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one person in one role; `data` is what the phone gets as it is."""

    user_id: UUID
    role: Role
    name: str
    data: dict[str, Any]
    order_id: UUID | None = None
    order_version: int | None = None


# The counters are taken in one order by everybody, so that two deliveries never wait for each
# other in a ring. Each is locked until commit: whoever reads a stream sees no gap. The clock is
# read after the lock, so `at` never runs backwards within a stream.
_DELIVER = """
WITH message AS (
    SELECT user_id, role, name, order_id, order_version, data, place,
           row_number() OVER (PARTITION BY user_id, role ORDER BY place) AS nth,
           count(*) OVER (PARTITION BY user_id, role) AS messages
    FROM ({given}) given
), stream AS (
    INSERT INTO events_stream AS kept (user_id, role, epoch, head)
    SELECT user_id, role, gen_random_uuid(), count(*)
    FROM message GROUP BY user_id, role ORDER BY user_id, role
    ON CONFLICT (user_id, role) DO UPDATE SET head = kept.head + excluded.head
    RETURNING kept.id, kept.user_id, kept.role, kept.head
), event AS (
    INSERT INTO events_event (stream_id, seq, name, at, order_id, order_version, data)
    SELECT stream.id, stream.head - messages + nth, name, clock_timestamp(), order_id,
           order_version, data
    FROM message JOIN stream USING (user_id, role)
    ORDER BY place
)
SELECT user_id || ':' || role FROM stream
"""
_LISTED = """
SELECT * FROM ROWS FROM (
    json_to_recordset(%s)
    AS (user_id uuid, role text, name text, order_id uuid, order_version int, data jsonb)
) WITH ORDINALITY AS listed (user_id, role, name, order_id, order_version, data, place)
"""


def deliver(messages: Sequence[Message]) -> None:
    """Append the messages to their recipients' streams, in the given order, in one statement.

    Call it last in a verb: it locks the streams until the commit, after which the sockets are
    hinted. Raises TransactionManagementError outside a transaction, since a message without the
    change that it tells must not exist.
    """
    if messages:
        # One text instead of six arrays, whose elements psycopg would quote one by one.
        rows = [{name: getattr(m, name) for name in Message.__slots__} for m in messages]
        deliver_selected(_LISTED, [encode(rows)])


def deliver_selected(query: str, values: Sequence[Any] | Mapping[str, Any]) -> None:
    """As `deliver`, of messages that an SQL query makes.

    Its columns: `user_id, role, name, order_id, order_version, data, place`, where `place` says
    in which order they are told.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("deliver() belongs into a transaction.")
    with connection.cursor() as cursor:
        cursor.execute(_DELIVER.format(given=query), values)
        recipients = sorted(recipient for (recipient,) in cursor.fetchall())
    if recipients:
        hint(HINT_CHANNEL, encode(recipients))
