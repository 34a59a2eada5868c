"""Plants orders by the hundred thousand, as the verbs would have left them, in a few statements.

For measurements only. They are copies of one order that the verbs made, so that every column looks
as the product writes it; triggers stand aside, since a copy of what the rules let pass keeps them.
"""

from django.db import connection, transaction

_MOST_AT_ONCE = 50_000
_NEW_ID = {"id": "uuidv7()"}


def plant(order, number, *, created):
    """`number` copies of an order with its trucks and offers, each of a customer of its own.

    `created` is SQL for the time of copy n (1, 2, …), such as "now() - n * interval '1 s'"; the
    deadline, and the end of an order that has ended, lie a minute after it.
    """
    for done in range(0, number, _MOST_AT_ONCE):
        _plant(order, range(done + 1, min(done + _MOST_AT_ONCE, number) + 1), created)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")  # autovacuum may be at work
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("RESET lock_timeout")
        cursor.execute("RESET statement_timeout")


def _plant(order, numbers, created):
    in_order = {"order_id": "copy.order_id"}
    with transaction.atomic(savepoint=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(
            "CREATE TEMP TABLE copy ON COMMIT DROP AS"
            " SELECT n, uuidv7() AS order_id, gen_random_uuid() AS customer_id"
            " FROM generate_series(%s, %s) n",
            [numbers[0], numbers[-1]],
        )
        person = {"id": "copy.customer_id", "phone": "NULL", "username": "copy.customer_id::text"}
        _copy(cursor, "accounts_user", "id", order.customer_id, person)
        stream = {"id": None, "user_id": "copy.customer_id", "epoch": "gen_random_uuid()"}
        _copy(cursor, "events_stream", "user_id", order.customer_id, stream)
        later = f"{created} + interval '1 minute'"
        of_order = {
            "id": "copy.order_id",
            "customer_id": "copy.customer_id",
            "idempotency_key": "NULL",
            "created_at": created,
            "seeking_since": created,
            "expires_at": later,
            "ended_at": f"CASE WHEN row.ended_at IS NOT NULL THEN {later} END",
        }
        _copy(cursor, "orders_order", "id", order.id, of_order)
        _copy(cursor, "orders_truckrequest", "order_id", order.id, _NEW_ID | in_order)
        _copy(cursor, "orders_offer", "order_id", order.id, _NEW_ID | in_order)


def _copy(cursor, table, key, value, changed):
    """Copies of the rows of `table` whose `key` is `value`; a column set to None is left out."""
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table]
    )
    names = [name for (name,) in cursor.fetchall() if changed.get(name, "") is not None]
    values = ", ".join(changed.get(name, f'row."{name}"') for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    cursor.execute(
        f"INSERT INTO {table} ({columns}) SELECT {values} FROM copy, {table} row"
        f" WHERE row.{key} = %s",  # nosec B608  # names are constants of the module; values are bound
        [value],
    )
