"""Hints wake somebody early: a Redis publish after the commit, and never more than that.

Whoever waits for a hint also looks by itself (the loop every 250 ms, the hub every second), so a
lost one only delays.
"""

from typing import Any

import structlog
from django.db import connection, transaction

from weelo.lib.redis import RedisAway, guarded

log = structlog.get_logger(__name__)


def hint(channel: str, payload: str) -> None:
    """Publish `payload` on `channel` once the present transaction commits, or now without one.

    All hints of a transaction leave in one round trip, equal ones once; a rollback leaves none.
    Never raises for a Redis that is away.
    """
    batch = _open_batch()
    if batch is None:
        batch = Batch()
        batch.add(channel, payload)
        transaction.on_commit(batch.publish, robust=True)
    else:
        batch.add(channel, payload)


class Batch:
    """The hints of one transaction, which leave together."""

    def __init__(self) -> None:
        self._hints: dict[tuple[str, str], None] = {}

    def add(self, channel: str, payload: str) -> None:
        self._hints[channel, payload] = None

    def publish(self) -> None:
        try:
            with guarded() as redis:
                pipeline = redis.pipeline(transaction=False)
                for channel, payload in self._hints:
                    pipeline.publish(channel, payload)
                pipeline.execute()
        except RedisAway as fault:
            log.debug("hint lost", reason=str(fault))


def _open_batch() -> Batch | None:
    """The batch of this transaction, unless an inner rollback could still take it away.

    A batch that was opened in a savepoint serves only those inside it: rolled back, it must not
    drag down the hints of the transaction around it.
    """
    inside = set(connection.savepoint_ids)
    waiting: list[Any] = connection.run_on_commit
    for savepoints, callback, *_ in waiting:
        batch = getattr(callback, "__self__", None)
        if isinstance(batch, Batch) and savepoints <= inside:
            return batch
    return None
