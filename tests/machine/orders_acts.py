"""The verbs of orders and offers, real and predicted side by side."""

import uuid
from contextlib import ExitStack
from datetime import timedelta

from orders import quotes
from orders.change import By
from orders.models import Actor
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.confirm import confirm
from orders.verbs.decline import decline
from orders.verbs.expire import expire, expire_due
from orders.verbs.tell import Plan, Told, tell
from tests import people
from tests.machine import money
from tests.machine.acting import Acting
from tests.machine.town import moment
from tests.orders import clock
from transporters import kyc
from transporters.availability import set_online
from transporters.geo import Point
from weelo.lib.locks import courtesy_lock

BENEFIT_PAISE = 10_000


class OrdersActs(Acting):
    def confirm(self, customer, body, key="", locked_for=None):
        newest = customer.orders[-1].cell() if customer.orders else "none"
        self.tally.cell("order", newest, "confirm")
        text = f"{customer.name} confirms {body} with key {key!r}, lock {locked_for!r}"
        wish = self._wish(body)

        def predict(span):
            made_at = self._made_at(customer)
            order, replayed = self.model.confirm(customer, body, key, locked_for, span, made_at)
            if not replayed:
                order.id = self._new_order_id(customer)
                self.tally.seen("quoted", any(line.quote for line in body.lines))
            self.tally.seen("replayed", replayed)
            return order.id, replayed, order.fare_paise

        def real():
            with ExitStack() as stack:
                if locked_for is not None:
                    lock = courtesy_lock(f"confirm:{customer.id}", ttl_s=5, pass_for=locked_for)
                    assert stack.enter_context(lock)
                return confirm(self.town.users[customer.id], wish, key)

        def shown(made):
            return str(made.order["id"]), made.replayed, made.order["fare_paise"]

        self.act("confirm", text, real, predict, shown)
        return customer.orders[-1] if customer.orders else None

    def _new_rows(self, customer):
        known = {str(order.id) for order in customer.orders}
        rows = [row for row in self.rows["order"] if row["customer_id"] == str(customer.id)]
        return [row for row in rows if row["id"] not in known]

    def _new_order_id(self, customer):
        return next((row["id"] for row in self._new_rows(customer)), None)

    def _made_at(self, customer):
        return next((moment(row["created_at"]) for row in self._new_rows(customer)), None)

    def _wish(self, body):
        """The checked body of a confirm; a quote is signed as a search would have."""
        (pickup, *stops, drop) = (people.place(*point) for point in body.points)
        trucks = []
        for line in body.lines:
            asked = {"vehicle_type": line.type, "quantity": line.quantity}
            if line.load_kg is not None:
                asked["load_kg"] = line.load_kg
            if line.quote:
                asked["quote"] = self._quote(body, line)
            trucks.append(asked)
        return {"pickup": pickup, "stops": stops, "drop": drop, "trucks": trucks}

    def _quote(self, body, line):
        kind, fare_paise = line.quote
        points = [Point(*point) for point in body.points]
        slug = "tipper-20-24-t" if kind == "foreign" else line.type
        city = "mysuru" if body.photo_allowed else "bengaluru"
        minutes = -1 if kind == "expired" else 5
        wish = quotes.Wish(points, slug, line.load_kg, city, 1)
        quote = quotes.sign(wish, fare_paise, self.now + timedelta(minutes=minutes))
        return f"1{quote}" if kind == "altered" else quote

    def fare_to_quote(self, points, line):
        """A fare that nobody would charge without the quote."""
        return money.fare_paise(line.type, points, line.load_kg, self.now) - BENEFIT_PAISE

    def tell(self, order, fleets, number=None, part=0):
        number = number or order.wave[0] + 1
        self.tally.cell("order", order.cell(), "tell")
        names = ", ".join(fleet.name for fleet in fleets)
        told = [Told(fleet.id, 1000 + i, _vehicles(fleet)) for i, fleet in enumerate(fleets)]
        policy_id = self.town.policy_id
        plan = Plan(uuid.UUID(order.id), number, part, 5000, policy_id, told, [], "redis", None)
        self.act(
            "tell",
            f"wave {number}.{part} of {order.name} tells {names}",
            lambda: tell(plan),
            lambda _: self.model.tell_captains(order, number, part, fleets),
            lambda sent: self._count_stale(order, sent),
        )

    def _count_stale(self, order, sent):
        if not sent:
            self.tally.outcome("tell", "STALE" if order.seeks() else "SEEKS_NOT")
        return sent

    def accept(self, fleet, offer, vehicles, drivers=(), captain=None):
        captain = captain or fleet
        if offer:
            self.tally.cell("order", offer.order.cell(), "accept")
            self.tally.cell("offer", offer.state, "accept")
        asked = ", ".join(vehicle.name for vehicle in vehicles)
        with_whom = ", ".join(driver.name if driver else "himself" for driver in drivers)
        of = f"{offer.order.name}, offered to {offer.fleet.name}" if offer else "an unknown offer"
        offer_id = uuid.UUID(offer.id) if offer else uuid.uuid4()

        def predict(_):
            known = self.model.trips()
            trips = self.model.accept(captain, offer, vehicles, drivers)
            self.tally.seen("same_vehicles", trips[0] in known)
            self.tally.seen("several_won", len(trips) > 1 and trips[0] not in known)
            won = [(trip.truck.id, str(trip.vehicle.id), trip.status) for trip in trips]
            return won, len(offer.order.searching())

        def shown(accepted):
            won = [
                (str(trip["truck_id"]), str(trip["vehicle"]["id"]), trip["status"])
                for trip in accepted.trips
            ]
            return won, accepted.trucks_left

        self.act(
            "accept",
            f"{captain.name} accepts {of} with {asked or 'nothing'} driven by [{with_whom}]",
            lambda: accept(
                captain.owner_id,
                offer_id,
                [uuid.UUID(str(vehicle.id)) for vehicle in vehicles],
                [driver and driver.id for driver in drivers],
            ),
            predict,
            shown,
        )

    def decline(self, fleet, offer, captain=None):
        captain = captain or fleet
        if offer:
            self.tally.cell("order", offer.order.cell(), "decline")
            self.tally.cell("offer", offer.state, "decline")
        of = f"{offer.order.name}, offered to {offer.fleet.name}" if offer else "an unknown offer"
        offer_id = uuid.UUID(offer.id) if offer else uuid.uuid4()
        self.act(
            "decline",
            f"{captain.name} declines {of}",
            lambda: decline(captain.owner_id, offer_id, "too far"),
            lambda _: self.model.decline(captain, offer),
            lambda answer: answer["state"],
        )

    def decide(self, fleet, to, reason="papers"):
        verb = {"suspended": "withdraw", "verified": "reinstate"}.get(to, "decide")
        for offer in self.model.offers():
            if offer.fleet is fleet and verb != "decide":
                self.tally.cell("order", offer.order.cell(), verb)
                self.tally.cell("offer", offer.state, verb)
        self.act(
            "decide",
            f"the papers of {fleet.name} become {to} because of {reason!r}",
            lambda: kyc.decide(fleet.id, to, reason=reason, by=self.town.dispatcher.id),
            lambda _: self.model.decide(fleet, to, reason),
        )

    def switch(self, fleet, online):
        def predict(_):
            fleet.online = online
            return online

        self.act(
            "switch",
            f"{fleet.name} goes {'online' if online else 'offline'}",
            lambda: set_online(fleet.owner_id, online=online),
            predict,
            lambda answer: answer["online"],
        )

    def cancel(self, order, truck=None, reason="", customer=None, by_dispatcher=False):
        """Cancel by the order's customer, by another one, or by the dispatcher."""
        customer = customer or order.customer
        verb = "cancel_truck" if truck else "cancel_order"
        verb = "cancel_by_dispatcher" if by_dispatcher else verb
        self.tally.cell("order", order.cell(), verb)
        for trip in truck.trips if truck else order.trips():
            self.tally.cell("trip", trip.status, "cancel_truck" if truck else "cancel_order")
        who = "the dispatcher" if by_dispatcher else customer.name
        what = f"truck {truck.position} of {truck.order.name} in " if truck else ""
        if by_dispatcher:
            by, scope = By(Actor.DISPATCHER, self.town.dispatcher.id), {"with_fee": False}
        else:
            by, scope = By(Actor.CUSTOMER, customer.id), {"customer_id": customer.id}
        truck_id = truck and uuid.UUID(str(truck.id))

        def predict(span):
            before = order.cancel_fee_paise
            self.model.cancel(customer, order, truck, reason, by_dispatcher, span)
            self.tally.seen("waiting_fee", order.cancel_fee_paise - before > 100_00)
            return order.cancel_fee_paise, order.payable_paise

        self.act(
            verb,
            f"{who} cancels {what}{order.name} because of {reason!r}",
            lambda: cancel(by, uuid.UUID(order.id), truck_id=truck_id, reason=reason, **scope),
            predict,
            lambda answer: (answer["cancel_fee_paise"], answer["payable_paise"]),
            stores_expiry=True,
        )

    def run_out(self, order):
        """The deadline passes; nobody has stored that yet. (Nothing of this is a verb.)"""
        clock.overdue(order)
        order.late, order.made_lately = True, False
        self.look(f"the time of {order.name} runs out")
        (row,) = (row for row in self.rows["order"] if row["id"] == order.id)
        order.expires_at = moment(row["expires_at"])

    def expire(self, order):
        self.tally.cell("order", order.cell(), "expire")
        self.act(
            "expire",
            f"the loop expires {order.name}",
            lambda: expire(uuid.UUID(order.id)),
            lambda _: self.model.expire(order),
            lambda expired: expired,
            stores_expiry=True,
        )

    def expire_due(self):
        for order in self.model.orders():
            self.tally.cell("order", order.cell(), "expire_due")
        self.act(
            "expire_due",
            "the loop expires what is due",
            expire_due,
            lambda _: self.model.expire_due(),
            lambda expired: expired,
            stores_expiry=True,
        )


def _vehicles(fleet):
    return [
        {"id": str(vehicle.id), "registration": vehicle.name, "distance_km": 1.0}
        for vehicle in fleet.vehicles
    ]
