"""Whether a transporter may be offered orders: the machine of its papers, and its only writer."""

from collections.abc import Callable, Mapping
from uuid import UUID

import structlog
from django.db import connection, transaction

from transporters import messages, presence
from transporters.models import Kyc, Transporter
from transporters.refusals import KycMoveRefused
from weelo.events.deliver import deliver
from weelo.lib.problems import Invalid, NotFound
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)

ARROWS: Mapping[str, frozenset[str]] = {
    Kyc.NOT_STARTED: frozenset({Kyc.UNDER_REVIEW}),
    Kyc.UNDER_REVIEW: frozenset({Kyc.VERIFIED, Kyc.REJECTED}),
    Kyc.REJECTED: frozenset({Kyc.UNDER_REVIEW}),
    Kyc.VERIFIED: frozenset({Kyc.SUSPENDED}),
    Kyc.SUSPENDED: frozenset({Kyc.VERIFIED}),
}
NEEDS_REASON = frozenset({Kyc.REJECTED, Kyc.SUSPENDED})

# (transporter id, new status, id of the staff who decided)
Follower = Callable[[UUID, str, UUID | None], object]
_followers: list[Follower] = []


def follow(follower: Follower) -> Follower:
    """Have `follower` called after the commit of every move, whichever door it came by.

    For the floors above: a suspension withdraws open offers, which are theirs. Returns the
    follower: use it as a decorator.
    """
    _followers.append(follower)
    return follower


@verb
def decide(transporter_id: UUID, to: str, *, reason: str = "", by: UUID | None = None) -> None:
    """`move` in a transaction of its own."""
    move(transporter_id, to, reason=reason, by=by)


def move(transporter_id: UUID, to: str, *, reason: str = "", by: UUID | None = None) -> Transporter:
    """Move the papers on, in the caller's transaction; the same status again changes nothing.

    `by` is the staff user who decided, None for the captain's own doing. Locks the transporter,
    tells its captain. Raises NotFound, KycMoveRefused (409 `ILLEGAL_MOVE`, `allowed`), Invalid
    (a rejection or suspension without a reason).
    """
    assert connection.in_atomic_block
    fleet = Transporter.objects.select_for_update(no_key=True).filter(id=transporter_id).first()
    if fleet is None:
        raise NotFound(f"There is no transporter {transporter_id}.")
    here = fleet.kyc_status
    if here == to:
        return fleet
    _check(here, to, reason)
    fleet.kyc_status, fleet.kyc_reason = to, reason[:300]
    fleet.save(update_fields=["kyc_status", "kyc_reason"])
    deliver([messages.kyc_changed(fleet)])
    transaction.on_commit(lambda: _after(fleet.id, to, by), robust=True)
    log.info("kyc moved", transporter_id=fleet.id, here=here, to=to, by=by, reason=reason)
    return fleet


def _check(here: str, to: str, reason: str) -> None:
    allowed = ARROWS[here]
    if to not in allowed:
        raise KycMoveRefused(
            f"The papers are {here}; from there they can become: {', '.join(sorted(allowed))}.",
            allowed=sorted(allowed),
        )
    if to in NEEDS_REASON and not reason:
        detail = "Say why; the captain reads it."
        raise Invalid([{"pointer": "/reason", "code": "required", "detail": detail}])


def _after(transporter_id: UUID, to: str, by: UUID | None) -> None:
    if to == Kyc.VERIFIED:
        presence.admit(transporter_id)
    else:
        presence.forget(transporter_id)
    for follower in _followers:
        follower(transporter_id, to, by)
