"""Moves an order's times: time-machine does not move PostgreSQL's clock."""

from contextlib import contextmanager

from django.db import connection, transaction

from weelo.lib.clock import database_now


def overdue(order, seconds=1):
    """As if the order's time had run out `seconds` ago. Fewer than 0: it will, so soon."""
    _set(
        order,
        "created_at = now() - interval '2 hours',"
        " expires_at = clock_timestamp() - make_interval(secs => %s)",
        seconds,
    )


def made_before(order, seconds):
    """As if the order had been made `seconds` ago; its deadline stays."""
    _set(order, "created_at = now() - make_interval(secs => %s)", seconds)


def _set(order, columns, seconds):
    with without_triggers() as cursor:
        cursor.execute(f"UPDATE orders_order SET {columns} WHERE id = %s", [seconds, order.id])


def waiting(trip, minutes):
    """As if the trip's truck had come to the pickup so many minutes ago."""
    with without_triggers() as cursor:
        cursor.execute(
            "UPDATE orders_trip SET at_pickup_at = now() - make_interval(secs => %s) WHERE id = %s",
            [minutes * 60, trip.id],
        )


@contextmanager
def stopped_at(moment):
    """The database's clock stands still for the statements of this connection.

    `statement_timestamp()` is found in a schema of the test's own before PostgreSQL's is.
    """
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS stopped")
        cursor.execute(
            "CREATE OR REPLACE FUNCTION stopped.statement_timestamp() RETURNS timestamptz"
            f" STABLE LANGUAGE sql AS $$ SELECT timestamptz '{moment.isoformat()}' $$"
        )
        cursor.execute("SET search_path = stopped, pg_catalog, public")
        try:
            yield
        finally:
            cursor.execute("RESET search_path")
            database_now()  # who told the time by the stopped clock is put right


@contextmanager
def without_triggers():
    """A cursor for which the triggers stand aside: what was agreed is frozen by them."""
    with transaction.atomic(savepoint=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = origin")
