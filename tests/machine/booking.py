"""The model's verbs from confirm to cancel and expiry."""

from dataclasses import dataclass

from tests.machine import money
from tests.machine.model import (
    ACTIVE,
    LIVE,
    LOADED,
    TTL,
    Model,
    Offer,
    Order,
    Refused,
    Trip,
    Truck,
)

ORDERS_A_MINUTE = 5


@dataclass(frozen=True)
class Line:
    """So many trucks alike; `quote` is none, or (what is wrong with it or valid, its paise)."""

    type: str
    quantity: int = 1
    load_kg: object = None
    quote: tuple = ()

    def __str__(self):
        load = f" with {self.load_kg} kg" if self.load_kg else ""
        quote = f" for a quote ({self.quote[0]}, {self.quote[1]} paise)" if self.quote else ""
        return f"{self.quantity} x {self.type}{load}{quote}"


@dataclass(frozen=True)
class Body:
    """What is confirmed: the way as points (lat, lng), whether we serve it, and the trucks."""

    points: tuple
    served: bool
    photo_allowed: bool
    lines: tuple

    def __str__(self):
        return f"{', '.join(map(str, self.lines))} over {self.points}"


class Booking(Model):
    def confirm(self, customer, body, key, locked_for, now, made_at=None):
        """The order, and whether the key had made it before.

        `locked_for`: None, or the key (perhaps none: "") of the confirm that is under way.
        `made_at`: what the database wrote, once it did.
        """
        before = next((o for o in customer.orders if key and o.key == key), None)
        if before:
            if before.body != body:
                raise Refused("IDEMPOTENCY_KEY_REUSED")
            return before, True
        if sum(order.made_lately for order in customer.orders) >= ORDERS_A_MINUTE:
            raise Refused("RATE_LIMITED", limit="orders")
        if locked_for is not None and not (key and key == locked_for):
            raise Refused("CONCURRENT_REQUEST")
        for order in customer.orders:
            self.expire(order)
        active = [order for order in customer.orders if order.status in ACTIVE]
        if len(active) >= customer.most_active:
            raise Refused("ACTIVE_ORDER_EXISTS", order_id={str(order.id) for order in active})
        _check(body, now)
        return self._make(customer, body, key, now, made_at), False

    def _make(self, customer, body, key, now, made_at):
        order = Order(
            f"order {len(self.orders()) + 1}",
            customer,
            key,
            body,
            stops=len(body.points) - 2,
            photo_allowed=body.photo_allowed,
            expires_at=now + TTL,
            next_wave_at=now,
        )
        for line in body.lines:
            price = money.fare_paise(line.type, body.points, line.load_kg, made_at or now.last)
            price = line.quote[1] if line.quote else price
            payout = money.less_commission(price)
            for _ in range(line.quantity):
                position = len(order.trucks) + 1
                truck = Truck(order, position, line.type, line.load_kg, price, payout)
                order.trucks.append(truck)
        order.fare_paise = sum(truck.fare_paise for truck in order.trucks)
        customer.orders.append(order)
        self.tell(customer.id, "customer", "order_created")
        return order

    def tell_captains(self, order, number, part, fleets):
        """One wave; returns whether it was sent: not when stale, nor when the order seeks not."""
        if not order.seeks() or (number, part) <= order.wave:
            return False
        for fleet in fleets:
            if fleet.name in order.offers or fleet.kyc != "verified" or not fleet.online:
                continue
            order.offers[fleet.name] = Offer(order, fleet)
            order.captains_told += 1
        order.wave, order.next_wave_at = (number, part), None
        self.settle(order)
        return True

    def accept(self, captain, offer, vehicles, drivers):
        """The trips won, or those that the same vehicles had won before."""
        if offer is None or offer.fleet.owner_id != captain.owner_id:
            raise Refused("NOT_FOUND")
        order, fleet = offer.order, offer.fleet
        if fleet.kyc != "verified":
            raise Refused("NOT_VERIFIED")
        held = {trip.vehicle: trip for trip in order.held_trips() if trip.fleet is fleet}
        if vehicles and all(vehicle in held for vehicle in vehicles):
            return [held[vehicle] for vehicle in vehicles]
        _refuse_closed(offer)
        self._check_crew(order, fleet, vehicles, drivers)
        free, won = order.searching(), []
        padded = [*drivers, *[None] * len(vehicles)]
        for vehicle, driver in zip(vehicles, padded, strict=False):
            truck = next((truck for truck in free if truck.type == vehicle.type), None)
            if truck:
                free.remove(truck)
                won.append((truck, vehicle, driver))
        if not won:
            raise Refused("TRUCK_TAKEN")
        offer.state = "accepted"
        return self._win(order, fleet, won)

    def _win(self, order, fleet, won):
        trips = []
        for truck, vehicle, driver in won:
            truck.status = "assigned"
            truck.trip = Trip(truck, fleet, vehicle, driver, ["pending"] * order.stops)
            truck.trips.append(truck.trip)
            trips.append(truck.trip)
            self.tell(order.customer.id, "customer", "truck_assigned")
        self.settle(order)
        return trips

    def _check_crew(self, order, fleet, vehicles, drivers):
        busy = [v for v in vehicles if v in fleet.vehicles and self.is_busy(v)]
        if busy:
            raise Refused("VEHICLE_BUSY", vehicle_ids={str(v.id) for v in busy})
        self.check_busy_drivers(fleet, drivers)
        wanted = {truck.type for truck in order.trucks}
        wrong = [
            v
            for v in vehicles
            if v not in fleet.vehicles or not (v.in_service and v.papers_valid and v.type in wanted)
        ]
        if wrong or not vehicles or len(set(vehicles)) < len(vehicles):
            raise Refused("WRONG_VEHICLE", vehicle_ids={str(v.id) for v in wrong or vehicles})
        self.check_drivers(fleet, drivers, len(vehicles))

    def check_busy_drivers(self, fleet, drivers):
        asked = [driver for driver in drivers if driver]
        busy = [d for d in asked if d in fleet.drivers and d.active and self.is_busy(d)]
        if busy or len(set(asked)) < len(asked):
            raise Refused("DRIVER_BUSY", driver_ids={str(d.id) for d in busy})

    def check_drivers(self, fleet, drivers, count):
        asked = [driver for driver in drivers if driver]
        wrong = [d for d in asked if d not in fleet.drivers or not (d.active and d.licence_valid)]
        if wrong or (asked and len(drivers) > count):
            raise Refused("WRONG_VEHICLE", driver_ids={str(d.id) for d in wrong})

    def decline(self, captain, offer):
        if offer is None or offer.fleet.owner_id != captain.owner_id:
            raise Refused("NOT_FOUND")
        if offer.state == "open":
            offer.state = "declined"
            self.list_or_not(offer)
        elif offer.state not in ("declined", "closed"):
            raise Refused("OFFER_CLOSED")
        return offer.state

    def decide(self, fleet, to, reason):
        """The papers of a fleet move on, and its offers go and come back with them."""
        arrows = {
            "not_started": {"under_review"},
            "under_review": {"verified", "rejected"},
            "rejected": {"under_review"},
            "verified": {"suspended"},
            "suspended": {"verified"},
        }
        if fleet.kyc == to:
            return
        if to not in arrows[fleet.kyc]:
            raise Refused("ILLEGAL_MOVE", allowed=sorted(arrows[fleet.kyc]))
        if to in ("rejected", "suspended") and not reason:
            raise Refused("INVALID")
        fleet.kyc = to
        self.tell(fleet.owner_id, "captain", "kyc_changed")
        for offer in self.offers():
            if offer.fleet is not fleet:
                continue
            comes_back = to == "verified" and offer.state in ("withdrawn", "closed")
            if to == "suspended" and offer.state == "open":
                offer.state = "withdrawn"
            elif comes_back and offer.order.seeks():
                offer.state, offer.close_reason, offer.again = "open", "", True
            self.list_or_not(offer)

    def cancel(self, customer, order, truck, reason, by_dispatcher, now):
        """Cancel an order or one truck of it; `customer` None: a dispatcher, without fee."""
        if order is None or not (by_dispatcher or order.customer is customer):
            raise Refused("NOT_FOUND")
        if truck is not None and truck not in order.trucks:
            raise Refused("NOT_FOUND")
        asked = [truck] if truck else order.trucks
        still = [one for one in asked if one.seen() in ("searching", "assigned")]
        if not still:
            if any(one.status == "cancelled" for one in asked):
                return
            raise Refused("CANNOT_CANCEL")
        trips = [one.trip for one in still if one.trip and one.trip.status in LIVE]
        if any(trip.status in LOADED for trip in trips):
            raise Refused("CANNOT_CANCEL", order_id=str(order.id))
        if any(trip.status == "at_pickup" for trip in trips) and not reason.strip():
            raise Refused("REASON_REQUIRED")
        fee = sum(money.cancel_fee_paise(t.status, t.at_pickup_at, now.first) for t in trips)
        expired = self.expire_overdue(order)
        self._end(still, trips, reason)
        if not by_dispatcher:
            order.cancel_fee_paise += fee
            order.captain_share_paise += money.less_commission(fee)
        reasons = frozenset({"CANCELLED", "EXPIRED"}) if expired else "CANCELLED"
        self.settle(order, reasons, expired)

    def _end(self, trucks, trips, reason):
        for trip in trips:
            trip.status, trip.reason, trip.truck.trip = "cancelled", reason, None
            trip.steps.append("cancelled")
        for truck in trucks:
            truck.status = "cancelled"
        for person in set().union(*(trip.people() for trip in trips)):
            self.tell(person, "captain", "order_cancelled")

    def expire(self, order):
        """Store what the deadline did; returns whether it did anything."""
        expired = self.expire_overdue(order)
        if expired:
            self.settle(order, "EXPIRED", expired=True)
        return expired

    def expire_due(self):
        return sum(self.expire(order) for order in self.orders())


def _check(body, now):
    if not body.served:
        raise Refused("OUT_OF_AREA")
    for line in body.lines:
        if line.type not in money.RATES:
            raise Refused("UNKNOWN_VEHICLE_TYPE", vehicle_type=line.type)
        if (line.load_kg or 0) > money.capacity_kg(line.type):
            raise Refused("LOAD_OVER_CAPACITY", vehicle_type=line.type)
        if line.quote and line.quote[0] != "valid":
            moments = (now.first, now.last)
            fares = {money.fare_paise(line.type, body.points, line.load_kg, m) for m in moments}
            raise Refused("QUOTE_INVALID", fare_paise=frozenset(fares))


def _refuse_closed(offer):
    order = offer.order
    expired = order.status == "expired" or offer.close_reason == "EXPIRED"
    if expired or order.is_overdue():
        raise Refused("ORDER_EXPIRED")
    if order.status == "cancelled" or offer.close_reason == "CANCELLED":
        raise Refused("ORDER_CANCELLED")
    if offer.state in ("withdrawn", "given_back"):
        raise Refused("OFFER_CLOSED")
