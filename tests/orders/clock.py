"""Moves an order's deadline: time-machine does not move PostgreSQL's clock."""

from django.db import connection, transaction


def overdue(order, seconds=1):
    """As if the order's time had run out `seconds` ago. What was agreed is frozen by a trigger,
    which has to stand aside for it. Fewer than 0 seconds: it will, so soon."""
    with transaction.atomic(savepoint=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE orders_order SET created_at = now() - interval '2 hours',"
            " expires_at = clock_timestamp() - make_interval(secs => %s) WHERE id = %s",
            [seconds, order.id],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
