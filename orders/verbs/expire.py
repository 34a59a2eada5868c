"""Past its deadline an order stops seeking: what still searches expires, won trucks go on."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError
from django.db.models.functions import Now

from orders import unwon
from orders.change import SYSTEM, Change, finish_all, locked
from orders.models import Order
from orders.states import OrderStatus
from weelo.lib.away import database_is_away
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)
_UNWON = str(OrderStatus.BROADCASTING)


@verb
def expire(order_id: UUID) -> bool:
    """Expire one order's searching trucks if its deadline is past; whether there were any.

    For a confirm, and for each order that could not be expired together. Raises NotFound.
    """
    change = Change.of(SYSTEM, id=order_id)
    if not change.expire_overdue():
        return False
    change.finish()
    _log(change)
    return True


def due(limit: int, **scope: Any) -> list[UUID]:
    """Ids of orders whose deadline is past while trucks still search, oldest deadline first."""
    overdue = Order.objects.filter(trucks_searching__gt=0, expires_at__lte=Now(), **scope)
    return list(overdue.order_by("expires_at").values_list("id", flat=True)[:limit])


def expire_due(limit: int = 500, **scope: Any) -> int:
    """Expire what is due, up to `limit` orders in one transaction; returns how many were.

    `scope` narrows the orders: a reader stores what he sees as expired of his own
    (`customer_id=…`). An order that somebody else has locked is left for the next round. Raises
    OperationalError when the database is away.
    """
    ids = due(limit, **scope)
    try:
        return _expire_together(ids) if ids else 0
    except DatabaseError as fault:
        if database_is_away(fault):
            raise
        log.warning("orders not expired together", orders=len(ids), error=str(fault).strip())
    return sum(map(_expire_alone, ids))


@verb
def _expire_together(ids: Collection[UUID]) -> int:
    """What nobody else has locked; the lock is its own statement, before any that reads."""
    overdue = Order.objects.filter(id__in=ids, trucks_searching__gt=0, expires_at__lte=Now())
    seized = list(
        overdue.select_for_update(no_key=True, skip_locked=True)
        .annotate(now=Now())
        .order_by("id")
        .values_list("id", "trucks_filled", "status", "now")
    )
    alike = [id_ for id_, filled, status, _ in seized if not filled and status == _UNWON]
    if alike:
        unwon.expire(alike, now=seized[0][-1])
        log.info("orders expired", orders=len(alike), order_ids=alike)
    rest = Order.objects.filter(id__in={id_ for id_, *_ in seized} - set(alike)).order_by("id")
    changes = Change.many(SYSTEM, locked(rest))
    for change in changes:
        change.expire_overdue()
    finish_all(changes)
    for change in changes:
        _log(change)
    return len(seized)


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
