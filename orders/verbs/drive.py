"""Who drives a trip: set or changed by the captain until the goods are on board."""

from typing import Any
from uuid import UUID

import structlog

from orders import messages
from orders.change import By, Change
from orders.crew import driver_for
from orders.models import Actor, Trip
from orders.refusals import IllegalStep
from orders.states import TRIP_BEFORE_PICKUP_DONE
from transporters.models import Transporter
from weelo.lib.problems import NotFound
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)


@verb
def set_driver(captain_id: UUID, trip_id: UUID, driver_id: UUID | None) -> dict[str, Any]:
    """Set a trip's driver; None means that the captain drives. The same again: the same success.

    Raises NotFound, IllegalStep (goods on board), DriverBusy, WrongVehicle.
    """
    own = Trip.objects.filter(id=trip_id, transporter__owner_id=captain_id)
    change = Change.of(By(Actor.CAPTAIN, captain_id), id__in=own.values("order_id"))
    trip = next((trip for trip in change.trips() if trip.id == trip_id), None)
    if trip is None:
        raise NotFound("This trip was given back or cancelled.")
    truck = change.truck(trip.truck_id)
    if trip.driver_id == driver_id:
        return messages.trip_for_captain(trip, change.order, truck)
    if trip.status not in TRIP_BEFORE_PICKUP_DONE:
        raise IllegalStep(f"The trip is {trip.status}; its driver stays as he is.", allowed=[])
    fleet = Transporter.objects.select_for_update(no_key=True).get(owner_id=captain_id)
    driver = driver_for(change, fleet, driver_id)
    if trip.driver is not None:
        change.former_drivers[trip.id] = {trip.driver.user_id}
    change.note("driver_set", trip, driver_id=driver_id)
    change.set(trip, driver=driver)
    change.finish()
    log.info("driver set", order_id=change.order.id, trip_id=trip_id)
    return messages.trip_for_captain(trip, change.order, truck)
