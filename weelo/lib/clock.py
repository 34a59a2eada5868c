"""The clock that decides: the database's, since those of the processes may differ."""

from datetime import datetime

from django.db import connection


def database_now() -> datetime:
    """The time now (aware), also late in a transaction or after a wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)
    return now
