"""Moves an order's times: time-machine does not move PostgreSQL's clock."""

from django.db import connection, transaction


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
    """What was agreed is frozen by a trigger, which has to stand aside for it."""
    with transaction.atomic(savepoint=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"UPDATE orders_order SET {columns} WHERE id = %s", [seconds, order.id])
        cursor.execute("SET LOCAL session_replication_role = origin")
