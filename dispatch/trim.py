"""Forgets what nobody asks for any more: messages, codes, SMS, the decision log, old positions."""

from datetime import timedelta

import structlog
from django.db import connection

from weelo.lib.retries import verb

log = structlog.get_logger(__name__)

# Table and the column of its age, and how long a row is kept. A phone that was away for longer
# than its messages are kept gets a snapshot. Of codes a day is counted; a text message is kept for
# a day past the time at which it could last be sent, for whoever asks whether it was.
KEPT = {
    ("accounts_onetimecode", "created_at"): timedelta(hours=24),
    ("accounts_smsmessage", "expires_at"): timedelta(hours=24),
    ("django_session", "expire_date"): timedelta(),
    ("events_event", "at"): timedelta(hours=24),
    ("events_push", "made_at"): timedelta(hours=24),
    ("orders_wave", "at"): timedelta(days=30),
    ("transporters_positionhistory", "at"): timedelta(days=30),
}
BATCH = 5_000
MOST_BATCHES = 40


def trim() -> dict[str, int]:
    """Delete what is older than `KEPT`, oldest first, in transactions of 5,000 rows; how many.

    At most 200,000 rows of a table: the rest goes next time.
    """
    gone = {}
    for (table, column), kept in KEPT.items():
        gone[table] = 0
        for _ in range(MOST_BATCHES):
            rows = _delete(table, column, kept)
            gone[table] += rows
            if rows < BATCH:
                break
    if any(gone.values()):
        log.info("old rows trimmed", **gone)
    return gone


@verb
def _delete(table: str, column: str, kept: timedelta) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table}"  # noqa: S608
            f" WHERE {column} < statement_timestamp() - make_interval(secs => %s)"
            f" ORDER BY {column} LIMIT %s))",  # nosec B608  # names are constants of the module; values are bound
            [kept.total_seconds(), BATCH],
        )
        return int(cursor.rowcount)
