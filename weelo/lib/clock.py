"""The clock that decides: the database's, since those of the processes may differ."""

import time
from datetime import datetime, timedelta

from django.db import connection

# What the database's clock said last, and this process's monotonic one at that moment.
_heard: list[tuple[datetime, float]] = []


def database_now() -> datetime:
    """The time now (aware), also late in a transaction or after a wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)
    return heard(now)


def heard(now: datetime) -> datetime:
    """Remember what a query brought of the database's clock; returns it."""
    _heard[:] = [(now, time.monotonic())]
    return now


def now() -> datetime:
    """The database's time without asking it, for what must do without SQL.

    Told from the last time heard, of which every call with a token brings a newer one; only a
    process that has heard of none asks.
    """
    if not _heard:
        return database_now()
    ((at, then),) = _heard
    return at + timedelta(seconds=time.monotonic() - then)
