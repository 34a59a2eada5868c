"""Pushes: rows written with what they tell, sent later by the dispatch loop.

A push only wakes the phone, which then fetches or says hello: at least once is good enough, and a
crash between the yes of FCM and our note of it repeats one. FCM itself collapses those of an order.
"""

import json
import uuid
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import connection

from weelo.accounts.models import Device
from weelo.events import push_backends
from weelo.events.models import PushOutcome, Role
from weelo.events.push_backends import Answer, Letter
from weelo.lib.retries import full_jitter, verb
from weelo.lib.wire import encode

log = structlog.get_logger(__name__)

BATCH = push_backends.MOST_AT_ONCE
TRIES = 3
# Longer than a batch takes, so that no second loop sends what the first one is sending.
LEASE = timedelta(seconds=15)
BACKOFF = timedelta(seconds=1)

# A captain's card that was taken off again before the phone heard of it is not worth a push.
_CALLED_OFF = "broadcast_dismissed"

_CLAIM = """
WITH due AS (
    SELECT id FROM events_push WHERE ended_at IS NULL AND due_at <= statement_timestamp()
    ORDER BY due_at LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED
), judged AS (
    SELECT push.id, CASE
        WHEN push.expires_at <= statement_timestamp() THEN 'late'
        WHEN EXISTS (
            SELECT FROM events_ack ack WHERE ack.session_id = push.device_id
            AND ack.stream_id = push.stream_id AND ack.seq >= push.seq) THEN 'read'
        WHEN push.data ->> 'offer_id' IS NOT NULL AND EXISTS (
            SELECT FROM events_event later WHERE later.stream_id = push.stream_id
            AND later.seq > push.seq AND later.order_id = push.order_id
            AND later.name = %(called_off)s) THEN 'over'
        ELSE '' END AS outcome
    FROM events_push push JOIN due USING (id)
), claimed AS (
    UPDATE events_push push
    SET outcome = judged.outcome,
        ended_at = CASE WHEN judged.outcome <> '' THEN statement_timestamp() END,
        lease = %(lease)s, due_at = statement_timestamp() + make_interval(secs => %(lease_s)s),
        tries = tries + (judged.outcome = '')::int
    FROM judged WHERE judged.id = push.id
    RETURNING push.*
)
SELECT claimed.outcome, claimed.id, claimed.device_id, device.push_token, claimed.order_id,
       claimed.tries, claimed.expires_at - statement_timestamp(), claimed.data::text
FROM claimed JOIN accounts_device device ON device.session_id = claimed.device_id
ORDER BY claimed.id
"""

_SETTLE = """
UPDATE events_push push
SET outcome = given.outcome, error = given.error,
    ended_at = CASE WHEN given.outcome <> '' THEN statement_timestamp() END,
    due_at = statement_timestamp() + make_interval(secs => given.wait_s)
FROM unnest(%(ids)s::bigint[], %(outcomes)s::text[], %(errors)s::text[], %(waits)s::float[])
     AS given (id, outcome, error, wait_s)
WHERE push.id = given.id AND push.lease = %(lease)s
"""

_QUEUE = """
INSERT INTO events_push (device_id, expires_at, data, tries, outcome, error)
SELECT device.session_id, until.at,
       %(data)s::jsonb || jsonb_build_object('expires_at', to_char(
           until.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), 0, '', ''
FROM (SELECT statement_timestamp() + make_interval(secs => %(ttl_s)s) AS at) until,
     accounts_device device JOIN accounts_session session ON session.id = device.session_id
WHERE session.user_id = ANY(%(users)s) AND session.revoked_at IS NULL
  AND session.expires_at > statement_timestamp()
"""


def queue(user_ids: Collection[UUID], role: Role, kind: str, *, ttl: timedelta) -> int:
    """Write a push that belongs to no message, in the caller's transaction; to how many devices.

    `kind` is the `type` that the phone reads.
    """
    data = encode({"type": kind, "role": role})
    with connection.cursor() as cursor:
        cursor.execute(
            _QUEUE, {"users": list(user_ids), "ttl_s": ttl.total_seconds(), "data": data}
        )
        return int(cursor.rowcount)


def send_due() -> int:
    """Send the pushes that are due, at most 50 at a time; how many were taken off the list.

    Several loops may do this at once. Sending happens outside of any transaction.
    """
    if not push_backends.is_ready():
        return 0
    lease = uuid.uuid4()
    letters, ended = _claim(lease)
    if letters:
        answers = push_backends.send(letters)
        _settle(lease, letters, answers)
    return len(letters) + ended


@verb
def _claim(lease: UUID) -> tuple[list[Letter], int]:
    """What is to be sent now, under this lease, and how many need not be sent any more."""
    values: dict[str, Any] = {
        "batch": BATCH,
        "lease": lease,
        "lease_s": LEASE.total_seconds(),
        "called_off": _CALLED_OFF,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        rows = cursor.fetchall()
    spared = [outcome for outcome, *_ in rows if outcome]
    if spared:
        log.info("pushes not needed", **{why: spared.count(why) for why in set(spared)})
    return [_letter(row) for outcome, *row in rows if not outcome], len(spared)


def _letter(row: Sequence[Any]) -> Letter:
    id_, device_id, token, order_id, tries, ttl, data = row
    return Letter(id_, device_id, token, order_id, tries, ttl, json.loads(data))


@verb
def _settle(lease: UUID, letters: Sequence[Letter], answers: Sequence[Answer]) -> None:
    """Note how each ended, unless another loop has taken it over meanwhile."""
    ends = [_end(letter, answer) for letter, answer in zip(letters, answers, strict=True)]
    dead = [
        one.device_id
        for one, (outcome, _) in zip(letters, ends, strict=True)
        if outcome == PushOutcome.DEAD
    ]
    values: dict[str, Any] = {
        "lease": lease,
        "ids": [letter.id for letter in letters],
        "outcomes": [outcome for outcome, _ in ends],
        "errors": [answer.reason[:200] for answer in answers],
        "waits": [wait.total_seconds() for _, wait in ends],
    }
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, values)
    if dead:
        tokens = [letter.token for letter in letters]
        Device.objects.filter(session_id__in=dead, push_token__in=tokens).delete()
    _log(letters, ends, answers)


def _end(letter: Letter, answer: Answer) -> tuple[str, timedelta]:
    """The outcome, or none and how long to wait."""
    if answer.outcome is not None:
        return str(answer.outcome), timedelta()
    if letter.tries >= TRIES:
        return str(PushOutcome.GIVEN_UP), timedelta()
    return "", max(full_jitter(BACKOFF, letter.tries), answer.wait)


def _log(
    letters: Sequence[Letter],
    ends: Sequence[tuple[str, timedelta]],
    answers: Sequence[Answer],
) -> None:
    for letter, (outcome, _), answer in zip(letters, ends, answers, strict=True):
        told = {"push": letter.id, "order_id": letter.order_id, "type": letter.data["type"]}
        if outcome == PushOutcome.SENT:
            log.info("push sent", **told)
        elif outcome:
            log.warning("push not sent", outcome=outcome, reason=answer.reason, **told)
        else:
            log.info("push put back", tries=letter.tries, reason=answer.reason, **told)
