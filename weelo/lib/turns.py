"""Turns: who must be alone in the database with a name that has no row to lock yet."""

import hashlib

from django.db import connection


def take_turn(name: str) -> None:
    """Wait until no other transaction has the turn of `name`; it ends with this transaction.

    A PostgreSQL advisory lock, so the connection's lock timeout holds (OperationalError, which
    answers 503 at the door).
    """
    if not connection.in_atomic_block:
        raise RuntimeError("A turn ends with its transaction; take it inside one.")
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(digest, "big", signed=True)]
        )
