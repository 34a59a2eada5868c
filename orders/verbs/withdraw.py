"""A transporter is suspended or verified again: its open offers go and come back."""

from uuid import UUID

import structlog

from orders.change import SYSTEM, By, Change
from orders.models import Actor, Offer
from orders.states import OfferState
from transporters import kyc
from transporters.models import Kyc
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)


@verb
def withdraw(by: By, order_id: UUID, transporter_id: UUID) -> None:
    """Take one transporter's open offer of one order back."""
    change = Change.of(by, id=order_id)
    for offer in change.offers:
        if offer.transporter_id == transporter_id and offer.state == OfferState.OPEN:
            change.move(offer, OfferState.WITHDRAWN)
            change.finish()


@verb
def reinstate(by: By, order_id: UUID, transporter_id: UUID) -> None:
    """Open a withdrawn offer again while its order seeks, or one that was closed when the order
    began to seek anew."""
    change = Change.of(by, id=order_id)
    if not change.order.is_seeking(change.now):
        return
    for offer in change.offers:
        if offer.transporter_id == transporter_id and offer.state == OfferState.WITHDRAWN:
            change.move(offer, OfferState.OPEN, again=True, told_at=change.now)
    change.finish()


@kyc.follow
def after_kyc(transporter_id: UUID, to: str, staff_id: UUID | None) -> None:
    """What a move of the papers means for the offers, once it is committed."""
    by = By(Actor.DISPATCHER, staff_id) if staff_id else SYSTEM
    if to == Kyc.SUSPENDED:
        withdraw_all(by, transporter_id)
    elif to == Kyc.VERIFIED:
        reinstate_all(by, transporter_id)


def withdraw_all(by: By, transporter_id: UUID) -> int:
    """Withdraw every open offer of a transporter (after its suspension was committed)."""
    open_offers = Offer.objects.filter(transporter_id=transporter_id, state=OfferState.OPEN)
    order_ids = list(open_offers.values_list("order_id", flat=True))
    for order_id in order_ids:
        withdraw(by, order_id, transporter_id)
    log.info("offers withdrawn", transporter_id=transporter_id, offers=len(order_ids))
    return len(order_ids)


def reinstate_all(by: By, transporter_id: UUID) -> int:
    """Open a transporter's withdrawn and closed offers again where the order seeks."""
    gone = Offer.objects.filter(
        transporter_id=transporter_id,
        state__in=(OfferState.WITHDRAWN, OfferState.CLOSED),
        order__trucks_searching__gt=0,
    )
    order_ids = list(gone.values_list("order_id", flat=True))
    for order_id in order_ids:
        reinstate(by, order_id, transporter_id)
    return len(order_ids)
