"""Double taps: the same success twice, and nothing is doubled."""

from collections import Counter

import pytest
from django.apps import apps

from orders.models import Fact
from tests.people import make_captains, make_driver, make_order, place, tell_them, vehicle_ids
from tests.races.racing import race, race_for
from tests.scenarios.story import WAY, body, drive, new_customer, win, without
from weelo.events.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

APPS = ("orders", "transporters", "events", "accounts")
PAPERS = dict.fromkeys(("rc", "permit", "fitness", "insurance", "puc"), "2040-01-01")
TRUCK = {"vehicle_type": "open-17-ft", "papers": PAPERS}
STOPS = [place(13.0, 77.6)]


class World:
    """A customer and a captain of their own, and how far an order of theirs has come."""

    def __init__(self, phone, reached):
        self.ravi, (self.fleet,) = new_customer(), make_captains(1)
        self.customer, self.captain = phone(self.ravi), phone(self.fleet)
        self.driver = make_driver(self.fleet, f"+9171{self.ravi.phone[-8:]}")
        self.vehicles = [str(id_) for id_ in vehicle_ids(self.fleet)]
        self.order = self.offer = self.trip = None
        number = self.ravi.phone[-8:]
        self.truck = {"registration": f"KA{number}", **TRUCK}
        licence = {"number": f"DL{number}", "expires_on": "2040-01-01"}
        self.farid = {"name": "Farid", "phone": f"+9172{number}", "licence": licence}
        if reached == "nothing":
            return
        self.order = make_order(self.ravi, trucks=2, stops=STOPS)
        (self.offer,) = tell_them(self.order, [self.fleet])
        if reached != "offered":
            self.trip = win(self.order, self.fleet)
            drive(self.trip, *before(reached))
        if reached == "at the stop":
            assert stop("arrived")(self).status_code == 200


def before(reached):
    """The steps that a trip has taken."""
    steps = {"won": 0, "at the stop": 3}.get(reached)
    return WAY[: WAY.index(reached) + 1 if steps is None else steps]


class Tap:
    """What is tapped, how far the order has come before, and which row makes two taps queue.

    `statuses` are those of the first and of the second answer."""

    def __init__(self, do, reached="nothing", queue=lambda w: w.order, statuses=(200, 200)):
        self.do, self.reached, self.queue, self.statuses = do, reached, queue, statuses


def step(status):
    def do(w):
        proof = {"kind": "code", "code": w.trip.drop_code}
        wanted = {"status": status, "start_code": w.trip.start_code, "proof": proof}
        return w.captain.post(f"trips/{w.trip.id}/status", wanted)

    return do


def stop(state):
    return lambda w: w.captain.post(f"trips/{w.trip.id}/stops/1", {"state": state})


TAPS = {
    "confirm": Tap(
        lambda w: w.customer.post("orders", body(), **{"Idempotency-Key": "key-1"}),
        queue=None,
        statuses=(201, 201),
    ),
    "accept": Tap(
        lambda w: w.captain.post(f"offers/{w.offer.id}/accept", {"vehicle_ids": w.vehicles}),
        "offered",
    ),
    "decline": Tap(
        lambda w: w.captain.post(f"offers/{w.offer.id}/decline", {"reason": "far"}), "offered"
    ),
    "seen": Tap(lambda w: w.captain.post(f"offers/{w.offer.id}/seen"), "offered", queue=None),
    "give-back": Tap(lambda w: w.captain.post(f"trips/{w.trip.id}/give-back"), "won"),
    "cancel": Tap(lambda w: w.customer.post(f"orders/{w.order.id}/cancel"), "won"),
    "cancel one truck": Tap(
        lambda w: w.customer.post(f"orders/{w.order.id}/trucks/{w.trip.truck_id}/cancel"), "won"
    ),
    "driver": Tap(
        lambda w: w.captain.put(f"trips/{w.trip.id}/driver", {"driver_id": str(w.driver.id)}),
        "won",
    ),
    "en_route_pickup": Tap(step("en_route_pickup"), "won"),
    "at_pickup": Tap(step("at_pickup"), "en_route_pickup"),
    "in_transit": Tap(step("in_transit"), "at_pickup"),
    "stop arrived": Tap(stop("arrived"), "in_transit"),
    "stop done": Tap(stop("done"), "at the stop"),
    "at_drop": Tap(step("at_drop"), "in_transit"),
    "completed": Tap(step("completed"), "at_drop"),
    "rating": Tap(
        lambda w: w.customer.post(f"trips/{w.trip.id}/rating", {"stars": 5, "comment": "good"}),
        "completed",
    ),
    "dispute": Tap(
        lambda w: w.customer.post(f"trips/{w.trip.id}/dispute", {"reason": "late", "notes": "1 h"}),
        "completed",
        statuses=(201, 201),
    ),
    "transporter": Tap(
        lambda w: w.customer.post("transporter", {"business_name": "Ravi", "pan": "ABCDE1234F"}),
        queue=None,
        statuses=(201, 200),
    ),
    "vehicle": Tap(
        lambda w: w.captain.post("vehicles", w.truck), queue=lambda w: w.fleet, statuses=(201, 200)
    ),
    "driver of the fleet": Tap(
        lambda w: w.captain.post("drivers", w.farid), queue=lambda w: w.fleet, statuses=(201, 200)
    ),
    "availability": Tap(
        lambda w: w.captain.put("availability", {"online": False}), queue=lambda w: w.fleet
    ),
}


def rows():
    """How many rows there are of everything, facts and events by what they tell."""
    models = [model for name in APPS for model in apps.get_app_config(name).get_models()]
    counts = Counter({model.__name__: model.objects.count() for model in models})
    counts.update(Fact.objects.values_list("kind", flat=True))
    counts.update(Event.objects.values_list("name", flat=True))
    return counts


def same(*answers):
    """Success, and the same body but for the clock; returns it."""
    assert all(answer.status_code in (200, 201) for answer in answers), [a.body for a in answers]
    bodies = [without(answer.body) for answer in answers]
    assert all(one == bodies[0] for one in bodies), bodies
    return bodies[0]


@pytest.mark.parametrize("tap", TAPS.values(), ids=TAPS)
def test_40_a_double_tap_is_the_same_success_twice_and_doubles_nothing(asha, phone, tap):
    world = World(phone, tap.reached)
    start = rows()
    first = tap.do(world)
    once = rows()
    second = tap.do(world)
    same(first, second)
    assert (first.status_code, second.status_code) == tap.statuses
    assert rows() == once
    # And at the same instant, in another world of the same make.
    made = once - start
    assert made
    world = World(phone, tap.reached)
    queue = tap.queue(world) if tap.queue else None
    start = rows()
    taps = [lambda: tap.do(world)] * 2
    answers = race_for(queue, *taps) if queue else race(*taps)
    same(*answers)
    assert sorted(answer.status_code for answer in answers) == sorted(tap.statuses)
    assert rows() - start == made
