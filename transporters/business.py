"""The transporter itself: a person becomes a captain, and sends in the papers."""

import uuid
from typing import Any
from uuid import UUID

import structlog

from transporters import kyc
from transporters.models import Kyc, Transporter
from weelo.lib.problems import NotFound
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)


def own(user_id: UUID) -> Transporter:
    """The transporter that the user answers for. Raises NotFound."""
    fleet = Transporter.objects.filter(owner_id=user_id).first()
    return fleet or _missing()


def lock_own(user_id: UUID) -> Transporter:
    """The same, locked until the commit: one change of a fleet at a time, accepts included.

    Its own statement, before any that reads what the lock guards. Raises NotFound.
    """
    locked = Transporter.objects.select_for_update(no_key=True)
    return locked.filter(owner_id=user_id).first() or _missing()


@verb
def become_captain(
    user_id: UUID, *, business_name: str, pan: str = "", gstin: str = ""
) -> tuple[Transporter, bool]:
    """Make the user's transporter; returns it and whether it is new.

    Who has one gets it as it is. Papers sent along go under review at once.
    """
    fleet = Transporter(
        id=uuid.uuid4(), owner_id=user_id, business_name=business_name, pan=pan, gstin=gstin
    )
    Transporter.objects.bulk_create([fleet], ignore_conflicts=True)
    found = lock_own(user_id)
    if found.id != fleet.id:
        return found, False
    log.info("transporter registered", transporter_id=found.id, user_id=user_id)
    return _review_if_sent(found), True


@verb
def change(user_id: UUID, **fields: Any) -> Transporter:
    """Change name or document numbers (checked); returns the transporter.

    New papers of one not yet verified or rejected go under review. Raises NotFound.
    """
    fleet = lock_own(user_id)
    sends_papers = bool(fields.keys() & {"pan", "gstin"})
    for name, value in fields.items():
        setattr(fleet, name, value)
    if fields:
        fleet.save(update_fields=[*fields])
        log.info("transporter changed", transporter_id=fleet.id, fields=sorted(fields))
    return _review_if_sent(fleet) if sends_papers else fleet


def _review_if_sent(fleet: Transporter) -> Transporter:
    """Papers count as sent once the PAN is there; a GSTIN is for those who have one."""
    if fleet.pan and fleet.kyc_status in (Kyc.NOT_STARTED, Kyc.REJECTED):
        return kyc.move(fleet.id, Kyc.UNDER_REVIEW)
    return fleet


def _missing() -> Transporter:
    raise NotFound("You have no transporter. Register one with POST /api/v1/transporter.")
