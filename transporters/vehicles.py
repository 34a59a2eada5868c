"""The vehicles of a fleet: registered once in the country, in service or not."""

import re
import uuid
from collections.abc import Mapping
from datetime import date
from functools import partial
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import ProtectedError

from transporters import messages, presence
from transporters.business import lock_own
from transporters.models import Vehicle
from transporters.refusals import RegistrationTaken, VehicleHasTrips
from weelo.cities.models import VehicleType
from weelo.events.deliver import deliver
from weelo.lib.problems import Invalid, NotFound
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)


def plain_registration(text: str) -> str:
    """As it is stored and compared: upper case, letters and digits only (KA 01-ab 1234)."""
    return re.sub(r"[\s.\-]", "", text).upper()


@verb
def register(
    user_id: UUID,
    *,
    registration: str,
    vehicle_type: str,
    papers: Mapping[str, date],
    in_service: bool = True,
) -> tuple[Vehicle, bool]:
    """Add a vehicle (plain registration, all papers); returns it and whether it is new.

    One that the fleet has already comes back as it is. Raises NotFound, Invalid (a vehicle
    type that is not in the catalogue), RegistrationTaken.
    """
    fleet = lock_own(user_id)
    if not VehicleType.objects.filter(slug=vehicle_type, is_active=True).exists():
        detail = "Not in the catalogue. GET /api/v1/vehicle-types lists what is."
        raise Invalid([{"pointer": "/vehicle_type", "code": "unknown", "detail": detail}])
    vehicle = Vehicle(
        id=uuid.uuid4(),
        transporter=fleet,
        registration=registration,
        vehicle_type_id=vehicle_type,
        in_service=in_service,
        **_columns(papers),
    )
    # Waits for whoever registers the same one right now; the constraint decides who was first.
    Vehicle.objects.bulk_create([vehicle], ignore_conflicts=True)
    found = Vehicle.objects.get(registration=registration)
    if found.transporter_id != fleet.id:
        raise RegistrationTaken(
            f"{registration} is registered by another fleet. Check the number, or write to us.",
            registration=registration,
        )
    if found.id != vehicle.id:
        return found, False
    deliver([messages.vehicle_changed(fleet, found)])
    log.info("vehicle registered", transporter_id=fleet.id, vehicle_id=found.id)
    return found, True


@verb
def change(
    user_id: UUID,
    vehicle_id: UUID,
    *,
    papers: Mapping[str, date] | None = None,
    in_service: bool | None = None,
) -> Vehicle:
    """Set expiry dates of some papers, or take the vehicle out of service and back.

    A trip that it is on goes on. Raises NotFound.
    """
    fleet = lock_own(user_id)
    vehicle = own(user_id, vehicle_id)
    fields = _columns(papers or {}) | ({} if in_service is None else {"in_service": in_service})
    fresh = {name: value for name, value in fields.items() if getattr(vehicle, name) != value}
    if fresh:
        for name, value in fresh.items():
            setattr(vehicle, name, value)
        vehicle.save(update_fields=[*fresh])
        deliver([messages.vehicle_changed(fleet, vehicle)])
        log.info("vehicle changed", vehicle_id=vehicle.id, fields=sorted(fresh))
    if not vehicle.in_service:
        _leave_index_after_commit(vehicle)
    return vehicle


@verb
def remove(user_id: UUID, vehicle_id: UUID) -> None:
    """Delete a vehicle that never drove for us. Raises NotFound, VehicleHasTrips."""
    fleet = lock_own(user_id)
    vehicle = own(user_id, vehicle_id)
    removed = messages.vehicle_removed(fleet, vehicle)
    _leave_index_after_commit(vehicle)
    try:
        Vehicle.objects.filter(id=vehicle_id).delete()
    except ProtectedError as fault:
        detail = f"{vehicle.registration} has trips. Set `in_service` to false instead."
        raise VehicleHasTrips(detail) from fault
    deliver([removed])
    log.info("vehicle removed", transporter_id=fleet.id, vehicle_id=vehicle_id)


def own(user_id: UUID, vehicle_id: UUID) -> Vehicle:
    """One vehicle of the user's fleet. Raises NotFound."""
    found = Vehicle.objects.filter(id=vehicle_id, transporter__owner_id=user_id).first()
    if found is None:
        raise NotFound("There is no such vehicle in your fleet.")
    return found


def _leave_index_after_commit(vehicle: Vehicle) -> None:
    member = presence.Member(vehicle.transporter_id, vehicle.id)
    leave = partial(presence.unlist, member, vehicle.vehicle_type_id)
    transaction.on_commit(leave, robust=True)


def _columns(papers: Mapping[str, date]) -> dict[str, date | bool]:
    return {f"{name}_expires_on": on for name, on in papers.items()}
