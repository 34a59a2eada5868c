"""A dispatcher settles a dispute: what was agreed is written down."""

from uuid import UUID

import structlog

from orders.change import By, Change
from orders.models import Actor, Dispute
from orders.refusals import AlreadySettled
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)


@verb
def settle(dispatcher_id: UUID, dispute_id: UUID, settlement: str) -> None:
    """Close a dispute with its outcome (≤ 2000 characters); the same again: the same success.

    Raises NotFound, AlreadySettled when it was settled in other words.
    """
    disputes = Dispute.objects.filter(id=dispute_id)
    by = By(Actor.DISPATCHER, dispatcher_id)
    change = Change.of(by, id__in=disputes.values("trip__order_id"))
    dispute = disputes.select_related("trip").get()
    if dispute.settled_at is not None:
        if dispute.settlement != settlement:
            raise AlreadySettled("Somebody settled this dispute before you; it stays as it is.")
        return
    change.set(dispute, settled_at=change.now, settlement=settlement)
    change.note("dispute_settled", dispute.trip, dispute_id=dispute_id)
    change.finish()
    log.info("dispute settled", order_id=change.order.id, dispute_id=dispute_id)
