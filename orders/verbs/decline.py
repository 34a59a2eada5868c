"""A captain says no to an offer; he may still accept while the order seeks."""

from uuid import UUID

from orders.change import By, Change
from orders.models import Actor, Offer
from orders.refusals import OfferClosed
from orders.states import OfferState
from weelo.lib.retries import verb


@verb
def decline(captain_id: UUID, offer_id: UUID, reason: str = "") -> dict[str, str]:
    """Decline an offer. Again, or after it closed by itself: the same success.

    Raises NotFound; OfferClosed when it was accepted, withdrawn or given back before.
    """
    own = Offer.objects.filter(id=offer_id, transporter__owner_id=captain_id)
    change = Change.of(By(Actor.CAPTAIN, captain_id), id__in=own.values("order_id"))
    offer = change.offer(offer_id)
    if offer.state == OfferState.OPEN:
        change.move(offer, OfferState.DECLINED, answered_at=change.now, reason=reason[:200])
        change.finish()
    elif offer.state not in (OfferState.DECLINED, OfferState.CLOSED):
        raise OfferClosed(f"The offer is {offer.state}; give the trip back instead of declining.")
    return {"offer_id": str(offer.id), "state": offer.state}
