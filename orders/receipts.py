"""What became of an offer between telling and answer: it reached a phone, its captain saw it."""

from typing import Any
from uuid import UUID

from django.db import connection

from orders.models import Offer, Receipt
from weelo.lib.problems import NotFound
from weelo.lib.wire import rfc3339

# For the hub, which runs it with what devices have acked, before it keeps the acks: a crash between
# the two repeats this and loses nothing. Values: session ids, stream ids, seqs. An offer that is
# told again begins anew.
DELIVERED = """
INSERT INTO orders_receipt AS kept (offer_id, delivered_at)
SELECT DISTINCT offer.id, statement_timestamp()
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS acked (session_id, stream_id, seq)
LEFT JOIN events_ack before USING (session_id, stream_id)
JOIN events_event event ON event.stream_id = acked.stream_id
 AND event.seq > COALESCE(before.seq, 0) AND event.seq <= acked.seq
JOIN orders_offer offer ON offer.id = (event.data ->> 'offer_id')::uuid
WHERE event.name = 'new_broadcast' AND event.at >= offer.told_at
ORDER BY offer.id
ON CONFLICT (offer_id) DO UPDATE SET delivered_at = excluded.delivered_at, seen_at = NULL
WHERE kept.delivered_at < (SELECT told_at FROM orders_offer WHERE id = kept.offer_id)
"""

_SEEN = """
INSERT INTO orders_receipt AS kept (offer_id, delivered_at, seen_at)
SELECT offer.id, statement_timestamp(), statement_timestamp()
FROM orders_offer offer JOIN transporters_transporter fleet ON fleet.id = offer.transporter_id
WHERE offer.id = %s AND fleet.owner_id = %s
ON CONFLICT (offer_id) DO UPDATE SET (delivered_at, seen_at) = (
    SELECT CASE WHEN kept.delivered_at < told_at THEN excluded.delivered_at
                ELSE kept.delivered_at END,
           CASE WHEN kept.seen_at >= told_at THEN kept.seen_at ELSE excluded.seen_at END
    FROM orders_offer WHERE id = kept.offer_id)
RETURNING seen_at
"""


def receipt_of(offer: Offer) -> Receipt | None:
    """The offer's receipt, from memory when it was read with the offer."""
    try:
        return offer.receipt
    except Receipt.DoesNotExist:
        return None


def see(captain_id: UUID, offer_id: UUID) -> dict[str, Any]:
    """Note that the captain looks at an offer; the first time counts. Raises NotFound."""
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, [offer_id, captain_id])
        found = cursor.fetchone()
    if found is None:
        raise NotFound("There is no such offer to you.")
    return {"offer_id": str(offer_id), "seen_at": rfc3339(found[0])}
