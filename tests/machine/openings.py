"""How a history begins: one order is taken to a stage by real verbs, told in a few words."""

from tests.machine.booking import Body, Line
from tests.machine.model import LIVE

OPEN, ACE = "open-17-ft", "mini-tata-ace"
BENGALURU, NEAR, FAR = (12.9716, 77.5946), (13.05, 77.70), (13.02, 77.63)
MYSURU = (12.2958, 76.6394)
ROUTES = {
    "no stop": ((BENGALURU, NEAR), False),
    "one stop": ((BENGALURU, FAR, NEAR), False),
    "two stops": ((BENGALURU, FAR, (13.03, 77.66), NEAR), False),
    "Mysuru": ((MYSURU, (12.31, 76.65), NEAR), True),
}
LOADED = "tell accept at_pickup in_transit"
OPENINGS = {
    "nothing": "",
    "untold": "one",
    "told": "one tell",
    "two told": "two tell",
    "three told": "mixed tell",
    "declined": "two tell decline",
    "suspended": "one tell suspend",
    "won": "one tell accept",
    "won with a driver": "one tell driven en_route",
    "at the pickup": "one tell driven at_pickup",
    "waiting at the pickup": "one tell accept at_pickup wait",
    "partly filled": "two tell accept",
    "partly filled, with a driver": "two tell driven",
    "partly filled, on the way": "two tell driven en_route",
    "partly filled, at the pickup": "two tell accept at_pickup wait",
    "partly filled, given back": "two tell driven accept give_back",
    "filled, with a driver": "two tell driven accept",
    "filled, both with drivers": "two tell driven driven at_pickup",
    "filled at once": "two tell accept_all",
    "filled at once by two types": "mixed tell accept_all",
    "filled by two": "mixed tell accept accept",
    "loaded": f"one {LOADED}",
    "loaded in Mysuru": f"elsewhere {LOADED}",
    "at the drop": f"one {LOADED} at_drop",
    "at the drop in Mysuru": f"elsewhere {LOADED} at_drop dispute",
    "loaded and seeking": f"two {LOADED}",
    "loaded and won": "two tell accept accept at_pickup in_transit",
    "delivered": f"one {LOADED} at_drop completed dispute",
    "delivered and seeking": f"two {LOADED} at_drop completed dispute",
    "delivered, the rest expired": f"two {LOADED} at_drop completed late expire",
    "delivered, the rest overdue": f"two {LOADED} at_drop completed late",
    "delivered, the rest won": f"two {LOADED} at_drop completed accept",
    "broken down": f"one {LOADED} fail dispute",
    "broken down and replaced": f"one {LOADED} replace dispute",
    "broken down, replaced, overdue": f"one {LOADED} replace late",
    "broken down, the rest seeking": f"two {LOADED} fail",
    "given back": "one tell accept give_back dispute",
    "given back of two": "two tell driven give_back driven give_back",
    "given back and overdue": "two tell accept give_back dispute late",
    "given back and won again": "one tell accept give_back accept",
    "given back and expired": "one tell accept give_back dispute late expire",
    "given back three times": "one tell accept give_back accept give_back accept give_back accept",
    "given back four times": "one tell" + 4 * " accept give_back",
    "partly filled and overdue": "two tell accept late",
    "partly filled and expired": "two tell accept late expire",
    "loaded and overdue": f"two {LOADED} late",
    "untold and overdue": "one late",
    "overdue": "two tell late",
    "overdue for a suspended": "one tell decline suspend late",
    "expired": "one tell decline late expire",
    "expired untold": "one late expire",
    "expired for a suspended": "one tell suspend late expire",
    "cancelled": "one tell decline cancel",
    "cancelled for a suspended": "one tell suspend cancel",
    "cancelled when won": "one tell accept dispute cancel",
    "one of two cancelled": "two tell accept cancel_truck",
    "one of two cancelled, one seeking": "two tell cancel_truck",
    "suspended and verified too late": "one tell suspend accept verify",
}


