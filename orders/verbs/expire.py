"""Past its deadline an order stops seeking: what still searches expires, won trucks go on."""

from collections.abc import Collection
from uuid import UUID

import structlog
from django.db import DatabaseError
from django.db.models.functions import Now

from orders.change import SYSTEM, By, Change, finish_all
from orders.models import Order
from weelo.lib.away import database_is_away
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)


@verb
def expire(order_id: UUID, by: By = SYSTEM) -> bool:
    """Expire one order's searching trucks if its deadline is past; whether there were any.

    The same for the loop, the sweep, a reader and a confirm. Raises NotFound.
    """
    change = Change.of(by, id=order_id)
    if not change.expire_overdue():
        return False
    change.finish()
    _log(change)
    return True


def due(limit: int) -> list[UUID]:
    """Ids of orders whose deadline is past while trucks still search, oldest deadline first."""
    overdue = Order.objects.filter(trucks_searching__gt=0, expires_at__lte=Now())
    return list(overdue.order_by("expires_at").values_list("id", flat=True)[:limit])


def expire_due(limit: int = 500) -> int:
    """Expire what is due, up to `limit` orders in one transaction; returns how many were.

    An order that somebody else has locked is left for the next round. Raises OperationalError
    when the database is away.
    """
    ids = due(limit)
    try:
        return _expire_together(ids) if ids else 0
    except DatabaseError as fault:
        if database_is_away(fault):
            raise
        log.warning("orders not expired together", orders=len(ids), error=str(fault).strip())
    return sum(map(_expire_alone, ids))


@verb
def _expire_together(ids: Collection[UUID]) -> int:
    locked = Order.objects.filter(id__in=ids).order_by("id")
    changes = Change.many(
        SYSTEM, locked.select_for_update(no_key=True, of=("self",), skip_locked=True)
    )
    overdue = [change for change in changes if change.expire_overdue()]
    finish_all(overdue)
    for change in overdue:
        _log(change)
    return len(overdue)


def _expire_alone(order_id: UUID) -> int:
    """One of several that could not be expired together: a broken one must not stop the rest."""
    try:
        return int(expire(order_id))
    except DatabaseError as fault:
        if database_is_away(fault):
            raise
        log.exception("order not expired", order_id=order_id)
        return 0


def _log(change: Change) -> None:
    order = change.order
    trucks = len(change.expired)
    log.info("order expired", order_id=order.id, trucks=trucks, reason=order.reason)
