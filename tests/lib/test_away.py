"""A database that is away is not one that refused a statement."""

import pytest
from django.db import DataError, InterfaceError, OperationalError, connection

from weelo.lib.away import database_is_away


def test_a_connection_that_broke_or_was_refused_means_away():
    assert database_is_away(OperationalError("connection refused"))
    assert database_is_away(InterfaceError("connection already closed"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)", OperationalError),
        ("SELECT 'x'::int", DataError),
    ],
)
def test_a_statement_that_took_too_long_or_was_wrong_does_not(statement, fault):
    with pytest.raises(fault) as raised, connection.cursor() as cursor:
        cursor.execute(statement)
    assert not database_is_away(raised.value)


@pytest.mark.django_db(transaction=True)
def test_a_backend_that_was_shut_down_means_away():
    with connection.cursor() as cursor:
        with pytest.raises(OperationalError) as raised:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    connection.close()
    assert database_is_away(raised.value)
