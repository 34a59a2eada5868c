"""What happens again and again in scenarios, and what was seen of it."""

import json
import time
from itertools import count

from orders.models import Trip
from orders.verbs.accept import accept
from orders.verbs.steps import Step, step
from tests.people import make_customer, tell_them, vehicle_ids, wish
from weelo.events.models import Event
from weelo.lib.wire import encode

WAY = ("en_route_pickup", "at_pickup", "in_transit", "at_drop", "completed")
PASSING = {"server_time", "remaining_s"}
_numbers = count(1)


def body(trucks=1, **fields):
    """The body of a confirm as a phone sends it."""
    return json.loads(encode(wish(trucks, **fields)))


def new_customer():
    """A customer whom no other test knows."""
    return make_customer(f"+9170{next(_numbers):08}", "Ravi")


def tell_beside_a_loop(order, fleets):
    """As `tell_them`, once the loop has sent its first wave: the next one is seconds away."""
    until(lambda: order.waves.exists())
    return tell_them(order, fleets)


def win(order, fleet, vehicle_id=None, driver=None):
    """The fleet accepts one truck of an order that it was told of; returns the trip."""
    offer = order.offers.get(transporter=fleet)
    vehicle_id = vehicle_id or vehicle_ids(fleet)[0]
    won = accept(fleet.owner_id, offer.id, [vehicle_id], [driver and driver.id])
    return Trip.objects.get(id=won.trips[0]["id"])


def drive(trip, *statuses):
    """Take the trip through these steps as its captain, with the right codes."""
    trip.refresh_from_db()
    for status in statuses:
        proof = {"kind": "code", "code": trip.drop_code}
        step(trip.transporter.owner, trip.id, Step(status, trip.start_code, proof))
    trip.refresh_from_db()


def heard(who, order=None):
    """The events in somebody's mailbox, oldest first: `[(name, data)]`, of one order or of all."""
    owner = getattr(who, "owner", None)
    events = Event.objects.filter(
        stream__user=owner or who, stream__role="captain" if owner else "customer"
    )
    events = events.filter(order_id=order.id) if order else events
    return list(events.order_by("seq").values_list("name", "data"))


def names(events):
    return [name for name, _ in events]


def without(payload, passing=PASSING):
    """A payload without what is different at every look."""
    if isinstance(payload, dict):
        return {k: without(v, passing) for k, v in payload.items() if k not in passing}
    if isinstance(payload, list):
        return [without(item, passing) for item in payload]
    return payload


def until(is_true, within_s=20):
    """Wait for what has to come."""
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
