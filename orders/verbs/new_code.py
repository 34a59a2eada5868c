"""A dispatcher issues a new start or drop code, after wrong tries have used the old one up."""

from typing import Any, Literal
from uuid import UUID

import structlog

from orders.change import By, Change
from orders.models import Actor, Trip
from orders.refusals import IllegalStep
from orders.states import TRIP_BEFORE_PICKUP_DONE, TRIP_LIVE
from orders.verbs.accept import four_digits
from orders.verbs.steps import send_drop_code
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)
Code = Literal["start_code", "drop_code"]
_NEEDED = {"start_code": TRIP_BEFORE_PICKUP_DONE, "drop_code": TRIP_LIVE}


@verb
def new_code(dispatcher_id: UUID, trip_id: UUID, code: Code) -> None:
    """Replace one code of a trip and give all tries back.

    The customer sees the new code; with the goods on their way the receiver gets a new drop code
    by SMS. Raises NotFound; IllegalStep when the code has done its work, or the trip has ended.
    """
    by = By(Actor.DISPATCHER, dispatcher_id)
    change = Change.of(by, id__in=Trip.objects.filter(id=trip_id).values("order_id"))
    trip = next((trip for trip in change.trips() if trip.id == trip_id), None)
    if trip is None or trip.status not in _NEEDED[code]:
        what = code.replace("_", " ")
        raise IllegalStep(f"This trip needs its {what} no more.", allowed=[])
    tries: dict[str, Any] = {f"{code}_tries": 0}
    change.set(trip, **{code: _another(getattr(trip, code))}, **tries)
    change.note(f"{code}_renewed", trip, **tries)
    if code == "drop_code" and trip.status not in TRIP_BEFORE_PICKUP_DONE:
        send_drop_code(change, trip)
    change.finish()
    log.info("code renewed", order_id=change.order.id, trip_id=trip_id, code=code)


def _another(old: str) -> str:
    new = four_digits()
    return new if new != old else _another(old)
