"""Past its deadline an order stops seeking: what still searches expires, won trucks go on."""

from uuid import UUID

import structlog
from django.db import DatabaseError
from django.db.models.functions import Now

from orders.change import SYSTEM, By, Change
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
    overdue = change.expire_overdue()
    if not overdue:
        return False
    change.finish()
    order = change.order
    log.info("order expired", order_id=order.id, trucks=len(overdue), reason=order.reason)
    return True


def due(limit: int) -> list[UUID]:
    """Ids of orders whose deadline is past while trucks still search, oldest deadline first."""
    overdue = Order.objects.filter(trucks_searching__gt=0, expires_at__lte=Now())
    return list(overdue.order_by("expires_at").values_list("id", flat=True)[:limit])


def expire_due(limit: int = 500) -> int:
    """Expire what is due, each order in its own transaction; returns how many were.

    One that fails (a lock held elsewhere) is logged and left for the next round. Raises
    OperationalError when the database is away.
    """
    expired = 0
    for order_id in due(limit):
        try:
            expired += expire(order_id)
        except DatabaseError as fault:
            if database_is_away(fault):
                raise
            log.warning("order not expired yet", order_id=order_id, error=str(fault).strip())
    return expired
