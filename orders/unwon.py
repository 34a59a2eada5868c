"""Overdue orders of which nothing was won, expired together: the rows and facts in one statement,
the messages in another.

The same as `Change.expire_overdue` and `finish` for each of them, which a test holds it equal to;
thousands at once would take those too long.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from django.db import connection

from orders.announce import PUSH_TTL, PUSHED
from weelo.events.deliver import deliver_selected
from weelo.events.models import Role

_WRITE = """
WITH ran_out AS (
    UPDATE orders_order
    SET status = 'expired', trucks_searching = 0, next_wave_at = NULL, version = version + 1,
        reason = CASE WHEN captains_told > 0 THEN 'NO_CAPTAIN_ACCEPTED'
                      ELSE 'NO_CAPTAIN_ONLINE' END,
        ended_at = %(now)s
    WHERE id = ANY(%(ids)s)
    RETURNING id, version, reason
), truck AS (
    UPDATE orders_truckrequest SET status = 'expired', ended_at = %(now)s
    WHERE order_id = ANY(%(ids)s) AND status = 'searching'
    RETURNING id, order_id, position
), offer AS (
    UPDATE orders_offer SET state = 'closed', close_reason = 'EXPIRED'
    WHERE order_id = ANY(%(ids)s) AND state = 'open'
    RETURNING id, order_id
), move AS (
    SELECT order_id, position AS place, 'truck' AS subject, id, 'searching' AS here,
           'expired' AS there, '{}'::jsonb AS data
    FROM truck
    UNION ALL
    SELECT id, 100, 'order', id, 'broadcasting', 'expired', jsonb_build_object('reason', reason)
    FROM ran_out
    UNION ALL
    SELECT order_id, 101, 'offer', id, 'open', 'closed', '{"close_reason": "EXPIRED"}' FROM offer
), fact AS (
    INSERT INTO orders_fact (order_id, order_version, at, kind, subject, subject_id, from_status,
                             to_status, by, request_id, data)
    SELECT move.order_id, ran_out.version, %(now)s, subject || '_' || there, subject, move.id, here,
           there, 'system', %(request_id)s, data
    FROM move JOIN ran_out ON ran_out.id = move.order_id
    ORDER BY move.order_id, place, move.id
)
-- As it was before: closed were only offers to fleets suspended when the order sought anew.
SELECT id FROM orders_offer WHERE order_id = ANY(%(ids)s) AND state = 'closed'
"""
_TELL = """
WITH alike AS (
    SELECT order_id, min(position) AS place, jsonb_build_object(
               'vehicle_type', vehicle_type_id, 'wanted', count(*), 'left', 0, 'fare_paise',
               fare_paise, 'payout_paise', payout_paise, 'load_kg', load_kg) AS line
    FROM orders_truckrequest WHERE order_id = ANY(%(ids)s)
    GROUP BY order_id, vehicle_type_id, fare_paise, payout_paise, load_kg
), line AS (
    SELECT order_id, jsonb_agg(line ORDER BY place) AS lines FROM alike GROUP BY order_id
), truck AS (
    SELECT order_id, jsonb_agg(jsonb_build_object(
               'id', id, 'status', status, 'trip_id', NULL, 'vehicle_type', vehicle_type_id,
               'load_kg', load_kg, 'fare_paise', fare_paise) ORDER BY position) AS trucks
    FROM orders_truckrequest WHERE order_id = ANY(%(ids)s) GROUP BY order_id
), ran_out AS (
    SELECT id, customer_id, version, jsonb_build_object(
               'trucks_filled', trucks_filled, 'trucks_wanted', trucks_wanted) AS counted,
           jsonb_build_object('reason', reason) AS why, lines, trucks,
           jsonb_build_object('expires_at', to_char(
               expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS deadline,
           jsonb_build_object(
               'status', status, 'seeking', false, 'payable_paise', payable_paise,
               'cancel_fee_paise', cancel_fee_paise, 'cancel', '{"allowed": false,
               "fee_paise": 0, "reason_required": false}'::jsonb) AS moving
    FROM orders_order JOIN line ON line.order_id = id JOIN truck ON truck.order_id = id
    WHERE id = ANY(%(ids)s)
)
SELECT customer_id AS user_id, 'customer' AS role, name, id AS order_id,
       version AS order_version, data,
       CASE WHEN name = ANY(%(pushed)s) THEN %(push_until)s::timestamptz END AS push_until, place
FROM ran_out CROSS JOIN LATERAL (VALUES
    (1, 'trucks_remaining_update',
        counted || deadline || jsonb_build_object('order_id', id, 'trucks', lines)),
    (2, 'order_status_changed',
        counted || deadline || why || moving || jsonb_build_object('trucks', trucks)),
    (3, 'order_expired', counted || why)
) AS message (place, name, data)
UNION ALL
SELECT fleet.owner_id, 'captain', 'broadcast_dismissed', ran_out.id, version,
       jsonb_build_object('offer_id', offer.id, 'order_id', ran_out.id, 'reason', 'EXPIRED'),
       NULL, 0
FROM ran_out JOIN orders_offer offer ON offer.order_id = ran_out.id
JOIN transporters_transporter fleet ON fleet.id = offer.transporter_id
WHERE (offer.state = 'accepted' OR (offer.state, offer.close_reason) = ('closed', 'EXPIRED'))
  AND offer.id <> ALL(%(closed_before)s)
"""


def expire(ids: Sequence[UUID], now: datetime) -> None:
    """Expire these orders at `now`; the caller has locked them and read, after the lock, that
    each is overdue, seeks, and has no truck won.
    """
    request_id = structlog.contextvars.get_contextvars().get("request_id", "")
    values = {
        "ids": list(ids),
        "now": now,
        "request_id": request_id,
        "pushed": sorted(PUSHED[Role.CUSTOMER]),
        "push_until": now + PUSH_TTL,
    }
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, values)
        closed_before = [id_ for (id_,) in cursor.fetchall()]
    deliver_selected(_TELL, {**values, "closed_before": closed_before})
