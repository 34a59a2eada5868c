"""Wakes captains who fell silent: one push that asks for a position; who answers stays."""

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connection

from weelo.events import push
from weelo.events.models import Role
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)

WANTED = "position_wanted"
# Silent so much longer, a position is stale, and asking for it has come to nothing.
ANSWER_WITHIN = timedelta(seconds=60)
_MOST = 500

# Woken once in each silence: a position after `woken_at` begins the next.
_WAKE = """
WITH silent AS (
    SELECT fleet.id FROM transporters_transporter fleet
    JOIN accounts_user person ON person.id = fleet.owner_id AND person.is_active
    LEFT JOIN LATERAL (
        SELECT max(at) AS at FROM transporters_currentposition WHERE transporter_id = fleet.id
    ) seen ON true
    WHERE fleet.is_online AND fleet.kyc_status = 'verified'
      AND greatest(seen.at, fleet.online_changed_at)
          <= statement_timestamp() - make_interval(secs => %s)
      AND (fleet.woken_at IS NULL OR fleet.woken_at <= greatest(seen.at, fleet.online_changed_at))
    ORDER BY fleet.id LIMIT %s
    FOR NO KEY UPDATE OF fleet SKIP LOCKED
)
UPDATE transporters_transporter fleet SET woken_at = statement_timestamp()
FROM silent WHERE fleet.id = silent.id
RETURNING fleet.owner_id
"""


@verb
def wake_silent() -> int:
    """Ask online captains for a position who gave none for `WAKE_AFTER`; how many."""
    with connection.cursor() as cursor:
        cursor.execute(_WAKE, [settings.WAKE_AFTER.total_seconds(), _MOST])
        owners = [owner_id for (owner_id,) in cursor.fetchall()]
    if owners:
        devices = push.queue(owners, Role.CAPTAIN, WANTED, ttl=ANSWER_WITHIN)
        log.info("silent captains woken", captains=len(owners), devices=devices)
    return len(owners)
