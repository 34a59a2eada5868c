"""The drivers of a fleet: people with phones of their own, who see only their own trips."""

import uuid
from datetime import date
from typing import TypedDict
from uuid import UUID

import structlog

from transporters.business import lock_own
from transporters.models import Driver
from transporters.refusals import DriverOnTrip
from weelo.accounts.models import User
from weelo.lib.problems import NotFound
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)


class Licence(TypedDict, total=False):
    """A driving licence, or what changes of it."""

    number: str
    expires_on: date


@verb
def name(user_id: UUID, *, name: str, phone: str, licence: Licence) -> tuple[Driver, bool]:
    """Name a person (E.164 phone) as driver of the fleet; returns the driver and whether new.

    One whom the fleet has already comes back as he is; one who had left is taken on again as
    told now. Raises NotFound.
    """
    fleet = lock_own(user_id)
    known = fleet.drivers.filter(phone=phone).first()
    if known is not None and known.is_active:
        return known, False
    driver = known or Driver(
        id=uuid.uuid4(), transporter=fleet, phone=phone, user=User.objects.of_phone(phone)
    )
    driver.name, driver.is_active = name, True
    _set_licence(driver, licence)
    driver.save(force_insert=known is None)
    log.info("driver named", transporter_id=fleet.id, driver_id=driver.id)
    return driver, True


@verb
def change(
    user_id: UUID, driver_id: UUID, *, name: str | None = None, licence: Licence | None = None
) -> Driver:
    """Change name or licence (or one part of it). Raises NotFound."""
    lock_own(user_id)
    driver = own(user_id, driver_id)
    if name is not None:
        driver.name = name
    if licence is not None:
        _set_licence(driver, licence)
    driver.save(update_fields=["name", "licence_number", "licence_expires_on"])
    log.info("driver changed", driver_id=driver.id)
    return driver


@verb
def release(user_id: UUID, driver_id: UUID) -> None:
    """Let a driver go; past trips keep his name. Raises NotFound, DriverOnTrip."""
    lock_own(user_id)
    driver = own(user_id, driver_id)
    if Driver.objects.filter(id=driver.id, trips__isnull=False, trips__ended_at=None).exists():
        detail = f"{driver.name} is on a trip. Give the trip another driver first."
        raise DriverOnTrip(detail, driver_ids=[str(driver.id)])
    driver.is_active = False
    driver.save(update_fields=["is_active"])
    log.info("driver released", driver_id=driver.id)


def own(user_id: UUID, driver_id: UUID) -> Driver:
    """One driver of the user's fleet. Raises NotFound."""
    found = Driver.objects.filter(
        id=driver_id, transporter__owner_id=user_id, is_active=True
    ).first()
    if found is None:
        raise NotFound("There is no such driver in your fleet.")
    return found


def _set_licence(driver: Driver, licence: Licence) -> None:
    driver.licence_number = licence.get("number", driver.licence_number)
    driver.licence_expires_on = licence.get("expires_on", driver.licence_expires_on)
