"""Which vehicles and drivers of a fleet may take a trip; read under the fleet's lock."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Exists, OuterRef

from orders.change import Change
from orders.models import Trip
from orders.refusals import DriverBusy, VehicleBusy, WrongVehicle
from orders.states import TRIP_LIVE
from transporters.models import Driver, Transporter, Vehicle


def vehicles_for(change: Change, fleet: Transporter, ids: Sequence[UUID]) -> list[Vehicle]:
    """The vehicles asked for, in that order. Raises VehicleBusy, WrongVehicle."""
    live = Trip.objects.filter(vehicle=OuterRef("pk"), status__in=TRIP_LIVE)
    found = fleet.vehicles.filter(id__in=ids).annotate(is_busy=Exists(live)).in_bulk()
    vehicles: list[Vehicle] = [found[id_] for id_ in ids if id_ in found]
    busy = [str(vehicle.id) for vehicle in found.values() if vehicle.is_busy]
    if busy:
        raise VehicleBusy("These vehicles are on another trip. Choose free ones.", vehicle_ids=busy)
    wanted = {truck.vehicle_type_id for truck in change.trucks}
    today = change.today()
    bad = [str(id_) for id_ in ids if id_ not in found] + [
        str(vehicle.id)
        for vehicle in vehicles
        if not vehicle.in_service
        or vehicle.papers_expire_on < today
        or vehicle.vehicle_type_id not in wanted
    ]
    if bad or len(set(ids)) != len(ids) or not ids:
        raise WrongVehicle(
            "Every vehicle must be yours, in service, with valid papers and of a wanted type.",
            vehicle_ids=bad or [str(id_) for id_ in ids],
        )
    return list(vehicles)


def drivers_for(
    change: Change, fleet: Transporter, ids: Sequence[UUID | None], count: int
) -> list[Driver | None]:
    """A driver, or None for the captain himself, for each of `count` vehicles.

    Raises DriverBusy, WrongVehicle.
    """
    asked = [id_ for id_ in ids if id_ is not None]
    if not asked:
        return [None] * count
    live = Trip.objects.filter(driver=OuterRef("pk"), status__in=TRIP_LIVE)
    found = fleet.drivers.filter(id__in=asked, is_active=True).annotate(is_busy=Exists(live))
    drivers = found.in_bulk()
    busy = [str(driver.id) for driver in drivers.values() if driver.is_busy]
    if busy or len(set(asked)) != len(asked):
        raise DriverBusy("A driver has one trip at a time. Choose free ones.", driver_ids=busy)
    today = change.today()
    bad = [
        str(id_) for id_ in asked if id_ not in drivers or drivers[id_].licence_expires_on < today
    ]
    if bad or len(ids) > count:
        raise WrongVehicle(
            "Every driver must be yours, active, with a valid licence, and have a vehicle.",
            vehicle_ids=[],
            driver_ids=bad,
        )
    padded = [*ids, *[None] * (count - len(ids))]
    return [drivers[id_] if id_ else None for id_ in padded]
