"""Puts numbered messages into mailboxes, within the transaction of what they tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from weelo.events.models import Role
from weelo.lib.hints import hint
from weelo.lib.wire import encode

HINT_CHANNEL = "hint:streams"
PUSH_AFTER_S = 1.0  # so long a phone on a socket has to say that it has read a message


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one person in one role; `data` is what the phone gets as it is.

    One with `push_until` also goes as a push to the person's devices that have not read it by
    then (`events.push`).
    """

    user_id: UUID
    role: Role
    name: str
    data: dict[str, Any]
    order_id: UUID | None = None
    order_version: int | None = None
    push_until: datetime | None = None


# The counters are taken in one order by everybody, so that two deliveries never wait for each
# other in a ring. Each is locked until commit: whoever reads a stream sees no gap. The clock is
# read after the lock, so `at` never runs backwards within a stream.
_DELIVER = """
WITH message AS (
    SELECT user_id, role, name, order_id, order_version, data, push_until, place,
           row_number() OVER (PARTITION BY user_id, role ORDER BY place) AS nth,
           count(*) OVER (PARTITION BY user_id, role) AS messages
    FROM ({given}) given
), stream AS (
    INSERT INTO events_stream AS kept (user_id, role, epoch, head)
    SELECT user_id, role, gen_random_uuid(), count(*)
    FROM message GROUP BY user_id, role ORDER BY user_id, role
    ON CONFLICT (user_id, role) DO UPDATE SET head = kept.head + excluded.head
    RETURNING kept.id, kept.user_id, kept.role, kept.head
), told AS (
    SELECT message.*, stream.id AS stream_id, stream.head - messages + nth AS seq
    FROM message JOIN stream USING (user_id, role)
), event AS (
    INSERT INTO events_event (stream_id, seq, name, at, order_id, order_version, data)
    SELECT stream_id, seq, name, clock_timestamp(), order_id, order_version, data
    FROM told ORDER BY place
), push AS (
    INSERT INTO events_push (device_id, stream_id, seq, order_id, due_at, expires_at, tries,
                             outcome, error, data)
    SELECT device.session_id, stream_id, seq, order_id,
           clock_timestamp() + make_interval(secs => {push_after_s}), push_until, 0, '', '',
           jsonb_strip_nulls(jsonb_build_object(
               'type', name, 'order_id', order_id, 'offer_id', data ->> 'offer_id', 'role', role,
               'seq', seq, 'expires_at', to_char(
                   push_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))
    FROM told
    JOIN accounts_session session ON session.user_id = told.user_id
     AND session.revoked_at IS NULL AND session.expires_at > clock_timestamp()
    JOIN accounts_device device ON device.session_id = session.id
    WHERE push_until IS NOT NULL
    ORDER BY place
)
SELECT user_id || ':' || role FROM stream
"""
_LISTED = """
SELECT * FROM ROWS FROM (
    json_to_recordset(%s)
    AS (user_id uuid, role text, name text, order_id uuid, order_version int, data jsonb,
        push_until timestamptz)
) WITH ORDINALITY
AS listed (user_id, role, name, order_id, order_version, data, push_until, place)
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

    Its columns: `user_id, role, name, order_id, order_version, data, push_until, place`, where
    `place` says in which order they are told.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("deliver() belongs into a transaction.")
    with connection.cursor() as cursor:
        cursor.execute(_DELIVER.format(given=query, push_after_s=PUSH_AFTER_S), values)
        recipients = sorted(recipient for (recipient,) in cursor.fetchall())
    if recipients:
        hint(HINT_CHANNEL, encode(recipients))
