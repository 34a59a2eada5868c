"""The model's verbs of trips: given back, driven, failed, rated, disputed."""

from tests.machine.model import (
    LIVE,
    LOADED,
    UNLOADED,
    Dispute,
    Model,
    Refused,
    Truck,
)

MOST_GIVE_BACKS, MOST_TRIES = 4, 5
STEPS = {
    "assigned": ("at_pickup", "en_route_pickup"),
    "en_route_pickup": ("at_pickup",),
    "at_pickup": ("in_transit",),
    "in_transit": ("at_drop",),
    "at_drop": ("completed",),
}


class Haulage(Model):
    def give_back(self, captain, trip, reason, now):
        if trip is None or trip.fleet.owner_id != captain.owner_id:
            raise Refused("NOT_FOUND")
        if trip.status == "cancelled":
            return
        if trip.status not in UNLOADED:
            raise Refused("ILLEGAL_MOVE", allowed=[])
        truck, order = trip.truck, trip.truck.order
        expired = self.expire_overdue(order)
        trip.status, trip.reason, truck.trip = "cancelled", reason, None
        trip.steps.append("cancelled")
        offer = order.offers[trip.fleet.name]
        if offer.state == "accepted":
            offer.state = "given_back"
        truck.give_backs += 1
        last = truck.give_backs == MOST_GIVE_BACKS
        truck.status = "expired" if last else "searching"
        if not last:
            self.seek_again(order, now)
        self.settle(order, "EXPIRED", expired or last)

    def own_trip(self, user_id, trip):
        if trip is None or user_id not in trip.people():
            raise Refused("NOT_FOUND")

    def step(self, user_id, trip, to, start_code, proof):
        """`start_code`: whether the right one was sent; `proof`: none, `photo`, `photo without
        reference`, `right code` or `wrong code`."""
        self.own_trip(user_id, trip)
        if to == trip.status:
            return
        allowed = STEPS.get(trip.status, ())
        if to not in allowed:
            raise Refused("ILLEGAL_MOVE", allowed=list(allowed))
        if to == "in_transit":
            self._check_code(trip, "start_code", start_code)
        if to == "completed":
            self._check_proof(trip, proof)
        trip.status = to
        trip.steps.append(to)
        if to == "completed":
            trip.proof = "photo" if proof == "photo" else "code"
            trip.truck.status = "completed"
        self.sms += to == "in_transit"
        self.settle(trip.truck.order)

    def _check_proof(self, trip, proof):
        if proof == "photo" and trip.truck.order.photo_allowed:
            return
        if proof not in ("right code", "wrong code"):
            raise Refused("PROOF_REQUIRED")
        self._check_code(trip, "drop_code", proof == "right code")

    def _check_code(self, trip, name, right):
        if right and trip.tries[name] < MOST_TRIES:
            return
        trip.tries[name] = min(MOST_TRIES, trip.tries[name] + 1)
        raise Refused("CODE_WRONG", tries_left=MOST_TRIES - trip.tries[name])

    def check_stop(self, user_id, trip, number, state):
        self.own_trip(user_id, trip)
        if not 1 <= number <= len(trip.stops):
            raise Refused("NOT_FOUND")
        here = trip.stops[number - 1]
        if here == state:
            return
        follows = {"pending": "arrived", "arrived": "done", "done": ""}[here] == state
        in_order = all(earlier == "done" for earlier in trip.stops[: number - 1])
        if trip.status != "in_transit" or not (follows and in_order):
            raise Refused("ILLEGAL_MOVE")
        trip.stops = [*trip.stops[: number - 1], state, *trip.stops[number:]]

    def set_driver(self, captain, trip, driver):
        if trip is None or trip.fleet.owner_id != captain.owner_id or trip.status == "cancelled":
            raise Refused("NOT_FOUND")
        if trip.driver is driver:
            return
        if trip.status not in UNLOADED:
            raise Refused("ILLEGAL_MOVE", allowed=[])
        self.check_busy_drivers(trip.fleet, [driver])
        self.check_drivers(trip.fleet, [driver], 1)
        trip.driver = driver

    def fail(self, trip, reason, replace, now):
        if trip is None:
            raise Refused("NOT_FOUND")
        if trip.status not in LOADED:
            raise Refused("ILLEGAL_MOVE", allowed=[])
        truck, order = trip.truck, trip.truck.order
        expired = self.expire_overdue(order) if replace else False
        trip.status, trip.reason, truck.status = "failed", reason, "failed"
        trip.steps.append("failed")
        if replace:
            position = len(order.trucks) + 1
            alike = (truck.type, truck.load_kg, truck.fare_paise, truck.payout_paise)
            order.trucks.append(Truck(order, position, *alike, replaces=truck))
            self.seek_again(order, now)
        self.settle(order, "EXPIRED", expired)

    def new_code(self, trip, code):
        if trip is None:
            raise Refused("NOT_FOUND")
        if trip.status not in (UNLOADED if code == "start_code" else LIVE):
            raise Refused("ILLEGAL_MOVE", allowed=[])
        trip.renewed, trip.tries[code] = code, 0
        self.sms += code == "drop_code" and trip.status in LOADED

    def _of_customer(self, customer, trip):
        if trip is None or trip.truck.order.customer is not customer:
            raise Refused("NOT_FOUND")

    def rate(self, customer, trip, stars):
        self._of_customer(customer, trip)
        if trip.status != "completed" or trip.stars not in (None, stars):
            raise Refused("CANNOT_RATE")
        trip.stars = stars

    def dispute(self, customer, trip, reason):
        self._of_customer(customer, trip)
        for known in trip.disputes:
            if known.reason == reason and known.settlement is None:
                return known
        trip.disputes.append(Dispute(trip, reason))
        self.disputes.append(trip.disputes[-1])
        return trip.disputes[-1]

    def settle_dispute(self, dispute, settlement):
        if dispute is None:
            raise Refused("NOT_FOUND")
        if dispute.settlement not in (None, settlement):
            raise Refused("ALREADY_SETTLED")
        dispute.settlement = settlement
