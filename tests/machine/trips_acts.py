"""The verbs of trips, real and predicted side by side."""

import uuid

from orders.verbs.drive import set_driver
from orders.verbs.fail import fail
from orders.verbs.give_back import give_back
from orders.verbs.new_code import new_code
from orders.verbs.rate import dispute, rate
from orders.verbs.settle import settle
from orders.verbs.steps import Step, check_stop, step
from tests.machine.acting import Acting
from tests.machine.town import moment
from tests.orders import clock

PROOFS = {
    "none": None,
    "photo": {"kind": "photo", "reference": "s3://proof/1.jpg"},
    "photo without reference": {"kind": "photo"},
}


class TripsActs(Acting):
    def name(self, trip):
        if trip is None:
            return "an unknown trip"
        truck = trip.truck
        number = truck.trips.index(trip) + 1
        which = f"{truck.order.name} truck {truck.position} trip {number}"
        return f"{which} ({trip.status}, {trip.fleet.name})"

    def count(self, trip, verb):
        if trip:
            self.tally.cell("order", trip.truck.order.cell(), verb)
            self.tally.cell("trip", trip.status, verb)

    def on_trip(self, verb, trip, text, real, predict, **how):
        """Act on a trip; `real` takes its id. The model's answer is its status after that."""
        self.count(trip, verb)
        trip_id = uuid.UUID(str(trip.id)) if trip else uuid.uuid4()

        def predicted(span):
            predict(span)
            return trip.status

        how = {"shown": lambda answer: answer["status"], **how}
        return self.act(verb, text, lambda: real(trip_id), predicted, **how)

    def give_back(self, trip, captain=None, reason="flat tyre"):
        captain = captain or trip.fleet
        again = sum(offer.again for offer in self.model.offers())

        def predict(span):
            is_new, was_overdue = trip.status != "cancelled", trip.truck.order.is_overdue()
            self.model.give_back(captain, trip, reason, span)
            self.tally.seen("expired_with_the_give_back", is_new and was_overdue)
            self.tally.seen("fourth_give_back", is_new and trip.truck.give_backs == 4)
            told_again = sum(offer.again for offer in self.model.offers()) > again
            self.tally.seen("told_again", told_again)

        self.on_trip(
            "give_back",
            trip,
            f"{captain.name} gives back {self.name(trip)}",
            lambda id_: give_back(captain.owner_id, id_, reason),
            predict,
            stores_expiry=True,
        )

    def step(self, trip, to, right=True, proof="right code", user_id=None):
        user_id = user_id or trip.fleet.owner_id
        if trip:
            self.tally.cell("step", trip.status, to)
        user = self.town.users[user_id]
        codes = trip.codes if trip else {"start_code": "1234", "drop_code": "1234"}
        start_code = codes["start_code"] if right else other(codes["start_code"])
        drop_code = codes["drop_code"]
        given = PROOFS.get(proof) or {"kind": "code", "code": drop_code}
        if proof == "wrong code":
            given = {"kind": "code", "code": other(drop_code)}
        wanted = Step(to, start_code, None if proof == "none" else given)
        with_what = f"{'right' if right else 'wrong'} start code, proof: {proof}"
        self.on_trip(
            "step",
            trip,
            f"{user.name or 'a driver'} steps {self.name(trip)} to {to} ({with_what})",
            lambda id_: step(user, id_, wanted),
            lambda _: self.model.step(user_id, trip, to, right, proof),
        )
        self.tally.seen("code_used_up", trip and 5 in trip.tries.values())
        self.tally.seen("photo", trip and to == "completed" and trip.proof == "photo")

    def check_stop(self, trip, number, state, user_id=None):
        user_id = user_id or trip.fleet.owner_id
        user = self.town.users[user_id]
        self.on_trip(
            "check_stop",
            trip,
            f"{user.name or 'a driver'} checks stop {number} of {self.name(trip)} off as {state}",
            lambda id_: check_stop(user, id_, number, state),
            lambda _: self.model.check_stop(user_id, trip, number, state),
        )

    def set_driver(self, trip, driver, captain=None):
        captain = captain or trip.fleet
        self.on_trip(
            "set_driver",
            trip,
            f"{captain.name} lets {driver.name if driver else 'himself'} drive {self.name(trip)}",
            lambda id_: set_driver(captain.owner_id, id_, driver and driver.id),
            lambda _: self.model.set_driver(captain, trip, driver),
        )

    def fail(self, trip, replace):
        self.on_trip(
            "fail",
            trip,
            f"{self.name(trip)} fails {'and is replaced' if replace else 'for good'}",
            lambda id_: fail(self.town.dispatcher.id, id_, "axle", replace=replace),
            lambda span: self.model.fail(trip, "axle", replace, span),
            shown=lambda _: trip.status,
            stores_expiry=replace,
        )

    def new_code(self, trip, code):
        self.on_trip(
            "new_code",
            trip,
            f"a new {code} for {self.name(trip)}",
            lambda id_: new_code(self.town.dispatcher.id, id_, code),
            lambda _: self.model.new_code(trip, code),
            shown=lambda _: trip.status,
        )

    def rate(self, trip, stars, customer=None):
        customer = customer or trip.truck.order.customer
        self.on_trip(
            "rate",
            trip,
            f"{customer.name} gives {stars} stars to {self.name(trip)}",
            lambda id_: rate(customer.id, id_, stars),
            lambda _: self.model.rate(customer, trip, stars),
            shown=lambda _: trip.status,
        )

    def dispute(self, trip, reason, customer=None):
        customer = customer or trip.truck.order.customer
        self.count(trip, "dispute")
        trip_id = uuid.UUID(str(trip.id)) if trip else uuid.uuid4()

        def predict(_):
            found = self.model.dispute(customer, trip, reason)
            known = {one.id for one in self.model.disputes}
            new = (row["id"] for row in self.rows["dispute"] if row["id"] not in known)
            found.id = found.id or next(new, None)
            return found.id

        self.act(
            "dispute",
            f"{customer.name} disputes {self.name(trip)} because of {reason!r}",
            lambda: dispute(customer.id, trip_id, reason),
            predict,
            lambda answer: answer["id"],
        )

    def settle(self, found, settlement):
        self.count(found.trip if found else None, "settle")
        dispute_id = uuid.UUID(found.id) if found else uuid.uuid4()
        self.act(
            "settle",
            f"a dispute about {self.name(found and found.trip)} is settled: {settlement!r}",
            lambda: settle(self.town.dispatcher.id, dispute_id, settlement),
            lambda _: self.model.settle_dispute(found, settlement),
        )

    def wait_at_pickup(self, trip, minutes):
        """The truck has waited so long. (This is no verb.)"""
        clock.waiting(trip, minutes)
        self.look(f"{self.name(trip)} waits at the pickup for {minutes} minutes")
        (row,) = (row for row in self.rows["trip"] if row["id"] == trip.id)
        trip.at_pickup_at = moment(row["at_pickup_at"])


def other(code):
    """A code that is not this one."""
    return "0000" if code != "0000" else "1111"
