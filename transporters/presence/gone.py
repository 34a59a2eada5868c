"""Transporters that go off or come back: what presence lets go of, and whom it lets in."""

from contextlib import suppress
from uuid import UUID

import structlog

from transporters.models import Vehicle
from transporters.presence import buffer, index, twin
from transporters.presence.seen import Member
from weelo.lib.redis import RedisAway

log = structlog.get_logger(__name__)


def forget(transporter_id: UUID) -> None:
    """Take the transporter out of both stores, and keep its late positions out.

    To be called after the commit that took it offline or suspended it. Without Redis only
    PostgreSQL forgets: nobody asks the index then, and by the time it is back the points are
    old or the fleets are resolved anew.
    """
    buffer.drop(transporter_id)
    twin.forget(transporter_id)
    types: dict[str, list[Member]] = {}
    vehicles = Vehicle.objects.filter(transporter_id=transporter_id)
    for vehicle_id, slug in vehicles.values_list("id", "vehicle_type_id"):
        types.setdefault(slug, []).append(Member(transporter_id, vehicle_id))
    try:
        index.forget(transporter_id, types)
    except RedisAway as away:
        log.warning("index not told to forget", transporter_id=transporter_id, reason=str(away))


def admit(transporter_id: UUID) -> None:
    """Take positions of the transporter again; to be called after the commit that says so."""
    with suppress(RedisAway):  # what kept it out stands for a minute at most
        index.admit(transporter_id)


def unlist(member: Member, vehicle_type: str) -> None:
    """Take one vehicle out of the index; to be called after the commit that says so."""
    with suppress(RedisAway):  # it grows stale by itself
        index.unlist(member, vehicle_type)
