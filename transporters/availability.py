"""Whether a fleet takes orders now: the captain's switch."""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from transporters import fleet as fleets
from transporters import messages, presence
from transporters.business import lock_own, own
from transporters.models import Transporter
from weelo.events.deliver import deliver
from weelo.lib.clock import database_now
from weelo.lib.retries import verb
from weelo.lib.wire import rfc3339

log = structlog.get_logger(__name__)


def set_online(user_id: UUID, *, online: bool) -> dict[str, Any]:
    """Turn the captain's fleet on or off; the same again changes nothing.

    Returns `{online, needs_position, kyc_status, server_time}`: a fleet that is not verified may
    be online and is offered nothing yet. Raises NotFound.
    """
    has_changed = _switch(user_id, online)
    fleets.look_again(user_id)
    return _payload(own(user_id), has_changed=has_changed)


@verb
def _switch(user_id: UUID, online: bool) -> bool:
    fleet = lock_own(user_id)
    if fleet.is_online == online:
        return False
    fleet.is_online = online
    Transporter.objects.filter(id=fleet.id).update(is_online=online, online_changed_at=Now())
    # Whoever comes online was forgotten when it went off.
    deliver([messages.availability_changed(fleet, needs_position=online)])
    after = presence.admit if online else presence.forget
    transaction.on_commit(lambda: after(fleet.id), robust=True)
    log.info("availability changed", transporter_id=fleet.id, online=online)
    return True


def _payload(fleet: Transporter, *, has_changed: bool) -> dict[str, Any]:
    now = database_now()
    return {
        "online": fleet.is_online,
        "needs_position": fleet.is_online and (has_changed or not _was_seen(fleet, now)),
        "kyc_status": fleet.kyc_status,
        "server_time": rfc3339(now),
    }


def _was_seen(fleet: Transporter, now: datetime) -> bool:
    vehicle_ids = fleet.vehicles.filter(in_service=True).values_list("id", flat=True)
    members = [presence.Member(fleet.id, vehicle_id) for vehicle_id in (None, *vehicle_ids)]
    fixes = presence.last_seen(members).values()
    return any(fix.at >= now - settings.POSITION_TTL for fix in fixes)
