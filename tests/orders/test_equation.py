"""Old snapshot + events = fresh snapshot, for every verb and both roles."""

import pytest

from orders import snapshots
from orders.change import SYSTEM, By
from orders.models import Actor, Trip
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.decline import decline
from orders.verbs.drive import set_driver
from orders.verbs.expire import expire
from orders.verbs.fail import fail
from orders.verbs.give_back import give_back
from orders.verbs.new_code import new_code
from orders.verbs.steps import Step, check_stop, step
from orders.verbs.withdraw import reinstate_all, withdraw_all
from tests.orders import phone
from tests.orders.clock import overdue
from tests.people import (
    make_dispatcher,
    make_driver,
    make_order,
    make_vehicle,
    place,
    tell_them,
    vehicle_ids,
)


class World:
    """Asha, Balu and Chitra with their phones, which saw a snapshot before each verb."""

    def __init__(self, asha, balu, chitra):
        self.asha, self.balu, self.chitra = asha, balu, chitra
        self.driver = make_driver(balu, "+919000000005")

    def look(self):
        owners = [self.balu.owner, self.chitra.owner, self.driver.user]
        phones = [(self.asha, "customer", phone.CustomerPhone, snapshots.customer_snapshot)]
        phones += [(o, "captain", phone.CaptainPhone, snapshots.captain_snapshot) for o in owners]
        return [
            (user, role, kind, read, kind(read(user.id)), phone.head(user, role))
            for user, role, kind, read in phones
        ]

    def check(self, seen):
        for user, role, kind, read, screen, seq in seen:
            for event in phone.events_after(user, role, seq):
                screen.apply(event)
            assert screen.shows() == kind(read(user.id)).shows(), (user, role)

    def offer(self, fleet):
        return self.order.offers.get(transporter=fleet)

    def trip(self, fleet):
        return Trip.objects.filter(transporter=fleet).latest("won_at")

    def drive(self, fleet, *statuses):
        for status in statuses:
            trip = self.trip(fleet)
            proof = {"kind": "code", "code": trip.drop_code}
            step(fleet.owner, trip.id, Step(status, trip.start_code, proof))


@pytest.fixture
def world(asha, balu, chitra):
    return World(asha, balu, chitra)


def order(w):
    w.order = make_order(w.asha, trucks=2, stops=[place(13.0, 77.6)])


def tell(w):
    tell_them(w.order, [w.balu, w.chitra])


def accept_one(w):
    accept(w.balu.owner_id, w.offer(w.balu).id, vehicle_ids(w.balu)[:1])


def accept_other(w):
    accept(w.chitra.owner_id, w.offer(w.chitra).id, vehicle_ids(w.chitra)[:1])


STORIES = {
    "told": [order, tell],
    "declined": [order, tell, lambda w: decline(w.balu.owner_id, w.offer(w.balu).id)],
    "accepted after a decline": [
        order,
        tell,
        lambda w: decline(w.balu.owner_id, w.offer(w.balu).id),
        accept_one,
    ],
    "filled": [order, tell, accept_one, accept_other],
    "given back while it seeks": [
        order,
        tell,
        accept_one,
        lambda w: give_back(w.balu.owner_id, w.trip(w.balu).id),
        accept_other,
    ],
    "given back after it was filled": [
        order,
        tell,
        accept_one,
        accept_other,
        lambda w: give_back(w.balu.owner_id, w.trip(w.balu).id),
    ],
    "expired untouched": [order, tell, lambda w: (overdue(w.order), expire(w.order.id))],
    "expired partly filled": [
        order,
        tell,
        accept_one,
        lambda w: w.drive(w.balu, "at_pickup", "in_transit"),
        lambda w: (overdue(w.order), expire(w.order.id)),
        lambda w: w.drive(w.balu, "at_drop", "completed"),
    ],
    "cancelled": [
        order,
        tell,
        accept_one,
        lambda w: cancel(By(Actor.CUSTOMER, w.asha.id), w.order.id, customer_id=w.asha.id),
    ],
    "one truck cancelled": [
        order,
        tell,
        accept_one,
        lambda w: cancel(
            By(Actor.CUSTOMER, w.asha.id), w.order.id, truck_id=w.order.trucks.last().id
        ),
    ],
    "withdrawn and reinstated": [
        order,
        tell,
        lambda w: withdraw_all(SYSTEM, w.balu.id),
        lambda w: reinstate_all(SYSTEM, w.balu.id),
    ],
    "a driver set and changed, a stop checked off": [
        order,
        tell,
        accept_one,
        lambda w: set_driver(w.balu.owner_id, w.trip(w.balu).id, w.driver.id),
        lambda w: w.drive(w.balu, "at_pickup", "in_transit"),
        lambda w: check_stop(w.balu.owner, w.trip(w.balu).id, 1, "arrived"),
        lambda w: check_stop(w.balu.owner, w.trip(w.balu).id, 1, "done"),
    ],
    "new codes issued": [
        order,
        tell,
        accept_one,
        lambda w: new_code(w.devi.id, w.trip(w.balu).id, "start_code"),
        lambda w: w.drive(w.balu, "at_pickup", "in_transit"),
        lambda w: new_code(w.devi.id, w.trip(w.balu).id, "drop_code"),
    ],
    "broken down and replaced": [
        order,
        tell,
        accept_one,
        lambda w: w.drive(w.balu, "at_pickup", "in_transit"),
        lambda w: fail(w.devi.id, w.trip(w.balu).id, "axle", replace=True),
        accept_other,
        lambda w: accept(w.chitra.owner_id, w.offer(w.chitra).id, [make_vehicle(w.chitra).id]),
    ],
    "delivered": [
        order,
        tell,
        accept_one,
        accept_other,
        lambda w: w.drive(w.balu, "en_route_pickup", "at_pickup", "in_transit", "at_drop"),
        lambda w: w.drive(w.balu, "completed"),
        lambda w: w.drive(w.chitra, "at_pickup", "in_transit", "at_drop", "completed"),
    ],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_an_old_snapshot_and_the_events_after_it_make_a_fresh_one(world, story):
    world.devi = make_dispatcher()
    from_the_start = world.look()
    for verb in story:
        before = world.look()
        verb(world)
        world.check(before)
    world.check(from_the_start)
