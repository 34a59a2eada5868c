"""Which vehicles and drivers of a fleet may take a trip; read under the fleet's lock."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db.models import Exists, OuterRef

from orders.change import Change
from orders.models import Trip
from orders.refusals import DriverBusy, VehicleBusy, WrongVehicle
from orders.states import TRIP_LIVE
from transporters.models import Driver, Transporter, Vehicle


def crew_for(
    change: Change,
    fleet: Transporter,
    vehicle_ids: Sequence[UUID],
    driver_ids: Sequence[UUID | None],
) -> tuple[list[Vehicle], list[Driver | None]]:
    """The vehicles asked for, in that order, and as many drivers (None: the captain himself).

    Raises, in this order: VehicleBusy, DriverBusy, WrongVehicle.
    """
    vehicles = _free_vehicles(fleet, vehicle_ids)
    drivers = _free_drivers(fleet, driver_ids)
    _refuse_wrong_vehicles(change, vehicles, vehicle_ids)
    return (
        [vehicles[id_] for id_ in vehicle_ids],
        _by_position(change, drivers, driver_ids, len(vehicle_ids)),
    )


def driver_for(change: Change, fleet: Transporter, id_: UUID | None) -> Driver | None:
    """The driver asked for; None: the captain himself. Raises DriverBusy, WrongVehicle."""
    (driver,) = _by_position(change, _free_drivers(fleet, [id_]), [id_], 1)
    return driver


def _free_vehicles(fleet: Transporter, ids: Sequence[UUID]) -> dict[UUID, Vehicle]:
    live = Trip.objects.filter(vehicle=OuterRef("pk"), status__in=TRIP_LIVE)
    found = fleet.vehicles.filter(id__in=ids).annotate(is_busy=Exists(live)).in_bulk()
    busy = [str(vehicle.id) for vehicle in found.values() if vehicle.is_busy]
    if busy:
        raise VehicleBusy("These vehicles are on another trip. Choose free ones.", vehicle_ids=busy)
    return dict(found)


def _refuse_wrong_vehicles(
    change: Change, found: Mapping[UUID, Vehicle], ids: Sequence[UUID]
) -> None:
    wanted = {truck.vehicle_type_id for truck in change.trucks}
    today = change.today()
    bad = [str(id_) for id_ in ids if id_ not in found] + [
        str(vehicle.id)
        for vehicle in found.values()
        if not vehicle.in_service
        or vehicle.papers_expire_on < today
        or vehicle.vehicle_type_id not in wanted
    ]
    if bad or len(set(ids)) != len(ids) or not ids:
        raise WrongVehicle(
            "Every vehicle must be yours, in service, with valid papers and of a wanted type.",
            vehicle_ids=bad or [str(id_) for id_ in ids],
        )


def _free_drivers(fleet: Transporter, ids: Sequence[UUID | None]) -> dict[UUID, Driver]:
    asked = [id_ for id_ in ids if id_ is not None]
    if not asked:
        return {}
    live = Trip.objects.filter(driver=OuterRef("pk"), status__in=TRIP_LIVE)
    found = fleet.drivers.filter(id__in=asked, is_active=True).annotate(is_busy=Exists(live))
    drivers = found.in_bulk()
    busy = [str(driver.id) for driver in drivers.values() if driver.is_busy]
    if busy or len(set(asked)) != len(asked):
        raise DriverBusy("A driver has one trip at a time. Choose free ones.", driver_ids=busy)
    return dict(drivers)


def _by_position(
    change: Change, drivers: Mapping[UUID, Driver], ids: Sequence[UUID | None], count: int
) -> list[Driver | None]:
    """A driver, or None for the captain himself, for each of `count` vehicles."""
    asked = [id_ for id_ in ids if id_ is not None]
    if not asked:
        return [None] * count
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