def body(route, *lines):
    points, photo_allowed = ROUTES[route]
    return Body(points, True, photo_allowed, lines)


class Opening:
    """Plays the words of an opening for one customer; what cannot be done now is left out."""

    def __init__(self, acts, customer):
        self.acts, self.customer, self.order = acts, customer, None

    def play(self, words, route):
        self.route = route
        for word in words.split():
            getattr(self, word)()

    def _confirm(self, *lines, route=None):
        key = f"key {len(self.customer.orders)}"
        self.order = self.acts.confirm(self.customer, body(route or self.route, *lines), key)

    def one(self):
        self._confirm(Line(OPEN))

    def two(self):
        self._confirm(Line(OPEN, 2))

    def mixed(self):
        self._confirm(Line(OPEN), Line(ACE, load_kg=600))

    def elsewhere(self):
        self._confirm(Line(OPEN), route="Mysuru")

    def tell(self):
        self.acts.tell(self.order, self.acts.model.fleets)

    def _takers(self):
        """Open offers of who could win now, each with a vehicle to win with."""
        for offer in self.order.offers.values():
            if offer.state in ("open", "accepted") and offer.fleet.kyc == "verified":
                for vehicle in offer.fleet.vehicles:
                    if self._fits(vehicle):
                        yield offer, vehicle

    def _fits(self, vehicle):
        wanted = {truck.type for truck in self.order.searching()}
        usable = vehicle.in_service and vehicle.papers_valid and vehicle.type in wanted
        return usable and not self.acts.model.is_busy(vehicle)

    def accept(self, drivers=lambda _: ()):
        for offer, vehicle in self._takers():
            self.acts.accept(offer.fleet, offer, [vehicle], drivers(offer.fleet))
            return

    def accept_all(self):
        for offer, _ in self._takers():
            vehicles = [vehicle for vehicle in offer.fleet.vehicles if self._fits(vehicle)]
            self.acts.accept(offer.fleet, offer, vehicles)
            return

    def driven(self):
        model = self.acts.model
        self.accept(lambda fleet: [d for d in fleet.drivers[:1] if not model.is_busy(d)])

    def decline(self):
        for offer in list(self.order.offers.values())[1:2]:
            self.acts.decline(offer.fleet, offer)

    def _trip(self):
        live = [trip for trip in self.order.trips() if trip.status in LIVE]
        return live[0] if live else None

    def _step(self, to):
        trip = self._trip()
        if trip:
            self.acts.step(trip, to)

    def en_route(self):
        self._step("en_route_pickup")

    def at_pickup(self):
        self._step("at_pickup")

    def in_transit(self):
        self._step("in_transit")

    def at_drop(self):
        self._step("at_drop")

    def completed(self):
        self._step("completed")

    def wait(self):
        trip = self._trip()
        if trip and trip.status == "at_pickup":
            self.acts.wait_at_pickup(trip, 34.5)

    def give_back(self):
        trip = self._trip()
        if trip:
            self.acts.give_back(trip)

    def fail(self, replace=False):
        trip = self._trip()
        if trip:
            self.acts.fail(trip, replace)

    def replace(self):
        self.fail(replace=True)

    def dispute(self):
        for trip in self.order.trips()[:1]:
            self.acts.dispute(trip, "damage")

    def late(self):
        self.acts.run_out(self.order)

    def expire(self):
        self.acts.expire(self.order)

    def cancel(self):
        self.acts.cancel(self.order, reason="no need")

    def cancel_truck(self):
        self.acts.cancel(self.order, self.order.trucks[-1], reason="no need")

    def _first_told(self):
        return next(iter(self.order.offers.values())).fleet if self.order.offers else None

    def suspend(self):
        fleet = self._first_told()
        if fleet:
            self.acts.decide(fleet, "suspended")

    def verify(self):
        fleet = self._first_told()
        if fleet:
            self.acts.decide(fleet, "verified")
