"""What captains are told of their fleet: pure builders, the same for HTTP, events, snapshots."""

from collections.abc import Iterable
from typing import Any

from transporters.models import Driver, Transporter, Vehicle
from weelo.events.deliver import Message
from weelo.events.models import Role

PAPERS = ("rc", "permit", "fitness", "insurance", "puc")
Payload = dict[str, Any]


def transporter(fleet: Transporter) -> Payload:
    """The fleet as its captain sees it."""
    return {
        "id": fleet.id,
        "business_name": fleet.business_name,
        "pan": fleet.pan,
        "gstin": fleet.gstin,
        "kyc_status": fleet.kyc_status,
        "kyc_reason": fleet.kyc_reason or None,
        "online": fleet.is_online,
    }


def standing(fleet: Transporter, vehicles: Iterable[Vehicle]) -> Payload:
    """The fleet in a snapshot: what `kyc_changed`, `availability_changed` and `vehicle_changed`
    change, and nothing that changes without an event."""
    return {
        "id": fleet.id,
        "kyc_status": fleet.kyc_status,
        "kyc_reason": fleet.kyc_reason or None,
        "online": fleet.is_online,
        "vehicles": [vehicle(one) for one in vehicles],
    }


def vehicle(one: Vehicle) -> Payload:
    """A vehicle as its captain sees it."""
    papers = {name: getattr(one, f"{name}_expires_on") for name in PAPERS}
    return {
        "id": one.id,
        "registration": one.registration,
        "vehicle_type": one.vehicle_type_id,
        "in_service": one.in_service,
        "papers": papers,
        "papers_expire_on": min(papers.values()),
    }


def driver(one: Driver) -> Payload:
    """A driver as the captain sees him."""
    licence = {"number": one.licence_number, "expires_on": one.licence_expires_on}
    return {"id": one.id, "name": one.name, "phone": one.phone, "licence": licence}


def kyc_changed(fleet: Transporter) -> Message:
    """That the papers were judged, or wait to be."""
    data = {"kyc_status": fleet.kyc_status, "reason": fleet.kyc_reason or None}
    return _to_captain(fleet, "kyc_changed", data)


def availability_changed(fleet: Transporter, *, needs_position: bool) -> Message:
    """That the fleet came online or went off."""
    data = {"online": fleet.is_online, "needs_position": needs_position}
    return _to_captain(fleet, "availability_changed", data)


def vehicle_changed(fleet: Transporter, one: Vehicle) -> Message:
    """The vehicle as it is now."""
    return _to_captain(fleet, "vehicle_changed", vehicle(one))


def vehicle_removed(fleet: Transporter, one: Vehicle) -> Message:
    """That the fleet has the vehicle no more: the vehicle as it was, marked `removed`."""
    return _to_captain(fleet, "vehicle_changed", {**vehicle(one), "removed": True})


def _to_captain(fleet: Transporter, name: str, data: Payload) -> Message:
    return Message(fleet.owner_id, Role.CAPTAIN, name, data)
